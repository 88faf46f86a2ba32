"""Which trials are told in full: few, and those that a reader would ask about first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lab.measure.predict import Reach
from lab.measure.verdict import Outcome
from lab.measure.verdict_text import format_expectation
from lab.report.html.source import Source
from lab.spec.event import PathClass

MOST_TOLD: Final = 6
"""Trials with a ladder of their own: each is some ten thousand bytes of the page, and a replay."""


def telling_trials(source: Source) -> dict[str, str]:
    """Return the keys of the trials to tell, each with why it is told, the most important first."""
    told: dict[str, str] = {}
    for key, because in (*_of_verdicts(source), *_of_paths(source)):
        if len(told) < MOST_TOLD:
            told.setdefault(key, because)
    return told


def _of_verdicts(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the worst trial of each expectation that fails, of its first cell; failures that count first."""
    result = source.result
    failed = [
        (verdict, evidence.worst[0])
        for verdict, evidence in zip(result.verdicts, result.evidence, strict=False)
        if verdict.outcome is Outcome.FAIL and evidence.worst
    ]
    first: dict[str, str] = {}
    for verdict, key in sorted(failed, key=lambda pair: not pair[0].counts):
        first.setdefault(format_expectation(verdict), key)
    yield from ((key, f"fails {words}") for words, key in first.items())


def _of_paths(source: Source) -> Iterator[tuple[str, str]]:
    """Yield the first trial of each kind that makes a reader ask why."""
    wanted = (
        ("found no path", PathClass.NONE, None),
        ("was relayed, although a direct path was possible", PathClass.RELAY, Reach.DIRECT),
        ("was relayed: nothing else was possible", PathClass.RELAY, Reach.RELAY),
    )
    rows = [row for row in source.rows if not row["invalid"] and "path" in row]
    for because, path, possible in wanted:
        fitting = (r for r in rows if r["path"] == path and possible in {None, r.get("possible")})
        found = next(fitting, None)
        if found is not None:
            yield str(found["trial"]), because

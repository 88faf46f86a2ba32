"""What the report opens at: the verdict in words, what failed first, and every expectation with its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from lab.measure.verdict import Outcome, Verdict
from lab.measure.verdict_text import format_cell, format_expectation, format_finding
from lab.report.cells import as_text
from lab.report.html.cells import Cells, Group
from lab.results.stored_result import StoredResult
from lab.spec.expectation import Expectation

MOST_LISTED: Final = 30
"""Cells that are named of one expectation; the matrix shows them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The run in one sentence. ``outcome`` is None where nothing was expected and nothing went wrong."""

    outcome: Outcome | None
    words: str
    notes: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One verdict in words.

    ``group`` is the cell it is about, where that is one of the matrix's; ``worst`` is the key of its worst
    trial, and ``replay`` the command that runs it again, where there are.
    """

    outcome: Outcome
    is_warning: bool
    expected: str
    where: str
    found: str
    reason: str
    why: str
    group: Group | None
    worst: str = ""
    replay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One expectation with all its verdicts.

    ``when`` says what it is confined to; ``listed`` are those that are no pass, the first of them.
    """

    words: str
    when: str
    why: str
    is_warning: bool
    passed: int
    failed: int
    doubtful: int
    listed: Sequence[Finding]
    unlisted: int

    @property
    def outcome(self) -> Outcome:
        """What its verdicts come to together."""
        if self.failed:
            return Outcome.FAIL
        return Outcome.INCONCLUSIVE if self.doubtful else Outcome.PASS


def headline(result: StoredResult) -> Headline:
    """Return the run's outcome as a sentence: a failure before doubt, and nothing measured is no pass."""
    counted = [verdict for verdict in result.verdicts if verdict.counts]
    failed = sum(verdict.outcome is Outcome.FAIL for verdict in counted)
    doubtful = sum(verdict.outcome is Outcome.INCONCLUSIVE for verdict in counted)
    outcome: Outcome | None = Outcome.PASS
    if failed:
        outcome = Outcome.FAIL
        words = f"Fail: {_of(failed, len(counted), 'verdict')} {_do(failed)} not hold"
    elif doubtful:
        outcome = Outcome.INCONCLUSIVE
        words = f"Inconclusive: nobody can say of {_of(doubtful, len(counted), 'verdict')}"
    elif result.done < result.trials or result.reason:
        outcome = Outcome.INCONCLUSIVE
        words = f"Inconclusive: {_incomplete(result) or result.reason}"
    elif counted:
        words = f"Pass: {_all(len(counted))}"
    else:
        that_counts = " that counts" if result.verdicts else ""
        outcome, words = None, f"No verdict: the scenario expects nothing{that_counts}"
    return Headline(outcome=outcome, words=words, notes=_notes(result, words))


def _all(count: int) -> str:
    if count == 1:
        return "the one verdict holds"
    return "both verdicts hold" if count == 2 else f"all {count} verdicts hold"


def _of(some: int, all_: int, noun: str) -> str:
    return f"{'the one' if all_ == 1 else f'{some} of {all_}'} {noun}{'' if all_ == 1 else 's'}"


def _do(count: int) -> str:
    return "does" if count == 1 else "do"


def _incomplete(result: StoredResult) -> str:
    return f"{result.done} of {result.trials} trials were run" if result.done < result.trials else ""


def _notes(result: StoredResult, words: str) -> list[str]:
    """Return what else a reader must know before relying on it, and the headline does not say."""
    notes = [_incomplete(result), result.reason]
    warned = sum(v.outcome is not Outcome.PASS and not v.counts for v in result.verdicts)
    if warned:
        notes.append(f"{warned} {'warning' if warned == 1 else 'warnings'}: told, and not counted")
    return [f"{note[0].upper()}{note[1:]}." for note in notes if note and note not in words]


def first_open(result: StoredResult, cells: Cells) -> Finding | None:
    """Return the first verdict that fails; without one the first that is inconclusive, and counts."""
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        for verdict, evidence in zip_longest(result.verdicts, result.evidence):
            if verdict.counts and verdict.outcome is outcome:
                found = _finding(verdict, _groups_by_verdict(cells))
                if evidence is None or not evidence.worst:
                    return found
                return replace(found, worst=evidence.worst[0], replay=evidence.replay)
    return None


def expectations(result: StoredResult, cells: Cells) -> list[Expected]:
    """Return every expectation of the run, in the scenario's order."""
    groups = _groups_by_verdict(cells)
    by_words: dict[tuple[str, str, str, bool], list[Verdict]] = {}
    for verdict in result.verdicts:
        expectation = verdict.expectation
        key = format_expectation(verdict), _condition(expectation), expectation.why, not verdict.counts
        by_words.setdefault(key, []).append(verdict)
    return [_expected(*key, verdicts, groups) for key, verdicts in by_words.items()]


def _condition(expectation: Expectation) -> str:
    return ", ".join(
        f"{name} is {' or '.join(map(as_text, values))}" for name, values in expectation.when.items()
    )


def _expected(
    words: str,
    when: str,
    why: str,
    is_warning: bool,
    verdicts: Sequence[Verdict],
    groups: Mapping[int, Group],
) -> Expected:
    open_ = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    open_.sort(key=lambda verdict: verdict.outcome is not Outcome.FAIL)
    failed = sum(verdict.outcome is Outcome.FAIL for verdict in open_)
    return Expected(
        words=words,
        when=when,
        why=why,
        is_warning=is_warning,
        passed=len(verdicts) - len(open_),
        failed=failed,
        doubtful=len(open_) - failed,
        listed=[_finding(verdict, groups) for verdict in open_[:MOST_LISTED]],
        unlisted=max(0, len(open_) - MOST_LISTED),
    )


def _groups_by_verdict(cells: Cells) -> Mapping[int, Group]:
    """Return the group that each verdict is about, by the verdict's identity: equal ones are two."""
    return {id(verdict): group for group in cells.groups for verdict in group.verdicts}


def _finding(verdict: Verdict, groups: Mapping[int, Group]) -> Finding:
    return Finding(
        outcome=verdict.outcome,
        is_warning=not verdict.counts,
        expected=format_expectation(verdict),
        where=format_cell(verdict),
        found=format_finding(verdict),
        reason=verdict.reason,
        why=verdict.expectation.why,
        group=groups.get(id(verdict)),
    )

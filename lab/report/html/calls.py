"""The table of calls as columns of JSON: what the page's script filters, sorts and shows a page of.

Words that repeat are kept once, and columns refer to them by number: 10,000 calls are about half a megabyte.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lab.measure.predict import Reach
from lab.measure.verdict import Outcome
from lab.measure.verdict_text import format_expectation, format_finding
from lab.report.html.cells import Cells, Group
from lab.report.html.ecdf import CLASSES
from lab.report.html.source import Source

MOST_CALLS: Final = 50_000
"""In the table: a page of some three megabytes. All are in ``trials.parquet``, and counted in all else."""

REACHES: Final = ("", *(reach.value for reach in Reach))


class _Words:
    """Texts by number, in order of appearance."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.number = {text: number for number, text in enumerate(texts)}

    def __call__(self, text: str) -> int:
        return self.number.setdefault(text, len(self.number))


def page_data(source: Source, cells: Cells) -> str:
    """Return the data of the page as JSON that may stand in a ``script`` element."""
    document = {
        "run": shlex.quote(str(source.run.path)),
        "parameters": [{"name": name, "values": values} for name, values in cells.varying.items()],
        "paths": [{"word": path.value, "style": style} for path, style in CLASSES.items()],
        "reaches": REACHES,
        "stories": [story.key for story in source.stories],
        "columns": _columns(source, cells),
        "groups": [_group(group, cells) for group in cells.groups],
        **_verdicts(cells.groups),
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    # What an HTML parser could take for the end of the element, or a comment; and line ends of old scripts.
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _columns(source: Source, cells: Cells) -> Mapping[str, Any]:
    """Return the columns, a value a call; a trial without a call has one too. Times in milliseconds."""
    names = {name: _Words(values) for name, values in cells.varying.items()}
    calls, notes, reaches = _Words(), _Words([""]), _Words(REACHES)
    paths = _Words(path.value for path in CLASSES)
    rows = source.rows[:MOST_CALLS]
    values = [cells.of_trial.get(str(row["trial"]), {}) for row in rows]
    columns = {
        "trial": [row["trial"] for row in rows],
        "parameters": [[words(of.get(name, "")) for of in values] for name, words in names.items()],
        "repeat": [row["repeat"] + 1 for row in rows],
        "call": [calls(row.get("call", "")) for row in rows],
        "path": [paths(row["path"]) if "path" in row else None for row in rows],
        "possible": [reaches(row.get("possible", "")) for row in rows],
        "validated": [reaches(row.get("validated", "")) for row in rows],
        "setup": [_milliseconds(row.get("setup_time")) for row in rows],
        "note": [notes(_note(row)) for row in rows],
        "invalid": [int(bool(row["invalid"])) for row in rows],
    }
    return {**columns, "calls": list(calls.number), "notes": list(notes.number)}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)


def _note(row: Mapping[str, Any]) -> str:
    if row["invalid"]:
        return f"invalid: {row['invalid']}"
    return str(row.get("failed", ""))


def _group(group: Group, cells: Cells) -> Sequence[tuple[int, int]]:
    """Return what makes a group: numbers of parameters with the numbers of their values."""
    names = list(cells.varying)
    return [
        (names.index(name), cells.varying[name].index(value))
        for name, value in group.values.items()
        if name in cells.varying
    ]


def _verdicts(groups: Sequence[Group]) -> Mapping[str, Any]:
    """Return each group's verdicts: number of the expectation, outcome, what was found and why doubtful."""
    expected = _Words()
    whys: list[str] = []
    judged = []
    for group in groups:
        of_group = []
        for verdict in group.verdicts:
            number = expected(format_expectation(verdict))
            if number == len(whys):
                whys.append(verdict.expectation.why)
            found = "; ".join(filter(None, [format_finding(verdict), verdict.reason]))
            is_told = verdict.outcome is Outcome.FAIL and not verdict.counts
            of_group.append([number, "warning" if is_told else verdict.outcome.value, found])
        judged.append(of_group)
    return {"expected": list(expected.number), "whys": whys, "judged": judged}

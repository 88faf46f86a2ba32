"""How the events of a run differ from those of a baseline, in words."""

from __future__ import annotations

from typing import Any, Final

from lab.measure.divergence import Divergence, Line
from lab.measure.divergence_text import differing_fields, divergence_text, line_text
from lab.report.comparison_text import counted
from lab.results.baseline_exact import ExactComparison

_MOST_TRIALS: Final = 20


def exact_text(exact: ExactComparison) -> str:
    """Return the trials that differ, and the first event in which the first of them does."""
    paragraphs = [_first(exact), _differing(exact), _not_compared(exact)]
    if not exact.differing:
        paragraphs.append([f"every event is the same in {counted(exact.compared, 'trial')}"])
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def exact_data(exact: ExactComparison) -> dict[str, Any]:
    """Return the same as JSON values; ``index`` counts events from 0."""
    first: dict[str, Any] | None = None
    if exact.first is not None and exact.divergence is not None:
        first = {"trial": exact.first.key, "cell": dict(exact.first.cell), "repeat": exact.first.repeat}
        first |= _divergence_data(exact.divergence)
    return {
        "compared": exact.compared,
        "differing": [trial.key for trial in exact.differing],
        "missing": list(exact.missing),
        "new": exact.new,
        "first": first,
    }


def _divergence_data(divergence: Divergence) -> dict[str, Any]:
    fields = differing_fields(divergence)
    return {
        "index": divergence.index,
        "baseline": _as_text(divergence.left),
        "now": _as_text(divergence.right),
        "baseline_time": divergence.left_time,
        "now_time": divergence.right_time,
        "differs_in": {name: list(values) for name, values in fields.items()},
    }


def _as_text(line: Line | None) -> str | None:
    return line if line is None or isinstance(line, str) else line_text(line)


def _first(exact: ExactComparison) -> list[str]:
    if exact.first is None:
        return ["of no trial that differs has the baseline the events"] if exact.differing else []
    if exact.divergence is None:
        return [exact.first.title, "  the same events, in a file that is not the same"]
    return [exact.first.title, divergence_text(exact.divergence, left="baseline", right="now")]


def _differing(exact: ExactComparison) -> list[str]:
    if not exact.differing:
        return []
    lines = [f"  {trial.title}" for trial in exact.differing[:_MOST_TRIALS]]
    if more := len(exact.differing) - len(lines):
        lines.append(f"  and {more} more")
    return [f"events differ in {len(exact.differing)} of {counted(exact.compared, 'trial')}:", *lines]


def _not_compared(exact: ExactComparison) -> list[str]:
    lines = []
    if exact.missing:
        lines.append(f"{counted(len(exact.missing), 'trial')} of the baseline: no events now")
    if exact.new:
        lines.append(f"{counted(exact.new, 'trial')} now: not in the baseline")
    return lines

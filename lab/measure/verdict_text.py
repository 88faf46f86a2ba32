"""Verdicts in words: what was expected and where, what was found, with interval and n, and why it matters."""

from __future__ import annotations

from typing import Final

from lab.measure.statistics import Interval
from lab.measure.verdict import Outcome, Verdict
from lab.spec.comparison import Comparator
from lab.spec.event import JsonValue
from lab.spec.expectation import Severity
from lab.spec.metric_catalogue import CATALOGUE, MetricKind, Statistic
from lab.units import format_duration

_DIGITS: Final = 3
_MOST_DIGITS: Final = 12


def format_verdict(verdict: Verdict) -> str:
    """Return a verdict in two to four lines.

    .. code-block:: text

        FAIL  ice.setup_time p95 < 800ms  [alice_nat=symmetric]
              found 812 ms (95 % interval 790 ms to 830 ms, n = 30)
              why: people hang up on silence
    """
    lines = [_headline(verdict), _finding(verdict)]
    if verdict.reason:
        lines.append(verdict.reason)
    if verdict.expectation.why:
        lines.append(f"why: {verdict.expectation.why}")
    return "\n      ".join(lines)


def format_value(verdict: Verdict) -> str:
    """Return the value found, with digits enough to tell it from the threshold; a dash if there is none."""
    value = verdict.value
    if value is None:
        return "–"
    marks = [verdict.expectation.threshold]
    if CATALOGUE[verdict.expectation.metric].unit == "%":
        marks += [0.0, 1.0]  # "100 %" of 1999 in 2000 would be a lie
    different = [mark for mark in marks if not Comparator.EQUAL.holds(value, mark)]
    digits = _DIGITS
    while digits < _MOST_DIGITS and any(f"{value:.{digits}g}" == f"{mark:.{digits}g}" for mark in different):
        digits += 1
    return _text(verdict, value, digits)


def format_cell(verdict: Verdict) -> str:
    """Return the cell as ``name=value`` pairs; empty where nothing varies."""
    return " ".join(f"{name}={_plain(value)}" for name, value in verdict.cell.items())


def _headline(verdict: Verdict) -> str:
    word = {Outcome.PASS: "PASS", Outcome.FAIL: "FAIL", Outcome.INCONCLUSIVE: "????"}[verdict.outcome]
    if verdict.outcome is Outcome.FAIL and verdict.expectation.severity is Severity.WARNING:
        word = "WARN"
    within = verdict.expectation.within
    parts = [f"{word}  {verdict.expectation}"]
    if within is not None:
        parts.append(f" within {format_duration(within)}")
    if verdict.cell:
        parts.append(f"  [{format_cell(verdict)}]")
    return "".join(parts)


def _finding(verdict: Verdict) -> str:
    if verdict.value is None:
        return f"found nothing (n = {verdict.n})"
    aside = [f"n = {verdict.n}"]
    if verdict.interval is not None:
        aside.insert(0, _interval_text(verdict, verdict.interval))
    return f"found {format_value(verdict)} ({', '.join(aside)})"


def _interval_text(verdict: Verdict, interval: Interval) -> str:
    low, high = (_text(verdict, bound, _DIGITS) for bound in interval)
    return f"{verdict.confidence * 100:.4g} % interval {low} to {high}"


def _text(verdict: Verdict, value: float, digits: int) -> str:
    """Return a value in the unit of the verdict's metric."""
    kind = CATALOGUE[verdict.expectation.metric].kind
    if verdict.expectation.statistic is Statistic.COUNT or kind is MetricKind.COUNT:
        return f"{value:.0f}" if value.is_integer() else _significant(value, digits)
    if kind is MetricKind.DURATION:
        return f"{_significant(value * 1e3, digits)} ms" if value < 1 else f"{_significant(value, digits)} s"
    return f"{_significant(value * 100, digits)} %"


def _significant(value: float, digits: int) -> str:
    """Return a number of so many significant digits, never with an exponent."""
    text = f"{float(f'{value:.{digits}g}'):.12f}"
    return text.rstrip("0").rstrip(".")


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else str(value)

"""Verdicts in words: what was expected and where, what was found, with interval and n, and why it matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lab.measure.statistics import Interval
from lab.measure.verdict import Outcome, Verdict
from lab.spec.comparison import Comparator
from lab.spec.event import JsonValue
from lab.spec.metric_catalogue import CATALOGUE, MetricKind, Statistic
from lab.units import format_duration

MOST_WITH_MORE: Final = 5
"""Verdicts that are shown with more than what was found: the next ones are seldom another story."""

_DIGITS: Final = 3
_MOST_DIGITS: Final = 12


def format_verdict(verdict: Verdict, more: Sequence[str] = ()) -> str:
    """Return a verdict in two to four lines, and ``more`` below them.

    .. code-block:: text

        FAIL  ice.setup_time p95 < 800ms  [alice_nat=symmetric]
              found 812 ms (95 % interval 790 ms to 830 ms, n = 30)
              why: people hang up on silence
    """
    lines = [_headline(verdict), format_finding(verdict)]
    if verdict.reason:
        lines.append(verdict.reason)
    if verdict.expectation.why:
        lines.append(f"why: {verdict.expectation.why}")
    return "\n      ".join([*lines, *more])


def format_verdicts(
    verdicts: Sequence[Verdict], *, most: int, more: Callable[[Verdict], Sequence[str]] | None = None
) -> str:
    """Return the verdicts that do not pass, at most so many, and how many do; empty if there are none.

    What fails the run comes first, then what nobody can say, then warnings; ``more`` gives further lines, for
    the first few.
    """
    if not verdicts:
        return ""
    open_ = sorted((verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS), key=_rank)
    parts = [
        "\n" + format_verdict(verdict, more(verdict) if more and number < MOST_WITH_MORE else ())
        for number, verdict in enumerate(open_[:most])
    ]
    if len(open_) > most:
        parts.append(f"\n... and {len(open_) - most} more: see junit.xml, or result.json")
    return "\n".join([*parts, f"\n{_tally(verdicts)}"])


def _rank(verdict: Verdict) -> tuple[bool, bool]:
    return not verdict.counts, verdict.outcome is Outcome.INCONCLUSIVE


def _tally(verdicts: Sequence[Verdict]) -> str:
    """Return how many verdicts came to what; passes always, the others where there are any."""
    passed = sum(verdict.outcome is Outcome.PASS for verdict in verdicts)
    others = {
        "failed": sum(verdict.counts and verdict.outcome is Outcome.FAIL for verdict in verdicts),
        "inconclusive": sum(verdict.outcome is Outcome.INCONCLUSIVE for verdict in verdicts),
        "warned": sum(not verdict.counts and verdict.outcome is Outcome.FAIL for verdict in verdicts),
    }
    told = "".join(f", {count} {word}" for word, count in others.items() if count)
    return f"{passed} of {len(verdicts)} verdicts: pass{told}"


def format_value(verdict: Verdict) -> str:
    """Return the value found, with digits enough to tell it from the threshold; a dash if there is none."""
    return "–" if verdict.value is None else format_sample(verdict, verdict.value)


def format_sample(verdict: Verdict, value: float) -> str:
    """Return a value of the verdict's metric and statistic, told from the threshold as the value found is."""
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


def format_name(verdict: Verdict) -> str:
    """Return what was expected, and where: ``relay.share rate == 0%  [alice_nat=symmetric]``."""
    where = f"  [{format_cell(verdict)}]" if verdict.cell else ""
    return f"{format_expectation(verdict)}{where}"


def _headline(verdict: Verdict) -> str:
    word = {Outcome.PASS: "PASS", Outcome.FAIL: "FAIL", Outcome.INCONCLUSIVE: "????"}[verdict.outcome]
    if verdict.outcome is Outcome.FAIL and not verdict.counts:
        word = "WARN"
    aside = "  (only a warning)" if verdict.outcome is Outcome.INCONCLUSIVE and not verdict.counts else ""
    return f"{word}  {format_name(verdict)}{aside}"


def format_expectation(verdict: Verdict) -> str:
    """Return what was expected: ``media.gap p95 < 2s within 30 s``.

    With it stands to which drawn values it is confined: they make no cell.
    """
    expectation = verdict.expectation
    parts = [str(expectation)]
    if expectation.within is not None:
        parts.append(f"within {format_duration(expectation.within)}")
    if expectation.confidence is not None:
        parts.append(f"with {expectation.confidence * 100:.6g} % confidence")
    drawn = {name: values for name, values in expectation.when.items() if name not in verdict.cell}
    parts += [f"when {name} is {' or '.join(map(_plain, values))}" for name, values in drawn.items()]
    return " ".join(parts)


def format_finding(verdict: Verdict) -> str:
    """Return what was found: ``found 812 ms (95 % interval 790 ms to 830 ms, n = 30)``."""
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

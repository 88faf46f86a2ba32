"""Thresholds: what an expectation compares with, in the unit of its metric."""

from __future__ import annotations

import math
import re
from typing import Final

from lab.errors import Problem, UsageError
from lab.spec.metric_catalogue import Metric, MetricKind, Statistic
from lab.units import parse_duration, parse_percent

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def parse_threshold(metric: Metric, statistic: Statistic, text: str, where: str) -> float:
    """Return a threshold in SI units.

    Raises:
        UsageError: not a quantity of this metric.
    """
    if statistic is Statistic.COUNT or metric.kind is MetricKind.COUNT:
        return _plain_number(text, where, whole=statistic in {Statistic.COUNT, Statistic.SUM})
    if metric.kind is MetricKind.DURATION:
        return parse_duration(text, where)
    bare = _NUMBER.fullmatch(text)
    if bare and 0 < float(text) <= 1:
        percent = f"{float(text) * 100:.12g}%"
        raise UsageError(Problem(where, f"{text!r} has no unit", "a percentage", f"did you mean {percent}?"))
    return parse_percent(text, where)


def _plain_number(text: str, where: str, *, whole: bool) -> float:
    expected = "a whole number, without a unit" if whole else "a number, without a unit"
    if not _NUMBER.fullmatch(text):
        raise UsageError(Problem(where, f"{text!r} is not {expected.partition(',')[0]}", expected))
    value = float(text)
    if value < 0 or not math.isfinite(value):
        raise UsageError(Problem(where, f"{text!r} is {'negative' if value < 0 else 'too large'}", expected))
    if whole and not value.is_integer():
        raise UsageError(Problem(where, f"{text!r} is not a whole number", expected))
    return value


def example_of(metric: Metric | None, statistic: Statistic | None = None) -> str:
    """Return how a comparison of this metric is written."""
    if metric is None:
        return 'write for example rate: ">= 95%"'
    statistic = statistic or (Statistic.P95 if Statistic.P95 in metric.statistics else metric.statistics[0])
    threshold = {MetricKind.DURATION: "< 800ms", MetricKind.RATIO: "<= 1%", MetricKind.SHARE: ">= 95%"}
    text = "<= 3" if statistic is Statistic.COUNT else threshold.get(metric.kind, "<= 3")
    return f'write for example {statistic}: "{text}"'

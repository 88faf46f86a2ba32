"""What must hold: one expectation as a scenario states it, read with everything wrong about it told at once.

.. code-block:: yaml

    - metric: ice.setup_time
      p95: "< 800ms"
      when: {alice_nat: symmetric}
      why: people hang up on silence
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, NamedTuple

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.comparison import Comparator
from lab.spec.event import JsonValue
from lab.spec.metric_catalogue import CATALOGUE, Metric, Statistic
from lab.spec.threshold import example_of, parse_threshold
from lab.units import parse_duration, parse_percent


class Severity(enum.StrEnum):
    """Whether a failure fails the run, or is only told."""

    ERROR = "error"
    WARNING = "warning"


class Request(NamedTuple):
    """Which samples are wanted: of a metric, and only what happens ``within`` seconds (None: all)."""

    metric: str
    within: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One expectation.

    ``threshold`` is in SI units (seconds, shares in 0..1, plain numbers), ``threshold_text`` as written.
    ``when`` gives for parameters the values to which it is confined. ``within`` in seconds, ``confidence`` in
    0..1 (both exclusive).
    """

    metric: str
    statistic: Statistic
    comparator: Comparator
    threshold: float
    threshold_text: str
    when: Mapping[str, tuple[JsonValue, ...]] = field(default_factory=dict)
    why: str = ""
    within: float | None = None
    confidence: float | None = None
    severity: Severity = Severity.ERROR

    @property
    def request(self) -> Request:
        """The samples it is judged on."""
        return Request(self.metric, self.within)

    def applies_to(self, cell: Mapping[str, JsonValue]) -> bool:
        """Return whether this is about trials with these parameters."""
        return all(
            name in cell and any(_is_same(cell[name], value) for value in values)
            for name, values in self.when.items()
        )

    def __str__(self) -> str:
        """As in a scenario: ``ice.setup_time p95 < 800ms``."""
        return f"{self.metric} {self.statistic} {self.comparator} {self.threshold_text}"


def parse_expectation(record: object, where: str) -> Expectation:
    """Return the expectation that a mapping of a scenario file states.

    Args:
        record: the mapping as the file has it: keys ``metric``, one statistic with its comparison, and
            optionally ``when``, ``why``, ``within``, ``confidence``, ``severity``.
        where: its key path, such as ``expect[2]``; problems are told at it or below, as ``expect[2].p95``.

    Raises:
        UsageError: every problem of the mapping.
    """
    if not isinstance(record, Mapping):
        raise UsageError(
            Problem(where, f"{record!r} is no expectation", 'for example {metric: ..., rate: "..."}')
        )
    return _Reader(record, where).read()


def _is_same(one: JsonValue, other: JsonValue) -> bool:
    """Return whether two values are one; ``True`` is not 1, as it is in Python."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


# Reading

_STATISTICS: Final = frozenset(statistic.value for statistic in Statistic)
_SETTINGS: Final = ("metric", "when", "why", "within", "confidence", "severity")
_COMPARISON: Final = re.compile(r"\s*([=!<>]+)?\s*(.*?)\s*", re.DOTALL)
_WITHOUT_INTERVAL: Final = frozenset({Statistic.COUNT, Statistic.SUM, Statistic.MIN, Statistic.MAX})
_CLASSES: Final = "path.host, path.peer_reflexive, path.server_reflexive, path.direct or relay.share"


class _Reader:
    """Reads one mapping; collects problems on the way."""

    def __init__(self, record: Mapping[object, object], where: str) -> None:
        self._record = record
        self._where = where
        self._problems: list[Problem] = []

    def read(self) -> Expectation:
        self._check_keys()
        metric = self._metric()
        statistic = self._statistic(metric)
        comparator, threshold, text = self._comparison(metric, statistic)
        read = Expectation(
            metric=metric.name if metric else "",
            statistic=statistic or Statistic.COUNT,
            comparator=comparator,
            threshold=threshold,
            threshold_text=text,
            when=self._when(),
            why=self._why(),
            within=self._within(metric),
            confidence=self._confidence(statistic, comparator),
            severity=self._severity(),
        )
        if self._problems:
            raise UsageError(*self._problems)
        return read

    def _wrong(self, key: str, found: str, expected: str = "", suggestion: str = "") -> None:
        where = f"{self._where}.{key}" if key else self._where
        self._problems.append(Problem(where, found, expected, suggestion))

    def _check_keys(self) -> None:
        for key in self._record:
            if key not in _STATISTICS and key not in _SETTINGS:
                suggestion = did_you_mean(str(key), (*_SETTINGS, *_STATISTICS))
                self._wrong(str(key), f"unknown key {key!r}", suggestion=suggestion)

    def _metric(self) -> Metric | None:
        name = self._record.get("metric")
        metric = CATALOGUE.get(name) if isinstance(name, str) else None
        if "metric" not in self._record:
            self._wrong("", "an expectation without a metric", "metric: one of docs/metrics.md")
        elif name == "path.selected":
            self._wrong("metric", "path.selected is not one number", suggestion=f"name a class: {_CLASSES}")
        elif metric is None:
            self._wrong("metric", f"unknown metric {name!r}", suggestion=did_you_mean(str(name), CATALOGUE))
        return metric

    def _statistic(self, metric: Metric | None) -> Statistic | None:
        """Return the one statistic that is named; None where it could not be told."""
        named = [key for key in self._record if key in _STATISTICS]
        known = ", ".join(metric.statistics if metric else Statistic)
        if not named:
            self._wrong("", "an expectation without a comparison", f"one of {known}", example_of(metric))
        for extra in named[1:]:
            self._wrong(str(extra), f"a second statistic beside {named[0]}", "one an expectation")
        if metric is not None:
            for key in named:
                if key not in metric.statistics:
                    found = f"{metric.name} is a {metric.kind.value} and has no {key}"
                    self._wrong(str(key), found, f"one of {known}", example_of(metric))
        valid = [Statistic(str(key)) for key in named if metric is None or key in metric.statistics]
        return valid[0] if len(named) == 1 and valid else None

    def _comparison(
        self, metric: Metric | None, statistic: Statistic | None
    ) -> tuple[Comparator, float, str]:
        nothing = (Comparator.EQUAL, 0.0, "")
        if statistic is None:
            return nothing
        written, key = self._record[statistic.value], statistic.value
        example = example_of(metric, statistic)
        if not isinstance(written, str):
            self._wrong(key, f"{written!r} is no comparison", "a comparator and a threshold as text", example)
            return nothing
        match = _COMPARISON.fullmatch(written)
        assert match is not None, "the pattern takes any text"
        sign, text = match.groups()
        if sign not in set(Comparator):
            found = f"{written!r} does not compare" if sign is None else f"unknown comparator {sign!r}"
            self._wrong(key, found, f"one of {', '.join(Comparator)}", example)
            return nothing
        try:
            threshold = (
                0.0 if metric is None else parse_threshold(metric, statistic, text, f"{self._where}.{key}")
            )
        except UsageError as error:
            self._problems += error.problems
            return nothing
        return Comparator(sign), threshold, text

    def _when(self) -> dict[str, tuple[JsonValue, ...]]:
        given = self._record.get("when", {})
        if not isinstance(given, Mapping):
            self._wrong("when", f"{given!r} is not a mapping", "parameter: value, or parameter: [values]")
            return {}
        return {str(name): self._values(f"when.{name}", value) for name, value in given.items()}

    def _values(self, key: str, given: object) -> tuple[JsonValue, ...]:
        values = given if isinstance(given, list | tuple) else [given]
        if not values:
            self._wrong(key, "an empty list: it would never apply", "a value or a list of values")
        kept: list[JsonValue] = []
        for value in values:
            if (
                isinstance(value, str | int)
                or value is None
                or (isinstance(value, float) and isfinite(value))
            ):
                kept.append(value)
            else:
                self._wrong(key, f"{value!r} is no value of a parameter", "text, a number, true or false")
        return tuple(kept)

    def _why(self) -> str:
        why = self._record.get("why", "")
        if not isinstance(why, str) or ("why" in self._record and not why.strip()):
            self._wrong("why", f"{why!r} is no reason", "a sentence")
        return str(why).strip()

    def _within(self, metric: Metric | None) -> float | None:
        if "within" not in self._record:
            return None
        if metric is not None and metric.origin is None:
            self._wrong("within", f"{metric.name} has no beginning to count from", "no within")
            return None
        seconds = self._quantity("within", parse_duration)
        if seconds == 0:
            self._wrong("within", "nothing happens within no time", "a duration above 0")
        return seconds

    def _confidence(self, statistic: Statistic | None, comparator: Comparator) -> float | None:
        if "confidence" not in self._record:
            return None
        share = self._quantity("confidence", parse_percent)
        if share in {0.0, 1.0}:
            self._wrong("confidence", "no interval has it", "more than 0% and less than 100%", "usual is 95%")
        if statistic in _WITHOUT_INTERVAL:
            self._wrong("confidence", f"there is no interval for {statistic}", "a rate, mean or percentile")
        elif statistic is not None and not comparator.is_ordering:
            found = f"{comparator} cannot be told with confidence: an interval never is one value"
            self._wrong("confidence", found, "a comparison by <, <=, > or >=")
        return share

    def _quantity(self, key: str, parse: Callable[[object, str], float]) -> float | None:
        try:
            return parse(self._record[key], f"{self._where}.{key}")
        except UsageError as error:
            self._problems += error.problems
            return None

    def _severity(self) -> Severity:
        given = self._record.get("severity", Severity.ERROR.value)
        if isinstance(given, str) and given in set(Severity):
            return Severity(given)
        self._wrong("severity", f"unknown severity {given!r}", suggestion=did_you_mean(str(given), Severity))
        return Severity.ERROR

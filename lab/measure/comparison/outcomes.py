"""What a run came to, cell by cell, in as few numbers as a comparison needs: counts of paths, set-up times.

A cell is what its trials share: the parameters, without those that each repetition draws from a population.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.measure.statistics import Interval, ordered_interval, percentile
from lab.measure.verdict import DEFAULT_CONFIDENCE, Cell, cell_key
from lab.spec.event import JsonValue, PathClass
from lab.spec.trial import VIRTUAL_TIME

CONFIDENCE: Final = DEFAULT_CONFIDENCE
"""Of the intervals of set-up times, and of all intervals of shares together."""

_DIGITS: Final = 9
"""Of a second: as events have them."""

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """A trial of a run's plan. ``values`` are all its parameters and settings; ``repeat`` counts from 0."""

    key: str
    repeat: int
    values: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call: of which trial, between whom, by which class of path, and what was predicted.

    ``possible`` is the reach, ``pairs`` those of candidate types; both are empty where nothing was predicted.
    ``setup_time`` in seconds, None if it never connected.
    """

    trial: str
    between: str
    path: str
    possible: str = ""
    pairs: tuple[str, ...] = ()
    setup_time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Set-up times of connected calls: how many, and two percentiles with their intervals, in seconds."""

    n: int
    p50: float
    p95: float
    p50_interval: Interval
    p95_interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The calls of a cell between two endpoints: how many took each path, how many could take which.

    Only classes and pairs that occurred are in it; the counts of ``paths`` add up to the calls.
    """

    paths: Counts
    possible: Counts
    pairs: Counts = field(default_factory=dict)
    setup_times: Times | None = None

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(self.paths.values())

    @property
    def connected(self) -> int:
        """How many of them found a path."""
        return self.calls - self.paths.get(PathClass.NONE.value, 0)


NO_CALLS: Final = Tally(paths={}, possible={})


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOutcome:
    """One cell. ``trials`` are the keys of all that were planned, by repetition; ``calls`` are by endpoints.

    ``missing`` trials were never finished, ``invalid`` ones must not be judged: neither is counted.
    """

    cell: Cell
    trials: tuple[str, ...]
    calls: Mapping[str, Tally]
    missing: int = 0
    invalid: int = 0

    @property
    def counted(self) -> int:
        """How many trials the tallies are of."""
        return len(self.trials) - self.missing - self.invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCell:
    """A verdict: what was expected, in words, in which cell; its outcome; whether the run depends on it."""

    expectation: str
    cell: Cell
    outcome: str
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcomes:
    """A run. ``drawn`` names what each repetition drew; ``facts`` are the world and versions, by name.

    ``nats`` are the NAT models by name, each setting as text.
    """

    scenario: str
    topology: str
    seed: int
    cells: Sequence[CellOutcome]
    verdicts: Sequence[JudgedCell] = ()
    drawn: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    nats: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def is_repeatable(self) -> bool:
        """Whether the same seed gives the same run: in virtual time only."""
        return self.facts.get("world", VIRTUAL_TIME) == VIRTUAL_TIME

    @property
    def repeat(self) -> int:
        """The most repetitions of a cell."""
        return max((len(cell.trials) for cell in self.cells), default=0)


def cell_outcomes(
    trials: Sequence[PlannedTrial],
    finished: Mapping[str, str],
    calls: Iterable[CallRow],
    drawn: Sequence[str] = (),
) -> list[CellOutcome]:
    """Return the outcome of each cell, in order of appearance.

    Args:
        trials: the whole plan.
        finished: why it is invalid ("" if it is not), of each trial that was finished, by its key.
        calls: of the finished trials; those of invalid ones do not count.
        drawn: names of parameters that make no cell of their own.
    """
    rows: dict[str, list[CallRow]] = {}
    for row in calls:
        rows.setdefault(row.trial, []).append(row)
    members: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        members.setdefault(cell_key(_without(trial.values, drawn)), []).append(trial)
    return [_outcome(cell, finished, rows, drawn) for cell in members.values()]


def drawn_names(trials: Iterable[PlannedTrial]) -> tuple[str, ...]:
    """Return the parameters that each repetition drew: equal in all its trials, not in all repetitions."""
    values: dict[str, dict[int, set[str]]] = {}
    for trial in trials:
        for name, value in trial.values.items():
            values.setdefault(name, {}).setdefault(trial.repeat, set()).add(json.dumps(value, sort_keys=True))
    return tuple(
        name
        for name, by_repeat in values.items()
        if all(len(found) == 1 for found in by_repeat.values()) and len(set.union(*by_repeat.values())) > 1
    )


def times_of(values: Iterable[float]) -> Times | None:
    """Return what set-up times come to; None if there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    samples = [(value, 1) for value in ordered]
    found = {p: (percentile(samples, p), ordered_interval(ordered, p, CONFIDENCE)) for p in (50, 95)}
    (p50, of_50), (p95, of_95) = found[50], found[95]
    return Times(
        n=len(ordered),
        p50=round(p50, _DIGITS),
        p95=round(p95, _DIGITS),
        p50_interval=Interval(*(round(bound, _DIGITS) for bound in of_50)),
        p95_interval=Interval(*(round(bound, _DIGITS) for bound in of_95)),
    )


def _without(cell: Cell, names: Sequence[str]) -> dict[str, JsonValue]:
    return {name: value for name, value in cell.items() if name not in names}


def _outcome(
    trials: Sequence[PlannedTrial],
    finished: Mapping[str, str],
    rows: Mapping[str, Sequence[CallRow]],
    drawn: Sequence[str],
) -> CellOutcome:
    ordered = sorted(trials, key=lambda trial: trial.repeat)
    counted = [trial.key for trial in ordered if finished.get(trial.key) == ""]
    by_ends: dict[str, list[CallRow]] = {}
    for key in counted:
        for row in rows.get(key, ()):
            by_ends.setdefault(row.between, []).append(row)
    return CellOutcome(
        cell=_without(ordered[0].values, drawn),
        trials=tuple(trial.key for trial in ordered),
        calls={between: _tally(members) for between, members in sorted(by_ends.items())},
        missing=sum(trial.key not in finished for trial in ordered),
        invalid=sum(bool(finished.get(trial.key)) for trial in ordered),
    )


def _tally(calls: Sequence[CallRow]) -> Tally:
    return Tally(
        paths=dict(sorted(Counter(call.path for call in calls).items())),
        possible=dict(sorted(Counter(call.possible for call in calls if call.possible).items())),
        pairs=dict(sorted(Counter(pair for call in calls for pair in call.pairs).items())),
        setup_times=times_of(call.setup_time for call in calls if call.setup_time is not None),
    )

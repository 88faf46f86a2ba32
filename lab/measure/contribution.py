"""What each trial contributes to a verdict, worst first: which ones to look at. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.measure.metrics import Sample
from lab.measure.statistics import estimate
from lab.measure.verdict import Cell, TrialSamples, Verdict, cell_key
from lab.spec.comparison import Comparator
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation
from lab.spec.metric_catalogue import CATALOGUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One trial of a verdict's cell, by its position in the plan.

    ``value`` is what the verdict would be judged on if this were the only trial (SI units); None where it has
    no sample. ``breaks`` says that it alone does not meet the threshold, on the side on which the cell misses
    it. ``call`` is the call with its worst sample; empty for samples of a trial as a whole.
    """

    position: int
    value: float | None
    breaks: bool
    call: str = ""
    invalid: str = ""

    @property
    def holds(self) -> bool:
        """Whether what is expected was measured in this trial, and found."""
        return self.value is not None and not self.breaks and not self.invalid


def contributions(verdict: Verdict, members: Iterable[tuple[int, TrialSamples]]) -> list[Contribution]:
    """Return what each trial contributes, worst first: invalid ones, then by how far they miss.

    Trials that are equally bad stay in the plan's order; those without a sample come last.

    Args:
        verdict: on one cell.
        members: (position in the plan, samples) of trials; all of the cell, or others to compare with.
    """
    found = [_contribution(verdict, position, trial) for position, trial in members]
    return sorted(found, key=lambda one: _order(verdict, one))


class Members:
    """The trials of a run, by cell: those that a verdict is about are found without going through all."""

    def __init__(self, trials: Mapping[int, TrialSamples]) -> None:
        self._by_cell: dict[str, list[tuple[int, TrialSamples]]] = {}
        for position, trial in sorted(trials.items()):
            self._by_cell.setdefault(cell_key(trial.cell), []).append((position, trial))

    def of(self, verdict: Verdict) -> list[tuple[int, TrialSamples]]:
        """Return (position in the plan, samples) of what a verdict was judged on, in the plan's order."""
        return [
            (position, trial)
            for position, trial in self._by_cell.get(cell_key(verdict.cell), [])
            if verdict.expectation.applies_to({**trial.cell, **trial.drawn})
        ]

    def nearest(self, verdict: Verdict) -> Iterator[list[tuple[int, TrialSamples]]]:
        """Yield trials that a verdict is not about, cell by cell: its own, then those that differ least."""
        own = self._by_cell.get(cell_key(verdict.cell), [])
        of = {position for position, _ in self.of(verdict)}
        yield [(position, trial) for position, trial in own if position not in of]
        cells = [members for key, members in self._by_cell.items() if key != cell_key(verdict.cell)]
        yield from sorted(cells, key=lambda members: len(differences(verdict.cell, members[0][1].cell)))


def differences(cell: Cell, other: Cell) -> dict[str, JsonValue]:
    """Return what is different in another cell, as it is there."""
    return {name: value for name, value in other.items() if name not in cell or cell[name] != value}


def _contribution(verdict: Verdict, position: int, trial: TrialSamples) -> Contribution:
    expectation = verdict.expectation
    samples = [sample for sample in trial.samples.get(expectation.request, ()) if sample.weight > 0]
    value = _alone(expectation, samples)
    missed = value is not None and not expectation.comparator.holds(value, expectation.threshold)
    worst = max(samples, key=lambda sample: _badness(verdict, sample.value), default=None)
    return Contribution(
        position=position,
        value=value,
        breaks=value is not None and missed and _is_on_its_side(verdict, value),
        call=worst.call if worst else "",
        invalid=trial.invalid,
    )


def _alone(expectation: Expectation, samples: Sequence[Sample]) -> float | None:
    if not samples:
        return None
    weighted = [(sample.value, sample.weight) for sample in samples]
    return float(estimate(CATALOGUE[expectation.metric].kind, expectation.statistic, weighted))


def _badness(verdict: Verdict, value: float) -> float:
    """Return how far a value lies on the wrong side of the threshold: the more, the worse."""
    expectation = verdict.expectation
    distance = value - expectation.threshold
    match expectation.comparator:
        case Comparator.LESS | Comparator.LESS_OR_EQUAL:
            return distance
        case Comparator.MORE | Comparator.MORE_OR_EQUAL:
            return -distance
        case Comparator.UNEQUAL:
            return -abs(distance)
        case Comparator.EQUAL:
            return distance if verdict.value is None or verdict.value >= expectation.threshold else -distance


def _is_on_its_side(verdict: Verdict, value: float) -> bool:
    """Whether a trial that misses equality misses it to the side to which the cell does."""
    return verdict.expectation.comparator is not Comparator.EQUAL or _badness(verdict, value) > 0


def _order(verdict: Verdict, one: Contribution) -> tuple[bool, bool, float, int]:
    badness = 0.0 if one.value is None else _badness(verdict, one.value)
    return not one.invalid, one.value is None, -badness, one.position

"""What changed between two runs: settings, cells, verdicts.

Cells are matched by the parameters that vary in either run. One that is constant in both makes no cell: where
its value differs, that is told as a setting, and the cells are compared all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lab.measure.comparison.cells import CellComparison, Method, both_tallies, compare_cell
from lab.measure.comparison.outcomes import CONFIDENCE, CellOutcome, JudgedCell, RunOutcomes
from lab.measure.verdict import Cell, Outcome, cell_key
from lab.spec.event import JsonValue

ABSENT: Final = "(absent)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Something besides the cells that differs: the seed, a version, a constant parameter, a NAT model."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A verdict that came to something else, of a cell that ``is_exact`` or not: see CellComparison.

    ``counts`` says that a run depends on it: warnings are only told.
    """

    expectation: str
    cell: Cell
    before: str
    after: str
    is_exact: bool
    counts: bool = True


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs. ``cells`` are those of both; ``gone`` only the first has, ``new`` only the second.

    ``confidence`` is of each interval that shares were compared by, such that all of them together hold with
    95 %.
    """

    settings: Sequence[Setting]
    cells: Sequence[CellComparison]
    gone: Sequence[Cell]
    new: Sequence[Cell]
    flips: Sequence[Flip]
    verdicts_gone: Sequence[JudgedCell]
    verdicts_new: Sequence[JudgedCell]
    confidence: float

    @property
    def changed(self) -> list[CellComparison]:
        """The cells in which the selected or the possible path certainly changed."""
        return [cell for cell in self.cells if cell.is_changed]

    @property
    def in_doubt(self) -> list[CellComparison]:
        """The cells of which nobody can say."""
        return [cell for cell in self.cells if cell.is_in_doubt]

    @property
    def is_exact(self) -> bool:
        """Whether every shared cell drew the same in both."""
        return all(cell.is_exact for cell in self.cells)

    @property
    def outcome(self) -> Outcome:
        """What it comes to: fail where something changed, inconclusive where that cannot be told.

        What only the second run has is no change of what was. A verdict that flipped where other numbers were
        drawn may have flipped by chance.
        """
        flips = [flip for flip in self.flips if flip.counts]
        gone = any(judged.counts for judged in self.verdicts_gone)
        if self.changed or gone or any(flip.is_exact for flip in flips):
            return Outcome.FAIL
        return Outcome.INCONCLUSIVE if self.in_doubt or self.gone or flips else Outcome.PASS


def compare_runs(before: RunOutcomes, after: RunOutcomes) -> Comparison:
    """Return what changed from one run to the other; cells in the order of the first."""
    names = cell_names(before, after)
    ones, others = ({cell_key(_only(o.cell, names)): o for o in side.cells} for side in (before, after))
    shared = [key for key in ones if key in others]
    same_seed = before.seed == after.seed and before.is_repeatable and after.is_repeatable
    any_drawn = bool(before.drawn or after.drawn)
    method = Method(
        same_seed=same_seed,
        any_drawn=any_drawn,
        confidence=_confidence([(ones[key], others[key]) for key in shared], same_seed, any_drawn),
    )
    cells = [compare_cell(_only(ones[key].cell, names), ones[key], others[key], method) for key in shared]
    flips, gone, new = _verdicts(before, after, cells, names)
    return Comparison(
        settings=_settings(before, after, names),
        cells=cells,
        gone=[_only(o.cell, names) for key, o in ones.items() if key not in others],
        new=[_only(o.cell, names) for key, o in others.items() if key not in ones],
        flips=flips,
        verdicts_gone=gone,
        verdicts_new=new,
        confidence=method.confidence,
    )


def cell_names(before: RunOutcomes, after: RunOutcomes) -> tuple[str, ...]:
    """Return the parameters that tell cells apart: those that vary in either run."""
    names: dict[str, None] = {}
    for side in (before, after):
        for name, values in _values(side).items():
            if len(values) > 1:
                names[name] = None
    return tuple(names)


def _values(run: RunOutcomes) -> dict[str, dict[str, JsonValue]]:
    """Return the values that each parameter has in a run, by their JSON."""
    found: dict[str, dict[str, JsonValue]] = {}
    for outcome in run.cells:
        for name, value in outcome.cell.items():
            found.setdefault(name, {})[json.dumps(value, sort_keys=True)] = value
    return found


def _only(cell: Cell, names: Sequence[str]) -> dict[str, JsonValue]:
    return {name: cell[name] for name in names if name in cell}


def _confidence(pairs: Sequence[tuple[CellOutcome, CellOutcome]], same_seed: bool, any_drawn: bool) -> float:
    """Return the confidence of each interval, for all together to hold (Bonferroni).

    There is one for each class of path that occurs, between each two endpoints of each cell; and for each
    class that is possible, where that was drawn.
    """
    compared = [
        (one, other)
        for before, after in pairs
        if not (same_seed and before.trials == after.trials)
        for _, one, other in both_tallies(before, after)
    ]
    tallies = [tally for pair in compared for tally in pair]
    classes = len({name for tally in tallies for name in tally.paths})
    if any_drawn:
        classes += len({name for tally in tallies for name in tally.possible})
    return 1 - (1 - CONFIDENCE) / max(1, len(compared) * classes)


def _settings(before: RunOutcomes, after: RunOutcomes, names: Sequence[str]) -> list[Setting]:
    one, other = (_by_name(run, names) for run in (before, after))
    for nat in sorted(before.nats.keys() & after.nats.keys()):
        one |= {f"NAT {nat}: {name}": value for name, value in before.nats[nat].items()}
        other |= {f"NAT {nat}: {name}": value for name, value in after.nats[nat].items()}
    return [
        Setting(name=name, before=one.get(name, ABSENT), after=other.get(name, ABSENT))
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    ]


def _by_name(run: RunOutcomes, names: Sequence[str]) -> dict[str, str]:
    """Return what decides a run's results besides the parameters ``names``, which tell its cells apart."""
    constants = {
        name: ", ".join(map(_plain, values.values()))
        for name, values in _values(run).items()
        if name not in names
    }
    about = {"scenario": run.scenario, "topology": run.topology, "seed": str(run.seed)}
    about |= {"repetitions": str(run.repeat), **run.facts, **constants}
    return about | {"NAT models": ", ".join(sorted(run.nats)) or "none"}


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _verdicts(
    before: RunOutcomes, after: RunOutcomes, cells: Sequence[CellComparison], names: Sequence[str]
) -> tuple[list[Flip], list[JudgedCell], list[JudgedCell]]:
    """Return the flips among shared cells, and what was judged there on one side only.

    Where trials are missing a verdict may be missing with them: that is told by its cell.
    """
    ones, others = _judged(before, names), _judged(after, names)
    shared = {cell_key(comparison.cell): comparison for comparison in cells}
    flips = [
        Flip(
            expectation=one.expectation,
            cell=one.cell,
            before=one.outcome,
            after=others[key].outcome,
            counts=one.counts or others[key].counts,
            is_exact=all(cell.is_exact and not cell.doubt for cell in _about(key[1], shared)),
        )
        for key, one in ones.items()
        if key in others and others[key].outcome != one.outcome and _about(key[1], shared)
    ]
    sides = ((ones, others), (others, ones))
    gone, new = (
        [
            judged
            for key, judged in own.items()
            if key not in other and any(not cell.doubt for cell in _about(key[1], shared))
        ]
        for own, other in sides
    )
    return flips, gone, new


def _about(key: str, shared: Mapping[str, CellComparison]) -> Sequence[CellComparison]:
    """Return the shared cells that a verdict is about: one of them, or none, or all cells at once."""
    if key in shared:
        return [shared[key]]
    return list(shared.values()) if key == cell_key({}) else []


def _judged(run: RunOutcomes, names: Sequence[str]) -> dict[tuple[str, str], JudgedCell]:
    """Return a run's verdicts by expectation and cell; a verdict does not name what had one value only."""
    constants = {
        name: next(iter(values.values())) for name, values in _values(run).items() if len(values) == 1
    }
    found = {}
    for judged in run.verdicts:
        cell = _only({**constants, **judged.cell}, names)
        found[judged.expectation, cell_key(cell)] = replace(judged, cell=cell)
    return found

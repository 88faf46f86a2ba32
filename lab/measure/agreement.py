"""Whether the two worlds say the same of each cell: which classes of path are possible, validated, selected.

Made of two comparisons, one by the selected class and one by the validated reach: see
:mod:`lab.measure.comparison`. A class that differs is explained by an entry of
:mod:`lab.spec.known_differences`, or it is a disagreement. Set-up times are told beside each other and
never judged: the kernel's contain what programs and this machine's scheduler took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from lab.measure.comparison.cells import CellComparison, Difference, Subject, both_tallies
from lab.measure.comparison.outcomes import CellOutcome, Counts, RunOutcomes, Times
from lab.measure.comparison.runs import Comparison, Flip, compare_runs
from lab.measure.verdict import Cell, Outcome, cell_key
from lab.spec.known_differences import KnownDifference
from lab.spec.roles import COTURN

SELECTED: Final = "selected"
VALIDATED: Final = "validated"
_WORLDS: Final = ("virtual time", "the kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A run in one world: its outcomes by the selected class, and by the validated reach in its place.

    ``repeated`` has a line for each trial that the machine had stalled and that was run again.
    """

    selected: RunOutcomes
    validated: RunOutcomes
    repeated: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """What the worlds say differently of the calls between two endpoints; counts are of calls.

    ``about`` is possible, pairs, validated or selected. ``doubt`` says why it may be chance; ``explained_by``
    names the known difference that it is. Both are empty for one that stands.
    """

    about: str
    between: str
    virtual_time: Counts
    kernel: Counts
    doubt: str = ""
    explained_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupTimes:
    """Set-up times between two endpoints in both worlds."""

    between: str
    virtual_time: Times
    kernel: Times

    @property
    def later(self) -> float:
        """By how much the kernel's median is later than that of virtual time, in seconds."""
        return self.kernel.p50 - self.virtual_time.p50


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAgreement:
    """One cell of both worlds. ``uncounted`` says which of its trials are missing or invalid."""

    cell: Cell
    disagreements: Sequence[Disagreement]
    uncounted: str
    times: Sequence[SetupTimes]

    @property
    def outcome(self) -> Outcome:
        """Fail where something differs and nothing explains it, inconclusive where that cannot be told."""
        unexplained = [found for found in self.disagreements if not found.explained_by]
        if any(not found.doubt for found in unexplained):
            return Outcome.FAIL
        return Outcome.INCONCLUSIVE if unexplained or self.uncounted else Outcome.PASS

    @property
    def is_explained(self) -> bool:
        """Whether it differs, and for no other than known causes."""
        return bool(self.disagreements) and all(found.explained_by for found in self.disagreements)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFlip:
    """A verdict that the kernel came to otherwise, and what that says of the worlds.

    Where the classes of its cell differ, it follows from that; else a verdict that passes in one world and
    fails in the other is a disagreement of its own, and one that is inconclusive in either says nothing.
    """

    flip: Flip
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two runs of one scenario, each in its world. ``comparison`` is that by the selected class.

    ``coturn`` is its version where the kernel's relays were coturn: in virtual time they were the lab's own.
    ``repeated`` has a line for each trial that the machine had stalled and that was run again.
    """

    comparison: Comparison
    nat_plane: str
    coturn: str
    repeated: Sequence[str]
    cells: Sequence[CellAgreement]
    flips: Sequence[VerdictFlip]

    @property
    def explained(self) -> list[CellAgreement]:
        """The cells that differ for known causes alone."""
        return [cell for cell in self.cells if cell.is_explained]

    @property
    def outcome(self) -> Outcome:
        """Fail where the worlds disagree; inconclusive where they may, or were not asked the same."""
        found = {cell.outcome for cell in self.cells} | {flip.outcome for flip in self.flips}
        one_sided = [*self.comparison.verdicts_gone, *self.comparison.verdicts_new]
        if Outcome.FAIL in found:
            return Outcome.FAIL
        if self.comparison.gone or self.comparison.new or any(judged.counts for judged in one_sided):
            return Outcome.INCONCLUSIVE
        return Outcome.INCONCLUSIVE if Outcome.INCONCLUSIVE in found or not self.cells else Outcome.PASS

    @property
    def medians(self) -> tuple[float, float] | None:
        """The median over cells of their median set-up time, (virtual time, kernel); None without times."""
        times = self.times
        if not times:
            return None
        return median(t.virtual_time.p50 for t in times), median(t.kernel.p50 for t in times)

    @property
    def times(self) -> list[SetupTimes]:
        """The set-up times of all cells that have some in both worlds."""
        return [times for cell in self.cells for times in cell.times]


def agreement(virtual_time: Side, kernel: Side, known: Sequence[KnownDifference]) -> Agreement:
    """Return what two runs say of each cell that both have, in the order of the first."""
    selected = compare_runs(virtual_time.selected, kernel.selected)
    validated = {
        cell_key(cell.cell): cell for cell in compare_runs(virtual_time.validated, kernel.validated).cells
    }
    plane = kernel.selected.facts.get("nat_plane", "")
    cells = [_cell(cell, validated[cell_key(cell.cell)], plane, known) for cell in selected.cells]
    by_key = {cell_key(cell.cell): cell for cell in cells}
    return Agreement(
        comparison=selected,
        nat_plane=plane,
        coturn=kernel.selected.facts.get(COTURN, ""),
        repeated=kernel.repeated,
        cells=cells,
        flips=[_judged(flip, by_key) for flip in selected.flips if flip.counts],
    )


def _cell(
    selected: CellComparison, validated: CellComparison, plane: str, known: Sequence[KnownDifference]
) -> CellAgreement:
    causes = [
        cause
        for cause in known
        if cause.is_of(plane, selected.before.cell) and cause.is_of(plane, selected.after.cell)
    ]
    found = [
        *(_disagreement(d, _about(d), causes) for d in (*selected.differences, *_rare(selected))),
        *(
            _disagreement(d, VALIDATED, causes)
            for d in (*validated.differences, *_rare(validated))
            if d.subject is Subject.PATH
        ),
    ]
    return CellAgreement(
        cell=selected.cell,
        disagreements=found,
        uncounted=_uncounted(selected.before, selected.after),
        times=[
            SetupTimes(between=between, virtual_time=one.setup_times, kernel=other.setup_times)
            for between, one, other in both_tallies(selected.before, selected.after)
            if one.setup_times is not None and other.setup_times is not None
        ],
    )


def _rare(cell: CellComparison) -> Iterator[Difference]:
    """Yield what shares cannot tell from chance though a class occurs in one world alone.

    It may be a share that both have, or a thing that one world cannot do: that is not for silence.
    """
    told = {difference.between for difference in cell.differences if difference.subject is Subject.PATH}
    for between, one, other in both_tallies(cell.before, cell.after):
        if (
            between not in told
            and one.paths
            and other.paths
            and (alone := one.paths.keys() ^ other.paths.keys())
        ):
            doubt = f"{' and '.join(sorted(alone))} in one world only: more repetitions would tell"
            yield Difference(
                subject=Subject.PATH, between=between, before=one.paths, after=other.paths, doubt=doubt
            )


def _about(difference: Difference) -> str:
    return SELECTED if difference.subject is Subject.PATH else difference.subject.value


def _disagreement(difference: Difference, about: str, causes: Sequence[KnownDifference]) -> Disagreement:
    """Return a difference as one between worlds; nothing in common is no chance, however few the trials."""
    one, other = difference.before, difference.after
    return Disagreement(
        about=about,
        between=difference.between,
        virtual_time=one,
        kernel=other,
        doubt=difference.doubt if one.keys() & other.keys() else "",
        explained_by=next((cause.name for cause in causes if cause.explains(about, one, other)), ""),
    )


def _uncounted(*outcomes: CellOutcome) -> str:
    return "; ".join(
        f"{count} of {len(outcome.trials)} trials {word} in {world}"
        for outcome, world in zip(outcomes, _WORLDS, strict=True)
        for count, word in ((outcome.missing, "missing"), (outcome.invalid, "invalid"))
        if count
    )


def _judged(flip: Flip, cells: Mapping[str, CellAgreement]) -> VerdictFlip:
    about = list(_cells_of(flip.cell, cells))
    if Outcome.INCONCLUSIVE.value in {flip.before, flip.after}:
        why = "trials of its cell are missing or invalid" if any(cell.uncounted for cell in about) else ""
        return VerdictFlip(flip=flip, outcome=Outcome.INCONCLUSIVE, why=why)
    if any(found.about in {SELECTED, VALIDATED} for cell in about for found in cell.disagreements):
        # The cell says itself whether its classes differ for a reason.
        return VerdictFlip(flip=flip, outcome=Outcome.PASS, why="follows from the classes of its cell")
    return VerdictFlip(flip=flip, outcome=Outcome.FAIL)


def _cells_of(cell: Cell, cells: Mapping[str, CellAgreement]) -> Iterator[CellAgreement]:
    """Yield the cells that a verdict is about: one, or all of them."""
    one = cells.get(cell_key(cell))
    yield from [one] if one is not None else cells.values()

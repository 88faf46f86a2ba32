"""What changed in one cell: exactly, where both sides drew the same; beyond chance, where they did not.

Trials of one key and one run seed draw the same numbers, so their counts are compared as they are. Trials of
other seeds, other repetitions or other parameters are other samples: of them shares are compared, by the
interval of their difference. The calls of a trial crossed one network: what is counted as samples are trials.
What is possible is predicted and not drawn; it is compared as it is unless the network itself was drawn.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lab.measure.comparison.outcomes import CONFIDENCE, NO_CALLS, CellOutcome, Counts, Tally, Times
from lab.measure.comparison.shares import ShareDifference, can_tell, difference_interval, samples_to_tell
from lab.measure.statistics import Interval, samples_needed
from lab.measure.verdict import Cell

_Grounds = tuple[tuple[ShareDifference, ...], str]
"""The shares that differ, and why that may be chance, empty if it is certain."""
_CERTAIN: Final[_Grounds] = ((), "")


class Subject(enum.StrEnum):
    """What differs: the reach that is possible, the pairs of candidates that are, the path selected."""

    POSSIBLE = "possible"
    PAIRS = "pairs"
    PATH = "path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference between the calls of two endpoints. ``shares`` has those told, where shares were compared.

    ``doubt`` says why it may be none; empty where it is certain.
    """

    subject: Subject
    between: str
    before: Counts
    after: Counts
    shares: tuple[ShareDifference, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A percentile of the set-up times between two endpoints that differs, in seconds, of ``n`` calls."""

    between: str
    percent: int
    before: float
    before_interval: Interval
    before_n: int
    after: float
    after_interval: Interval
    after_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellComparison:
    """One cell of both sides. ``cell`` has the parameters that tell it from the others.

    ``is_exact`` says that both sides drew the same; ``doubt`` why not everything of it can be told.
    """

    cell: Cell
    before: CellOutcome
    after: CellOutcome
    is_exact: bool
    differences: tuple[Difference, ...]
    doubt: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether something certainly differs."""
        return any(not difference.doubt for difference in self.differences)

    @property
    def is_in_doubt(self) -> bool:
        """Whether it cannot be told: nothing certainly differs, and not everything can be compared."""
        return not self.is_changed and bool(self.doubt or self.differences)

    @property
    def moved(self) -> list[Move]:
        """The percentiles of set-up times that differ: see :func:`moves`."""
        return [
            move
            for between, one, other in both_tallies(self.before, self.after)
            if one.setup_times is not None and other.setup_times is not None
            for move in moves(between, one.setup_times, other.setup_times, is_exact=self.is_exact)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How cells are compared: whether networks were drawn, and how surely.

    ``same_seed`` says that trials of one key drew the same; ``confidence`` is of each interval.
    """

    same_seed: bool
    any_drawn: bool
    confidence: float


def compare_cell(cell: Cell, before: CellOutcome, after: CellOutcome, method: Method) -> CellComparison:
    """Return what differs in one cell; ``cell`` is what it is called."""
    is_exact = method.same_seed and before.trials == after.trials
    differences = [
        difference
        for between, one, other in both_tallies(before, after)
        for difference in _differences(between, (one, other), (before, after), is_exact, method)
    ]
    return CellComparison(
        cell=cell,
        before=before,
        after=after,
        is_exact=is_exact,
        differences=tuple(differences),
        doubt=_uncounted(before, after),
    )


def both_tallies(before: CellOutcome, after: CellOutcome) -> Iterator[tuple[str, Tally, Tally]]:
    """Yield (endpoints, before, after); a side without such calls has a tally of none."""
    for between in {**before.calls, **after.calls}:
        yield between, before.calls.get(between, NO_CALLS), after.calls.get(between, NO_CALLS)


def moves(between: str, before: Times, after: Times, *, is_exact: bool) -> Iterator[Move]:
    """Yield the percentiles that differ: at all where both drew the same, else by intervals that lie apart.

    Such an interval needs calls enough to bound the percentile from both sides: without them nothing is said.
    """
    for percent, was, was_in, is_, is_in in (
        (50, before.p50, before.p50_interval, after.p50, after.p50_interval),
        (95, before.p95, before.p95_interval, after.p95, after.p95_interval),
    ):
        apart = was_in.high < is_in.low or is_in.high < was_in.low
        enough = min(before.n, after.n) >= samples_needed(percent, CONFIDENCE)
        if was != is_ if is_exact else apart and enough:
            yield Move(
                between=between,
                percent=percent,
                before=was,
                before_interval=was_in,
                before_n=before.n,
                after=is_,
                after_interval=is_in,
                after_n=after.n,
            )


def _uncounted(before: CellOutcome, after: CellOutcome) -> str:
    sides = (("before", before), ("now", after))
    return "; ".join(
        f"{count} of {len(outcome.trials)} trials {'is' if count == 1 else 'are'} {word} ({side})"
        for side, outcome in sides
        for count, word in ((outcome.missing, "missing"), (outcome.invalid, "invalid"))
        if count
    )


def _differences(
    between: str,
    tallies: tuple[Tally, Tally],
    outcomes: tuple[CellOutcome, CellOutcome],
    is_exact: bool,
    method: Method,
) -> Iterator[Difference]:
    """Yield what differs between the calls of two endpoints; nothing where a side has no trial to count."""
    one, other = tallies
    before, after = outcomes
    sizes = before.counted, after.counted
    complete = sizes[0] == len(before.trials), sizes[1] == len(after.trials)
    for subject, was, is_ in (
        (Subject.POSSIBLE, one.possible, other.possible),
        (Subject.PAIRS, one.pairs, other.pairs),
        (Subject.PATH, one.paths, other.paths),
    ):
        if not all(sizes):
            continue
        if is_exact:
            found = _CERTAIN if _differ(was, is_, complete) else None
        else:
            found = _beyond_chance(subject, was, is_, sizes, method)
        if found is not None:
            shares, doubt = found
            yield Difference(
                subject=subject, between=between, before=was, after=is_, shares=shares, doubt=doubt
            )


def _differ(before: Counts, after: Counts, complete: tuple[bool, bool]) -> bool:
    """Return whether counts of the same trials certainly differ, whatever the trials left out would add."""
    if complete == (True, True):
        return before != after
    if complete == (True, False):
        return any(count > before.get(name, 0) for name, count in after.items())
    if complete == (False, True):
        return any(count > after.get(name, 0) for name, count in before.items())
    return False


def _beyond_chance(
    subject: Subject, before: Counts, after: Counts, sizes: tuple[int, int], method: Method
) -> _Grounds | None:
    """Return on which grounds other trials differ, None if on none; ``sizes`` are the trials of each side."""
    if not before or not after:
        return _CERTAIN if before != after else None
    if subject is Subject.PATH or (method.any_drawn and subject is Subject.POSSIBLE):
        return _by_shares(before, after, sizes, method.confidence)
    if method.any_drawn:
        return None  # which pairs are possible follows the drawn networks, and so does the reach
    return _CERTAIN if set(before) != set(after) else None


def _by_shares(before: Counts, after: Counts, sizes: tuple[int, int], confidence: float) -> _Grounds | None:
    totals = sum(before.values()), sum(after.values())
    shares = {
        name: (before.get(name, 0) / totals[0], after.get(name, 0) / totals[1])
        for name in {**before, **after}
    }
    if all(was == is_ for was, is_ in shares.values()):
        return None
    if not can_tell(*sizes, confidence):
        needed = samples_to_tell(confidence)
        return (), f"{sizes[0]} and {sizes[1]} trials cannot tell it from chance: {needed} a side can tell"
    told = tuple(
        difference
        for name, (was, is_) in shares.items()
        if (difference := _difference(name, was, is_, sizes, confidence)).is_told
    )
    return (told, "") if told else None


def _difference(
    name: str, before: float, after: float, sizes: tuple[int, int], confidence: float
) -> ShareDifference:
    interval = difference_interval((before * sizes[0], sizes[0]), (after * sizes[1], sizes[1]), confidence)
    return ShareDifference(name=name, before=before, after=after, interval=interval)

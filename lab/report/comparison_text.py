"""What changed between two runs, in words: only what changed, and by which measure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from lab.measure.comparison.cells import CellComparison, Difference, Move, Subject
from lab.measure.comparison.outcomes import CONFIDENCE, Counts
from lab.measure.comparison.runs import Comparison, Flip
from lab.measure.comparison.shares import ShareDifference
from lab.measure.statistics import Interval
from lab.measure.verdict import Cell

_MOST_SETTINGS: Final = 20
"""NAT models have many; one that was replaced differs in most of them. All are in the JSON form."""
_MOST_OF_ONE_SIDE: Final = 10
"""Of cells that were not compared; all are in the JSON form."""


def comparison_text(comparison: Comparison, *, all_times: bool) -> str:
    """Return everything that changed, a paragraph a subject, and the last one how it was compared.

    Args:
        comparison: of two runs.
        all_times: tell each cell's set-up times that moved, rather than how many there are.
    """
    paragraphs = [
        _settings(comparison),
        _cells(comparison),
        _in_doubt(comparison),
        _only_one_side("only before", comparison.gone),
        _only_one_side("only now", comparison.new),
        _verdicts(comparison),
        _times(comparison) if all_times else _times_counted(comparison),
        [method_text(comparison)],
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def cell_text(cell: Cell) -> str:
    """Return a cell as it can be typed: ``alice_nat=symmetric,bob_nat=cgn``."""
    named = (f"{name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in cell.items())
    return ",".join(named) or "(the only cell)"


def method_text(comparison: Comparison) -> str:
    """Return how many cells were compared, and how."""
    exact = sum(cell.is_exact for cell in comparison.cells)
    shares = len(comparison.cells) - exact
    ways = []
    if exact:
        ways.append(f"{counted(exact, 'cell')} compared by counts: the same trials with the same seed")
    if shares:
        each = f"{comparison.confidence * 100:.6g} %"
        ways.append(
            f"{counted(shares, 'cell')} compared by shares, as other numbers were drawn: a share changed\n"
            f"where Newcombe's {each} interval of the difference excludes 0; all of them together\n"
            f"hold with {CONFIDENCE * 100:.0f} %"
        )
    return "\n".join(ways) or "no cell is in both"


def counted(number: int, thing: str) -> str:
    """Return ``1 cell`` or ``2 cells``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _settings(comparison: Comparison) -> list[str]:
    shown = comparison.settings[:_MOST_SETTINGS]
    lines = [f"  {setting.name}: {setting.before} → {setting.after}" for setting in shown]
    if more := len(comparison.settings) - len(shown):
        lines.append(f"  and {more} more")
    return ["run with other settings:", *lines] if lines else []


def _cells(comparison: Comparison) -> list[str]:
    lines = []
    for cell in comparison.changed:
        lines += [f"  {cell_text(cell.cell)}", *_differences(cell, doubtful=False)]
    return (
        [f"changed, {len(comparison.changed)} of {counted(len(comparison.cells), 'cell')}:", *lines]
        if lines
        else []
    )


def _in_doubt(comparison: Comparison) -> list[str]:
    lines = []
    for cell in comparison.in_doubt:
        lines += [f"  {cell_text(cell.cell)}", *([f"      {cell.doubt}"] if cell.doubt else [])]
        lines += _differences(cell, doubtful=True)
    count = f"{len(comparison.in_doubt)} of {counted(len(comparison.cells), 'cell')}"
    return [f"cannot be told, {count}:", *lines] if lines else []


def _differences(cell: CellComparison, *, doubtful: bool) -> Iterator[str]:
    names = {between for side in (cell.before, cell.after) for between in side.calls}
    for difference in cell.differences:
        if bool(difference.doubt) is doubtful:
            between = f"  ({difference.between})" if len(names) > 1 else ""
            yield f"      {difference.subject.value:<9} {_change(difference)}{between}"
            yield from (f"                {line}" for line in _grounds(difference))


def _change(difference: Difference) -> str:
    before, after = difference.before, difference.after
    if difference.subject is Subject.PAIRS:
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name} {before.get(name, 0)} → {after.get(name, 0)}" for name in names)
    return f"{_counts(before)} → {_counts(after)}"


def _grounds(difference: Difference) -> Iterator[str]:
    if difference.doubt:
        yield difference.doubt
    for share in difference.shares:
        yield f"{share.name} {_share(share)}"


def _share(share: ShareDifference) -> str:
    low, high = (f"{bound * 100:+.3g} %" for bound in share.interval)
    return f"{share.before * 100:.3g} % → {share.after * 100:.3g} %, by {low} to {high}"


def _counts(counts: Counts) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "no calls"


def _only_one_side(title: str, cells: Sequence[Cell]) -> list[str]:
    lines = [f"  {cell_text(cell)}" for cell in cells[:_MOST_OF_ONE_SIDE]]
    if more := len(cells) - len(lines):
        lines.append(f"  and {more} more")
    return [f"{title}, {counted(len(cells), 'cell')}:", *lines] if lines else []


def _verdicts(comparison: Comparison) -> list[str]:
    lines = [
        f"  {flip.expectation}  [{cell_text(flip.cell)}]  {flip.before} → {flip.after}{_aside(flip)}"
        for flip in comparison.flips
    ]
    lines += [f"  {j.expectation}  [{cell_text(j.cell)}]  no longer judged" for j in comparison.verdicts_gone]
    lines += [f"  {j.expectation}  [{cell_text(j.cell)}]  newly judged" for j in comparison.verdicts_new]
    return ["verdicts:", *lines] if lines else []


def _aside(flip: Flip) -> str:
    if not flip.counts:
        return "  (a warning: not counted)"
    return "" if flip.is_exact else "  (other numbers were drawn: it may be chance)"


def _times(comparison: Comparison) -> list[str]:
    lines = []
    for cell in comparison.cells:
        if moved := cell.moved:
            lines += [f"  {cell_text(cell.cell)}", *(_move(move, cell) for move in moved)]
    if not lines:
        return []
    chance = (
        ""
        if comparison.is_exact
        else " whose 95 % intervals lie apart (about one in a hundred does by chance)"
    )
    return [f"set-up times{chance}:", *lines]


def _move(move: Move, cell: CellComparison) -> str:
    before = _time(move.before, move.before_interval, move.before_n)
    after = _time(move.after, move.after_interval, move.after_n)
    between = f"  ({move.between})" if len({*cell.before.calls, *cell.after.calls}) > 1 else ""
    return f"      p{move.percent}  {before} → {after}{between}"


def _time(value: float, interval: Interval, n: int) -> str:
    low, high = (f"{bound * 1e3:.5g}" for bound in interval)
    return f"{value * 1e3:.5g} ms ({low} to {high}, n = {n})"


def _times_counted(comparison: Comparison) -> list[str]:
    moved = [move.after - move.before for cell in comparison.cells for move in cell.moved]
    cells = sum(bool(cell.moved) for cell in comparison.cells)
    if not moved:
        return []
    most = f"{max(moved, key=abs) * 1e3:+.3g} ms"
    return [f"set-up times moved in {counted(cells, 'cell')}, by up to {most}: not counted as a change"]

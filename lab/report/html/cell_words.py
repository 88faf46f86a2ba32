"""What a cell of the matrix shows: the best way that was possible and validated beside the selected path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.measure.predict import Reach
from lab.report.html.cells import Group
from lab.spec.event import PathClass
from lab.units import format_duration

_LETTERS: Final = {Reach.DIRECT: "D", Reach.RELAY: "R", Reach.NONE: "–"}
_WORDS: Final = {Reach.DIRECT: "direct", Reach.RELAY: "relay only", Reach.NONE: "nothing"}


def ways(group: Group) -> list[tuple[str, str, str]]:
    """Return (what, letter, word) of the best way that was possible, and of the best that was validated.

    Of what most calls of the cell had; what is not known is left out.
    """
    cell = group.cell
    found = (("possible", _most(cell.possible)), ("validated", _most(cell.validated)))
    return [(what, _LETTERS[reach], _WORDS[reach]) for what, reach in found if reach is not None]


def _most(counts: Mapping[Reach, int]) -> Reach | None:
    order = list(Reach)
    return max(counts, key=lambda reach: (counts[reach], -order.index(reach)), default=None)


def is_missed(group: Group) -> bool:
    """Return whether most calls took a relay although a direct path was possible."""
    return group.cell.path is PathClass.RELAY and _most(group.cell.possible) is Reach.DIRECT


def cell_words(group: Group) -> str:
    """Return everything that a cell shows, in words."""
    cell = group.cell
    parts = [" × ".join(f"{name} {value}" for name, value in group.values.items()) or "all calls"]
    parts.append(_selected(group))
    parts += [f"{what} {word}" for what, _, word in ways(group)]
    if cell.median_setup is not None:
        parts.append(f"median set-up {format_duration(cell.median_setup)}")
    if cell.invalid:
        parts.append(f"{cell.invalid} invalid")
    for count, word in ((group.failed, "failing"), (group.doubtful, "inconclusive")):
        if count:
            parts.append(f"{count} {word} {'verdict' if count == 1 else 'verdicts'}")
    return ", ".join(parts)


def _selected(group: Group) -> str:
    cell = group.cell
    if cell.path is None:
        return "no call that counts"
    path = "no path" if cell.path is PathClass.NONE else cell.path.value
    return f"selected {path} in {cell.paths[cell.path]} of {cell.calls} calls"

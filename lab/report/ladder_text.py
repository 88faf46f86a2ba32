"""A ladder as text: time down, a column a node, no line longer than asked for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from lab.errors import Problem, UsageError
from lab.report.ladder import GAP, Ladder, Leg, Rung
from lab.units import format_duration

DEFAULT_WIDTH: Final = 120
LEGEND: Final = (
    "◆ rewritten there   ◇ passed as it was   ✗ ended there   ×n sent n times   #n by #m caused by m"
)
_GUTTER: Final = 13
LEAST_SPACING: Final = 8


def ladder_text(ladder: Ladder, *, width: int = DEFAULT_WIDTH) -> str:
    """Return the ladder as lines of at most ``width`` characters.

    Raises:
        UsageError: that is too narrow for so many columns; says how wide it must be.
    """
    page = _Page(ladder.columns, width)
    lines = [*textwrap.wrap(ladder.title, width), *page.header()]
    for before, rung in pairwise([None, *ladder.rungs]):
        assert rung is not None
        if before is not None and rung.time - before.time >= GAP:
            lines.append(page.pause(rung.time - before.time))
        lines += page.rung(rung)
    if not ladder.rungs:
        lines.append("no packet of this kind")
    return "\n".join([*lines, "", *textwrap.wrap(LEGEND, width)])


class _Page:
    """Columns at characters of a line."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        least = _GUTTER + LEAST_SPACING * len(names)
        if width < least:
            raise UsageError(
                Problem("--width", f"{width} characters for {len(names)} columns", f"{least} or more")
            )
        self._names = names
        self._width = width
        left = _GUTTER + min(len(names[0]), 2 * LEAST_SPACING) // 2
        right = width - 1 - min(len(names[-1]), 2 * LEAST_SPACING) // 2
        self._left = left
        self._spacing = (right - left) / (len(names) - 1) if len(names) > 1 else 0.0
        self._lifelines = [self._at(number) for number in range(len(names))]

    def _at(self, position: float) -> int:
        return round(self._left + position * self._spacing)

    def _lines_of_life(self, stroke: str = "│") -> list[str]:
        cells = [" "] * self._width
        for place in self._lifelines:
            cells[place] = stroke
        return cells

    def header(self) -> Iterator[str]:
        """Yield the names over their columns, on as many lines as they need to stand apart."""
        texts = [
            (self._at(number) - len(name) // 2, name) for number, name in enumerate(self._clipped_names())
        ]
        for line in self._packed(texts):
            yield "".join(_put([" "] * self._width, line)).rstrip()

    def _clipped_names(self) -> list[str]:
        most = self._width - _GUTTER
        return [name if len(name) <= most else name[: most - 1] + "…" for name in self._names]

    def pause(self, seconds: float) -> str:
        """Return the line that stands for a time in which no packet began."""
        cells = self._lines_of_life("┊")
        return "".join(_put(cells, [(0, f"… {format_duration(seconds)} …")])).rstrip()

    def rung(self, rung: Rung) -> Iterator[str]:
        """Yield the lines of a rung: what it is, its arrows, what boxes made of it, why it ended."""
        time = f"{rung.time:11.6f}"
        for line in self._wrapped(rung.label, self._at(min(rung.legs[0].start, rung.legs[0].end)) + 2):
            yield "".join(_put(self._lines_of_life(), [(0, time), line])).rstrip()
            time = ""
        for leg in rung.legs:
            broken = bool(rung.reason) and leg is rung.legs[-1]
            yield "".join(self._arrow(leg, rung, broken=broken)).rstrip()
        notes = [(self._beside(mark.column, mark.text, rung), mark.text) for mark in rung.marks]
        for packed in self._packed(notes):
            yield "".join(_put(self._lines_of_life(), packed)).rstrip()
        if rung.reason:
            told = f"✗ #{rung.packets[0]} {rung.reason}"
            for line in self._wrapped(told, self._at(rung.legs[-1].end)):
                yield "".join(_put(self._lines_of_life(), [line])).rstrip()

    def _beside(self, column: int, text: str, rung: Rung) -> int:
        """Return where a note at a box begins: on the side that the packet left to."""
        goes_left = rung.legs[0].end < rung.legs[0].start
        return self._at(column) - 1 - len(text) if goes_left else self._at(column) + 2

    def _arrow(self, leg: Leg, rung: Rung, *, broken: bool) -> list[str]:
        cells = self._lines_of_life()
        start, end = self._at(leg.start), self._at(leg.end)
        step = 1 if end >= start else -1
        for place in range(start + step, end, step):
            cells[place] = "┼" if cells[place] == "│" else "─"
        rewritten = {mark.column for mark in rung.marks}
        for column in leg.passed:
            cells[self._at(column)] = "◆" if column in rewritten else "◇"
        if start != end:
            cells[start] = ("├" if step > 0 else "┤") if start in self._lifelines else "─"
        if broken:
            cells[end] = "✗"
        elif start != end:
            cells[end - step if end in self._lifelines else end] = "▶" if step > 0 else "◀"
        return cells

    def _wrapped(self, text: str, start: int) -> list[tuple[int, str]]:
        """Return (place, text) of each line: from ``start`` where it fits, further left where it must."""
        room = self._width - _GUTTER
        pieces = textwrap.wrap(text, room) or [""]
        longest = max(map(len, pieces))
        place = max(_GUTTER, min(start, self._width - longest))
        return [(place, piece) for piece in pieces]

    def _packed(self, texts: Sequence[tuple[int, str]]) -> list[list[tuple[int, str]]]:
        """Return texts on as few lines as they fit without touching."""
        lines: list[list[tuple[int, str]]] = []
        for start, text in texts:
            place = max(_GUTTER, min(start, self._width - len(text)))
            for line in lines:
                if all(place > at + len(other) or at > place + len(text) for at, other in line):
                    line.append((place, text))
                    break
            else:
                lines.append([(place, text)])
        return lines


def _put(cells: list[str], texts: Sequence[tuple[int, str]]) -> list[str]:
    """Write texts over a line, with a space to what is beside them."""
    for place, text in texts:
        for at in range(max(place - 1, 0), min(place + len(text) + 1, len(cells))):
            cells[at] = " "
        cells[place : place + len(text)] = list(text)
    return cells

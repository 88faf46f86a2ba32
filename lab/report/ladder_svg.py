"""A ladder as one SVG file: no script, no font, no reference to anything else; text stays text.

Kinds differ by the stroke of their arrows as well as by colour, and colours follow the reader's light or dark
scheme. The same ladder gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lab.report.ladder import GAP, Ladder, Leg, Mark, Rung
from lab.units import format_duration

_COLUMN: Final = 180
_LEFT: Final = 110
_RIGHT: Final = 80
_LINE: Final = 17
_CHARACTER: Final = 6.7
"""Pixels a character of the font, a little too many: what is moved to fit does fit."""
_TOP: Final = 44
_HALF_CROSS: Final = 5
_STYLE: Final = """
svg { background: #fff; color: #1b1f24; font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, monospace }
text { fill: currentColor; white-space: pre; paint-order: stroke; stroke: #fff; stroke-width: 3px }
.title, .node { font-weight: bold }
.node { text-anchor: middle }
.time, .pause { text-anchor: end }
.quiet, .pause { opacity: .75 }
.life { stroke: #c3c9d1 }
.arrow { stroke: #57606a; fill: none; stroke-width: 1.5 }
.head { fill: #57606a }
.stun .arrow { stroke: #0969da } .stun .head { fill: #0969da }
.turn .arrow { stroke: #8250df; stroke-dasharray: 9 3 } .turn .head { fill: #8250df }
.media .arrow { stroke: #1a7f37; stroke-dasharray: 2 3 } .media .head { fill: #1a7f37 }
.dns .arrow { stroke: #9a6700; stroke-dasharray: 6 2 1 2 } .dns .head { fill: #9a6700 }
.box { fill: #1b1f24 }
.box.passed { fill: #fff; stroke: #1b1f24 }
.cross { stroke: #cf222e; stroke-width: 2.5 }
.reason { fill: #cf222e }
@media screen and (prefers-color-scheme: dark) {
svg { background: #0d1117; color: #e6edf3 }
text { stroke: #0d1117 }
.life { stroke: #3d444d }
.arrow { stroke: #9198a1 } .head { fill: #9198a1 }
.stun .arrow { stroke: #58a6ff } .stun .head { fill: #58a6ff }
.turn .arrow { stroke: #bc8cff } .turn .head { fill: #bc8cff }
.media .arrow { stroke: #3fb950 } .media .head { fill: #3fb950 }
.dns .arrow { stroke: #d29922 } .dns .head { fill: #d29922 }
.box { fill: #e6edf3 }
.box.passed { fill: #0d1117; stroke: #e6edf3 }
.cross { stroke: #ff7b72 }
.reason { fill: #ff7b72 }
}
@media print { svg { background: none } }
"""


def ladder_svg(ladder: Ladder) -> str:
    """Return the ladder as an SVG document."""
    drawing = _Drawing(ladder)
    steps = pairwise([None, *ladder.rungs])
    body = [element for before, rung in steps for element in drawing.rung(before, rung)]
    height = drawing.bottom + _LINE
    width = drawing.width
    size = f'width="{width}" height="{height}"'
    role = f'role="img" aria-label={quoteattr(ladder.title or "ladder")}'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} {role}>',
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="10" y="16">{escape(ladder.title)}</text>',
            *drawing.lifelines(),
            *body,
            "</svg>\n",
        ]
    )


class _Drawing:
    """Where things are; ``bottom`` goes down as rungs are drawn."""

    def __init__(self, ladder: Ladder) -> None:
        self._columns = ladder.columns
        longest = max((len(text) for rung in ladder.rungs for text in _texts(rung)), default=0)
        by_columns = _LEFT + _COLUMN * (len(ladder.columns) - 1) + _RIGHT
        by_text = _LEFT + round(longest * _CHARACTER) + 20
        self.width = max(by_columns, by_text, round(len(ladder.title) * _CHARACTER * 1.1) + 20)
        self.bottom = _TOP

    def _x(self, position: float) -> float:
        return _LEFT + position * _COLUMN

    def lifelines(self) -> Iterator[str]:
        """Yield the columns: a name and a line from top to bottom."""
        for number, name in enumerate(self._columns):
            x = self._x(number)
            yield f'<line class="life" x1="{x:g}" y1="{_TOP}" x2="{x:g}" y2="{self.bottom}"/>'
            yield f'<text class="node" x="{x:g}" y="{_TOP - 8}">{escape(name)}</text>'

    def rung(self, before: Rung | None, rung: Rung | None) -> Iterator[str]:
        """Yield what shows a rung, below what was drawn so far."""
        assert rung is not None
        if before is not None and rung.time - before.time >= GAP:
            self.bottom += _LINE
            pause = f"… {format_duration(rung.time - before.time)} …"
            yield f'<text class="pause" x="{_LEFT - 20}" y="{self.bottom}">{pause}</text>'
        lost = " lost" if rung.reason else ""
        yield f'<g class="rung {rung.kind.value}{lost}">'
        yield from self._label(rung)
        for leg in rung.legs:
            yield from self._leg(leg, rung, broken=bool(rung.reason) and leg is rung.legs[-1])
        for mark in rung.marks:
            yield from self._mark(mark)
        if rung.reason:
            self.bottom += _LINE
            yield self._text("reason", self._x(rung.legs[-1].end), _reason(rung))
        yield "</g>"

    def _label(self, rung: Rung) -> Iterator[str]:
        self.bottom += _LINE + 4
        yield f'<text class="time" x="{_LEFT - 20}" y="{self.bottom}">{rung.time:.6f}</text>'
        yield self._text("label", self._x(min(rung.legs[0].start, rung.legs[0].end)) + 6, rung.label)

    def _leg(self, leg: Leg, rung: Rung, *, broken: bool) -> Iterator[str]:
        self.bottom += 10
        y, start, end = self.bottom, self._x(leg.start), self._x(leg.end)
        yield f'<line class="arrow" x1="{start:g}" y1="{y}" x2="{end:g}" y2="{y}"/>'
        rewritten = {mark.column for mark in rung.marks}
        for column in leg.passed:
            yield _diamond(self._x(column), y, "box" if column in rewritten else "box passed")
        if broken:
            yield _cross(end, y)
        elif start != end:
            back = -8 if end > start else 8
            yield f'<path class="head" d="M{end:g} {y}l{back} -4v8z"/>'
        self.bottom += 2

    def _mark(self, mark: Mark) -> Iterator[str]:
        self.bottom += _LINE - 3
        yield self._text("mark quiet", self._x(mark.column) + 8, mark.text)

    def _text(self, style: str, x: float, text: str) -> str:
        room = self.width - 10 - len(text) * _CHARACTER
        place = max(min(x, room), _LEFT - 10)
        return f'<text class="{style}" x="{place:.1f}" y="{self.bottom}">{escape(text)}</text>'


def _reason(rung: Rung) -> str:
    return f"✗ #{rung.packets[0]} {rung.reason}"


def _texts(rung: Rung) -> Iterator[str]:
    yield rung.label
    yield from (mark.text for mark in rung.marks)
    if rung.reason:
        yield _reason(rung)


def _diamond(x: float, y: float, style: str) -> str:
    return f'<path class="{style}" d="M{x - 5:g} {y}l5 -5l5 5l-5 5z"/>'


def _cross(x: float, y: float) -> str:
    left, right, up, down = x - _HALF_CROSS, x + _HALF_CROSS, y - _HALF_CROSS, y + _HALF_CROSS
    return f'<path class="cross" d="M{left:g} {up:g}L{right:g} {down:g}M{left:g} {down:g}L{right:g} {up:g}"/>'

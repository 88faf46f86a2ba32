"""The distribution of set-up times as SVG: a step curve a path class, its percentiles marked.

Curves differ by their strokes and marks by their shapes, as well as by colour; colours are the page's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lab.report.quantiles import percentiles_of
from lab.spec.event import PathClass
from lab.units import format_duration

_WIDTH: Final = 880
_HEIGHT: Final = 360
_LEFT: Final = 52
_RIGHT: Final = 34
_TOP: Final = 14
_BOTTOM: Final = 44
_STEP: Final = 0.5
"""Pixels: points of a curve that are closer than this are drawn as one."""
_FEWEST_TICKS: Final = 4
_TITLE: Final = "Share of calls set up within a time, by path. The table below has the percentiles."

CLASSES: Final[Mapping[PathClass, str]] = {
    PathClass.HOST: "host",
    PathClass.SERVER_REFLEXIVE: "srflx",
    PathClass.PEER_REFLEXIVE: "prflx",
    PathClass.RELAY: "relay",
    PathClass.NONE: "nopath",
}
"""What the style sheet calls the path classes; the candidate types of RFC 8839 §5.1 where there is one."""

_SHAPES: Final[Mapping[int, str]] = {
    50: '<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
    95: '<path d="M{x:.1f} {y:.1f}m-4.5 -4.5h9v9h-9z"/>',
    99: '<path d="M{x:.1f} {y:.1f}m0 -5.5l5.5 10h-11z"/>',
}


def ecdf_svg(times: Mapping[PathClass, Sequence[float]]) -> str:
    """Return the curves of set-up times (seconds, ascending) on a logarithmic axis; empty without times."""
    if not times:
        return ""
    axis = _Axis(min(t[0] for t in times.values()), max(t[-1] for t in times.values()))
    parts = [*_grid(axis), *(part for path, values in times.items() for part in _curve(axis, path, values))]
    return "\n".join(
        [
            f'<svg class="ecdf" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="ecdf-title">',
            f'<title id="ecdf-title">{_TITLE}</title>',
            *parts,
            "</svg>",
        ]
    )


class _Axis:
    """Seconds to pixels, by logarithm, from a round number below the least to one above the greatest."""

    def __init__(self, least: float, greatest: float) -> None:
        low, high = max(least, 1e-6), max(greatest, 1e-6)
        self.ticks = _round_numbers(low, high)
        self._first = math.log(self.ticks[0])
        self._length = math.log(self.ticks[-1]) - self._first

    def x(self, seconds: float) -> float:
        """Return where a time is."""
        share = (math.log(max(seconds, 1e-6)) - self._first) / self._length
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _round_numbers(low: float, high: float) -> list[float]:
    """Return round numbers that enclose two positive ones: 1, 2 and 5 times powers of ten, or finer ones."""
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    for digits in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        numbers = [float(f"{digit}e{exponent}") for exponent in exponents for digit in digits]
        first = max(number for number in numbers if number <= low)
        last = min(number for number in numbers if number > high)
        ticks = [number for number in numbers if first <= number <= last]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return ticks


def _y(share: float) -> float:
    return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(axis: _Axis) -> Iterator[str]:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        yield f'<text class="tick end" x="{_LEFT - 8}" y="{y + 4:.1f}">{share * 100:.0f} %</text>'
    for tick in axis.ticks:
        x = axis.x(tick)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_y(0):.1f}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{_y(0) + 18:.1f}">{format_duration(tick)}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text class="tick" x="{middle:.1f}" y="{_HEIGHT - 6}">set-up time, log scale</text>'


def _curve(axis: _Axis, path: PathClass, times: Sequence[float]) -> Iterator[str]:
    yield f'<g class="curve p-{CLASSES[path]}">'
    yield f'<path class="line" d="{_steps(axis, times)}"/>'
    n = len(times)
    for percent, time in percentiles_of(times).items():
        # The curve has reached the rank of the percentile there, and with equal times more than that.
        shape = _SHAPES[percent].format(x=axis.x(time), y=_y(max(percent / 100, _rank(percent, n) / n)))
        words = f"{path.value}: {percent} % of {n} calls within {format_duration(time)}"
        yield f'<g class="mark"><title>{words}</title>{shape}</g>'
    yield "</g>"


def _rank(percent: int, n: int) -> int:
    return -(-n * percent // 100)


def _steps(axis: _Axis, times: Sequence[float]) -> str:
    """Return the path of a step curve, with no more points than can be told apart."""
    points = [f"M{axis.x(times[0]):.1f} {_y(0):.1f}"]
    drawn = -math.inf
    for number, time in enumerate(times, start=1):
        x = axis.x(time)
        if number < len(times) and axis.x(times[number]) - drawn < _STEP:
            continue
        points.append(f"H{x:.1f}V{_y(number / len(times)):.1f}")
        drawn = x
    return "".join(points)

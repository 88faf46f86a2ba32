"""The pictures of a run: the paths as a heatmap, set-up times as an ECDF, shares of calls on the relay.

SVG and PNG; the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.report.cells import Cell
from lab.report.matrix_text import SYMBOLS
from lab.report.quantiles import percentiles_of, setup_times_by, setup_times_by_path
from lab.report.shares import Share
from lab.spec.event import PathClass
from lab.units import format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision, and the lightness differs in print.
COLOURS: Final[Mapping[PathClass, str]] = {
    PathClass.HOST: "#0072B2",
    PathClass.SERVER_REFLEXIVE: "#56B4E9",
    PathClass.PEER_REFLEXIVE: "#009E73",
    PathClass.RELAY: "#E69F00",
    PathClass.NONE: "#4D4D4D",
}
LINE_STYLES: Final[Mapping[PathClass, str]] = {
    PathClass.HOST: "-",
    PathClass.SERVER_REFLEXIVE: "--",
    PathClass.PEER_REFLEXIVE: "-.",
    PathClass.RELAY: ":",
}
_STROKES: Final = ("-", "--", "-.", ":")
_STYLES: Final = tuple(
    (colour, _STROKES[(number + turn) % 4])
    for turn in range(4)
    for number, colour in enumerate(list(COLOURS.values())[:4])
)
"""For lines that are no path classes; they repeat after the sixteenth."""


def plot_matrix(
    cells: Mapping[tuple[str, str], Cell], *, row_title: str, column_title: str, title: str
) -> Figure:
    """Return the heatmap: a cell's colour, letter and time say its path and median set-up."""
    figure, axes = _figure(9.5, 7.5)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    for (row, column), cell in cells.items():
        _draw_cell(axes, columns.index(column), rows.index(row), cell)
    axes.set_xlim(-0.5, max(len(columns), 1) - 0.5)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(column_title)
    axes.set_ylabel(row_title)
    axes.set_title(title)
    axes.set_aspect("equal")
    handles = [_patch(colour, f"{SYMBOLS[path][-1]}  {path.value}") for path, colour in COLOURS.items()]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return figure


def _draw_cell(axes: Axes, x: int, y: int, cell: Cell) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - as heavy as pyplot

    path = cell.path
    colour = "#FFFFFF" if path is None else COLOURS[path]
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
    letter = "?" if path is None else SYMBOLS[path][-1]
    time = "" if cell.median_setup is None else "\n" + format_duration(cell.median_setup)
    mark = "" if cell.is_unanimous else "!"
    dark = path in {PathClass.HOST, PathClass.NONE, PathClass.PEER_REFLEXIVE}
    axes.text(
        x,
        y,
        f"{letter}{mark}{time}",
        ha="center",
        va="center",
        fontsize=8,
        color="white" if dark else "black",
    )


def plot_setup_times(rows: Iterable[Mapping[str, Any]], *, title: str, by: str = "") -> Figure:
    """Return the ECDF of set-up times with percentile marks, one line a path class or a value of ``by``.

    Calls that failed have none.
    """
    figure, axes = _figure(8.0, 5.0)
    lines: dict[str, Sequence[float]]
    if by:
        lines = {f"{by} {value}": times for value, times in setup_times_by(rows, by).items()}
        styles = [_STYLES[number % len(_STYLES)] for number in range(len(lines))]
    else:
        by_path = setup_times_by_path(rows)
        lines = {path.value: times for path, times in by_path.items()}
        styles = [(COLOURS[path], LINE_STYLES[path]) for path in by_path]
    for (name, times), style in zip(lines.items(), styles, strict=True):
        _draw_ecdf(axes, name, times, *style)
    if lines:
        _label_log_seconds(axes)
        figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("set-up time, from dialling to both sides' selected pair (log scale)")
    axes.set_ylabel("share of calls")
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    return figure


def plot_relay_shares(shares: Mapping[str, Share], *, title: str) -> Figure:
    """Return the share of connected calls on the relay, a line for each group, with Wilson's 95 % interval.

    Args:
        shares: by what the line is called, the first on top.
        title: of the figure.
    """
    figure, axes = _figure(8.0, 1.4 + 0.32 * max(len(shares), 1))
    for place, share in enumerate(shares.values()):
        low, high = share.interval
        axes.plot([low, high], [place, place], color=COLOURS[PathClass.RELAY], linewidth=5, alpha=0.6)
        axes.plot([share.value], [place], marker="o", color="black", markersize=5)
        axes.annotate(f"{share.relayed} of {share.n}", (1.03, place), va="center", fontsize=8)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set_ylim(max(len(shares), 1) - 0.5, -0.5)
    axes.set_xlim(0, 1.18)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel("share of connected calls on the relay, with Wilson's 95 % interval")
    axes.set_title(title)
    axes.grid(visible=True, axis="x", alpha=0.3)
    return figure


def _label_log_seconds(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - as heavy as pyplot

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda seconds, _: format_duration(seconds))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_ecdf(axes: Axes, name: str, times: Sequence[float], colour: str, line_style: str) -> None:
    marks = percentiles_of(times)
    words = "  ".join(f"p{percentile} {format_duration(time)}" for percentile, time in marks.items())
    axes.step(
        [times[0], *times],
        [number / len(times) for number in range(len(times) + 1)],
        where="post",
        color=colour,
        linestyle=line_style,
        linewidth=2,
        label=f"{name}: n={len(times)}  {words}",
    )
    shares = [percentile / 100 for percentile in marks]
    for time, share, shape in zip(marks.values(), shares, "os^", strict=True):
        axes.plot([time], [share], linestyle="none", marker=shape, color=colour)


def save_figure(
    figure: Figure, folder: Path, name: str, *, endings: Sequence[str] = (".svg", ".png")
) -> list[Path]:
    """Write the figure once an ending, as a vector or pixels; the same figure gives the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that other commands should not pay

    paths = [folder / f"{name}{ending}" for ending in endings]
    # The salt replaces random ids in the SVG; date and software version would differ between equal runs.
    with mpl.rc_context({"svg.hashsalt": "callpath", "svg.fonttype": "none"}):
        for path in paths:
            date = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(path, metadata=date, dpi=120, bbox_inches="tight")
    return paths


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above; the Figure class needs no display

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _patch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch  # noqa: PLC0415

    return Patch(facecolor=colour, label=label)

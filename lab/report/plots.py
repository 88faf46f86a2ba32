"""The two pictures of a matrix run: the paths as a heatmap, the set-up times as an ECDF.

SVG and PNG; the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lab.report.cells import Cell
from lab.report.matrix_text import SYMBOLS
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
PERCENTILES: Final = (50, 95)


def plot_matrix(
    cells: Mapping[tuple[str, str], Cell], *, row_title: str, column_title: str, title: str
) -> Figure:
    """Return the heatmap: a cell's colour, letter and time say its path and median set-up."""
    figure, axes = _figure(9.5, 7.5)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    for (row, column), cell in cells.items():
        _draw_cell(axes, columns.index(column), rows.index(row), cell)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
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


def plot_setup_times(rows: Iterable[Mapping[str, Any]], *, title: str) -> Figure:
    """Return the ECDF of set-up times, one line a path class, with percentile marks.

    Calls that failed have none.
    """
    figure, axes = _figure(8.0, 5.0)
    by_path: dict[PathClass, list[float]] = {}
    for row in rows:
        if not row["invalid"] and row.get("setup_time") is not None:
            by_path.setdefault(PathClass(row["path"]), []).append(row["setup_time"])
    for path in PathClass:
        if path in by_path:
            _draw_ecdf(axes, path, sorted(by_path[path]))
    _label_log_seconds(axes)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("set-up time, from dialling to both sides' selected pair (log scale)")
    axes.set_ylabel("share of calls")
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    if by_path:
        axes.legend(loc="lower right")
    return figure


def _label_log_seconds(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - as heavy as pyplot

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda seconds, _: format_duration(seconds))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_ecdf(axes: Axes, path: PathClass, times: Sequence[float]) -> None:
    marks = {percentile: _nearest_rank(times, percentile) for percentile in PERCENTILES}
    words = "  ".join(f"p{percentile} {format_duration(time)}" for percentile, time in marks.items())
    axes.step(
        [times[0], *times],
        [number / len(times) for number in range(len(times) + 1)],
        where="post",
        color=COLOURS[path],
        linestyle=LINE_STYLES[path],
        linewidth=2,
        label=f"{path.value}: n={len(times)}  {words}",
    )
    shares = [percentile / 100 for percentile in marks]
    axes.plot(list(marks.values()), shares, linestyle="none", marker="o", color=COLOURS[path])


def _nearest_rank(times: Sequence[float], percentile: int) -> float:
    """Return a percentile of sorted values as one of them (nearest rank)."""
    return times[max(0, -(-percentile * len(times) // 100) - 1)]


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png``; equal figures give equal bytes. Return the paths."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second that other commands should not pay

    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    # The salt replaces random ids in the SVG; date and software version would differ between equal runs.
    with mpl.rc_context({"svg.hashsalt": "callpath", "svg.fonttype": "none"}):
        figure.savefig(paths[0], metadata={"Date": None}, bbox_inches="tight")
        figure.savefig(paths[1], metadata={"Software": None}, dpi=120, bbox_inches="tight")
    return paths


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above; the Figure class needs no display

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _patch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch  # noqa: PLC0415

    return Patch(facecolor=colour, label=label)

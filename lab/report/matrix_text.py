"""The matrix as text: one glance says which path each pair takes; symbol and letter, never colour alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.report.cells import Cell, cells_of
from lab.spec.event import PathClass
from lab.units import format_duration

SYMBOLS: Final[Mapping[PathClass, str]] = {
    PathClass.HOST: "● H",
    PathClass.PEER_REFLEXIVE: "◐ P",
    PathClass.SERVER_REFLEXIVE: "○ S",
    PathClass.RELAY: "▲ R",
    PathClass.NONE: "✕ -",
}
LEGEND: Final = (
    "● H host   ○ S server-reflexive   ◐ P peer-reflexive   ▲ R relay   ✕ - no path   ? invalid",
    "! not every repetition took that path   * direct was possible   times: median set-up",
)


def matrix_of_rows(rows: Sequence[Mapping[str, Any]], row_title: str, column_title: str) -> str:
    """Return the matrix of a run's rows (:mod:`lab.results.table`), with the predicted reach in its marks."""
    possible = frozenset(
        (str(row[row_title]), str(row[column_title])) for row in rows if row.get("possible") == "direct"
    )
    cells = cells_of(rows, row_title, column_title)
    return matrix_text(cells, row_title=row_title, column_title=column_title, direct_possible=possible)


def matrix_text(
    cells: Mapping[tuple[str, str], Cell],
    *,
    row_title: str,
    column_title: str,
    direct_possible: frozenset[tuple[str, str]] = frozenset(),
) -> str:
    """Return the matrix as lines of text.

    Args:
        cells: by (row value, column value), in the order to show.
        row_title: what the rows are, e.g. ``alice_nat``.
        column_title: what the columns are.
        direct_possible: pairs for which a direct path exists, to mark those that took a relay all the same.
    """
    rows, columns = _unique(row for row, _ in cells), _unique(column for _, column in cells)
    label = max(len(row) for row in [*rows, row_title]) + 4
    header = f"{row_title + ' ↓':<{label}}" + "".join(
        f"{number:>10}" for number in range(1, len(columns) + 1)
    )
    lines = [
        f"columns: {column_title}, numbered as the rows" if rows == columns else _column_key(columns),
        "",
        header,
    ]
    for number, row in enumerate(rows, 1):
        shown = [_cell_text(cells.get((row, column)), (row, column) in direct_possible) for column in columns]
        lines.append(f"{number:>2} {row:<{label - 3}}" + "".join(f"{text:>10}" for text in shown))
    return "\n".join([*lines, "", *LEGEND])


def _cell_text(cell: Cell | None, direct_possible: bool) -> str:
    if cell is None:
        return ""
    if cell.path is None:
        return "?"
    marks = ("" if cell.is_unanimous else "!") + (
        "*" if direct_possible and cell.path is PathClass.RELAY else ""
    )
    time = "" if cell.median_setup is None else format_duration(cell.median_setup).replace(" ", "")
    return f"{SYMBOLS[cell.path]}{marks} {time}".rstrip()


def _column_key(columns: Sequence[str]) -> str:
    return "columns: " + "  ".join(f"{number} {column}" for number, column in enumerate(columns, 1))


def _unique(values: object) -> list[str]:
    return list(dict.fromkeys(values))  # type: ignore[call-overload]

"""Calls to cells: what a matrix shows of all repetitions of one pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from lab.spec.event import PathClass

_PREFERENCE: Final = list(PathClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One pair.

    ``paths`` counts the selected paths of its calls; times in seconds; ``invalid`` counts trials.
    """

    paths: Mapping[PathClass, int]
    setup_times: Sequence[float]
    invalid: int

    @property
    def path(self) -> PathClass | None:
        """The path most calls took (of equals the better one); None when no trial counts."""
        if not self.paths:
            return None
        return max(self.paths, key=lambda path: (self.paths[path], -_PREFERENCE.index(path)))

    @property
    def is_unanimous(self) -> bool:
        """Whether every call took the same path."""
        return len(self.paths) <= 1

    @property
    def median_setup(self) -> float | None:
        """Median set-up time of the calls that connected."""
        return median(self.setup_times) if self.setup_times else None


def cells_of(
    rows: Iterable[Mapping[str, Any]], row_name: str, column_name: str
) -> dict[tuple[str, str], Cell]:
    """Return the cells by (row value, column value), from the rows of :mod:`lab.results.table`."""
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((str(row[row_name]), str(row[column_name])), []).append(row)
    return {key: _cell(members) for key, members in grouped.items()}


def _cell(rows: Sequence[Mapping[str, Any]]) -> Cell:
    valid = [row for row in rows if not row["invalid"]]
    return Cell(
        paths=Counter(PathClass(row["path"]) for row in valid if "path" in row),
        setup_times=[row["setup_time"] for row in valid if row.get("setup_time") is not None],
        invalid=len(rows) - len(valid),
    )

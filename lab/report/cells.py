"""Calls to cells: what a matrix shows of all repetitions of one pair."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from lab.measure.predict import Reach
from lab.spec.event import JsonValue, PathClass

_PREFERENCE: Final = list(PathClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One pair, or any other set of calls.

    ``paths`` counts the selected paths of its calls, ``possible`` and ``validated`` the best class that was
    predicted and on which a check succeeded; times in seconds; ``invalid`` counts trials.
    """

    paths: Mapping[PathClass, int]
    setup_times: Sequence[float]
    invalid: int
    possible: Mapping[Reach, int] = field(default_factory=dict)
    validated: Mapping[Reach, int] = field(default_factory=dict)

    @property
    def path(self) -> PathClass | None:
        """The path most calls took (of equals the better one); None when no trial counts."""
        if not self.paths:
            return None
        return max(self.paths, key=lambda path: (self.paths[path], -_PREFERENCE.index(path)))

    @property
    def calls(self) -> int:
        """How many calls count."""
        return sum(self.paths.values())

    @property
    def is_unanimous(self) -> bool:
        """Whether every call took the same path."""
        return len(self.paths) <= 1

    @property
    def median_setup(self) -> float | None:
        """Median set-up time of the calls that connected."""
        return median(self.setup_times) if self.setup_times else None


def as_text(value: JsonValue) -> str:
    """Return a parameter's value as it is typed on the command line."""
    return value if isinstance(value, str) else json.dumps(value)


def cells_of(
    rows: Iterable[Mapping[str, Any]], row_name: str, column_name: str
) -> dict[tuple[str, str], Cell]:
    """Return the cells by (row value, column value), from the rows of :mod:`lab.results.table`."""
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((str(row[row_name]), str(row[column_name])), []).append(row)
    return {key: cell_of(members) for key, members in grouped.items()}


def cell_of(rows: Sequence[Mapping[str, Any]]) -> Cell:
    """Return one cell of all these rows."""
    valid = [row for row in rows if not row["invalid"]]
    return Cell(
        paths=Counter(PathClass(row["path"]) for row in valid if "path" in row),
        setup_times=[row["setup_time"] for row in valid if row.get("setup_time") is not None],
        invalid=len(rows) - len(valid),
        possible=Counter(Reach(row["possible"]) for row in valid if row.get("possible")),
        validated=Counter(Reach(row["validated"]) for row in valid if row.get("validated")),
    )

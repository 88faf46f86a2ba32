"""Set-up times by what they are sorted by, and their percentiles: what both the plots and the report draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lab.measure.statistics import percentile
from lab.report.cells import as_text
from lab.spec.event import PathClass

PERCENTILES: Final = (50, 95, 99)

BEST_FIRST: Final = (
    PathClass.HOST,
    PathClass.SERVER_REFLEXIVE,
    PathClass.PEER_REFLEXIVE,
    PathClass.RELAY,
    PathClass.NONE,
)
"""The order in which paths are shown, as in the matrix's legend."""


def setup_times_by_path(rows: Iterable[Mapping[str, Any]]) -> dict[PathClass, list[float]]:
    """Return the set-up times of connected calls in ascending order, by selected path, best path first.

    From the rows of :mod:`lab.results.table`; in seconds. Invalid trials do not count.
    """
    found: dict[PathClass, list[float]] = {}
    for row in rows:
        if not row["invalid"] and row.get("setup_time") is not None:
            found.setdefault(PathClass(row["path"]), []).append(row["setup_time"])
    return {path: sorted(found[path]) for path in BEST_FIRST if path in found}


def setup_times_by(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, list[float]]:
    """Return them by the value of a parameter, in order of appearance."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if not row["invalid"] and row.get("setup_time") is not None:
            found.setdefault(as_text(row[name]), []).append(row["setup_time"])
    return {value: sorted(times) for value, times in found.items()}


def percentiles_of(times: Sequence[float]) -> dict[int, float]:
    """Return the percentiles that are marked, by nearest rank: each is a time that was seen."""
    weighted = [(time, 1) for time in times]
    return {percent: percentile(weighted, percent) for percent in PERCENTILES}

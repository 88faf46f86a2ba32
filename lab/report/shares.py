"""Shares of calls on the relay, each with Wilson's interval: what both the plots and the report draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.measure.statistics import Interval, wilson_interval
from lab.measure.verdict import DEFAULT_CONFIDENCE
from lab.report.cells import as_text
from lab.spec.event import PathClass


@dataclass(frozen=True, slots=True)
class Share:
    """Of ``n`` connected calls ``relayed`` went by a relay."""

    relayed: int
    n: int

    @property
    def value(self) -> float:
        """The share, in 0..1. There is one only of calls that connected."""
        return self.relayed / self.n

    @property
    def interval(self) -> Interval:
        """Wilson's score interval at 95 %."""
        return wilson_interval(self.relayed, self.n, DEFAULT_CONFIDENCE)


def relay_share(rows: Iterable[Mapping[str, Any]]) -> Share:
    """Return the share of all connected calls of valid trials: the metric ``relay.share``."""
    return _share([row["path"] for row in rows if _counts(row)])


def relay_shares_by(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, Share]:
    """Return the share for each value of a parameter, in order of appearance; of those that connected."""
    paths: dict[str, list[str]] = {}
    for row in rows:
        if _counts(row):
            paths.setdefault(as_text(row[name]), []).append(row["path"])
    return {value: _share(members) for value, members in paths.items()}


def _counts(row: Mapping[str, Any]) -> bool:
    return not row["invalid"] and bool(row.get("connected"))


def _share(paths: list[str]) -> Share:
    return Share(sum(path == PathClass.RELAY for path in paths), len(paths))

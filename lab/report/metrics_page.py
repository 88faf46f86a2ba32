"""The tables of docs/metrics.md, from the catalogue of metrics."""

from __future__ import annotations

import re
from typing import Final

from lab.spec.metric_catalogue import CATALOGUE, Metric, MetricKind, Origin, Statistic

_THRESHOLDS: Final = {
    MetricKind.SHARE: "a percentage",
    MetricKind.DURATION: "a duration",
    MetricKind.RATIO: "a percentage",
    MetricKind.COUNT: "a number",
}
_ORIGINS: Final = {Origin.CALL: "its call's start", Origin.FAULT: "the fault", None: "–"}
_PLACE: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def metrics_filled(page: str) -> str:
    """Return the page with the table of each kind of metric between its marks written anew."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{_section(MetricKind[place[2].upper()])}\n{place[3]}", page)


def _section(kind: MetricKind) -> str:
    statistics = ", ".join(f"`{statistic}`" for statistic in kind.statistics)
    threshold = _THRESHOLDS[kind]
    if Statistic.COUNT in kind.statistics:
        threshold += "; of `count`, a whole number"
    rows = "".join(_row(metric) for metric in CATALOGUE.values() if metric.kind is kind)
    return (
        f"Statistics: {statistics}.\nThreshold: {threshold}.\n\n"
        "| metric | what a sample says | one sample | `within` from | source |\n"
        f"|---|---|---|---|---|\n{rows}"
    )


def _row(metric: Metric) -> str:
    origin = _ORIGINS[metric.origin]
    return f"| `{metric.name}` | {metric.definition} | {metric.samples} | {origin} | {metric.source} |\n"

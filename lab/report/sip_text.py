"""What became of SIP calls, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.units import format_duration


def sip_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a line on the SIP calls in a run's rows (:mod:`lab.results.table`); empty if there are none.

    Of several rows the least and the greatest percentile are told: what is 95 % of one load is not 95 % of
    another. Invalid trials do not count.
    """
    of_sip = [row for row in rows if "sip_completed" in row and not row["invalid"]]
    if not of_sip:
        return ""
    completed, failed = (sum(row[f"sip_{what}"] for row in of_sip) for what in ("completed", "failed"))
    reasons = dict.fromkeys(row["sip_reasons"] for row in of_sip if row["sip_reasons"])
    times = [
        f"{title} {_range([row[name] for row in of_sip if row.get(name) is not None])}"
        for title, name in (("p50", "sip_setup_p50"), ("p95", "sip_setup_p95"))
        if any(row.get(name) is not None for row in of_sip)
    ]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    set_up = f"; INVITE to 200: {', '.join(times)}" if times else ""
    return f"SIP calls: {completed} completed, {failed} failed{why}{set_up}"


def _range(values: Sequence[float]) -> str:
    """Return the least and the greatest value, once where they are equal."""
    ends = dict.fromkeys(map(format_duration, (min(values), max(values))))
    return " to ".join(ends)


def sip_words(completed: int, failed: Mapping[str, int], setup: float | None) -> str:
    """Return what became of the SIP calls of one caller: ``setup`` is their median time, in seconds."""
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(failed.items()))
    time = "" if setup is None else f"; INVITE to 200: p50 {format_duration(setup)}"
    return f"{completed} completed, {sum(failed.values())} failed{f' ({why})' if why else ''}{time}"

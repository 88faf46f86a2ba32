"""One row a call: what ``trials.parquet`` holds, as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lab.measure.calls import CallRecord, Side
from lab.measure.statistics import percentile
from lab.spec.assignment import format_value
from lab.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd


def rows_of(trial: Trial, calls: Sequence[CallRecord], invalid: str) -> list[dict[str, Any]]:
    """Return a trial's rows, one a call.

    An invalid trial without a call has one row too; a call without media has neither path nor set-up time,
    and one that was made by SIP says so. Times in seconds.
    """
    common: dict[str, Any] = {"trial": trial.key, "repeat": trial.repeat, "invalid": invalid, **trial.cell}
    if not calls:
        return [common]
    return [common | _call_columns(call) for call in calls]


def _call_columns(call: CallRecord) -> dict[str, Any]:
    who = {"call": call.call, "caller": call.caller.node, "callee": call.callee.node if call.callee else ""}
    media = {} if call.signalling_only else _media_columns(call)
    return who | media | (_sip_columns(call.caller) if call.caller.is_sip else {})


def _sip_columns(caller: Side) -> dict[str, Any]:
    """Return how many SIP calls a caller made, why some failed, and how long they took to be answered."""
    times = caller.sip_setup_times
    return {
        "sip_completed": caller.sip_completed,
        "sip_failed": caller.sip_failed.total(),
        "sip_reasons": ", ".join(f"{reason} {count}" for reason, count in sorted(caller.sip_failed.items())),
        "sip_setup_p50": caller.sip_setup_median,
        "sip_setup_p95": percentile(times, 95) if times else None,
    }


def _media_columns(call: CallRecord) -> dict[str, Any]:
    callee = call.callee
    return {
        "path": call.path.value,
        "validated": call.validated.value if call.validated else "",
        "connected": call.connected,
        "failed": next((f"{side.node}: {side.failed}" for side in call.sides if side.failed), ""),
        "setup_time": call.setup_time,
        "gathering_time": call.caller.gathered_in,
        "caller_local": call.caller.local_type,
        "caller_remote": call.caller.remote_type,
        "callee_local": callee.local_type if callee else "",
        "callee_remote": callee.remote_type if callee else "",
        "media_sent": call.caller.sent + (callee.sent if callee else 0),
        "media_received": call.caller.received + (callee.received if callee else 0),
    }


def table_of(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as a frame.

    A column has one type: parameters whose values are of several types (5 and "x"), lists or objects are told
    as they are typed.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that commands without a table should not pay

    rows = list(rows)
    types: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                types.setdefault(name, set()).add(type(value))
    of_no_one_type = {name for name, found in types.items() if not _is_one_type(found)}
    for name in of_no_one_type:
        rows = [{**row, name: format_value(row[name])} if name in row else row for row in rows]
    return pd.DataFrame(rows)


def _is_one_type(found: set[type]) -> bool:
    return found <= {int, float} or (len(found) == 1 and not found & {list, dict})

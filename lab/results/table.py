"""One row a call: what ``trials.parquet`` holds, as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lab.measure.calls import CallRecord
from lab.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd


def rows_of(trial: Trial, calls: Sequence[CallRecord], invalid: str) -> list[dict[str, Any]]:
    """Return a trial's rows, one a call.

    An invalid trial without a call has one row too. Times in seconds.
    """
    common: dict[str, Any] = {"trial": trial.key, "repeat": trial.repeat, "invalid": invalid, **trial.cell}
    if not calls:
        return [common]
    return [common | _call_columns(call) for call in calls]


def _call_columns(call: CallRecord) -> dict[str, Any]:
    callee = call.callee
    return {
        "call": call.call,
        "caller": call.caller.node,
        "callee": callee.node if callee else "",
        "path": call.path.value,
        "connected": call.connected,
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
    """Return the rows as a frame."""
    import pandas as pd  # noqa: PLC0415 - half a second that commands without a table should not pay

    return pd.DataFrame(list(rows))

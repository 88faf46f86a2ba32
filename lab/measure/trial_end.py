"""How a trial ended, as its last event tells it, and how often it was begun, as its first does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lab.spec.event import Event, EventType

SCENARIO_DONE: Final = "scenario done"
"""The reason in ``trial.ended`` of a trial that may be judged; any other says why it must not be."""


def why_invalid(events: Sequence[Event]) -> str:
    """Return why a trial must not be judged, from all its events; empty if it may.

    Raises:
        ValueError: they do not end as those of a finished trial do.
    """
    if not events or events[-1].type is not EventType.TRIAL_ENDED:
        raise ValueError("the last event is not that a trial ended")
    reason = str(events[-1].data.get("reason", ""))
    return "" if reason == SCENARIO_DONE else reason


def stalled_before(events: Sequence[Event]) -> list[str]:
    """Return why a trial was run before in vain: a reason for each time that the machine stalled it."""
    before: Any = events[0].data.get("stalled_before", []) if events else []
    return [str(reason) for reason in before]

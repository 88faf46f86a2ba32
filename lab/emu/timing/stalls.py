"""Whether a trial on the kernel ran as it was planned, or shows the machine that stalled it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.emu.timing.lateness import LATE, Lateness
from lab.measure.call_trace import CallTrace, traces_of
from lab.spec.event import Event, EventType

_LATE_SHARE: Final = 0.01
"""Of the packets that the lab's own processes carry; more that are late show the machine, not the network."""

SKEW: Final = 0.015
"""Seconds by which the beginnings of a call's sides may be further apart, or less far, than was planned.

A class changes where the first check of one side arrives before the other has sent its own
(docs/start-offsets.md): by as much as a packet travels between them, which is 20 ms in nat_matrix.yaml and 57
in the scenarios of all 81 pairs. tests/scenarios/test_start_skew.py has what this much does there: nothing.
"""

HELD_UP: Final = 0.020
"""Seconds by which a side may be late at worst while its checks run; see :mod:`lab.emu.timing.hold_ups`.

With the time between two looks that is at most 30 ms of standing still. tests/scenarios/test_start_skew.py
has what that does in the scenarios of all 81 pairs: nothing.
"""


def why_stalled(lateness: Mapping[str, float], events: Sequence[Event]) -> str:
    """Return in words what the machine has stalled in a trial that came to its end; empty if it did not.

    Args:
        lateness: of its links and boxes (:class:`~lab.emu.timing.lateness.Lateness` as data).
        events: all of the trial, of each node in order.
    """
    in_order = sorted(events, key=lambda event: event.time)
    calls = traces_of(in_order)
    whys = [_late_packets(Lateness.of_all([lateness])), *map(_skew, calls), *map(_hold_up, calls)]
    found = "; ".join(filter(None, whys))
    return f"the machine stalled: {found}" if found else ""


def _late_packets(lateness: Lateness) -> str:
    if lateness.late <= _LATE_SHARE * lateness.carried:
        return ""
    return (
        f"{lateness.late} of {lateness.carried} packets were late on their links or in NAT boxes by more than"
        f" {LATE * 1e3:.0f} ms, one by {lateness.worst * 1e3:.0f} ms"
    )


def _skew(call: CallTrace) -> str:
    """Return in words how far the sides of a call were from where they were to be; empty if not too far.

    What was done to the network or a program meanwhile may have made them late: then the machine did not.
    """
    late: dict[str, float] = {}
    for event in call.events:
        if event.type is EventType.ICE_CHECKING and "late" in event.data:
            seconds: Any = event.data["late"]
            late[event.node] = seconds
            if call.fault is not None and call.fault <= event.time:
                return ""
    if len(late) < 2 or max(late.values()) - min(late.values()) <= SKEW:
        return ""
    told = " and ".join(f"{node} {seconds * 1e3:.0f} ms" for node, seconds in late.items())
    return f"{told} after the moments planned for the checks of {call.name}"


def _hold_up(call: CallTrace) -> str:
    """Return in words how long sides of a call stood still while their checks ran; empty if not for long.

    The scenario itself can have done it, by a fault.
    """
    held_up: dict[str, Any] = {
        event.node: event.data["held_up"]
        for event in call.events
        if event.type in {EventType.ICE_CONNECTED, EventType.ICE_FAILED} and "held_up" in event.data
        if call.fault is None or event.time < call.fault
    }
    told = [
        f"{node} stood still for {seconds * 1e3:.0f} ms"
        for node, seconds in held_up.items()
        if seconds > HELD_UP
    ]
    return f"{' and '.join(told)} while the checks of {call.name} ran" if told else ""

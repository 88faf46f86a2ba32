"""Where a failing trial first departs from a passing one. Pure.

Events are aligned by who reports them for which call, and by what they say: never by time, port, address
or packet, in which any two trials differ. :mod:`lab.measure.divergence` compares strictly, event by event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.measure.divergence import Divergence, Line, first_divergence
from lab.spec.event import Event, EventType, JsonValue

LEAST_LATENESS: Final = 0.001
"""Seconds: what is less late than this is on time."""

_NUMBER: Final = re.compile(r"\d+")

Lane = tuple[str, str]
"""A call and a node: what a program reports of one call, in order. The call is empty for what is of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """The first step in which two trials differ, at one node for one call.

    ``passing`` and ``failing`` are the steps of the two, None where that trial had no more; ``since`` is the
    last step before it, as the failing trial had it. The ``..._start`` are when the call began in each (s).
    ``late`` is set where all steps are the same: by how many seconds more the failing trial was behind after
    this step than before it.
    """

    call: str
    node: str
    passing: Event | None
    failing: Event | None
    since: Event | None
    passing_start: float = 0.0
    failing_start: float = 0.0
    late: float | None = None

    @property
    def happened(self) -> float:
        """When it was to be seen in the failing trial (seconds of its clock)."""
        if self.failing is not None:
            return self.failing.time
        assert self.passing is not None, "one of both differs from the other"
        return self.passing.time - self.passing_start + self.failing_start

    def as_data(self) -> dict[str, JsonValue]:
        """Return it as JSON values, for a stored result."""
        return {
            "call": self.call,
            "node": self.node,
            "passing": _event_data(self.passing),
            "failing": _event_data(self.failing),
            "since": _event_data(self.since),
            "passing_start": self.passing_start,
            "failing_start": self.failing_start,
            "late": self.late,
        }

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Departure:
        """Return what :meth:`as_data` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        late = data["late"]
        return Departure(
            call=str(data["call"]),
            node=str(data["node"]),
            passing=_event(data["passing"]),
            failing=_event(data["failing"]),
            since=_event(data["since"]),
            passing_start=float(data["passing_start"]),
            failing_start=float(data["failing_start"]),
            late=None if late is None else float(late),
        )


def _event_data(event: Event | None) -> JsonValue:
    if event is None:
        return None
    return {
        "time": round(event.time, 9),
        "type": event.type.value,
        "node": event.node,
        "call": event.call,
        "data": dict(event.data),
    }


def _event(data: Mapping[str, Any] | None) -> Event | None:
    if data is None:
        return None
    return Event(
        time=float(data["time"]),
        type=EventType(data["type"]),
        node=str(data["node"]),
        call=str(data["call"]),
        data=dict(data["data"]),
    )


def find_departure(
    passing: Iterable[Event], failing: Iterable[Event], *, call: str = "", media: bool = False
) -> Departure | None:
    """Return where a failing trial departs from a passing one; None where no step tells them apart.

    Args:
        passing: the events of the one.
        failing: those of the other.
        call: confine it to this call, and to what is of no call.
        media: each packet of media that arrives is a step, and how the call was set up is none.
    """
    there, here = (_lanes(events, call, media=media) for events in (passing, failing))
    starts = _starts(there), _starts(here)
    nothing: list[Event] = []
    found = []
    for lane in {**here, **there}:
        apart = first_divergence(there.get(lane, nothing), here.get(lane, nothing), context=1, what=_what)
        if apart is not None:
            found.append(_departure(lane, apart, here.get(lane, nothing), starts))
    if found:
        return min(found, key=lambda departure: departure.happened)
    return _latest_step(there, here, starts)


# Steps

_Steps = Mapping[EventType, Callable[[Mapping[str, JsonValue]], object]]


def _nothing(_: Mapping[str, JsonValue]) -> object:
    return ""


def _values(*names: str) -> Callable[[Mapping[str, JsonValue]], object]:
    return lambda data: [_without_numbers(data.get(name)) for name in names]


def _pair(data: Mapping[str, Any]) -> object:
    return [data["local"]["type"], data["remote"]["type"]]


_STEPS: Final[_Steps] = {
    EventType.CALL_STARTED: _nothing,
    EventType.CALL_ENDED: _values("reason"),
    EventType.SIGNAL_SENT: _values("kind"),
    EventType.SIGNAL_RECEIVED: _values("kind"),
    EventType.ICE_GATHERING: _values("policy", "transport"),
    EventType.ICE_CANDIDATE: _values("side", "type", "problem"),
    EventType.ICE_CANDIDATE_ERROR: _values("code"),
    EventType.ICE_GATHERED: _values("types"),
    EventType.ICE_CHECKING: _nothing,
    EventType.ICE_CHECK: _pair,
    EventType.ICE_NOMINATED: _pair,
    EventType.ICE_SELECTED: _pair,
    EventType.ICE_CONNECTED: _nothing,
    EventType.ICE_FAILED: _values("reason"),
    EventType.ICE_CONSENT_LOST: _nothing,
    EventType.TURN_REFUSED: _values("method", "code", "reason"),
    EventType.ROLE_FAILED: _values("program", "error"),
    EventType.NAT_REBOOTED: _nothing,
    EventType.NAT_FLUSHED: _nothing,
    EventType.ROLE_KILLED: _nothing,
    EventType.ROLE_RESTARTED: _nothing,
    EventType.ROLE_PAUSED: _nothing,
    EventType.ROLE_RESUMED: _nothing,
    EventType.HOST_DETACHED: _values("links"),
    EventType.HOST_ATTACHED: _values("link"),
    EventType.LINK_CHANGED: _values("link"),
}
"""What is a step, and what of its data makes it another one."""

_NEGOTIATION: Final = frozenset({
    EventType.SIGNAL_SENT, EventType.SIGNAL_RECEIVED, EventType.ICE_GATHERING, EventType.ICE_CANDIDATE,
    EventType.ICE_CANDIDATE_ERROR, EventType.ICE_GATHERED, EventType.ICE_CHECKING, EventType.ICE_CHECK,
    EventType.ICE_NOMINATED, EventType.ICE_SELECTED,
})  # fmt: skip
_MEDIA_STEPS: Final[_Steps] = {
    **{type_: read for type_, read in _STEPS.items() if type_ not in _NEGOTIATION},
    EventType.MEDIA_RECEIVED: lambda data: data.get("sequence"),
}
"""Where media are looked at, how the call came to be is another story."""


def _without_numbers(value: JsonValue) -> JsonValue:
    """Return a text with its numbers made equal: they are ports, addresses and times, more often than not."""
    return _NUMBER.sub("#", value) if isinstance(value, str) else value


def _what(line: Line) -> object:
    assert isinstance(line, Event), "lanes hold events"
    read = _STEPS.get(line.type) or _MEDIA_STEPS[line.type]  # what is in both is the same in both
    return line.type, json.dumps(read(line.data))


def _lanes(events: Iterable[Event], call: str, *, media: bool) -> dict[Lane, list[Event]]:
    lanes: dict[Lane, list[Event]] = {}
    succeeded: set[str] = set()
    steps = _MEDIA_STEPS if media else _STEPS
    for event in events:
        if event.type not in steps:
            continue
        if call and event.call not in {"", call}:
            continue
        if event.type is EventType.ICE_CHECK and not _is_first_success(event, succeeded):
            continue
        lanes.setdefault((event.call, event.node), []).append(event)
    return lanes


def _is_first_success(event: Event, succeeded: set[str]) -> bool:
    """Whether a pair's check succeeded, and never before: how often it was tried is a matter of timing."""
    pair = json.dumps([event.call, event.node, event.data["local"], event.data["remote"]])
    if event.data["after"] != "SUCCEEDED" or pair in succeeded:
        return False
    succeeded.add(pair)
    return True


def _starts(lanes: Mapping[Lane, Sequence[Event]]) -> dict[str, float]:
    """Return when each call began; what is of no call begins with the trial."""
    starts = {"": 0.0}
    for (call, _), events in lanes.items():
        if call:
            starts[call] = min(starts.get(call, events[0].time), events[0].time)
    return starts


# Comparing

_Starts = tuple[Mapping[str, float], Mapping[str, float]]


def _departure(lane: Lane, apart: Divergence, here: Sequence[Event], starts: _Starts) -> Departure:
    passing, failing = apart.left, apart.right
    assert not isinstance(passing, str)
    assert not isinstance(failing, str)
    return Departure(
        call=lane[0],
        node=lane[1],
        passing=passing,
        failing=failing,
        since=here[apart.index - 1] if apart.index else None,
        passing_start=starts[0].get(lane[0], 0.0),
        failing_start=starts[1].get(lane[0], 0.0),
    )


def _latest_step(
    there: Mapping[Lane, Sequence[Event]], here: Mapping[Lane, Sequence[Event]], starts: _Starts
) -> Departure | None:
    """Return, of trials with the same steps, the one that took most longer than in the other."""
    behind = {lane: _behind(lane, there[lane], steps, starts) for lane, steps in here.items()}
    sent = {
        (call, str(step.data["kind"])): late
        for (call, node), steps in here.items()
        for step, late in zip(steps, behind[call, node], strict=True)
        if step.type is EventType.SIGNAL_SENT
    }
    found: list[Departure] = []
    for lane, steps in here.items():
        call, node = lane
        before = 0.0
        for number, (theirs, ours, after) in enumerate(zip(there[lane], steps, behind[lane], strict=True)):
            if ours.type is EventType.SIGNAL_RECEIVED:
                # What the other side was late to send is not lost on the way, nor by waiting for it.
                before = max(before, sent.get((call, str(ours.data["kind"])), before))
            if after - before >= LEAST_LATENESS:
                found.append(Departure(
                    call=call, node=node, passing=theirs, failing=ours, late=after - before,
                    since=steps[number - 1] if number else None,
                    passing_start=starts[0][call], failing_start=starts[1][call],
                ))  # fmt: skip
            before = after
    # Of equally late steps the first is the cause: the other side waited for it.
    return min(found, key=lambda one: (-round(one.late or 0.0, 6), one.happened), default=None)


def _behind(lane: Lane, there: Sequence[Event], here: Sequence[Event], starts: _Starts) -> list[float]:
    """Return by how many seconds each step of one trial came later into its call than in the other."""
    begun = starts[0][lane[0]], starts[1][lane[0]]
    return [
        (ours.time - begun[1]) - (theirs.time - begun[0]) for theirs, ours in zip(there, here, strict=True)
    ]

"""One call as its events tell it: what metrics need and a call's record does not keep, above all times."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lab.measure.calls import CallRecord, calls_of
from lab.spec.event import Event, EventType

HEALED = "healed"
"""The settings of a link.changed event that undoes a cut: no fault."""


@dataclass(slots=True)
class Flow:
    """The media of one direction. ``sent`` and ``arrived`` give by sequence number the time in seconds.

    ``weights`` gives for each sequence number sent how many packets it stands for; ``delays`` are (time of
    arrival, delay, count) of every arrival, duplicates included.
    """

    sent: dict[int, float] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    arrived: dict[int, float] = field(default_factory=dict)
    delays: list[tuple[float, float, int]] = field(default_factory=list)

    def between(self, first: float, last: float) -> Flow:
        """Return what was sent from ``first`` to ``last``, with the delays of what arrived then."""
        sent = {sequence: time for sequence, time in self.sent.items() if first <= time <= last}
        return Flow(
            sent=sent,
            weights={sequence: self.weights[sequence] for sequence in sent},
            arrived={sequence: time for sequence, time in self.arrived.items() if sequence in sent},
            delays=[arrival for arrival in self.delays if first <= arrival[0] <= last],
        )

    @property
    def loss(self) -> float:
        """The share that never arrived; something was sent."""
        lost = sum(weight for sequence, weight in self.weights.items() if sequence not in self.arrived)
        return lost / sum(self.weights.values())

    @property
    def gap(self) -> float:
        """The longest silence, in seconds, that lost packets made; 0 where none was lost."""
        longest, begun, heard = 0.0, None, None
        for sequence, sent in sorted(self.sent.items()):
            arrival = self.arrived.get(sequence)
            if arrival is None:
                begun = begun if begun is not None else (sent if heard is None else heard)
                longest = max(longest, sent - begun)
            else:
                if begun is not None:
                    longest = max(longest, arrival - begun)
                begun, heard = None, arrival
        return longest

    @property
    def outage(self) -> float:
        """The longest, in seconds, that something sent was waited for; something was sent."""
        sent = sorted(self.sent.values())
        arrivals = sorted((arrival, self.sent[sequence]) for sequence, arrival in self.arrived.items())
        longest, heard, newest = 0.0, sent[0], -math.inf
        for now, of in [*arrivals, (sent[-1], math.inf)]:
            awaited = bisect_right(sent, newest)  # the first that was sent after all that have arrived
            if awaited < len(sent):
                longest = max(longest, now - max(sent[awaited], heard))
            heard, newest = now, max(newest, of)
        return longest


@dataclass(frozen=True, kw_only=True)
class CallTrace:
    """One call.

    ``weight`` is how many calls it stands for, ``events`` those that name it and ``around`` those of the
    trial that may concern it, both in order and from its start on. ``callee`` is a node's name, also where
    that never heard of the call. ``signalling_only``: it has no media.
    """

    name: str
    caller: str
    callee: str
    started: float
    weight: int
    signalling_only: bool
    events: Sequence[Event]
    around: Sequence[Event]

    def record(self, within: float | None = None) -> CallRecord:
        """Return its record, of what happened within so many seconds of its start."""
        last = float("inf") if within is None else self.started + within
        (record,) = calls_of(event for event in self.events if event.time <= last)
        return record

    @cached_property
    def fault(self) -> float | None:
        """When the first thing was done to the network or a program after it began; None: never."""
        return next((event.time for event in self.around if _is_fault(event)), None)

    @cached_property
    def ended(self) -> float:
        """When somebody first hung up; infinite if nobody did."""
        hung_up = (event.time for event in self.events if event.type is EventType.CALL_ENDED)
        return next(hung_up, float("inf"))

    @cached_property
    def connected(self) -> float | None:
        """When the later side had its pair; None if one never did."""
        record = self.record()
        if not record.connected or record.callee is None:
            return None
        return max(record.caller.connected or 0.0, record.callee.connected or 0.0)

    @cached_property
    def consent_lost(self) -> float | None:
        """When the first side's consent expired, before anybody hung up; None: never."""
        return self._first(EventType.ICE_CONSENT_LOST, self.events)

    @cached_property
    def lost(self) -> float | None:
        """When it was lost after it had connected: consent expired, or a side's program ended."""
        connected = self.connected
        ends = (EventType.ROLE_FAILED, EventType.ROLE_KILLED)
        failed = [self._first(type_, self.around, since=connected or 0.0) for type_ in ends]
        times = [time for time in (self.consent_lost, *failed) if time is not None]
        return None if connected is None else min(times, default=None)

    def _first(self, type_: EventType, events: Iterable[Event], since: float = 0.0) -> float | None:
        concerned = (
            event.time
            for event in events
            if event.type is type_
            and since <= event.time < self.ended
            and event.node in {self.caller, self.callee}
        )
        return next(concerned, None)

    def flows(self) -> list[Flow]:
        """Return the media of each direction in which some was sent, the caller's first."""
        flows = {self.caller: Flow(), self.callee: Flow()}
        for event in self.events:
            if event.node not in flows:
                continue
            sequence: Any = event.data.get("sequence")
            if event.type is EventType.MEDIA_SENT:
                flow = flows[event.node]
                flow.sent[sequence] = event.time
                flow.weights[sequence] = event.count
            elif event.type is EventType.MEDIA_RECEIVED:
                flow = flows[self.callee if event.node == self.caller else self.caller]
                delay: Any = event.data["delay"]
                flow.arrived.setdefault(sequence, event.time)
                flow.delays.append((event.time, float(delay), event.count))
        return [flow for flow in flows.values() if flow.sent]


def traces_of(events: Sequence[Event]) -> list[CallTrace]:
    """Return the calls of a trial in the order they began."""
    starts: dict[str, int] = {}
    by_call: dict[str, list[Event]] = {}
    concerning: list[tuple[int, Event]] = []
    for position, event in enumerate(events):
        if event.call:
            by_call.setdefault(event.call, []).append(event)
        if event.type is EventType.CALL_STARTED:
            starts.setdefault(event.call, position)
        if event.type in _CONCERNING:
            concerning.append((position, event))
    return [
        _trace(events[start], by_call[call], [e for position, e in concerning if position > start])
        for call, start in starts.items()
    ]


def _trace(start: Event, events: Sequence[Event], around: Sequence[Event]) -> CallTrace:
    return CallTrace(
        name=start.call,
        caller=start.node,
        callee=str(start.data.get("callee", "")),
        started=start.time,
        weight=start.count,
        signalling_only=bool(start.data.get("signalling_only")),
        events=events,
        around=[event for event in around if event.call in {"", start.call}],
    )


_FAULTS = frozenset({
    EventType.NAT_REBOOTED, EventType.NAT_FLUSHED, EventType.ROLE_KILLED, EventType.ROLE_PAUSED,
    EventType.HOST_DETACHED,
})  # fmt: skip
_CONCERNING = _FAULTS | {EventType.LINK_CHANGED, EventType.ROLE_FAILED}


def _is_fault(event: Event) -> bool:
    if event.type is EventType.LINK_CHANGED:
        return event.data.get("settings") != HEALED
    return event.type in _FAULTS

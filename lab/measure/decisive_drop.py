"""Which dropped packet made a trial fail: the first that mattered and that passed elsewhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.measure.trace import Journey, PacketKind, PacketTrace, is_in_between, journeys_of
from lab.measure.verdict import Outcome, Verdict
from lab.spec.comparison import Comparator
from lab.spec.event import Event, EventType
from lab.spec.metric_catalogue import CATALOGUE, MetricKind, Statistic
from lab.spec.network import NodeKind

_NUMBER: Final = re.compile(r"\d+")
_FAULTS: Final = frozenset({
    EventType.LINK_CHANGED, EventType.NAT_REBOOTED, EventType.NAT_FLUSHED, EventType.ROLE_KILLED,
    EventType.ROLE_PAUSED, EventType.HOST_DETACHED,
})  # fmt: skip
_NEGOTIATION: Final = frozenset({PacketKind.STUN, PacketKind.TURN, PacketKind.TCP, PacketKind.DNS})


_MORE_WHEN_DROPPED: Final = frozenset({
    "ice.setup_time", "ice.gathering_time", "ice.checking_time", "ice.candidate_errors",
    "relay.share", "direct.missed", "media.delay", "media.loss", "media.gap", "media.outage",
    "consent.lost", "calls.lost", "packets.dropped",
})  # fmt: skip
_LESS_WHEN_DROPPED: Final = frozenset({
    "ice.connected", "path.host", "path.peer_reflexive", "path.server_reflexive", "path.direct",
    "direct.validated", "media.both_ways",
})  # fmt: skip
"""Metrics in which a dropped packet shows, and to which side; no drop explains the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisiveDrop:
    """A packet that ended at ``where``, ``time`` seconds into its trial, for a ``reason``.

    ``sender`` is the node that first sent it, ``words`` what it said; ``source`` and ``destination`` are
    ``host:port`` as the last interface saw them.
    """

    packet_id: int
    sender: str
    where: str
    time: float
    reason: str
    words: str
    source: str
    destination: str

    @classmethod
    def of(cls, journey: Journey) -> DecisiveDrop:
        """Return what a packet's way tells of its end."""
        assert journey.dropped is not None, "it arrived"
        return cls(
            packet_id=journey.packet_id,
            sender=journey.first.node,
            where=journey.dropped.where,
            time=journey.dropped.time,
            reason=journey.dropped.reason,
            words=journey.first.words,
            source=journey.last.source,
            destination=journey.last.destination,
        )

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> DecisiveDrop:
        """Return what stands in JSON, field by field.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        return DecisiveDrop(
            packet_id=int(data["packet_id"]),
            sender=str(data["sender"]),
            where=str(data["where"]),
            time=float(data["time"]),
            reason=str(data["reason"]),
            words=str(data["words"]),
            source=str(data["source"]),
            destination=str(data["destination"]),
        )


def can_explain(verdict: Verdict) -> bool:
    """Whether what was found is what dropped packets lead to: a call less, a second more, or nothing."""
    expectation, value = verdict.expectation, verdict.value
    metric, by_more = CATALOGUE[expectation.metric], expectation.metric in _MORE_WHEN_DROPPED
    if not by_more and metric.name not in _LESS_WHEN_DROPPED:
        return value is None
    if value is None or expectation.statistic is Statistic.COUNT:
        return True
    if metric.kind is MetricKind.SHARE and value == (0.0 if by_more else 1.0):
        return False  # as good as it can be
    if verdict.outcome is not Outcome.FAIL or expectation.comparator is Comparator.UNEQUAL:
        return True
    return (value > expectation.threshold) == by_more


def decisive_drop(
    trace: PacketTrace,
    events: Sequence[Event],
    *,
    metric: str,
    call: str = "",
    until: float | None = None,
    unlike: Iterable[Event] | None = None,
) -> DecisiveDrop | None:
    """Return the drop that tells most of why a trial failed; None where none does.

    Args:
        trace: the packets of the failing trial.
        events: its events.
        metric: what failed. Media count for metrics of media; for those of consent what asks for it, after
            the fault that the call met; for others what makes a call: connectivity checks, and all that is
            said to servers.
        call: the call that it is about; any, if empty.
        until: drops after this time (seconds) come too late to be the cause.
        unlike: the events of a passing trial. What was dropped there too, at the same place for the same
            reason, did no harm. Without them the first drop at a NAT box or on a link counts before one by a
            program, and that before one at a router: a private address has no route in the Internet, in any
            trial.
    """
    is_of_others = _is_of_others(events, call)
    since, last = _time_of(events, call, metric)
    until = last if until is None else min(until, last)
    harmless = {_kind_of_drop(e.node, str(e.data["reason"])) for e in unlike or () if _is_drop(e)}
    wanted = _wanted(metric)
    found = [
        journey
        for journey in journeys_of(trace)
        if journey.dropped is not None
        and since <= journey.dropped.time <= until
        and wanted(journey)
        and _kind_of_drop(journey.dropped.where, journey.dropped.reason) not in harmless
        and not is_of_others(journey)
    ]

    def order(journey: Journey) -> tuple[int, float]:
        return _usualness(trace, journey) if unlike is None else 0, _dropped_at(journey)

    decisive = min(found, key=order, default=None)
    return None if decisive is None else DecisiveDrop.of(decisive)


def _time_of(events: Sequence[Event], call: str, metric: str) -> tuple[float, float]:
    """Return when the first packet that counts, and the last, may have been dropped."""
    times = [event.time for event in events if event.call and (not call or event.call == call)]
    first, last = (min(times), max(times)) if times else (0.0, float("inf"))
    if not _is_of_consent(metric):
        return (first if call else 0.0), last
    connected = [e.time for e in events if e.type is EventType.ICE_CONNECTED and e.call == (call or e.call)]
    up = max(connected, default=first)
    return min((e.time for e in events if e.type in _FAULTS and up <= e.time <= last), default=up), last


def _is_of_consent(metric: str) -> bool:
    return metric in {"calls.lost", "consent.lost", "consent.detection_time"}


def _wanted(metric: str) -> Callable[[Journey], bool]:
    if metric == "packets.dropped":
        return lambda _: True
    if metric.startswith("media."):
        return lambda journey: PacketKind.MEDIA in journey.first.kinds
    if _is_of_consent(metric):
        return lambda journey: PacketKind.STUN in journey.first.kinds
    return lambda journey: bool(_NEGOTIATION & set(journey.first.kinds))


def _is_of_others(events: Sequence[Event], call: str) -> Callable[[Journey], bool]:
    """Return what tells packets that belong to other calls alone; without a call none does."""
    ends = {event.node for event in events if event.call == call}
    others = {event.node for event in events if event.call not in {"", call}} - ends
    if not call or not others:
        return lambda _: False
    return lambda journey: bool(others & set(journey.nodes)) and not ends & set(journey.nodes)


def _is_drop(event: Event) -> bool:
    return event.type is EventType.PACKET_DROPPED


def _kind_of_drop(where: str, reason: str) -> tuple[str, str]:
    return where, _NUMBER.sub("#", reason)


def _dropped_at(journey: Journey) -> float:
    assert journey.dropped is not None
    return journey.dropped.time


def _usualness(trace: PacketTrace, journey: Journey) -> int:
    """Return how usual a drop is at the kind of place where a packet ended."""
    assert journey.dropped is not None
    node = trace.network.nodes.get(journey.dropped.where)
    if node is None or node.kind is NodeKind.NAT:
        return 0
    return 2 if is_in_between(trace.network, node.name) else 1

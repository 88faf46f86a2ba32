"""Why a call took the path it took: what was possible, what was tried, what was dropped where. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.measure.calls import CallRecord
from lab.measure.predict import CandidateType, Prediction, Reach, predict_call
from lab.measure.trace import Journey, PacketTrace, journeys_of
from lab.spec.event import Event, EventType, PathClass

RELAYED: Final = "relay"


@dataclass(slots=True, kw_only=True)
class TriedPair:
    """A candidate pair of one side. ``started`` and ``succeeded`` in seconds; None: it never came to it."""

    node: str
    local_type: str
    local: str
    remote_type: str
    remote: str
    started: float | None = None
    succeeded: float | None = None

    @property
    def is_direct(self) -> bool:
        """Whether neither address is a relay's."""
        return RELAYED not in {self.local_type, self.remote_type}


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedChecks:
    """Checks, or their answers, that ended at one place for one reason.

    ``sender`` is the endpoint, ``by_relay`` whether its relay sent for it. ``source`` is the address that the
    place saw. ``packets`` are ids; ``first`` and ``last`` are when they were dropped (seconds).
    """

    where: str
    reason: str
    sender: str
    by_relay: bool
    source: str
    is_answer: bool
    packets: tuple[int, ...]
    first: float
    last: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One call. ``dropped`` are checks from before the path was there, ``dropped_later`` counts those after.

    ``pairs`` are those whose checks began, in that order; ``selected`` the pair that each side took.
    ``peers`` are whom the prediction calls alice and bob.
    """

    record: CallRecord
    peers: tuple[str, str]
    prediction: Prediction
    pairs: Sequence[TriedPair]
    selected: Mapping[str, TriedPair]
    dropped: Sequence[DroppedChecks]
    dropped_later: int

    @property
    def relayed_without_need(self) -> bool:
        """Whether a relay carries the call although a direct path was possible."""
        return self.record.path is PathClass.RELAY and self.prediction.reach is Reach.DIRECT

    def first_success(self, node: str) -> TriedPair | None:
        """Return the pair of a side that succeeded first."""
        succeeded = [p for p in self.pairs if p.node == node and p.succeeded is not None]
        return min(succeeded, key=lambda pair: pair.succeeded or 0.0, default=None)

    def beaten(self, node: str) -> list[TriedPair]:
        """Return the direct pairs of a side that had been tried, not yet with success, when it chose.

        A private address of the peer counts only where it can be reached at all.
        """
        chosen = self._chose_at(node)
        return [
            pair
            for pair in self.pairs
            if pair.node == node
            and pair.is_direct
            and self._may_work(pair)
            and (pair.started is not None and pair.started <= chosen)
            and (pair.succeeded is None or pair.succeeded > chosen)
        ]

    def _chose_at(self, node: str) -> float:
        sides = [side for side in (self.record.caller, self.record.callee) if side and side.node == node]
        return next((side.connected for side in sides if side.connected is not None), -1.0)

    def _may_work(self, pair: TriedPair) -> bool:
        seen_at = 1 if pair.node == self.peers[0] else 0
        host_works = any(types[seen_at] == CandidateType.HOST for types in self.prediction.direct)
        return pair.remote_type != CandidateType.HOST or host_works


def explain_call(record: CallRecord, events: Iterable[Event], trace: PacketTrace) -> Explanation:
    """Return what explains the path of a call that both sides learned of.

    Args:
        record: the call.
        events: those of its trial.
        trace: the packets of its trial.

    Raises:
        ValueError: the other side never learned of the call: there is no pair of peers to speak of.
    """
    if record.callee is None:
        raise ValueError(f"{record.call} has one side alone")
    mine = [event for event in events if event.call == record.call]
    ends = record.caller.node, record.callee.node
    # Where the hosts have the names that predictions use, each is called by its own.
    peers = ends if ends[0] == "alice" or "alice" not in ends else (ends[1], ends[0])
    settled = _settled(record, mine)
    checks = [j for j in _dropped_checks(trace, ends, mine) if mine[0].time <= j.first.time <= mine[-1].time]
    return Explanation(
        record=record,
        peers=peers,
        prediction=predict_call(trace.network, *peers),
        pairs=_pairs(mine),
        selected=_selected(mine),
        dropped=_grouped([j for j in checks if j.first.time <= settled], mine),
        dropped_later=sum(journey.first.time > settled for journey in checks),
    )


def _settled(record: CallRecord, events: Sequence[Event]) -> float:
    """Return when both sides had their path; the end of the call where they had none."""
    sides = [record.caller, record.callee] if record.callee else [record.caller]
    connected = [side.connected for side in sides if side.connected is not None]
    return max(connected) if len(connected) == 2 else events[-1].time


def _pairs(events: Iterable[Event]) -> list[TriedPair]:
    found: dict[tuple[str, str, str], TriedPair] = {}
    for event in events:
        if event.type is not EventType.ICE_CHECK:
            continue
        pair = found.setdefault(_pair_key(event), _pair(event))
        if event.data["after"] == "IN_PROGRESS" and pair.started is None:
            pair.started = event.time
        elif event.data["after"] == "SUCCEEDED" and pair.succeeded is None:
            pair.succeeded = event.time
    return list(found.values())


def _pair_key(event: Event) -> tuple[str, str, str]:
    local: Any = event.data["local"]
    remote: Any = event.data["remote"]
    return event.node, local["address"], remote["address"]


def _pair(event: Event) -> TriedPair:
    local: Any = event.data["local"]
    remote: Any = event.data["remote"]
    return TriedPair(
        node=event.node,
        local_type=local["type"],
        local=local["address"],
        remote_type=remote["type"],
        remote=remote["address"],
    )


def _selected(events: Iterable[Event]) -> dict[str, TriedPair]:
    return {event.node: _pair(event) for event in events if event.type is EventType.ICE_SELECTED}


def _dropped_checks(trace: PacketTrace, ends: tuple[str, str], events: Sequence[Event]) -> list[Journey]:
    journeys = journeys_of(trace)
    transactions = {_transaction(journey) for journey in journeys if journey.first.is_check}
    own = set(ends) | set(_relayed_addresses(events))
    return [
        journey
        for journey in journeys
        if journey.dropped is not None
        and (journey.first.is_check or _transaction(journey) in transactions)
        and (journey.first.node in own or journey.first.source in own or journey.nodes[-1] in own)
    ]


def _transaction(journey: Journey) -> str:
    """Return the STUN transaction id of what a packet says or carries; of others what names no check."""
    return journey.first.exchange.partition(" ")[0]


def _relayed_addresses(events: Iterable[Event]) -> dict[str, str]:
    """Return whose relayed address each is, from the sides' own candidates."""
    return {
        str(event.data["address"]): event.node
        for event in events
        if event.type is EventType.ICE_CANDIDATE and event.data.get("type") == RELAYED
    }


def _grouped(journeys: Iterable[Journey], events: Sequence[Event]) -> list[DroppedChecks]:
    owners = _relayed_addresses(events)
    groups: dict[tuple[str, str, str, str, bool], list[Journey]] = {}
    for journey in journeys:
        assert journey.dropped is not None
        sender = owners.get(journey.first.source, journey.first.node)
        key = (
            journey.dropped.where,
            journey.dropped.reason,
            sender,
            journey.last.source,
            not journey.first.is_check,
        )
        groups.setdefault(key, []).append(journey)
    return [_group(key, members) for key, members in groups.items()]


def _group(key: tuple[str, str, str, str, bool], members: Sequence[Journey]) -> DroppedChecks:
    where, reason, sender, source, is_answer = key
    times = [journey.dropped.time for journey in members if journey.dropped is not None]
    return DroppedChecks(
        where=where,
        reason=reason,
        sender=sender,
        by_relay=members[0].first.node != sender,
        source=source,
        is_answer=is_answer,
        packets=tuple(journey.packet_id for journey in members),
        first=min(times),
        last=max(times),
    )

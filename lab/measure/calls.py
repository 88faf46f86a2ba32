"""Events to calls: which path each call took, and how long each step took. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab.measure.predict.prediction import Reach
from lab.measure.statistics import percentile
from lab.spec.event import Event, EventType, PathClass


@dataclass(slots=True)
class Side:
    """What one endpoint of a call reported. Times in seconds of the run's clock; None: it never happened."""

    node: str
    started: float | None = None
    gathered_in: float | None = None
    turn_round_trip: float | None = None
    candidate_types: tuple[str, ...] = ()
    checking: float | None = None
    connected: float | None = None
    failed: str = ""
    local_type: str = ""
    remote_type: str = ""
    validated: frozenset[tuple[str, str]] | None = None
    sent: int = 0
    received: int = 0
    rtp_sent: int = 0
    rtp_received: int = 0
    delays: list[float] = field(default_factory=list)
    consent_lost: float | None = None
    sip_completed: int = 0
    sip_failed: Counter[str] = field(default_factory=Counter)
    """How many SIP calls failed, by reason."""
    sip_setup_times: list[tuple[float, int]] = field(default_factory=list)
    """Seconds from INVITE to its 200, and how many SIP calls took so long."""

    @property
    def sip_setup_median(self) -> float | None:
        """The median of the SIP calls' set-up times, in seconds."""
        return percentile(self.sip_setup_times, 50) if self.sip_setup_times else None

    @property
    def is_sip(self) -> bool:
        """Whether it told what became of SIP calls that it made."""
        return bool(self.sip_completed or self.sip_failed or self.sip_setup_times)

    @property
    def has_talked(self) -> bool:
        """Whether it sent media, of the lab's or its program's own."""
        return self.sent > 0 or self.rtp_sent > 0

    @property
    def has_heard(self) -> bool:
        """Whether it received media, of the lab's or its program's own."""
        return self.received > 0 or self.rtp_received > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call.

    ``path`` is the *selected* one; see :func:`selected_path`. ``setup_time`` runs from dialling to the later
    side's selected pair, in seconds; None when the call never connected. A call that is ``signalling_only``
    has no media: no path was looked for.
    """

    call: str
    caller: Side
    callee: Side | None
    path: PathClass
    setup_time: float | None
    signalling_only: bool = False

    @property
    def connected(self) -> bool:
        """Whether both sides selected a pair."""
        return self.path is not PathClass.NONE

    @property
    def sides(self) -> list[Side]:
        """The caller, and the callee if it ever learned of the call."""
        return [side for side in (self.caller, self.callee) if side is not None]

    @property
    def validated(self) -> Reach | None:
        """The best class of path on which a connectivity check succeeded, selected or not.

        None where no side told what its checks came to.
        """
        told = [side.validated for side in self.sides if side.validated is not None]
        pairs = [pair for validated in told for pair in validated]
        if any("relay" not in pair for pair in pairs):
            return Reach.DIRECT
        if pairs:
            return Reach.RELAY
        return Reach.NONE if told else None

    @property
    def media_both_ways(self) -> bool:
        """Whether each side received media of the other."""
        return self.callee is not None and self.caller.has_heard and self.callee.has_heard


def calls_of(events: Iterable[Event]) -> list[CallRecord]:
    """Return the calls that the events tell of, in the order they began."""
    sides: dict[str, dict[str, Side]] = {}
    callers: dict[str, str] = {}
    without_media: set[str] = set()
    for event in events:
        if not event.call:
            continue
        reader = _READERS.get(event.type)
        if reader is None:
            continue
        of_call = sides.setdefault(event.call, {})
        side = of_call.get(event.node)
        if side is None:
            side = of_call[event.node] = Side(event.node)
        reader(side, event)
        if event.type is EventType.CALL_STARTED:
            callers.setdefault(event.call, event.node)
            if event.data.get("signalling_only"):
                without_media.add(event.call)
    return [_record(call, caller, sides[call], call in without_media) for call, caller in callers.items()]


def selected_path(sides: Sequence[Side]) -> PathClass:
    """Return the class of the selected path, from what both sides selected (RFC 8445 §5.1.1).

    Relay if either side's own or remote address is a relay's; host if both see a host address of the other;
    peer-reflexive if either side knows the other's address from a check alone; server-reflexive otherwise.
    """
    if len(sides) < 2 or any(side.connected is None for side in sides):
        return PathClass.NONE
    remote = {side.remote_type for side in sides}
    if "relay" in remote or any(side.local_type == "relay" for side in sides):
        return PathClass.RELAY
    if remote == {"host"}:
        return PathClass.HOST
    return PathClass.PEER_REFLEXIVE if "prflx" in remote else PathClass.SERVER_REFLEXIVE


def _record(call: str, caller: str, by_node: dict[str, Side], signalling_only: bool) -> CallRecord:
    calling = by_node[caller]
    called = next((side for node, side in by_node.items() if node != caller), None)
    sides = [calling] if called is None else [calling, called]
    path = selected_path(sides)
    setup_time = None
    if path is not PathClass.NONE and calling.started is not None:
        setup_time = max(side.connected or 0.0 for side in sides) - calling.started
    return CallRecord(
        call=call, caller=calling, callee=called, path=path, setup_time=setup_time,
        signalling_only=signalling_only,
    )  # fmt: skip


def _started(side: Side, event: Event) -> None:
    side.started = event.time


def _gathered(side: Side, event: Event) -> None:
    side.gathered_in = (side.gathered_in or 0.0) + _number(event, "seconds")
    away: Any = event.data.get("turn_round_trip")
    side.turn_round_trip = side.turn_round_trip if away is None else away
    types: Any = event.data["types"]
    side.candidate_types = tuple(types)


def _checking(side: Side, event: Event) -> None:
    side.checking = event.time


def _validated(side: Side, event: Event) -> None:
    pairs: Any = event.data["pairs"]
    side.validated = frozenset((local, remote) for local, remote in pairs)


def _selected(side: Side, event: Event) -> None:
    local: Any = event.data["local"]
    remote: Any = event.data["remote"]
    side.local_type, side.remote_type = local["type"], remote["type"]


def _connected(side: Side, event: Event) -> None:
    side.connected = event.time


def _failed(side: Side, event: Event) -> None:
    side.failed = str(event.data["reason"])


def _consent_lost(side: Side, event: Event) -> None:
    side.consent_lost = event.time


def _sent(side: Side, event: Event) -> None:
    side.sent += event.count


def _received(side: Side, event: Event) -> None:
    side.received += event.count
    side.delays.append(_number(event, "delay"))


def _rtp(side: Side, event: Event) -> None:
    """Take a program's own figures: how many packets it has sent or received until then."""
    packets = int(_number(event, "packets"))
    if event.data["direction"] == "sent":
        side.rtp_sent = max(side.rtp_sent, packets)
    else:
        side.rtp_received = max(side.rtp_received, packets)


def _sip_answered(side: Side, event: Event) -> None:
    side.sip_setup_times.append((_number(event, "seconds"), event.count))


def _sip_completed(side: Side, event: Event) -> None:
    side.sip_completed += event.count


def _sip_failed(side: Side, event: Event) -> None:
    side.sip_failed[str(event.data["reason"])] += event.count


def _number(event: Event, key: str) -> float:
    value = event.data[key]
    assert isinstance(value, int | float)
    return float(value)


_READERS: Final = {
    EventType.CALL_STARTED: _started,
    EventType.ICE_GATHERED: _gathered,
    EventType.ICE_CHECKING: _checking,
    EventType.ICE_VALIDATED: _validated,
    EventType.ICE_SELECTED: _selected,
    EventType.ICE_CONNECTED: _connected,
    EventType.ICE_FAILED: _failed,
    EventType.ICE_CONSENT_LOST: _consent_lost,
    EventType.MEDIA_SENT: _sent,
    EventType.MEDIA_RECEIVED: _received,
    EventType.MEDIA_RTP: _rtp,
    EventType.SIP_ANSWERED: _sip_answered,
    EventType.SIP_COMPLETED: _sip_completed,
    EventType.SIP_FAILED: _sip_failed,
}

"""Wires that delay and lose: a process between the two ends of every impaired link.

The devices of a link's ends lead to two devices without addresses in a namespace of the wires. Whatever
arrives at one of them is sent from the other, when and if the link's direction says so: the same
:class:`~lab.protocols.impairment.LinkDirection` as in virtual time, with the same seed, so that it is the
same packets by number that are lost. What is no IP packet, and neighbour discovery, passes at once and is
not counted: virtual time has none of it.

Lines on the socket: first :class:`WireSetup`, then requests; each is answered by a line. In between come
events: what a link lost, doubled or let overtake, as in virtual time. Every delivery's lateness is kept: on a
machine that stalls, a trial shows the machine.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import os
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NoReturn, cast

from lab.emu.messages import decode_object
from lab.emu.nat_planes.engine.datagram import parse_datagram_untrusted
from lab.emu.nat_planes.engine.frames import ETHERNET_BYTES, ETHERNET_IPV4, ETHERNET_IPV6, Frame, Offload
from lab.emu.nat_planes.engine.sockets import DeviceSocket
from lab.emu.system_calls import enter_network, go_first, set_process_name, set_timer_slack
from lab.emu.timing.lateness import Lateness
from lab.errors import WireFormatError
from lab.protocols.impairment import Decision, Fate, LinkDirection, aim
from lab.spec.event import Event, EventType, JsonValue
from lab.spec.impairment import Impairment
from lab.spec.packet_drop import DropPackets
from nat_models.packet import Packet

_BURST: Final = 64
"""Frames read from a device before others have their turn."""
_ICMPV6: Final = 58
_NEIGHBOUR_DISCOVERY: Final = range(133, 138)  # RFC 4861 §4
_MULTICAST_LISTENERS: Final = frozenset({130, 131, 132, 143})  # RFC 2710, RFC 3810


@dataclass(frozen=True, kw_only=True)
class WireEnd:
    """One direction: what arrives at ``device`` leaves from ``onto``, impaired. ``name`` is for people."""

    device: str
    onto: str
    impairment: Impairment
    seed: int
    name: str


@dataclass(frozen=True, kw_only=True)
class WireSetup:
    """All directions, by (link label, sending node).

    ``namespace`` is the file of the wires' namespace (empty: they are in it); ``trial`` is the key that
    events carry, ``origin`` when the trial's clock was zero (seconds of the monotonic clock).
    """

    namespace: str
    ends: Mapping[tuple[str, str], WireEnd]
    trial: str = ""
    origin: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ChangeLink:
    """A request: impair a link otherwise from now on; ``impairments`` are by sending node."""

    link: str
    impairments: Mapping[str, Impairment]


Request = ChangeLink | DropPackets | None
"""None asks for no more than the answer, which every request gets: what was carried, and how late."""


@dataclass(slots=True)
class _Parcel:
    """A frame under way, as long as its IP packet: all that an impairment asks for."""

    length: int
    frame: bytes
    offload: Offload
    payload: bytes = b""
    """Empty: what is too long for a link is for the devices at its ends to say."""

    @property
    def packet(self) -> Packet | None:
        """What it carries; None if it is no packet that the lab knows."""
        return _read(self.frame[ETHERNET_BYTES:])


def _read(data: bytes) -> Packet | None:
    try:
        return replace(parse_datagram_untrusted(data).packet, wire_length=len(data))
    except WireFormatError:
        return None


def describe_packet(data: bytes) -> str:
    """Return the words for an IP packet in the events of a link."""
    packet = _read(data)
    return packet.describe() if packet is not None else f"{len(data)} bytes"


def _seen_by(matching: Callable[[Packet], bool]) -> Callable[[Packet], bool]:
    """Ask what a parcel carries; one that carries no packet that the lab knows is none of those meant."""

    def matches(parcel: Packet) -> bool:
        packet = cast("_Parcel", parcel).packet
        return packet is not None and matching(packet)

    return matches


_FATES: Final = {Fate.DUPLICATE: EventType.PACKET_DUPLICATED, Fate.REORDER: EventType.PACKET_REORDERED}


class Wires:
    """The running wires. Times are those of the monotonic clock, in seconds."""

    def __init__(self, setup: WireSetup) -> None:
        self._setup = setup
        self._directions: dict[tuple[str, str], LinkDirection] = {}
        self.events: list[Event] = []
        """What befell packets, and was not told yet."""
        self._sockets: dict[str, DeviceSocket] = {}
        self._ways: dict[int, tuple[DeviceSocket, LinkDirection, DeviceSocket]] = {}
        self._under_way: list[tuple[float, int, DeviceSocket, _Parcel]] = []
        self._order = itertools.count()
        self._poll = select.epoll()
        self._changed = 0.0
        self._last: dict[str, float] = {}
        self.lateness = Lateness()
        for end in setup.ends.values():
            self._sockets[end.device] = DeviceSocket(end.device)
        for key, end in setup.ends.items():
            direction = self._directions[key] = LinkDirection(end.impairment, end.seed, end.name)
            arriving = self._sockets[end.device]
            self._ways[arriving.fileno()] = arriving, direction, self._sockets[end.onto]
            self._poll.register(arriving.fileno(), select.EPOLLIN)

    def carry_out(self, request: Request) -> None:
        """Do what is asked for.

        Raises:
            ValueError: a packet is to be lost that has been sent already.
        """
        if isinstance(request, ChangeLink):
            self._changed = time.monotonic()
            for node, impairment in request.impairments.items():
                self._directions[request.link, node].change(impairment, self._changed)
        elif isinstance(request, DropPackets):
            ends = {node: one for (label, node), one in self._directions.items() if label == request.link}
            aim(request, ends, _seen_by)

    def watch(self, control: int) -> None:
        """Let :meth:`step` return when there is something to read on a descriptor."""
        self._poll.register(control, select.EPOLLIN)

    def step(self, control: int, longest: float | None = None) -> bool:
        """Carry what is due and what has come, after ``longest`` seconds at the latest.

        Return whether there is something to read on ``control``.
        """
        timeout = longest
        if self._under_way:
            due = max(0.0, self._under_way[0][0] - time.monotonic())
            timeout = due if longest is None else min(due, longest)
        if timeout is None or timeout > 0:
            # epoll itself would round up to milliseconds.
            select.select([self._poll.fileno()], [], [], timeout)
        self._deliver_due()
        asked = False
        for descriptor, _ in self._poll.poll(0):
            if descriptor == control:
                asked = True
            else:
                self._take(*self._ways[descriptor])
        return asked

    def _deliver_due(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            due, _, onto, parcel = heapq.heappop(self._under_way)
            onto.write(Frame(onto.device, parcel.frame, parcel.offload))
            self.lateness.note(now - due)

    def _take(self, arriving: DeviceSocket, direction: LinkDirection, onto: DeviceSocket) -> None:
        for _ in range(_BURST):
            read = arriving.read()
            if read is None:
                return
            frame, offload, at = read
            if not is_counted(frame):
                onto.write(Frame(onto.device, frame, offload))
                continue
            # By when it came, not by when this process had a processor to see it; and time never falls.
            now = self._last[arriving.device] = max(at, self._changed, self._last.get(arriving.device, 0.0))
            parcel = _Parcel(len(frame) - ETHERNET_BYTES, frame, offload)
            carried = direction.carry(cast("Packet", parcel), now)
            if not isinstance(carried, Decision):
                heapq.heappush(self._under_way, (carried, next(self._order), onto, parcel))
                continue
            for due, _ in carried.deliveries:
                heapq.heappush(self._under_way, (due, next(self._order), onto, parcel))
            if carried.reason or carried.fate:
                self._note(now, direction.label, parcel, carried)

    def _note(self, now: float, label: str, parcel: _Parcel, decided: Decision) -> None:
        """Record what befell a packet, in the words of virtual time."""
        told: dict[str, JsonValue] = {"packet": describe_packet(parcel.frame[ETHERNET_BYTES:])}
        if decided.reason:
            types, told = [EventType.PACKET_DROPPED], {"reason": decided.reason, **told}
        else:
            types = [type_ for fate, type_ in _FATES.items() if fate in decided.fate]
        for type_ in types:
            data = {**told, "index": decided.packet_index}
            self.events.append(Event(time=now - self._setup.origin, type=type_, node=label, data=data))


def is_counted(frame: bytes) -> bool:
    """Return whether a frame holds an IP packet that some program or kernel sent to another."""
    kind = int.from_bytes(frame[12:14])
    if kind == ETHERNET_IPV4:
        return True
    if kind != ETHERNET_IPV6:
        return False
    next_header, icmp_type = frame[20:21], frame[54:55]
    if next_header == b"\0":  # hop-by-hop options: only listeners' reports have them here
        return False
    if next_header != bytes([_ICMPV6]) or not icmp_type:
        return True
    return icmp_type[0] not in _NEIGHBOUR_DISCOVERY and icmp_type[0] not in _MULTICAST_LISTENERS


def run_wires(control: socket.socket, first_line: bytes) -> NoReturn:
    """Be the wires that the first line says, until the socket is closed."""
    setup = decode_object(first_line.decode())
    set_process_name("wires")
    if setup.namespace:
        enter_network(setup.namespace)
    set_timer_slack(1)
    go_first()
    wires = Wires(setup)
    wires.watch(control.fileno())
    told = _Told(control)
    with control.makefile("rb", buffering=0) as lines:
        told.answer(wires.lateness.as_data())
        while True:
            asked = wires.step(control.fileno(), told.retry_after)
            for event in wires.events:
                told.add(event.to_json(setup.trial))
            wires.events.clear()
            if asked:
                line = lines.readline()
                if not line:
                    os._exit(0)
                told.answer(_answer(wires, decode_object(line.decode())))
            told.send()


def _answer(wires: Wires, request: Request) -> Mapping[str, object]:
    try:
        wires.carry_out(request)
    except ValueError as error:
        return {"refused": str(error)}
    return wires.lateness.as_data()


class _Told:
    """Lines for the agent. They wait here while it is busy: a wire must not."""

    _RETRY: Final = 0.01

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiting = bytearray()

    @property
    def retry_after(self) -> float | None:
        """In how many seconds to try again to send what waits; None if nothing does."""
        return self._RETRY if self._waiting else None

    def add(self, line: str) -> None:
        """Let a line be sent."""
        self._waiting += line.encode() + b"\n"

    def answer(self, report: Mapping[str, object]) -> None:
        """Let an answer be sent, at once if that can be done."""
        self.add(json.dumps(report))
        self.send()

    def send(self) -> None:
        """Send as much as the socket takes."""
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                del self._waiting[: self._control.send(self._waiting, socket.MSG_DONTWAIT)]

"""A box in userspace, without its sockets: frames in, frames out, and a time to be woken."""

from __future__ import annotations

import random as random_module
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from lab.emu.nat_planes.engine.answers import answer_bytes
from lab.emu.nat_planes.engine.datagram import Datagram, parse_datagram_untrusted
from lab.emu.nat_planes.engine.frames import (
    ETHERNET_ARP,
    ETHERNET_BYTES,
    ETHERNET_IPV4,
    ETHERNET_IPV6,
    NO_OFFLOAD,
    Frame,
    Offload,
)
from lab.emu.nat_planes.engine.neighbours import ASK_EVERY, Neighbours
from lab.emu.nat_planes.wiring import BoxWiring
from lab.errors import WireFormatError
from lab.spec.event import EventType, JsonValue
from lab.spec.nat_events import NAT_EVENT_TYPES
from nat_models.answers import echo_reply, icmp_error
from nat_models.engine import Nat
from nat_models.model import NatModel
from nat_models.outcome import Emission, Outcome, Side
from nat_models.packet import IcmpType, Packet

HELD_LIMIT: Final = 2048
"""Packets whose bytes are kept because the engine holds them; the oldest are forgotten first."""

MOST_HAPPENED: Final = 50_000
"""Events that are kept until they are told: of a few calls there are hundreds."""

_Network = IPv4Network | IPv6Network


class Happened(NamedTuple):
    """Something that a trial is to know: when on the monotonic clock, and what, as the data of an event."""

    at: float
    type: EventType
    data: Mapping[str, JsonValue]


class UserspaceBox:
    """The engine between devices.

    Args:
        model: What the box does.
        wiring: Its devices, addresses and routes.
        hardware: The hardware address of each device.
        random: Where random ports come from.
        mtu: The longest IP packet that each device sends, in bytes.
    """

    def __init__(
        self,
        model: NatModel,
        wiring: BoxWiring,
        hardware: Mapping[str, bytes],
        random: random_module.Random,
        mtu: Mapping[str, int] | None = None,
    ) -> None:
        self._wiring = wiring
        self._hardware = hardware
        self._mtu = mtu or {}
        self._nat = Nat(
            model,
            external_addresses=wiring.external_addresses,
            internal_networks=wiring.internal_networks,
            random=random,
        )
        own: dict[str, list[str]] = {device: [] for device in hardware}
        for device, address in wiring.addresses:
            own[device].append(address.partition("/")[0])
        own[wiring.outside] += [a for a in wiring.external_addresses if a not in own[wiring.outside]]
        self._own = own
        self._own_inside = {a for device in wiring.inside for a in own[device]}
        self._neighbours = Neighbours(hardware, own)
        self._routes = _sorted_routes(wiring)
        self._next_hop = lru_cache(maxsize=65536)(self._find_next_hop)
        self._held: dict[int, Datagram] = {}
        self._serial = 0
        self.drops: Counter[str] = Counter()
        """Why packets went no further, and how many."""
        self.happened: list[Happened] = []
        """What was not told yet, up to :data:`MOST_HAPPENED`; further drops are counted alone."""

    def receive(self, device: str, frame: bytes, now: float, offload: Offload = NO_OFFLOAD) -> list[Frame]:
        """Return the frames that an arriving frame leads to."""
        if len(frame) < ETHERNET_BYTES or not self._is_for_us(device, frame):
            return []
        kind = int.from_bytes(frame[12:14])
        try:
            if kind == ETHERNET_ARP:
                return self._neighbours.arp_untrusted(device, frame[ETHERNET_BYTES:])
            if kind == ETHERNET_IPV6:
                found = self._neighbours.discovery_untrusted(device, frame[ETHERNET_BYTES:])
                if found is not None:
                    return found
            if kind not in {ETHERNET_IPV4, ETHERNET_IPV6}:
                return []
            self._serial += 1
            datagram = parse_datagram_untrusted(frame[ETHERNET_BYTES:], self._serial)
        except WireFormatError as error:
            self.drops[str(error)] += 1  # no packet that there are words for
            return []
        if frame[0] & 1:
            return []  # multicast and broadcast stay on their link
        return self._handle(device, datagram, now, offload)

    def next_wake(self, now: float) -> float | None:
        """Return when :meth:`wake` may have something to do; None: never."""
        due = self._nat.next_wake()
        if self._neighbours.is_waiting:
            due = now + ASK_EVERY if due is None else min(due, now + ASK_EVERY)
        return due

    def wake(self, now: float) -> list[Frame]:
        """Return the frames that are due."""
        frames = self._neighbours.ask_again(now)
        return frames + self._carry_out(self._nat.wake(now), None, now, NO_OFFLOAD)

    def reboot(self, now: float) -> None:
        """Lose all state, that of neighbours included."""
        self._nat.reboot(now)  # of this whoever asked for it tells
        self._held.clear()
        self._neighbours.forget_all()

    def flush(self, now: float) -> None:
        """Lose every mapping, and nothing else."""
        self._nat.flush(now)

    @property
    def mappings(self) -> int:
        """How many mappings the engine holds."""
        return len(self._nat.mappings)

    def _is_for_us(self, device: str, frame: bytes) -> bool:
        return bool(frame[0] & 1) or frame[:6] == self._hardware[device]

    def _handle(self, device: str, datagram: Datagram, now: float, offload: Offload) -> list[Frame]:
        packet = datagram.packet
        side = Side.OUTSIDE if device == self._wiring.outside else Side.INSIDE
        if packet.destination[0] in self._own_inside:
            return self._taken(datagram, side, now)
        if side is Side.INSIDE and packet.destination[0] not in self._wiring.external_addresses:
            hop = self._next_hop(packet.destination[0])
            if hop is None:
                return self._drop("no route", datagram, now)
            if hop[0] != self._wiring.outside:
                return self._between_inside_networks(device, hop[0], datagram, now, offload)
        if packet.ttl <= 1 and not self._is_echo_to_us(packet):
            return self._expired(device, datagram, now)
        return self._carry_out(self._nat.handle(packet, side, now), datagram, now, offload)

    def _taken(self, datagram: Datagram, side: Side, now: float) -> list[Frame]:
        """Answer an echo request to the box's own inside address; it serves nothing else."""
        packet = datagram.packet
        if side is Side.OUTSIDE or packet.icmp is None or packet.icmp.type is not IcmpType.ECHO_REQUEST:
            return self._drop("addressed to the box itself", datagram, now)
        return self._route(echo_reply(packet), datagram, now, NO_OFFLOAD)

    def _between_inside_networks(
        self, device: str, onward: str, datagram: Datagram, now: float, offload: Offload
    ) -> list[Frame]:
        if self._wiring.isolated and onward != device:
            return self._drop("the box isolates its inside networks from each other", datagram, now)
        if datagram.packet.ttl <= 1:
            return self._expired(device, datagram, now)
        return self._route(datagram.packet, datagram, now, offload)

    def _is_echo_to_us(self, packet: Packet) -> bool:
        is_request = packet.icmp is not None and packet.icmp.type is IcmpType.ECHO_REQUEST
        return is_request and packet.destination[0] in self._wiring.external_addresses

    def _expired(self, device: str, datagram: Datagram, now: float) -> list[Frame]:
        self._drop("hop limit reached", datagram, now)
        return self._report(device, datagram, IcmpType.TIME_EXCEEDED, now)

    def _report(
        self, device: str, datagram: Datagram, kind: IcmpType, now: float, mtu: int = 0
    ) -> list[Frame]:
        """Send an ICMP error of the box's own to the sender of a packet that came by ``device``."""
        error = icmp_error(datagram.packet, kind)
        own = [a for a in self._own[device] if (":" in a) == datagram.packet.is_ipv6]
        if error is None or not own:
            return []
        assert error.icmp is not None
        error = replace(error, source=(own[0], 0), icmp=error.icmp._replace(mtu=mtu), packet_id=0)
        return self._route(error, datagram, now, NO_OFFLOAD)

    def _carry_out(
        self, outcome: Outcome, datagram: Datagram | None, now: float, offload: Offload
    ) -> list[Frame]:
        for event in outcome.events:
            self._note(now, NAT_EVENT_TYPES[event.kind], event.as_data())
        if outcome.reason:
            if datagram is not None and outcome.reason.startswith("held:"):
                self._hold(datagram)
            else:
                self._drop(outcome.reason, datagram, now)
        frames = []
        for emission in outcome.packets:
            cause = self._bytes_of(emission, datagram)
            if cause is not None:
                frames += self._route(
                    emission.packet, cause, now, offload if cause is datagram else NO_OFFLOAD
                )
        return frames

    def _hold(self, datagram: Datagram) -> None:
        self._held[datagram.packet.packet_id] = datagram
        if len(self._held) > HELD_LIMIT:
            del self._held[next(iter(self._held))]

    def _bytes_of(self, emission: Emission, datagram: Datagram | None) -> Datagram | None:
        """Return the packet that an emission is a translation of, or an answer to."""
        number = emission.packet.packet_id or emission.packet.cause_id
        if datagram is not None and number == datagram.packet.packet_id:
            return datagram
        return self._held.pop(number, None)

    def _route(self, packet: Packet, cause: Datagram, now: float, offload: Offload) -> list[Frame]:
        """Return a packet in the frames that take it to its next hop."""
        hop = self._next_hop(packet.destination[0])
        if hop is None:
            return self._drop("no route", cause, now)
        device, neighbour = hop
        if packet.packet_id:
            data = cause.rewritten(packet, unfinished=offload.unfinished)
        else:
            data, offload = answer_bytes(packet, cause), NO_OFFLOAD
        if len(data) > self._mtu.get(device, 65535) and not offload.segmented:
            return self._too_long(device, cause, now)
        kind = ETHERNET_IPV6 if packet.is_ipv6 else ETHERNET_IPV4
        return self._neighbours.send(device, neighbour, kind.to_bytes(2) + data, now, offload)

    def _too_long(self, device: str, cause: Datagram, now: float) -> list[Frame]:
        self._drop("longer than the next link takes", cause, now)
        arrived = self._next_hop(cause.packet.source[0])
        if arrived is None or not (cause.packet.dont_fragment or cause.packet.is_ipv6):
            return []
        return self._report(arrived[0], cause, IcmpType.FRAGMENTATION_NEEDED, now, self._mtu[device])

    def _drop(self, reason: str, datagram: Datagram | None, now: float) -> list[Frame]:
        """Note that a packet goes no further (None: what the box has held until now)."""
        self.drops[reason] += 1
        said = ""
        if datagram is not None:
            said = replace(datagram.packet, wire_length=len(datagram.data)).describe()
        self._note(now, EventType.PACKET_DROPPED, {"reason": reason, "packet": said})
        return []

    def _note(self, now: float, type_: EventType, data: Mapping[str, JsonValue]) -> None:
        if len(self.happened) < MOST_HAPPENED:
            self.happened.append(Happened(now, type_, data))

    def _find_next_hop(self, address: str) -> tuple[str, str] | None:
        parsed = ip_address(address)
        for network, device, via in self._routes:
            if parsed.version == network.version and parsed in network:
                return device, via or address
        return None


def _sorted_routes(wiring: BoxWiring) -> list[tuple[_Network, str, str]]:
    """Return the routes, longest prefix first; what is on a link is reached there."""
    routes = [(ip_network(prefix), device, via) for prefix, device, via in wiring.routes]
    routes += [(ip_network(a, strict=False), device, "") for device, a in wiring.addresses]
    return sorted(routes, key=lambda route: (-route[0].prefixlen, bool(route[2])))

"""The NAT engine: one box, as a function of packets and time.

Theory of operation. A packet that arrives inside is asked for by the outbound rules, finds or makes its
mapping (:mod:`nat_models.mappings`), opens that mapping's filter for its destination and leaves with the
mapping's external endpoint. A packet that arrives outside must find a mapping at the endpoint it is
addressed to, and a permit for its sender there. A packet from inside to one of the box's own external
addresses does both (hairpin). Time comes with every call and randomness from the generator given at the
start: equal calls have equal outcomes.

Expiry is lazy: a mapping whose time is past is ended by whatever meets it first, or by :meth:`Nat.wake`.

What is not translated is filtered all the same: IPv6 through a translating box, and everything through a
firewall, goes by the model's filtering axis with the internal endpoint in place of the mapping (RFC 6092 §3.2
words it so for IPv6 gateways). TTL and path MTU belong to whoever routes the packets.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from ipaddress import ip_address, ip_network

from nat_models.answers import echo_reply, icmp_error
from nat_models.expiry import ExpiryQueue
from nat_models.firewall import OutboundRules
from nat_models.fragments import FragmentTracker
from nat_models.icmp import inbound_error, outbound_error
from nat_models.mapping_entry import MappingView
from nat_models.mappings import MappingTable
from nat_models.model import Hairpinning, NatModel, Transparency
from nat_models.outcome import DroppedError, Emission, ExhaustedError, NatEvent, NatEventKind, Outcome, Side
from nat_models.packet import IcmpType, IpProtocol, Packet, format_address
from nat_models.plane import Plane
from nat_models.ports import PortAllocator
from nat_models.unsolicited import Refusals

_INSIDE, _OUTSIDE = Side.INSIDE, Side.OUTSIDE
_UDP, _TCP = IpProtocol.UDP, IpProtocol.TCP  # on every packet's way: looked up once
_AWAY, _OWN, _WITHIN = range(3)
_PLACES_LIMIT = 65536

_emission = tuple.__new__  # a named tuple's own constructor, a function in Python, takes three times as long

# Of thousands of boxes most have the same few networks inside, and the same servers beyond.
_network = lru_cache(maxsize=4096)(partial(ip_network, strict=False))
_address = lru_cache(maxsize=4096)(ip_address)


class Nat:
    """One NAT box or firewall.

    Args:
        model: What the box does.
        external_addresses: The addresses it translates to, as text; empty for a box that does not translate.
        internal_networks: The networks inside, as text with prefix length. A packet from inside to one of
        them is
            handed back unchanged, towards the inside. A network that also holds an external address says
            nothing about where a packet belongs and is ignored, so that overlapping address spaces work (RFC
            4787 REQ-7).
        random: Where random ports come from.
    """

    def __init__(
        self,
        model: NatModel,
        *,
        external_addresses: Sequence[str],
        internal_networks: Sequence[str] = (),
        random: random_module.Random,
    ) -> None:
        self.model = model
        self.external_addresses = tuple(external_addresses)
        self._own = frozenset(external_addresses)
        networks = [_network(text) for text in internal_networks]
        own = [_address(text) for text in external_addresses]
        self._networks = [network for network in networks if not any(address in network for address in own)]
        self._places: dict[str, int] = {}
        self._events: list[NatEvent] = []
        self._queue = ExpiryQueue()
        translates = model.transparency is Transparency.TRANSLATE
        v4_addresses = [a for a in external_addresses if ":" not in a]
        self._ports = PortAllocator(model, v4_addresses, random) if translates else None
        self._ipv4 = Plane(model, self._queue, self._events, self._ports)
        self._passes_all = model.transparency is Transparency.NONE
        self._rules = OutboundRules(model.outbound_rules) if model.outbound_rules else None
        self._fragments = FragmentTracker(model.fragment_memory)
        self._refusals = Refusals(model)

    @cached_property
    def _ipv6(self) -> Plane:
        """Made when the first IPv6 packet comes: through most boxes of a large network none does."""
        return Plane(self.model, self._queue, self._events, None)

    def handle(self, packet: Packet, arrived: Side, now: float) -> Outcome:
        """Return what becomes of a packet that arrives on one side at ``now``.

        ``now`` is in seconds of a clock that never goes back. The packet itself is not changed; where nothing
        is translated it is handed on as the same object.
        """
        try:
            if packet.fragment is not None and not self._passes_all:
                emissions = self._fragment(packet, arrived, now)
            elif arrived is _OUTSIDE:
                emissions = self._inward(packet, now)
            else:
                emissions = self._outward(packet, now)
        except DroppedError as dropped:
            return Outcome(dropped.answers, self._drain(), dropped.reason)
        if self._events:
            return Outcome(emissions, self._drain())
        return Outcome(emissions)

    def next_wake(self) -> float | None:
        """Return when :meth:`wake` may have something to do: never late, at times early. None: never."""
        expiries = self._queue.heap
        due = expiries[0][0] if expiries else None
        held_syns, fragments = self._refusals.held_syns, self._fragments
        if not held_syns.held and not fragments.held:
            return due  # nearly always, and asked after every packet
        for other in (held_syns.next_due(), fragments.next_time()):
            if other is not None and (due is None or other < due):
                due = other
        return due

    def wake(self, now: float) -> Outcome:
        """End what has expired and send what was held back until ``now``."""
        self._queue.sweep(now)
        overdue = self._refusals.held_syns.overdue(now)
        answers = [answer for syn in overdue for answer in self._refusals.answer(syn)]
        given_up = self._fragments.expire(now)
        reason = f"{given_up} fragments given up: the first one never came" if given_up else ""
        return Outcome(tuple(answers), self._drain(), reason)

    def reboot(self, now: float) -> Outcome:
        """Lose all state. One event says how many mappings went; they are not reported one by one."""
        lost = self._forget_mappings(now)
        if self._ports is not None:
            self._ports.forget_all()
        self._fragments.forget_all()
        self._refusals.held_syns.forget_all()
        self._events.append(NatEvent(kind=NatEventKind.REBOOTED, time=now, mappings=lost))
        return Outcome((), self._drain())

    def flush(self, now: float) -> Outcome:
        """Lose every mapping, as ``conntrack -F`` does, and nothing else; one event says how many.

        How ports are given goes on from where it was: the next of a sequence, the block and the address of a
        host. Fragments and unsolicited SYNs that are held are no mappings.
        """
        lost = self._forget_mappings(now)
        if self._ports is not None:
            self._ports.free_all()
        self._events.append(NatEvent(kind=NatEventKind.FLUSHED, time=now, mappings=lost))
        return Outcome((), self._drain())

    def _forget_mappings(self, now: float) -> int:
        """Empty the tables, and return how many mappings were alive."""
        self._queue.sweep(now)
        alive = len(self.mappings)
        for table in self._tables:
            table.forget_all()
        self._queue.forget_all()
        return alive

    @property
    def mappings(self) -> tuple[MappingView, ...]:
        """What the box holds; mappings that expired and were not yet noticed are among them."""
        return tuple(view for table in self._tables for view in table.views())

    @property
    def _tables(self) -> list[MappingTable]:
        """The tables that were needed so far."""
        ipv6: Plane | None = vars(self).get("_ipv6")
        return self._ipv4.tables + ([] if ipv6 is None else ipv6.tables)

    def take_apart(self) -> None:
        """Undo the knot of references that a box is; it is of no use afterwards.

        A table refers to its mappings and they to it: memory that else only the garbage collector would find.
        """
        for table in self._tables:
            vars(table).clear()

    # From inside to outside

    def _outward(self, packet: Packet, now: float) -> tuple[Emission, ...]:
        address = packet.destination[0]
        place = self._places.get(address)
        if place is None:
            place = self._locate(address)
        if place == _WITHIN:
            return (_emission(Emission, (packet, _INSIDE)),)
        if self._rules is not None:
            self._rules.check(packet)
        plane = self._ipv6 if ":" in address else self._ipv4
        if place == _OWN:
            return self._to_own_address(packet, plane, now)
        if self._passes_all:
            return (Emission(packet, _OUTSIDE),)
        try:
            return (_emission(Emission, (self._translated_out(packet, plane, now), _OUTSIDE)),)
        except ExhaustedError as exhausted:
            if self.model.refusal_icmp:
                answer = icmp_error(packet, IcmpType.ADMINISTRATIVELY_PROHIBITED)
                exhausted.answers = () if answer is None else (Emission(answer, _INSIDE),)
            raise

    def _translated_out(self, packet: Packet, plane: Plane, now: float) -> Packet:
        if packet.icmp is not None and packet.icmp.is_error:
            self._check_errors_pass()
            return outbound_error(packet, plane.table, now)
        translator = plane.udp if packet.protocol is _UDP else plane.translator(packet)
        source, destination = translator.outbound(packet, now)
        if not plane.translates:
            return packet
        if packet.protocol is _TCP:
            self._refusals.held_syns.cancel(source, destination)
        return packet.translated(source=source, destination=destination)

    def _to_own_address(self, packet: Packet, plane: Plane, now: float) -> tuple[Emission, ...]:
        """Take a packet from inside to one of the box's own mappings out and in again (RFC 4787 §6)."""
        if packet.icmp is not None and packet.icmp.type is IcmpType.ECHO_REQUEST:
            return (Emission(echo_reply(packet), _INSIDE),)
        if self._passes_all or not plane.translates:
            raise DroppedError("addressed to the box itself")
        if self.model.hairpinning is Hairpinning.NONE:
            raise DroppedError(
                f"no hairpinning: {format_address(packet.destination)} is the box's own address"
            )
        outside = self._translated_out(packet, plane, now)
        inside = self._translated_in(outside, plane, now)
        if self.model.hairpinning is Hairpinning.INTERNAL_SOURCE:
            inside = inside.translated(source=packet.source)
        return (Emission(inside, _INSIDE),)

    # From outside to inside

    def _inward(self, packet: Packet, now: float) -> tuple[Emission, ...]:
        if self._passes_all:
            if packet.destination[0] in self._own:
                raise DroppedError("addressed to the box itself")
            return (Emission(packet, _INSIDE),)
        plane = self._ipv6 if ":" in packet.source[0] else self._ipv4
        if plane.translates and packet.destination[0] not in self._own:
            raise DroppedError(f"{packet.destination[0]} is not an address of this box")
        try:
            return (_emission(Emission, (self._translated_in(packet, plane, now), _INSIDE)),)
        except DroppedError as dropped:
            raise self._refusals.refuse(packet, plane, dropped.reason, now) from None

    def _translated_in(self, packet: Packet, plane: Plane, now: float) -> Packet:
        if packet.icmp is not None and packet.icmp.is_error:
            self._check_errors_pass()
            return inbound_error(packet, plane.table, now)
        translator = plane.udp if packet.protocol is _UDP else plane.translator(packet)
        destination, source = translator.inbound(packet, now)
        return packet.translated(source=source, destination=destination) if plane.translates else packet

    # Helpers

    def _fragment(self, packet: Packet, arrived: Side, now: float) -> tuple[Emission, ...]:
        if not self.model.fragments:
            raise DroppedError("fragments are not forwarded")
        if arrived is _OUTSIDE:
            return self._fragments.handle(packet, arrived, now, lambda first: self._inward(first, now))
        return self._fragments.handle(packet, arrived, now, lambda first: self._outward(first, now))

    def _check_errors_pass(self) -> None:
        if not self.model.icmp_errors:
            raise DroppedError("ICMP errors are not passed")

    def _locate(self, address: str) -> int:
        place = _AWAY
        if address in self._own:
            place = _OWN
        elif self._networks:
            parsed = _address(address)
            if any(parsed in network for network in self._networks):
                place = _WITHIN
        if len(self._places) >= _PLACES_LIMIT:
            self._places.clear()
        self._places[address] = place
        return place

    def _drain(self) -> tuple[NatEvent, ...]:
        events = tuple(self._events)
        self._events.clear()
        return events

"""A NAT box on the simulated network: the pure engine, with ports, a clock and a wake-up timer."""

from __future__ import annotations

import asyncio
import math

from lab.sim.node import Port, SimNode
from lab.sim.process import KERNEL_CONTEXT
from lab.spec.event import EventType
from lab.spec.nat_events import NAT_EVENT_TYPES
from nat_models import Nat, NatEvent, Outcome, Side
from nat_models.model import Transparency
from nat_models.packet import IcmpType, Packet

_INSIDE, _OUTSIDE = Side.INSIDE, Side.OUTSIDE  # on every packet's way: looked up once


class SimNatBox(SimNode):
    """Gives the engine what arrives, and routes what it gives back.

    Boxes nest to any depth: each is one node.
    """

    forwards = True
    nat: Nat
    _timer: asyncio.TimerHandle | None = None
    _wakes_at = math.inf

    def attach(self, ports: list[Port]) -> None:
        """Take the interfaces and build the engine from them."""
        super().attach(ports)
        assert self.spec.nat is not None
        inside = {port.link for port in ports if not port.outside}
        self.nat = Nat(
            self.spec.nat,
            external_addresses=self.spec.external_addresses,
            internal_networks=tuple(str(r.destination) for r in self.spec.routes if r.link in inside),
            random=self.network.random(self.name, "nat"),
        )
        self._external = frozenset(self.spec.external_addresses)
        self._leads_out: set[str] = set()
        """Destinations met that lie beyond the box."""
        self._isolates = bool(self.spec.options.get("isolate", False))

    def receive(self, packet: Packet, port: Port) -> None:
        """Translate, filter and forward; packets between two inside networks are only routed."""
        if port.outside:
            side = _OUTSIDE
        else:
            side = _INSIDE
            if packet.destination[0] not in self._leads_out and self._stays_inside(packet, port):
                return
        if packet.ttl <= 1 and not self._is_pinged(packet):
            self.expire(packet)
            return
        outcome = self.nat.handle(packet, side, self.loop.now)
        self._apply(outcome, packet)
        # Nothing else brings an expiry nearer: a mapping made, something held, a TCP session that ends.
        if outcome.events or outcome.reason or packet.tcp is not None:
            self._arm()

    def _stays_inside(self, packet: Packet, port: Port) -> bool:
        destination = packet.destination[0]
        if destination in self._external:
            return False
        if destination in self._own:
            self.take(packet)
            return True
        hop = self.next_hop(destination)
        if hop is None or hop[0].outside:
            self._leads_out.add(destination)
            return False
        if self._isolates and hop[0] is not port:
            self.network.drop(packet, self.name, "the box isolates its inside networks from each other")
        else:
            self.forward(packet)
        return True

    def _is_pinged(self, packet: Packet) -> bool:
        is_request = packet.icmp is not None and packet.icmp.type is IcmpType.ECHO_REQUEST
        return is_request and packet.destination[0] in self._own

    def send_icmp_error(self, kind: IcmpType, about: Packet, mtu: int = 0) -> None:
        """Report on ``about`` to its sender, in the addresses that the sender knows.

        A packet is found too big for a link when it has been translated already: the box translates the
        report back (RFC 5508 REQ-4 and REQ-5 say so of reports from beyond it).
        """
        error = self.icmp_error(kind, about, mtu)
        if error is None:
            return
        if about.source[0] in self._external:
            self._apply(self.nat.handle(error, Side.OUTSIDE, self.loop.now), error, forwards=False)
        elif mtu and self._came_in_translated(about):
            self._apply(self.nat.handle(error, Side.INSIDE, self.loop.now), error, forwards=False)
        else:
            self.send_packet(error)

    def _came_in_translated(self, packet: Packet) -> bool:
        if packet.is_ipv6 or self.nat.model.transparency is not Transparency.TRANSLATE:
            return False
        back = self.next_hop(packet.source[0])
        return back is not None and back[0].outside

    def _apply(self, outcome: Outcome, packet: Packet | None, *, forwards: bool = True) -> None:
        """Carry out what the engine said of ``packet``, or (None) of its own accord."""
        for event in outcome.events:
            self._report(event, packet)
        if outcome.reason and not outcome.reason.startswith("held:"):
            self._drop(packet, outcome.reason)
        for emission in outcome.packets:
            onward = emission.packet
            if not onward.packet_id:
                onward.packet_id = self.next_packet_id()
            elif forwards:
                if onward is packet:
                    onward = packet.translated()
                onward.ttl -= 1
            self.send_packet(onward)

    def _drop(self, packet: Packet | None, reason: str) -> None:
        if packet is not None:
            self.network.drop(packet, self.name, reason)
        else:
            self.network.emit(EventType.PACKET_DROPPED, node=self.name, reason=reason, packet="")

    def _report(self, event: NatEvent, packet: Packet | None) -> None:
        self.network.emit(
            NAT_EVENT_TYPES[event.kind],
            node=self.name,
            packet_id=0 if packet is None else packet.packet_id,
            **event.as_data(),  # type: ignore[arg-type]  # the data has no reserved key
        )

    def _arm(self) -> None:
        due = self.nat.next_wake()
        if due is None or due >= self._wakes_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(due, self._woken, context=KERNEL_CONTEXT)
        self._wakes_at = due

    def _woken(self) -> None:
        self._timer = None
        self._wakes_at = math.inf
        self._apply(self.nat.wake(self.loop.now), None)
        self._arm()

    def take_apart(self) -> None:
        """Let go of everything, the engine's tables included."""
        self.nat.take_apart()
        super().take_apart()

    def reboot(self) -> None:
        """Forget every mapping, as after a power cycle."""
        self._apply(self.nat.reboot(self.loop.now), None)

    def flush(self) -> None:
        """Forget every mapping and nothing else, as ``conntrack -F`` on the box."""
        self._apply(self.nat.flush(self.loop.now), None)

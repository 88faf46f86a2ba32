"""A packet's way to a neighbour: one link, or several with switches between, and then an interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.protocols.impairment import Decision
from nat_models.packet import IcmpType

if TYPE_CHECKING:
    from lab.protocols.impairment import LinkDirection
    from lab.sim.node import Port
    from nat_models.packet import Packet


class Leg:
    """One link in one direction, on the way of packets that ``sender`` sends to some neighbour.

    ``onward`` is what a packet enters next: another leg, or the neighbour's interface.
    """

    __slots__ = ("_direction", "_loop", "_pass_on", "_sender", "_waits")

    def __init__(self, direction: LinkDirection, onward: Leg | Port, sender: Port) -> None:
        self._direction = direction
        self._pass_on = onward.enter
        self._sender = sender
        self._loop = sender.node.network.loop
        # A host takes nothing before the sender is done, not even over a link without delay.
        self._waits = not isinstance(onward, Leg) and not onward.node.forwards

    def enter(self, packet: Packet) -> None:
        """Hand a packet to the link; over one that takes no time it goes on at once."""
        loop = self._loop
        now = loop.now
        carried = self._direction.carry(packet, now)
        if isinstance(carried, Decision):
            self._carry_out(carried, packet, now)
        elif carried > now or self._waits:
            loop.post(carried, self._pass_on, packet)
        else:
            self._pass_on(packet)

    def _carry_out(self, decision: Decision, packet: Packet, now: float) -> None:
        """Drop, deliver twice, in pieces, or tell the sender that the packet is too big."""
        network, label = self._sender.node.network, self._direction.label
        if decision.reason and not decision.lost:
            network.drop(packet, label, decision.reason, decision.packet_index)
            if decision.mtu:
                self._sender.node.send_icmp_error(IcmpType.FRAGMENTATION_NEEDED, packet, decision.mtu)
            return
        for fragment, reason, index in decision.lost:
            network.drop(fragment, label, reason, index)
        if decision.fate:
            network.note_fate(packet, label, decision.fate, decision.packet_index)
        for when, delivered in decision.deliveries:
            if when > now or self._waits:
                self._loop.post(when, self._pass_on, delivered)
            else:
                self._pass_on(delivered)

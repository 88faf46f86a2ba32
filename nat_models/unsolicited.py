"""What becomes of inbound packets that nothing admits (:class:`~nat_models.model.Unsolicited`).

Most boxes drop them. Some answer; a SYN only after a while (RFC 5382 REQ-4). A Linux router without an INPUT
drop takes them for its own, answers, and remembers the flow: the flow then holds its endpoints against the
inside.
"""

from __future__ import annotations

from nat_models.answers import echo_reply, icmp_error, tcp_reset
from nat_models.held_syns import HeldSyns
from nat_models.model import NatModel, Unsolicited
from nat_models.outcome import DroppedError, Emission, Side
from nat_models.packet import IcmpType, Packet
from nat_models.plane import Plane
from nat_models.tcp_tracking import is_initial_syn

CLOSED_TCP_SECONDS = 10.0
"""How long the flow of a segment that the box reset is remembered (``nf_conntrack_tcp_timeout_close``)."""


class Refusals:
    """One box's treatment of packets that are not admitted, and the SYNs it holds meanwhile."""

    def __init__(self, model: NatModel) -> None:
        self._model = model
        self.held_syns = HeldSyns()

    def refuse(self, packet: Packet, plane: Plane, reason: str, now: float) -> DroppedError:
        """Return what becomes of a packet that was not admitted for ``reason``, to be raised."""
        policy = self._policy(packet)
        if policy is Unsolicited.INPUT_ACCEPT:
            return self._delivered(packet, plane, reason, now)
        is_syn = packet.tcp is not None and is_initial_syn(int(packet.tcp.flags))
        seconds = self._model.tcp.syn_hold
        if not is_syn or seconds == 0 or policy is Unsolicited.DROP:
            return DroppedError(reason, self.answer(packet))
        if self.held_syns.hold(packet, now + seconds):
            return DroppedError(f"held: unsolicited SYN, {reason}; refused in {seconds:g} s if none goes out")
        return DroppedError(reason)

    def answer(self, packet: Packet) -> tuple[Emission, ...]:
        """Return what the sender of a refused packet is told, if anything."""
        policy = self._policy(packet)
        if policy is Unsolicited.RST:
            return _outside(tcp_reset(packet))
        if policy is Unsolicited.ICMP_UNREACHABLE and packet.icmp is None:
            return _outside(icmp_error(packet, IcmpType.PORT_UNREACHABLE))
        return ()

    def _policy(self, packet: Packet) -> Unsolicited:
        return self._model.unsolicited if packet.tcp is None else self._model.tcp.unsolicited

    def _delivered(self, packet: Packet, plane: Plane, reason: str, now: float) -> DroppedError:
        """Let the box itself take a packet: an echo request, UDP or TCP; nobody listens there."""
        if not plane.translates:
            return DroppedError(reason)  # not addressed to the box
        if packet.icmp is not None:
            is_request = packet.icmp.type is IcmpType.ECHO_REQUEST
            return DroppedError(reason, _outside(echo_reply(packet) if is_request else None))
        if packet.tcp is None:
            seconds = self._model.lifetimes.unreplied
            answer = icmp_error(packet, IcmpType.PORT_UNREACHABLE)
        else:
            seconds, answer = CLOSED_TCP_SECONDS, tcp_reset(packet)
        flows = plane.table(packet.protocol).flows
        flows.deliver(packet.destination, packet.source, now, now + seconds)
        return DroppedError(f"{reason}; taken by the box itself, which remembers the flow", _outside(answer))


def _outside(answer: Packet | None) -> tuple[Emission, ...]:
    return () if answer is None else (Emission(answer, Side.OUTSIDE),)

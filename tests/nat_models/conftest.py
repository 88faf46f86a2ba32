"""A box on the bench: send a packet at it from either side, look at what comes out."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from nat_models import Nat, NatModel, Outcome, Side, load_preset
from nat_models.packet import Fragment, IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

EXTERNAL = "203.0.113.1"


class Bench:
    """One box, a clock that the test moves, and short ways to send."""

    def __init__(self, model: NatModel | str, addresses=(EXTERNAL,), networks=(), seed=1, **axes) -> None:
        self.model = load_preset(model, **axes) if isinstance(model, str) else model
        self.nat = Nat(
            self.model,
            external_addresses=addresses,
            internal_networks=networks,
            random=random.Random(seed),
        )
        self.now = 0.0
        self.serial = 0
        self.last = Outcome()

    def handle(self, packet: Packet, side: Side) -> Outcome:
        self.serial += 1
        packet.packet_id = self.serial
        self.last = self.nat.handle(packet, side, self.now)
        return self.last

    def wait(self, seconds: float) -> None:
        self.now += seconds

    # UDP: the address that the other side sees, or None where the packet was dropped

    def out(self, internal, remote, payload=b"x"):
        """Send from inside; return the source seen outside (or inside, hairpinned)."""
        outcome = self.handle(Packet(IpProtocol.UDP, internal, remote, payload), Side.INSIDE)
        return outcome.packets[0].packet.source if outcome.packets and not outcome.reason else None

    def into(self, remote, external, payload=b"x"):
        """Send from outside; return the internal endpoint that it reached."""
        outcome = self.handle(Packet(IpProtocol.UDP, remote, external, payload), Side.OUTSIDE)
        return outcome.packets[0].packet.destination if outcome.packets and not outcome.reason else None

    # TCP

    def segment(self, source, destination, flags: TcpFlag, side: Side) -> Outcome:
        return self.handle(Packet(IpProtocol.TCP, source, destination, tcp=TcpHeader(flags, 100, 200)), side)

    # ICMP

    def echo(self, source, destination, kind: IcmpType, side: Side) -> Outcome:
        return self.handle(Packet(IpProtocol.ICMP, source, destination, icmp=IcmpMessage(kind)), side)

    def error(self, source: str, destination: str, about: Packet, side: Side, kind=IcmpType.PORT_UNREACHABLE):
        packet = Packet(IpProtocol.ICMP, (source, 0), (destination, 0), icmp=IcmpMessage(kind, about))
        return self.handle(packet, side)

    # Fragments

    def fragment(self, source, destination, offset, more, side: Side, ident=7) -> Outcome:
        packet = Packet(
            IpProtocol.UDP, source, destination, b"f" * 8, fragment=Fragment(ident, offset, more=more)
        )
        return self.handle(packet, side)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    return Bench

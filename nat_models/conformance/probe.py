"""Experiments on a box from both sides, with a clock that jumps. The model is built from, never read."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

from nat_models.engine import Nat
from nat_models.model import NatModel
from nat_models.outcome import Outcome, Side
from nat_models.packet import (
    Fragment,
    IcmpMessage,
    IcmpType,
    IpProtocol,
    Packet,
    TcpFlag,
    TcpHeader,
    TransportAddress,
)

EXTERNAL = "203.0.113.1"
POOL = tuple(f"203.0.113.{n}" for n in range(1, 5))
HOST = ("10.0.0.2", 5000)
OTHER_HOST = ("10.0.0.3", 5000)
REMOTE = ("198.51.100.7", 3478)
REMOTE_OTHER_PORT = ("198.51.100.7", 3479)
OTHER_REMOTE = ("198.51.100.8", 3478)
WEB = ("198.51.100.7", 443)
"""TCP is tried towards port 443, which the strictest policy lets out."""
OTHER_WEB = ("198.51.100.8", 443)
ROUTER = "192.0.2.254"

_HALF = b"fragment"
"""What each of two fragments carries: with its header the first one is 16 bytes long."""
_SUM_OF_BOTH = 2 * sum(int.from_bytes(_HALF[i : i + 2]) for i in range(0, len(_HALF), 2)) % 0xFFFF

LONGEST = 10 * 24 * 3600.0
"""Lifetimes beyond ten days are reported as such."""


class Box:
    """A freshly built box. ``now`` in seconds."""

    def __init__(self, model: NatModel, addresses: Sequence[str], networks: Sequence[str]) -> None:
        self.nat = Nat(
            model, external_addresses=addresses, internal_networks=networks, random=random.Random(1)
        )
        self.now = 0.0

    def handle(self, packet: Packet, side: Side) -> Outcome:
        """Give the box a packet now."""
        return self.nat.handle(packet, side, self.now)

    def wait(self, seconds: float) -> tuple[Packet, ...]:
        """Let time pass, with every wake-up the box asks for; return what it sent by itself."""
        end, sent = self.now + seconds, []
        while (due := self.nat.next_wake()) is not None and due <= end:
            self.now = max(self.now, due)
            sent += [emission.packet for emission in self.nat.wake(self.now).packets]
        self.now = end
        return tuple(sent)

    def jump(self, seconds: float) -> None:
        """Let time pass without a wake-up; what has expired is noticed by the next packet."""
        self.now += seconds

    # UDP

    def out(
        self, internal: TransportAddress, remote: TransportAddress, payload: bytes = b"probe"
    ) -> TransportAddress | None:
        """Send from inside; return the source that the other side sees, None where it did not pass."""
        return _source(self.handle(Packet(IpProtocol.UDP, internal, remote, payload), Side.INSIDE))

    def into(
        self, remote: TransportAddress, external: TransportAddress, payload: bytes = b"probe"
    ) -> TransportAddress | None:
        """Send from outside; return the internal endpoint that it reached."""
        return _destination(self.handle(Packet(IpProtocol.UDP, remote, external, payload), Side.OUTSIDE))

    # TCP

    def segment(
        self,
        source: TransportAddress,
        destination: TransportAddress,
        flags: TcpFlag,
        side: Side,
        payload: bytes = b"",
    ) -> Outcome:
        """Send one segment."""
        return self.handle(
            Packet(IpProtocol.TCP, source, destination, payload, tcp=TcpHeader(flags, 1, 1)), side
        )

    def tcp_out(
        self, internal: TransportAddress, remote: TransportAddress, flags: TcpFlag
    ) -> TransportAddress | None:
        """Send a segment from inside; return the source seen outside."""
        return _source(self.segment(internal, remote, flags, Side.INSIDE))

    def tcp_in(
        self, remote: TransportAddress, external: TransportAddress, flags: TcpFlag
    ) -> TransportAddress | None:
        """Send a segment from outside; return the internal endpoint that it reached."""
        return _destination(self.segment(remote, external, flags, Side.OUTSIDE))

    def connect(self, internal: TransportAddress, remote: TransportAddress) -> TransportAddress | None:
        """Shake hands; return the external endpoint, None where a segment did not pass."""
        external = self.tcp_out(internal, remote, TcpFlag.SYN)
        if external is None or self.tcp_in(remote, external, TcpFlag.SYN | TcpFlag.ACK) is None:
            return None
        return self.tcp_out(internal, remote, TcpFlag.ACK)

    # ICMP

    def ping(self, host: str, ident: int, remote: str) -> TransportAddress | None:
        """Send an echo request; return the external address and identifier."""
        request = IcmpMessage(IcmpType.ECHO_REQUEST)
        return _source(
            self.handle(Packet(IpProtocol.ICMP, (host, ident), (remote, 0), icmp=request), Side.INSIDE)
        )

    def pong(self, remote: str, external: TransportAddress) -> TransportAddress | None:
        """Send an echo reply; return the internal address and identifier that it reached."""
        reply = IcmpMessage(IcmpType.ECHO_REPLY)
        return _destination(
            self.handle(Packet(IpProtocol.ICMP, (remote, 0), external, icmp=reply), Side.OUTSIDE)
        )

    def error(
        self,
        about: Packet,
        reporter: str,
        target: str,
        side: Side,
        kind: IcmpType = IcmpType.PORT_UNREACHABLE,
    ) -> Packet | None:
        """Send an ICMP error; return it as it came out."""
        packet = Packet(IpProtocol.ICMP, (reporter, 0), (target, 0), icmp=IcmpMessage(kind, about))
        outcome = self.handle(packet, side)
        return outcome.packets[0].packet if outcome.packets and not outcome.reason else None

    # Fragments

    def fragment(
        self, source: TransportAddress, destination: TransportAddress, ident: int, *, first: bool, side: Side
    ) -> int:
        """Send one of two fragments; return how many came out."""
        ports = (source, destination) if first else ((source[0], 0), (destination[0], 0))
        part = Fragment(ident, 0 if first else 16, first, 2 * len(_HALF), _SUM_OF_BOTH)
        return len(self.handle(Packet(IpProtocol.UDP, *ports, _HALF, fragment=part), side).packets)


class Probe:
    """What can be asked of a model by building boxes of it."""

    def __init__(self, model: NatModel) -> None:
        self._model = model

    def box(
        self, addresses: Sequence[str] = (EXTERNAL,), networks: Sequence[str] = (), **changes: Any
    ) -> Box:
        """Return a new box; ``changes`` configure it, as an administrator would."""
        model = dataclasses.replace(self._model, **changes) if changes else self._model
        return Box(model, addresses, networks)

    def reconfigured(self, record: str, **changes: Any) -> Any:
        """Return one of the model's nested records with fields changed, for :meth:`box`."""
        return dataclasses.replace(getattr(self._model, record), **changes)


def longest_idle(alive_after: Callable[[float], bool], resolution: float = 0.05) -> float:
    """Return the idle time in seconds up to which an experiment finds state alive, to ``resolution``.

    Each call of ``alive_after`` must start from a new box. :data:`LONGEST` stands for everything beyond it.
    """
    if alive_after(LONGEST):
        return LONGEST
    low, high = 0.0, 1.0
    while high < LONGEST and alive_after(high):
        low, high = high, high * 2
    while high - low > resolution:
        middle = (low + high) / 2
        low, high = (middle, high) if alive_after(middle) else (low, middle)
    return high


def in_words(seconds: float) -> str:
    """Return a measured lifetime for people."""
    return "more than 10 days" if seconds >= LONGEST else f"{seconds:.0f} s"


def counted(number: int, thing: str) -> str:
    """Return a number of things for people: ``1 port``, ``2 ports``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _source(outcome: Outcome) -> TransportAddress | None:
    return outcome.packets[0].packet.source if outcome.packets and not outcome.reason else None


def _destination(outcome: Outcome) -> TransportAddress | None:
    return outcome.packets[0].packet.destination if outcome.packets and not outcome.reason else None

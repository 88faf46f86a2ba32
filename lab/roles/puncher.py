"""The exhaustive punching endpoint: what two peers can reach when they try everything, for long.

It is no ICE agent. It measures what is *possible*: each of its sockets, and its relayed address if it has
one, sends a check to every candidate of the peer and to every address it hears from, round after round,
answers every check, and counts a pair once an answer came back from where the check went to (RFC 8445
§7.2.5.2.1). An address that a check came from is tried from where it was heard alone (RFC 8445 §7.3.1.3).

Some boxes bind a flow to the port its first packet used, so that who sends first decides: hence several
attempts, each with fresh sockets and another order. What is reached is the union.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aioice.stun
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.turn import create_turn_endpoint

from lab.errors import WireFormatError
from lab.protocols.signalling import IceDescription
from lab.protocols.stun import (
    Attribute,
    Message,
    MessageBuilder,
    MessageClass,
    Method,
    looks_like_stun,
    parse_message_untrusted,
)
from lab.roles.context import RoleContext
from lab.roles.endpoint.config import TurnServers
from lab.spec.event import EventType
from nat_models.packet import TransportAddress

TypePair = tuple[str, str]
"""(type of the own address as the peer sees it, type of the peer's address), in the words of SDP."""

Exchange = Callable[[IceDescription], Awaitable[IceDescription]]
"""Signalling: hands over the own description, returns the peer's of the same attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One order of events. Each pair is (the caller's, the callee's) value.

    ``starts``: seconds after the exchange at which a side begins to send checks; it answers from the
    beginning. ``rounds``: how many rounds it sends of its own accord. An address it hears from is checked at
    once in any case.
    """

    starts: tuple[float, float] = (0.0, 0.0)
    rounds: tuple[int, int] = (5, 5)


LAG: Final = 0.4
"""Seconds by which the later side starts later: longer than a round trip, so that the first side's packets
are
there before."""

ATTEMPTS: Final = (
    Attempt(),
    Attempt(starts=(0.0, LAG)),
    Attempt(starts=(LAG, 0.0)),
    # One round that opens the own filter, then silence until the other side is heard.
    Attempt(starts=(0.0, LAG), rounds=(1, 5)),
    Attempt(starts=(LAG, 0.0), rounds=(5, 1)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PuncherConfig:
    """One side, its servers and its times.

    ``caller`` tells the two sides of the attempts apart. ``interval`` is the time between rounds in seconds,
    ``linger`` how long a side stays to answer after the last round of both. TURN's ``transports`` are tried
    in order until one gives an allocation, each for ``patience`` seconds, as is the STUN server.
    """

    caller: bool
    stun: TransportAddress | None = None
    turn: TurnServers | None = None
    transports: tuple[str, ...] = ("udp", "tcp", "tls")
    attempts: tuple[Attempt, ...] = ATTEMPTS
    interval: float = 0.1
    linger: float = 0.5
    patience: float = 1.0


class Puncher:
    """One side. Run :meth:`punch` on both sides, joined by an exchange."""

    def __init__(self, config: PuncherConfig, context: RoleContext, exchange: Exchange) -> None:
        self._config = config
        self._context = context
        self._exchange = exchange

    async def punch(self) -> frozenset[TypePair]:
        """Make all attempts; return the pairs of types on which a check of this side succeeded."""
        reached: set[TypePair] = set()
        relay = await self._allocate()
        try:
            for attempt in self._config.attempts:
                reached |= await self._try(attempt, relay)
        finally:
            if relay is not None:
                relay.close()
        self._context.emit(EventType.ICE_VALIDATED, pairs=[[*pair] for pair in sorted(reached)])
        return frozenset(reached)

    async def _allocate(self) -> _Leg | None:
        """Return the relayed address of the first transport that gives one."""
        turn = self._config.turn
        if turn is None:
            return None
        for transport in self._config.transports:
            if transport not in turn.addresses:
                continue
            try:
                async with asyncio.timeout(self._config.patience):
                    _, leg = await create_turn_endpoint(
                        lambda: _Leg("relay"),
                        turn.addresses[transport],
                        turn.username,
                        turn.password,
                        transport="udp" if transport == "udp" else "tcp",
                        ssl=transport == "tls",
                    )
            except (TimeoutError, OSError, aioice.stun.TransactionError):
                continue
            return leg
        return None

    async def _try(self, attempt: Attempt, relay: _Leg | None) -> set[TypePair]:
        legs = [await self._open(address) for address in self._context.addresses]
        punch = _Punch(self._config, self._context, [*legs, *([relay] if relay else [])])
        try:
            await punch.gather()
            punch.meet(await self._exchange(punch.describe()))
            await punch.run(attempt)
        finally:
            for leg in legs:
                leg.close()
        return punch.reached

    async def _open(self, address: str) -> _Leg:
        loop = asyncio.get_running_loop()
        _, leg = await loop.create_datagram_endpoint(lambda: _Leg("host"), local_addr=(address, 0))
        return leg


class _Leg(asyncio.DatagramProtocol):
    """An own transport address: a socket, or a TURN allocation. ``type`` is that of its candidate."""

    def __init__(self, type_: str) -> None:
        self.type = type_
        self.receiver: Callable[[_Leg, bytes, TransportAddress], None] | None = None
        self.heard: dict[TransportAddress, None] = {}
        self.address: TransportAddress = ("", 0)
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self.receiver is not None:
            self.receiver(self, data, addr[:2])

    def error_received(self, exc: Exception) -> None:
        """Ignore: a candidate without a route, or a channel that was refused, is one that is not reached."""

    def send(self, data: bytes, target: TransportAddress) -> None:
        if _family(target) == _family(self.address):
            self._transport.sendto(data, target)

    def close(self) -> None:
        self._transport.close()


@dataclass(slots=True)
class _Punch:
    """One attempt."""

    config: PuncherConfig
    context: RoleContext
    legs: list[_Leg]
    reached: set[TypePair] = field(default_factory=set)
    own: dict[TransportAddress, str] = field(default_factory=dict)
    """Own candidates: address to type."""
    theirs: dict[TransportAddress, str] = field(default_factory=dict)
    _checks: dict[bytes, tuple[_Leg, TransportAddress]] = field(default_factory=dict)
    _mapped: dict[bytes, asyncio.Future[TransportAddress]] = field(default_factory=dict)
    _started: bool = False
    _credentials: tuple[str, bytes] = ("", b"")
    _peer: tuple[str, bytes] = ("", b"")

    def __post_init__(self) -> None:
        fragment, password = (f"{self._draw(bits):0{bits // 4}x}" for bits in (32, 128))
        self._credentials = (fragment, password.encode())
        for leg in self.legs:
            leg.receiver, leg.heard = self._received, {}
            self.own[leg.address] = leg.type

    def _draw(self, bits: int) -> int:
        return self.context.random("puncher").getrandbits(bits)

    # Gathering

    async def gather(self) -> None:
        """Ask the STUN server for the reflexive address of every socket."""
        if self.config.stun is None:
            return
        sockets = [
            leg
            for leg in self.legs
            if leg.type == "host" and _family(leg.address) == _family(self.config.stun)
        ]
        for mapped in await asyncio.gather(*(self._ask(leg, self.config.stun) for leg in sockets)):
            if mapped is not None:
                self.own.setdefault(mapped, "srflx")

    async def _ask(self, leg: _Leg, server: TransportAddress) -> TransportAddress | None:
        transaction = self._draw(96).to_bytes(12)
        request = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction).finish()
        answer: asyncio.Future[TransportAddress] = asyncio.get_running_loop().create_future()
        self._mapped[transaction] = answer
        for _ in range(max(1, round(self.config.patience / self.config.interval))):
            leg.send(request, server)
            done, _pending = await asyncio.wait([answer], timeout=self.config.interval)
            if done:
                return answer.result()
        return None

    def describe(self) -> IceDescription:
        """Return what to tell the peer."""
        fragment, password = self._credentials
        return IceDescription(
            username_fragment=fragment,
            password=password.decode(),
            candidates=tuple(_candidate(address, type_).to_sdp() for address, type_ in self.own.items()),
        )

    def meet(self, description: IceDescription) -> None:
        """Learn the peer's description; candidates that name no IP address are left out."""
        self._peer = (description.username_fragment, description.password.encode())
        for text in description.candidates:
            try:
                candidate = Candidate.from_sdp(text)
                host = str(ipaddress.ip_address(candidate.host))
            except (ValueError, AssertionError):
                continue
            self.theirs[host, candidate.port] = candidate.type

    # Checking

    async def run(self, attempt: Attempt) -> None:
        """Send the rounds of one side, and answer until the other's are over too."""
        me = 0 if self.config.caller else 1
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.sleep(attempt.starts[me])
        self._started = True
        for _ in range(attempt.rounds[me]):
            for leg, target in self._targets():
                self._check(leg, target)
            await asyncio.sleep(self.config.interval)
        end = max(s + r * self.config.interval for s, r in zip(attempt.starts, attempt.rounds, strict=True))
        await asyncio.sleep(max(0.0, begin + end + self.config.linger - loop.time()))

    def _targets(self) -> Iterator[tuple[_Leg, TransportAddress]]:
        for leg in self.legs:
            for target in (*self.theirs, *leg.heard):
                yield leg, target

    def _check(self, leg: _Leg, target: TransportAddress) -> None:
        transaction = self._draw(96).to_bytes(12)
        self._checks[transaction] = (leg, target)
        fragment, password = self._peer
        builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction)
        builder.text(Attribute.USERNAME, f"{fragment}:{self._credentials[0]}")
        leg.send(builder.finish(key=password), target)

    def _received(self, leg: _Leg, data: bytes, source: TransportAddress) -> None:
        if not looks_like_stun(data):
            return
        try:
            message = parse_message_untrusted(data)
            if message.method != Method.BINDING:
                return
            if message.message_class is MessageClass.REQUEST:
                self._asked(leg, message, source)
            elif message.message_class is MessageClass.SUCCESS:
                self._answered(leg, message, source)
        except WireFormatError:
            return

    def _asked(self, leg: _Leg, message: Message, source: TransportAddress) -> None:
        fragment, password = self._credentials
        if message.text(Attribute.USERNAME) != f"{fragment}:{self._peer[0]}" or not message.verify(password):
            return  # another attempt's, or another host's that shares the peer's private address
        builder = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, message.transaction_id)
        leg.send(builder.xor_address(Attribute.XOR_MAPPED_ADDRESS, source).finish(key=password), source)
        if source not in self.theirs and source not in leg.heard:
            leg.heard[source] = None
            if self._started:
                self._check(leg, source)

    def _answered(self, leg: _Leg, message: Message, source: TransportAddress) -> None:
        mapped = message.mapped_address
        if mapped is None:
            return
        question = self._mapped.get(message.transaction_id)
        if question is not None:
            if source == self.config.stun and not question.done():
                question.set_result(mapped)
            return
        if self._checks.get(message.transaction_id) == (leg, source) and message.verify(self._peer[1]):
            self.reached.add((_type_of(mapped, self.own), _type_of(source, self.theirs)))


def _type_of(address: TransportAddress, candidates: Mapping[TransportAddress, str]) -> str:
    """Return the type of an address: a relay's is known by its IP, whatever port a box made of its own."""
    known = candidates.get(address)
    relays = {candidate[0] for candidate, type_ in candidates.items() if type_ == "relay"}
    return known or ("relay" if address[0] in relays else "prflx")


def _family(address: TransportAddress) -> int:
    return 6 if ":" in address[0] else 4


def _candidate(address: TransportAddress, type_: str) -> Candidate:
    return Candidate(
        foundation=candidate_foundation(type_, "udp", address[0]),
        component=1,
        transport="udp",
        priority=candidate_priority(1, type_),
        host=address[0],
        port=address[1],
        type=type_,
    )

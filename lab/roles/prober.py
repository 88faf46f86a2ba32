"""The prober: NAT behaviour discovery as a program on a host, in either world.

It sends Binding requests from UDP sockets of its own and returns what it found; what it does with them is
decided in :mod:`lab.protocols.behaviour_discovery`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from lab.errors import WireFormatError
from lab.protocols.behaviour_discovery import (
    Answer,
    Corner,
    DiscoveryIncomplete,
    DiscoveryPlan,
    Findings,
    Ground,
    LifetimePlan,
    LifetimeSearch,
    Observed,
    ProbeSocket,
    compare,
    discover,
    lifetime_plan,
    probe_refresh,
    search_lifetime,
)
from lab.protocols.stun import (
    Attribute,
    Message,
    MessageBuilder,
    MessageClass,
    Method,
    parse_message_untrusted,
)
from lab.roles.context import RoleContext
from nat_models.model import Refresh
from nat_models.packet import TransportAddress

__all__ = ["Prober", "ProberConfig", "compare", "lifetime_plan"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberConfig:
    """Where the RFC 5780 server is, and how patient to be.

    A request is sent ``attempts`` times, ``interval`` seconds apart, before it counts as unanswered; every
    filter that refuses costs the whole of it. ``pace`` is the least time in seconds between two new requests
    (RFC 5780 §4 asks for no more than ten a second of servers that are not one's own).
    """

    server: TransportAddress
    plan: DiscoveryPlan = field(default_factory=DiscoveryPlan)
    attempts: int = 3
    interval: float = 0.3
    pace: float = 0.0


class Prober:
    """The role. :meth:`probe` returns the findings; :meth:`run` is the same for who only wants it to run."""

    def __init__(self, config: ProberConfig, context: RoleContext) -> None:
        self._config = config
        self._context = context
        self.findings: Findings | None = None

    async def run(self) -> None:
        """Probe once; the result is in ``findings``."""
        self.findings = await self.probe()

    async def search_lifetime(self, findings: Findings, search: LifetimeSearch) -> tuple[float, float]:
        """Return (longest idle time survived, shortest not survived) of mappings behind what was found.

        Raises:
            DiscoveryIncomplete: the server stopped answering, or has no second address.
        """
        if findings.other is None:
            raise DiscoveryIncomplete("without a second address of the server lifetimes cannot be searched")
        host = _Host(self._config, self._context)
        try:
            return await search_lifetime(Ground(host, findings.server, findings.other), search)
        finally:
            host.close()

    async def probe_refresh(self, findings: Findings, plan: LifetimePlan) -> Observed[Refresh]:
        """Return which packets keep a mapping alive, given how long one lives.

        Raises:
            DiscoveryIncomplete: the server stopped answering, or has no second address.
        """
        if findings.other is None:
            raise DiscoveryIncomplete("without a second address of the server refreshes cannot be seen")
        host = _Host(self._config, self._context)
        try:
            return await probe_refresh(Ground(host, findings.server, findings.other), plan)
        finally:
            host.close()

    async def probe(self) -> Findings:
        """Return what lies between this host and the server.

        Raises:
            DiscoveryIncomplete: the server stopped answering.
        """
        host = _Host(self._config, self._context)
        try:
            return await discover(host, self._config.server, self._config.plan)
        finally:
            host.close()


class _Host:
    """The :class:`~lab.protocols.behaviour_discovery.ProbeHost` of asyncio's sockets."""

    def __init__(self, config: ProberConfig, context: RoleContext) -> None:
        self.config = config
        self.random: random.Random = context.random("prober")
        is_ipv6 = ":" in config.server[0]
        self._address = next(a for a in context.addresses if (":" in a) == is_ipv6)
        self._sockets: list[_Socket] = []
        self._next_request = 0.0

    async def open(self, port: int = 0) -> ProbeSocket:
        loop = asyncio.get_running_loop()
        socket = _Socket(self)
        await loop.create_datagram_endpoint(lambda: socket, local_addr=(self._address, port))
        self._sockets.append(socket)
        return socket

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def together(self, *steps: Awaitable[T]) -> Sequence[T]:
        return await asyncio.gather(*steps)

    async def wait_for_turn(self) -> None:
        """Keep new requests ``pace`` seconds apart."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next_request)
        self._next_request = turn + self.config.pace
        if turn > now:
            await asyncio.sleep(turn - now)

    def close(self) -> None:
        for socket in self._sockets:
            socket.close()


class _Socket(asyncio.DatagramProtocol):
    """One socket. ``waiting`` are transactions whose request or response this socket should see."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self.waiting: dict[bytes, asyncio.Future[tuple[Message, TransportAddress]]] = {}
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            message = parse_message_untrusted(data)
        except WireFormatError:
            return
        future = self.waiting.get(message.transaction_id)
        if future is not None and not future.done():
            future.set_result((message, (addr[0], addr[1])))

    def error_received(self, exc: Exception) -> None:
        """Ignore it: a network that refuses is one that does not answer."""

    @property
    def local(self) -> TransportAddress:
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    async def ask(
        self,
        server: TransportAddress,
        *,
        answer_from: Corner = Corner.SAME,
        response_port: int | None = None,
        listener: ProbeSocket | None = None,
        padding: int = 0,
    ) -> Answer | None:
        transaction_id = self._host.random.randbytes(12)
        builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction_id)
        change_ip, change_port = answer_from.value
        if change_ip or change_port:
            builder.uint32(Attribute.CHANGE_REQUEST, change_ip * 4 + change_port * 2)
        if response_port is not None:
            builder.uint16(Attribute.RESPONSE_PORT, response_port)
        if padding:
            builder.add(Attribute.PADDING, bytes(padding))
        waiting = cast("_Socket", listener or self)
        seen = await self._exchange(transaction_id, builder.finish(), server, waiting)
        return _answer(*seen) if seen else None

    async def reach(self, target: TransportAddress, listener: ProbeSocket) -> TransportAddress | None:
        transaction_id = self._host.random.randbytes(12)
        request = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction_id).finish()
        seen = await self._exchange(transaction_id, request, target, cast("_Socket", listener))
        return seen[1] if seen else None

    async def _exchange(
        self, transaction_id: bytes, request: bytes, target: TransportAddress, listener: _Socket
    ) -> tuple[Message, TransportAddress] | None:
        config = self._host.config
        await self._host.wait_for_turn()
        future: asyncio.Future[tuple[Message, TransportAddress]]
        future = listener.waiting[transaction_id] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(config.attempts):
                self._transport.sendto(request, target)
                await asyncio.wait([future], timeout=config.interval)
                if future.done():
                    return future.result()
            return None
        finally:
            del listener.waiting[transaction_id]

    def close(self) -> None:
        self._transport.close()


def _answer(message: Message, source: TransportAddress) -> Answer | None:
    try:
        mapped = message.mapped_address
        if message.message_class is not MessageClass.SUCCESS or mapped is None:
            return None
        return Answer(
            mapped=mapped,
            source=source,
            other=message.address(Attribute.OTHER_ADDRESS),
            plain_mapped=message.address(Attribute.MAPPED_ADDRESS),
        )
    except WireFormatError:
        return None

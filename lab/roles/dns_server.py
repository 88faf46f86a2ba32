"""A DNS server on a host: UDP, and TCP for answers too long for UDP (RFC 1035 §4.2, RFC 7766)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from lab.errors import WireFormatError
from lab.protocols.dns import PORT
from lab.protocols.dns_zone import DnsZone
from lab.roles.context import RoleContext
from lab.roles.dns_stream import framed, read_framed


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsServerConfig:
    """What is served, and where; ``delay`` (seconds) makes a slow server."""

    zone: DnsZone
    port: int = PORT
    delay: float = 0.0


class DnsServer:
    """The role. ``ready`` is set once every address is listened on.

    What is not a DNS message gets no answer over UDP and loses its connection over TCP.
    """

    def __init__(self, config: DnsServerConfig, context: RoleContext) -> None:
        self._config = config
        self._context = context
        self.ready = asyncio.Event()
        self.queries = 0

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OSError: an address or port cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        hosts, port = list(self._context.addresses), self._config.port
        transports: list[asyncio.DatagramTransport] = []
        server = await asyncio.start_server(self._serve_stream, hosts, port)
        try:
            for host in hosts:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _UdpPort(self._answer_later), local_addr=(host, port)
                )
                transports.append(transport)
            self.ready.set()
            await loop.create_future()
        finally:
            server.close()
            for transport in transports:
                transport.close()

    def _answer_later(self, query: bytes, send: Callable[[bytes], None]) -> None:
        """Answer a datagram by ``send``, after the server's delay."""
        self.queries += 1
        try:
            answer = self._config.zone.answer_untrusted(query)
        except WireFormatError:
            return
        if answer is not None:
            asyncio.get_running_loop().call_later(self._config.delay, send, answer)

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of one connection, one after the other, until the client is done."""
        try:
            while True:
                query = await read_framed(reader)
                self.queries += 1
                answer = self._config.zone.answer_untrusted(query, over_udp=False)
                await asyncio.sleep(self._config.delay)
                if answer is not None:
                    writer.write(framed(answer))
        except (WireFormatError, asyncio.IncompleteReadError, OSError):
            pass  # the client closed, vanished or talks nonsense: the connection ends
        finally:
            writer.close()


class _UdpPort(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes, Callable[[bytes], None]], None]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._answer(data, lambda answer: self._transport.sendto(answer, addr))

"""TLS over simulated TCP, by asyncio's own ``SSLProtocol`` and the real OpenSSL.

OpenSSL's randomness is not ours to seed, so the bytes differ from run to run. Were their number to differ,
too, every later event on a link with a rate would move. Two measures against that:

- The lab's own contexts (:mod:`lab.roles.certificates`) make handshakes of a fixed size.
- With any other context a handshake flight is *charged* a multiple of 512 bytes: an ECDSA signature has 70 to
  72 bytes, and the encoding of a session ticket varies as little. Segments, their number and their times
  follow the charged length (:mod:`lab.sim.tcp.segment`). A flight that lies within these few bytes of a
  multiple could still fall on either side of it.

Application records are as long as their text makes them. A handshake inside another TLS connection is not
charged.
"""

from __future__ import annotations

import ssl
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any, Protocol

from lab.roles.certificates import FixedSizeContext, lab_client_context
from lab.sim.tcp.transport import TcpTransport

if TYPE_CHECKING:
    import asyncio

    from lab.sim.tcp.endpoint import ProtocolFactory
    from lab.sim.tcp.stack import TcpStack
    from nat_models.packet import TransportAddress

HANDSHAKE_QUANTUM = 512
"""Bytes of which a handshake flight is charged a multiple."""


class TlsHost(Protocol):
    """What TLS needs of a host."""

    loop: asyncio.AbstractEventLoop

    @property
    def tcp(self) -> TcpStack:
        """The host's TCP stack."""


class TlsProtocol(SSLProtocol):
    """asyncio's TLS, whose handshake is charged in fixed sizes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        if isinstance(transport, TcpTransport) and not isinstance(self._sslcontext, FixedSizeContext):
            self._tcp = transport
            transport.charge = self._charge
        super().connection_made(transport)

    def _charge(self, length: int) -> int:
        """Return what a write counts for: rounded up until the first one after the handshake.

        That one carries the end of the handshake: the client's last flight, or the server's tickets.
        """
        if self._get_extra_info("ssl_object") is not None:
            self._tcp.charge = None
        return -(-length // HANDSHAKE_QUANTUM) * HANDSHAKE_QUANTUM


def client_context_for(setting: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the context for a client's ``ssl`` argument: ``True`` trusts the lab's authority alone."""
    return setting if isinstance(setting, ssl.SSLContext) else lab_client_context()


async def wrap_client(
    host: TlsHost,
    protocol_factory: ProtocolFactory,
    remote: TransportAddress,
    local: TransportAddress | None,
    setting: ssl.SSLContext | bool,
    server_hostname: str,
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    """Connect by TCP, shake hands, and return the transport and its protocol.

    Raises:
        ssl.SSLError: the handshake failed, for example because the certificate is not trusted.
        OSError: as :meth:`TcpStack.connect`.
    """
    waiter = host.loop.create_future()
    made: list[TlsProtocol] = []

    def factory() -> asyncio.BaseProtocol:
        context = client_context_for(setting)
        made.append(
            TlsProtocol(host.loop, protocol_factory(), context, waiter, server_hostname=server_hostname)
        )
        return made[0]

    transport, _ = await host.tcp.connect(factory, remote, local)
    return await _shaken(transport, made[0], waiter)


async def _shaken(
    transport: asyncio.Transport, tls: TlsProtocol, waiter: asyncio.Future[Any]
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    secure = tls._app_transport  # noqa: SLF001 - asyncio has no public name for it
    try:
        await waiter
    except BaseException:
        transport.abort()
        raise
    return secure, secure.get_protocol()


def wrap_server(host: TlsHost, protocol_factory: ProtocolFactory, context: ssl.SSLContext) -> ProtocolFactory:
    """Return a factory for a listener: each connection shakes hands before its protocol hears of it."""

    def factory() -> asyncio.BaseProtocol:
        return TlsProtocol(host.loop, protocol_factory(), context, None, server_side=True)  # type: ignore[arg-type]

    return factory


async def start_tls(
    host: TlsHost,
    transport: asyncio.Transport,
    protocol: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
) -> asyncio.Transport:
    """Upgrade a connection and return the transport to use from now on.

    Raises:
        TypeError: not a transport that can be upgraded, or not a context.
        ssl.SSLError: the handshake failed.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {context!r}")
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(f"transport {transport!r} is not supported by start_tls()")
    waiter = host.loop.create_future()
    tls = TlsProtocol(
        host.loop, protocol, context, waiter, server_side, server_hostname, call_connection_made=False
    )
    transport.pause_reading()  # nothing may reach the new protocol before it is connected
    transport.set_protocol(tls)
    host.loop.call_soon(tls.connection_made, transport)
    host.loop.call_soon(transport.resume_reading)
    return (await _shaken(transport, tls, waiter))[0]

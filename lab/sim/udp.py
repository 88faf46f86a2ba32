"""UDP sockets of a simulated host, as asyncio datagram transports."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from nat_models.packet import IpProtocol, Packet, TransportAddress

if TYPE_CHECKING:
    from lab.sim.host import SimHost

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - simulated sockets
EPHEMERAL_PORTS = range(32768, 61000)
"""Linux's default ip_local_port_range."""


class UdpTransport(asyncio.DatagramTransport):
    """One UDP socket. ``dscp`` and ``ttl`` of what it sends may be set (RFC 2474; IP_TTL)."""

    def __init__(
        self,
        host: SimHost,
        protocol: asyncio.DatagramProtocol,
        local: TransportAddress,
        remote: TransportAddress | None,
    ) -> None:
        super().__init__()
        self._host = host
        self._protocol = protocol
        self.local = local
        self.remote = remote
        self.dscp = 0
        self.ttl = 64
        self._closing = False
        self._context = contextvars.copy_context()
        self._received = protocol.datagram_received
        self._fixed_source = local[0] not in WILDCARDS

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``sockname`` or ``peername``; there is no ``socket``, so callers skip its options."""
        if name == "sockname":
            return _as_sockaddr(self.local)
        if name == "peername" and self.remote is not None:
            return _as_sockaddr(self.remote)
        return default

    def sendto(self, data: bytes, addr: tuple[Any, ...] | None = None) -> None:  # type: ignore[override]
        """Send one datagram. Without a route the protocol hears ENETUNREACH, as from a real socket."""
        if self._closing:
            return
        destination = self.remote if addr is None else (addr[0], addr[1])
        if destination is None:
            raise ValueError("sendto() needs an address on an unconnected socket")
        source = self.local
        if not self._fixed_source:
            chosen = self._host.source_address_for(destination[0])
            if chosen is None:
                self._fail(errno.ENETUNREACH)
                return
            source = (chosen, source[1])
        elif (":" in source[0]) != (":" in destination[0]):
            self._fail(errno.EAFNOSUPPORT)
            return
        packet_id = self._host.next_packet_id()
        self._host.send_packet(
            Packet(
                IpProtocol.UDP, source, destination, bytes(data), self.ttl, self.dscp,
                packet_id=packet_id, cause_id=self._host.handling_packet,
            )
        )  # fmt: skip

    def _fail(self, number: int) -> None:
        error = OSError(number, os.strerror(number))
        self._host.loop.call_soon(self._protocol.error_received, error, context=self._context)

    def deliver(self, packet: Packet) -> None:
        """Hand a datagram to the protocol, in the context that opened the socket."""
        if self._closing:
            return
        self._host.handling_packet = packet.packet_id
        try:
            self._context.run(self._received, packet.payload, _as_sockaddr(packet.source))
        except Exception as error:  # noqa: BLE001 - as asyncio does: report, keep the socket
            self._host.loop.call_exception_handler(
                {"message": "datagram_received failed", "exception": error}
            )
        finally:
            self._host.handling_packet = 0

    def refuse(self) -> None:
        """Report an ICMP port unreachable; Linux tells connected sockets alone."""
        if self.remote is not None and not self._closing:
            error = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            self._host.loop.call_soon(self._protocol.error_received, error, context=self._context)

    def is_closing(self) -> bool:
        """Whether the socket was closed."""
        return self._closing

    def close(self) -> None:
        """Close the socket; the protocol hears of it soon."""
        if self._closing:
            return
        self._closing = True
        self._host.release_udp(self)
        self._host.loop.call_soon(self._protocol.connection_lost, None, context=self._context)

    def abort(self) -> None:
        """Close the socket."""
        self.close()

    def get_write_buffer_size(self) -> int:
        """Nothing is ever buffered here: links have the queues."""
        return 0


def _as_sockaddr(address: TransportAddress) -> tuple[Any, ...]:
    host, port = address
    return (host, port, 0, 0) if ":" in host else address


def check_port(port: int) -> int:
    """Return ``port`` if it is one.

    Raises:
        UsageError: outside 0..65535.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is not a port number (0 to 65535)")
    return port

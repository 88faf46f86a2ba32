"""UDP sockets of a simulated host, as asyncio datagram transports."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import errno
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from lab.sim.node import NotAnAddressError
from lab.sim.process import KERNEL_CONTEXT, process_of
from nat_models.packet import IpProtocol, Packet, TransportAddress

if TYPE_CHECKING:
    from lab.sim.host import SimHost

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - simulated sockets
LOOPBACKS = ("127.0.0.1", "::1")
"""Every host has them; they lead nowhere else."""
EPHEMERAL_PORTS = range(32768, 61000)
"""Linux's default ip_local_port_range."""
LARGEST_PAYLOAD = {False: 65_507, True: 65_527}
"""Whether IPv6 → the bytes a datagram may have: the length that IPv4 says counts its header, too."""

RECEIVE_BUFFER = 212_992
"""Linux's default net.core.rmem_default, in bytes."""
_SMALLEST_BUFFER = 576
_BESIDE_PAYLOAD = 377  # headers of three layers, and what the kernel notes behind them
_BUFFER_RECORD = 256


class MtuDiscovery(enum.Enum):
    """What a socket does about the path MTU over IPv4 (the values of Linux's IP_MTU_DISCOVER).

    WANT, the default there and here: datagrams that fit the known path MTU must not be fragmented on the way,
    larger ones are by their sender. DO: larger ones are refused with EMSGSIZE. DONT: whoever finds a datagram
    too large fragments it. Over IPv6 DONT is as WANT: only senders fragment.
    """

    DONT = 0
    WANT = 1
    DO = 2


# Looked up once: on every packet's way, and Python 3.11 finds a member of an enum by a call.
_UDP = IpProtocol.UDP
_DO, _DONT = MtuDiscovery.DO, MtuDiscovery.DONT


class UdpTransport(asyncio.DatagramTransport):
    """One UDP socket.

    ``dscp``, ``ttl`` and ``mtu_discovery`` of what it sends may be set (IP_TOS, IP_TTL, IP_MTU_DISCOVER).
    """

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
        self.mtu_discovery = MtuDiscovery.WANT
        self._closing = False
        self._context = contextvars.copy_context()
        self._received = protocol.datagram_received
        self._fixed_source = local[0] not in WILDCARDS
        self._is_loopback = local[0] in LOOPBACKS
        self._v6 = ":" in local[0]
        self._largest = LARGEST_PAYLOAD[self._v6]
        self.process = process_of(self._context)
        self._waiting: deque[Packet] = deque()
        self._waiting_bytes = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``sockname`` or ``peername``; there is no ``socket``, so callers skip its options."""
        if name == "sockname":
            return _as_sockaddr(self.local)
        if name == "peername" and self.remote is not None:
            return _as_sockaddr(self.remote)
        return default

    def sendto(self, data: bytes, addr: tuple[Any, ...] | None = None) -> None:  # type: ignore[override]
        """Send one datagram. What a real socket would refuse is told to the protocol's ``error_received``.

        Raises:
            ValueError: no address on an unconnected socket, or another than the peer's on a connected one.
        """
        if self._closing:
            return
        remote = self.remote
        if addr is None:
            if remote is None:
                raise ValueError("sendto() needs an address on an unconnected socket")
            destination = remote
        else:
            destination = (addr[0], addr[1])
            if remote is not None and destination != remote:
                raise ValueError(f"Invalid address: must be None or {_as_sockaddr(remote)}")
        if (":" in destination[0]) != self._v6:
            self._tell(
                socket.gaierror(socket.EAI_ADDRFAMILY, f"not of the socket's family: {destination[0]}")
            )
            return
        if not 0 <= destination[1] <= 65535:
            self._end(OverflowError("sendto(): port must be 0-65535."))
            return
        refused = self._refusal(data, destination)
        if refused:
            self.fail(refused)
            return
        try:
            self._send(data, destination)
        except NotAnAddressError:
            self._tell(socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {destination[0]}"))

    def _send(self, data: bytes, destination: TransportAddress) -> None:
        host, source = self._host, self.local
        if self._fixed_source:
            if host.has_moved and not host.owns_address(source[0]):
                self.fail(errno.ENETUNREACH)  # as Linux 6.18 does when the address was removed
                return
        else:
            chosen = host.source_address_for(destination[0])
            if chosen is None:
                self.fail(errno.ENETUNREACH)
                return
            source = (chosen, source[1])
        host.send_packet(
            Packet(  # by position, without a name: keywords go to a class in a dictionary
                _UDP, source, destination, bytes(data), self.ttl, self.dscp,
                self.mtu_discovery is not _DONT and not self._v6, None, None, None,
                host.next_packet_id(), host.handling_packet,
            )
        )  # fmt: skip

    def _refusal(self, data: bytes, where: TransportAddress) -> int:
        """Return the ``errno`` with which the kernel refuses to send, 0 where it does not."""
        destination, port = where
        if not port:
            return errno.EINVAL
        size = len(data)
        if size > self._largest:
            return errno.EMSGSIZE
        must_fit = self.mtu_discovery is _DO
        if must_fit and not self._host.fits_whole(self.local[0], destination, size):
            return errno.EMSGSIZE
        if self._is_loopback and not self._host.owns_address(destination):
            return errno.EINVAL
        return 0

    def fail(self, number: int) -> None:
        """Report an error of that ``errno`` to the protocol."""
        if not self._closing:
            self._tell(OSError(number, os.strerror(number)))

    def _tell(self, error: OSError) -> None:
        self._host.loop.call_soon(self._protocol.error_received, error, context=self._context)

    def _end(self, error: Exception) -> None:
        """Close the socket over an error that asyncio takes for fatal, and report it as it does."""
        context = {"message": "Fatal write error on datagram transport", "exception": error}
        self._context.run(self._host.loop.call_exception_handler, context)
        self._close(error)

    def deliver(self, packet: Packet) -> None:
        """Hand a datagram to the protocol, in the context that opened the socket."""
        if self._closing:
            return
        if self._waiting or (self.process is not None and self.process.is_stopped):
            self._wait(packet)
            return
        self._hand_over(packet)

    def _wait(self, packet: Packet) -> None:
        """Keep a datagram in the receive buffer until the program reads it, if there is room."""
        needed = buffer_bytes(len(packet.payload))
        if self._waiting_bytes + needed > RECEIVE_BUFFER:
            full = f"the receive buffer of UDP port {self.local[1]} is full"
            self._host.network.drop(packet, self._host.name, full)
            return
        self._waiting.append(packet)
        self._waiting_bytes += needed

    def read_waiting(self) -> None:
        """Hand over one datagram that waited, and the next one in the next turn, as asyncio reads."""
        if not self._waiting or self._closing or (self.process is not None and self.process.is_stopped):
            return
        packet = self._waiting.popleft()
        self._waiting_bytes -= buffer_bytes(len(packet.payload))
        self._hand_over(packet)
        if self._waiting:
            self._host.loop.call_soon(self.read_waiting, context=KERNEL_CONTEXT)

    def _hand_over(self, packet: Packet) -> None:
        self._host.handling_packet = packet.packet_id
        try:
            source = packet.source
            self._context.run(self._received, packet.payload, _as_sockaddr(source) if self._v6 else source)
        except Exception as error:  # noqa: BLE001 - as asyncio does: report, keep the socket
            report = self._host.loop.call_exception_handler
            self._context.run(report, {"message": "datagram_received", "exception": error})
        finally:
            self._host.handling_packet = 0

    def is_closing(self) -> bool:
        """Whether the socket was closed."""
        return self._closing

    def close(self) -> None:
        """Close the socket; the protocol hears of it soon."""
        self._close(None)

    def _close(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._host.udp.release(self)
        self._host.loop.call_soon(self._lose_connection, error, context=self._context)

    def _lose_connection(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Give up the protocol, which refers to this: nobody else may, and memory would be freed late."""
        del self._protocol, self._received, self._context

    def abort(self) -> None:
        """Close the socket."""
        self.close()

    def vanish(self) -> None:
        """End without a word to anybody: the host lost power."""
        if not self._closing:
            self._closing = True
            self._let_go()

    def get_write_buffer_size(self) -> int:
        """Nothing is ever buffered here: links have the queues."""
        return 0


def _as_sockaddr(address: TransportAddress) -> tuple[Any, ...]:
    host, port = address
    return (host, port, 0, 0) if ":" in host else address


def buffer_bytes(payload: int) -> int:
    """Return what a datagram takes of a receive buffer, in bytes: Linux counts the memory that it lies in.

    Seen on 6.18 over loopback: 256 datagrams of up to 199 bytes fit in the default buffer, 166 of up to 647,
    92 of up to 1671.
    """
    room = _SMALLEST_BUFFER
    if payload + _BESIDE_PAYLOAD > room:
        room = 1 << (payload + _BESIDE_PAYLOAD - 1).bit_length()
    return room + _BUFFER_RECORD


def check_port(port: int) -> int:
    """Return ``port`` if it is one.

    Raises:
        OverflowError: outside 0..65535; the socket module raises it so.
    """
    if not 0 <= port <= 65535:
        raise OverflowError("port must be 0-65535.")
    return port

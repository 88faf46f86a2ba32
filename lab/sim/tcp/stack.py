"""The TCP stack of a simulated host: which connection or listener a packet belongs to (RFC 9293 §3.10).

What the stack needs of its host is :class:`TcpHost`; it knows neither links nor the loop's class, so that
it can be tested between two hosts of a few lines.
"""

from __future__ import annotations

import contextvars
import errno
import os
from typing import TYPE_CHECKING, Protocol

from lab.sim.process import KERNEL_CONTEXT, SimProcess, process_of
from lab.sim.tcp.config import TcpConfig, TcpFailure
from lab.sim.tcp.connection import TcpConnection
from lab.sim.tcp.endpoint import Opened, ProtocolFactory, TcpEndpoint
from lab.sim.tcp.segment import (
    ACK,
    RST,
    SYN,
    Segment,
    answer_closed,
    from_wire,
    header_bytes,
    packet_of,
    segment_of,
)
from lab.sim.tcp.server import TcpListener, TcpServer
from lab.sim.tcp.state import TcpState
from nat_models.packet import IcmpMessage, IpProtocol, Packet, TransportAddress, format_address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - addresses of a simulated host


class TcpHost(Protocol):
    """What a host offers to its stack."""

    loop: asyncio.AbstractEventLoop
    handling_packet: int
    """Id of the packet whose delivery is being handled: the cause of what is sent meanwhile."""

    def send_packet(self, packet: Packet) -> None:
        """Route and transmit; the packet may be lost, nothing is raised."""

    def next_packet_id(self) -> int:
        """Return a packet id unique in the trial."""

    def source_address_for(self, destination: str) -> str | None:
        """Return the own address that packets to ``destination`` leave from, None without a route."""

    def owns_address(self, address: str) -> bool:
        """Whether the address is the host's own."""

    def sequence_number(self) -> int:
        """Return a seeded initial sequence number of 32 bits."""

    def ephemeral_port(self, protocol: IpProtocol) -> int:
        """Return a free port, drawn from a seeded stream; one that :meth:`TcpStack.is_bound` denies."""


class TcpStack:
    """Every TCP connection and listener of one host."""

    def __init__(self, host: TcpHost, config: TcpConfig | None = None) -> None:
        self.host = host
        self.config = TcpConfig() if config is None else config
        self._endpoints: dict[tuple[TransportAddress, TransportAddress], TcpEndpoint] = {}
        self._listeners: dict[TransportAddress, TcpListener] = {}
        self._bound: dict[int, int] = {}  # port: users

    def is_bound(self, port: int) -> bool:
        """Whether a connection or listener uses the port."""
        return port in self._bound

    # From the network

    def receive(self, packet: Packet) -> None:
        """Take a TCP packet addressed to this host."""
        endpoint = self._endpoints.get((packet.destination, packet.source))
        caused_by, self.host.handling_packet = self.host.handling_packet, packet.packet_id
        try:
            if endpoint is not None and not self._gives_way(endpoint, packet):
                endpoint.receive(packet)
            else:
                self._receive_unknown(packet)
        finally:
            self.host.handling_packet = caused_by

    def _gives_way(self, endpoint: TcpEndpoint, packet: Packet) -> bool:
        """Whether a new SYN ends an old connection's TIME-WAIT (RFC 9293 §3.10.7.4, RFC 6191)."""
        segment = segment_of(packet)
        if endpoint.connection.state is not TcpState.TIME_WAIT or segment.flags & (SYN | ACK | RST) != SYN:
            return False
        expected = endpoint.connection.receiver.next
        if from_wire(segment.sequence, expected) < expected or self._listener_for(packet.destination) is None:
            return False
        endpoint.drop()
        self.forget(endpoint)
        return True

    def _receive_unknown(self, packet: Packet) -> None:
        segment = segment_of(packet)
        listener = self._listener_for(packet.destination)
        if listener is not None and segment.flags & (SYN | ACK | RST) == SYN:
            if listener.has_room:
                self._accept(listener, segment, packet)
            return
        answer = answer_closed(segment)
        if answer is not None:
            self._send(answer, packet.destination, packet.source)

    def _accept(self, listener: TcpListener, segment: Segment, packet: Packet) -> None:
        connection = self._new_connection(packet.source[0])
        connection.accept(segment)
        context = listener.context.copy()
        endpoint = TcpEndpoint(
            self, connection, packet.destination, packet.source, listener.protocol_factory, context
        )
        listener.began(endpoint)
        self._remember(endpoint)
        endpoint.pump()

    def _send(self, segment: Segment, local: TransportAddress, remote: TransportAddress) -> None:
        host = self.host
        host.send_packet(packet_of(segment, local, remote, host.next_packet_id(), host.handling_packet))

    def icmp_error(self, icmp: IcmpMessage) -> None:
        """Take an ICMP error about a TCP packet that this host sent."""
        quoted = icmp.quoted
        if quoted is None or quoted.tcp is None:
            return
        endpoint = self._endpoints.get((quoted.source, quoted.destination))
        if endpoint is not None:
            segment_size = icmp.mtu - header_bytes(quoted.source[0])
            endpoint.connection.icmp_error(icmp.type, quoted.tcp.sequence, segment_size)
            endpoint.pump()

    def _listener_for(self, local: TransportAddress) -> TcpListener | None:
        address, port = local
        return self._listeners.get(local) or self._listeners.get((_WILDCARDS[":" in address], port))

    # From programs

    async def connect(
        self,
        protocol_factory: ProtocolFactory,
        remote: TransportAddress,
        local: TransportAddress | None = None,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to ``remote`` (addresses, not names) and return the transport and its protocol.

        A local port may be shared with a listener and with connections to other peers, as hole punching
        needs.

        Raises:
            ConnectionRefusedError: a reset, or an ICMP port unreachable.
            TimeoutError: no answer to any SYN.
            OSError: no route, unreachable, or a local address that is not the host's or is taken.
        """
        own = self._local_address(remote, local)
        connection = self._new_connection(remote[0])
        connection.open()
        endpoint = TcpEndpoint(self, connection, own, remote, protocol_factory, contextvars.copy_context())
        opened: Opened = self.host.loop.create_future()
        endpoint.opened = opened
        self._remember(endpoint)
        endpoint.push()
        try:
            return await opened
        except BaseException:
            # Cancelled, most likely: then nobody will ever own the connection.
            connection.abort()
            endpoint.push()
            raise

    def _local_address(self, remote: TransportAddress, local: TransportAddress | None) -> TransportAddress:
        address, port = ("", 0) if local is None else (local[0], local[1])
        chosen = self.host.source_address_for(remote[0])
        if chosen is None:
            raise TcpFailure.NETWORK_UNREACHABLE.as_error(format_address(remote))
        if address and address not in _WILDCARDS:
            if not self.host.owns_address(address):
                raise _os_error(errno.EADDRNOTAVAIL, address)
            chosen = address
        own = (chosen, port or self.host.ephemeral_port(IpProtocol.TCP))
        if (own, remote) in self._endpoints:
            raise _os_error(errno.EADDRNOTAVAIL, f"{format_address(own)} to {format_address(remote)}")
        return own

    def listen(
        self,
        protocol_factory: ProtocolFactory,
        hosts: Sequence[str],
        port: int = 0,
        backlog: int = 100,
    ) -> TcpServer:
        """Listen on every address in ``hosts`` (wildcards too); port 0 is a free one, the same for all.

        Raises:
            OSError: an address is not the host's, or is taken.
        """
        chosen = port or self.host.ephemeral_port(IpProtocol.TCP)
        for address in hosts:
            if address not in _WILDCARDS and not self.host.owns_address(address):
                raise _os_error(errno.EADDRNOTAVAIL, address)
            if (address, chosen) in self._listeners:
                raise _os_error(errno.EADDRINUSE, format_address((address, chosen)))
        listeners = [TcpListener(self, protocol_factory, (address, chosen), backlog) for address in hosts]
        for listener in listeners:
            self._listeners[listener.local] = listener
            self._bind(chosen)
        return TcpServer(self.host.loop, listeners)

    def stop_listening(self, listener: TcpListener) -> None:
        """Forget a listener."""
        if self._listeners.get(listener.local) is listener:
            del self._listeners[listener.local]
            self._release(listener.local[1])

    def end_process(self, process: SimProcess) -> None:
        """Close the sockets of a killed process: who waits to be accepted is reset, as at every close."""
        for listener in [one for one in self._listeners.values() if process_of(one.context) is process]:
            listener.close()
        for endpoint in [one for one in self._endpoints.values() if one.belongs_to(process)]:
            endpoint.orphan()

    def resume_process(self, process: SimProcess) -> None:
        """Let a process that was paused see what its connections took meanwhile."""
        for endpoint in self._endpoints.values():
            if endpoint.belongs_to(process):
                self.host.loop.call_soon(endpoint.pump, context=KERNEL_CONTEXT)

    def reset(self) -> None:
        """Drop everything, as a host that lost power: no packet, no callback, ``connect`` never returns."""
        for endpoint in list(self._endpoints.values()):
            endpoint.drop()
        self._endpoints.clear()
        self._listeners.clear()
        self._bound.clear()

    # Bookkeeping

    def _new_connection(self, remote: str) -> TcpConnection:
        config = self.config
        segment_size = config.mss_ipv6 if ":" in remote else config.mss_ipv4
        return TcpConnection(config, segment_size, self.host.sequence_number())

    def _remember(self, endpoint: TcpEndpoint) -> None:
        self._endpoints[endpoint.local, endpoint.remote] = endpoint
        self._bind(endpoint.local[1])

    def forget(self, endpoint: TcpEndpoint) -> None:
        """Take an ended connection out of the table."""
        key = (endpoint.local, endpoint.remote)
        if self._endpoints.get(key) is endpoint:
            del self._endpoints[key]
            self._release(endpoint.local[1])

    def _bind(self, port: int) -> None:
        self._bound[port] = self._bound.get(port, 0) + 1

    def _release(self, port: int) -> None:
        self._bound[port] -= 1
        if not self._bound[port]:
            del self._bound[port]


def _os_error(number: int, about: str) -> OSError:
    return OSError(number, f"{os.strerror(number)}: {about}")

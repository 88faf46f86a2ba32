"""A simulated host: addresses, UDP sockets, a TCP stack, a resolver, and the programs that run on it."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import random
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lab.sim.current import on_host
from lab.sim.fragmentation import Reassembler
from lab.sim.node import Port, SimNode
from lab.sim.tcp_stack import TcpStack
from lab.sim.tls import start_tls, wrap_client, wrap_server
from lab.sim.udp import EPHEMERAL_PORTS, WILDCARDS, UdpTransport, check_port
from lab.spec.event import EventType, JsonValue
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TransportAddress

if TYPE_CHECKING:
    import ssl

    from lab.sim.network import SimNetwork
    from lab.spec.network import Node

T = TypeVar("T")


class SimHost(SimNode):
    """A host. It is also the :class:`~lab.roles.context.RoleContext` of the role that runs on it."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, spec: Node, network: SimNetwork) -> None:
        super().__init__(spec, network)
        self._udp: dict[TransportAddress, UdpTransport] = {}
        self._reassembler = Reassembler()
        self._tcp: TcpStack | None = None
        self._randoms: dict[str, random.Random] = {}
        self._programs: set[asyncio.Task[Any]] = set()
        self.library_state: dict[str, Any] = {}
        """What a third-party library keeps a thread or process; here it is a host (see lab.sim.rebind)."""
        self.handling_packet = 0
        """Id of the packet whose delivery is being handled: the cause of what is sent meanwhile."""

    # The role's context

    @property
    def node(self) -> str:
        """The host's name in the topology."""
        return self.name

    def emit(
        self, type_: EventType, *, call: str = "", packet_id: int = 0, cause_id: int = 0, count: int = 1,
        **data: JsonValue,
    ) -> None:  # fmt: skip
        """Record an event now, on this host."""
        cause = cause_id or self.handling_packet
        self.network.emit(
            type_, node=self.name, call=call, packet_id=packet_id, cause_id=cause, count=count, **data
        )

    def random(self, purpose: str) -> random.Random:
        """Return this host's seeded generator for one purpose."""
        if purpose not in self._randoms:
            self._randoms[purpose] = self.network.random(self.name, purpose)
        return self._randoms[purpose]

    def start(self, program: Coroutine[Any, Any, T], *, name: str = "") -> asyncio.Task[T]:
        """Run a coroutine as a program of this host: its sockets are the host's."""
        context = self._context_of_programs()
        task = self.loop.create_task(program, name=name or self.name, context=context)
        # Nobody else may hold it: a program that waits only for what it holds itself would be collected.
        self._programs.add(task)
        task.add_done_callback(self._programs.discard)
        return task

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call a function of one of this host's programs, as one of its programs."""
        self.loop.call_soon(callback, *args, context=self._context_of_programs())

    def _context_of_programs(self) -> contextvars.Context:
        with on_host(self):
            return contextvars.copy_context()

    # Sockets

    async def resolve(self, name: str, family: int = 0) -> list[str]:
        """Return the addresses of a name (an address is its own), IPv4 first.

        Raises:
            socket.gaierror: the name does not exist, or has no address of that family.
        """
        return self.network.resolve(name, family)

    async def open_datagram(
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local: TransportAddress | None,
        remote: TransportAddress | None,
        family: int = 0,
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        """Open a UDP socket; see ``VirtualLoop.create_datagram_endpoint``."""
        if remote is not None:
            remote = ((await self.resolve(remote[0]))[0], check_port(remote[1]))
        local = self._choose_local(local, remote, family)
        protocol = protocol_factory()
        transport = UdpTransport(self, protocol, local, remote)
        self._udp[local] = transport
        protocol.connection_made(transport)
        return transport, protocol

    def _choose_local(
        self, local: TransportAddress | None, remote: TransportAddress | None, family: int
    ) -> TransportAddress:
        host, port = (local[0], local[1]) if local is not None else ("", 0)
        if not host:
            if remote is not None:
                host = self.source_address_for(remote[0]) or _unreachable(remote[0])
            else:
                host = "::" if family == socket.AF_INET6 else WILDCARDS[0]
        if host not in WILDCARDS and not self.owns_address(host):
            raise OSError(errno.EADDRNOTAVAIL, f"{host} is no address of {self.name}")
        if not port:
            port = self.ephemeral_port(IpProtocol.UDP)
        if (host, check_port(port)) in self._udp:
            raise OSError(errno.EADDRINUSE, f"UDP port {port} of {host} is taken on {self.name}")
        return host, port

    def release_udp(self, transport: UdpTransport) -> None:
        """Free the port of a closed socket."""
        self._udp.pop(transport.local, None)

    def ephemeral_port(self, protocol: IpProtocol) -> int:
        """Return a free port of the ephemeral range, drawn from a seeded stream."""
        draw = self.random("ephemeral ports")
        taken = (
            (lambda p: any(key[1] == p for key in self._udp))
            if protocol is IpProtocol.UDP
            else self.tcp.is_bound
        )
        for _ in range(64):
            port = draw.randrange(EPHEMERAL_PORTS.start, EPHEMERAL_PORTS.stop)
            if not taken(port):
                return port
        free = [port for port in EPHEMERAL_PORTS if not taken(port)]
        if not free:
            raise OSError(errno.EADDRINUSE, f"no free port on {self.name}")
        return free[0]

    def sequence_number(self) -> int:
        """Return a seeded initial TCP sequence number."""
        return self.random("tcp sequence numbers").getrandbits(32)

    @property
    def tcp(self) -> TcpStack:
        """The TCP stack, made when first needed."""
        if self._tcp is None:
            self._tcp = TcpStack(self)
        return self._tcp

    async def open_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        remote: TransportAddress,
        *,
        ssl: ssl.SSLContext | bool | None,
        server_hostname: str | None,
        local: TransportAddress | None,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect by TCP or TLS; see ``VirtualLoop.create_connection``."""
        address = ((await self.resolve(remote[0]))[0], check_port(remote[1]))
        if ssl is None or ssl is False:
            return await self.tcp.connect(protocol_factory, address, local)
        return await wrap_client(self, protocol_factory, address, local, ssl, server_hostname or remote[0])

    async def open_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Sequence[str] | None,
        port: int,
        *,
        ssl: ssl.SSLContext | None,
        backlog: int,
    ) -> asyncio.AbstractServer:
        """Listen by TCP or TLS; see ``VirtualLoop.create_server``."""
        hosts = [host] if isinstance(host, str) and host else list(host or [WILDCARDS[0]])
        factory = protocol_factory if ssl is None else wrap_server(self, protocol_factory, ssl)
        return self.tcp.listen(factory, hosts, check_port(port), backlog)

    async def start_tls(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.BaseProtocol,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None,
    ) -> asyncio.Transport:
        """Upgrade a connection; see ``VirtualLoop.start_tls``."""
        return await start_tls(
            self, transport, protocol, context, server_side=server_side, server_hostname=server_hostname
        )

    # Packets

    def send_packet(self, packet: Packet) -> None:
        """Send to the network, or to itself."""
        if packet.destination[0] in self._own:
            self.loop.call_soon(self._accept, packet)
        else:
            super().send_packet(packet)

    def receive(self, packet: Packet, port: Port) -> None:
        """Accept what is addressed to this host; drop the rest."""
        if packet.destination[0] in self._own:
            self._accept(packet)
        else:
            self.network.drop(packet, self.name, f"{packet.destination[0]} is no address of this host")

    def _accept(self, packet: Packet) -> None:
        if packet.fragment is not None:
            whole = self._reassembler.accept(packet, self.loop.time())
            if whole is None:
                return
            packet = whole
        if packet.protocol is IpProtocol.UDP:
            self._accept_udp(packet)
        elif packet.protocol is IpProtocol.TCP:
            self.tcp.receive(packet)
        elif packet.icmp is not None:
            self._accept_icmp(packet, packet.icmp)

    def _accept_udp(self, packet: Packet) -> None:
        address, port = packet.destination
        transport = self._udp.get((address, port)) or self._udp.get((WILDCARDS[":" in address], port))
        if transport is None or (transport.remote is not None and transport.remote != packet.source):
            self.network.drop(packet, self.name, f"no UDP socket on port {port}")
            self.send_icmp_error(IcmpType.PORT_UNREACHABLE, packet)
            return
        transport.deliver(packet)

    def _accept_icmp(self, packet: Packet, icmp: IcmpMessage) -> None:
        if icmp.type is IcmpType.ECHO_REQUEST:
            self.answer_echo(packet)
            return
        quoted = icmp.quoted
        if quoted is None:
            return
        if quoted.protocol is IpProtocol.TCP:
            self.tcp.icmp_error(icmp)
            return
        transport = self._udp.get(quoted.source)
        if transport is not None and transport.remote == quoted.destination:
            transport.refuse()

    def power_off(self) -> None:
        """Vanish: every socket closed, every connection dropped, nothing said to the peers."""
        for transport in list(self._udp.values()):
            transport.close()
        if self._tcp is not None:
            self._tcp.reset()


def _unreachable(destination: str) -> str:
    raise OSError(errno.ENETUNREACH, f"{os.strerror(errno.ENETUNREACH)}: {destination}")

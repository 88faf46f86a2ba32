"""A simulated host: addresses, UDP sockets, a TCP stack, a resolver, and the programs that run on it."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import random
from collections.abc import Callable, Coroutine, Sequence
from ssl import SSLError
from typing import TYPE_CHECKING, Any, TypeVar

from lab.protocols.dns import PORT as DNS_PORT
from lab.protocols.fragmentation import Reassembler, fragment_packet, natural_length
from lab.roles.resolver import Resolver
from lab.sim.current import enter_host
from lab.sim.node import Port, SimNode, family_of, is_address
from lab.sim.path_mtu import LONGEST_PACKET, PathMtu
from lab.sim.process import KERNEL_CONTEXT, ProcessState, SimProcess, enter_process
from lab.sim.tcp.stack import TcpStack
from lab.sim.tls import start_tls, wrap_client, wrap_server
from lab.sim.udp import EPHEMERAL_PORTS, LOOPBACKS, WILDCARDS, check_port
from lab.sim.udp_stack import UdpStack
from lab.spec.event import Event, EventType, JsonValue
from lab.spec.roles import addresses_of, name_servers_of
from lab.units import parse_port_range
from nat_models.packet import (
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    UDP_HEADER_BYTES,
    IcmpMessage,
    IcmpType,
    IpProtocol,
    Packet,
    TransportAddress,
)

if TYPE_CHECKING:
    import ssl

    from lab.sim.network import SimNetwork
    from lab.spec.network import Node

T = TypeVar("T")

_UDP, _TCP = IpProtocol.UDP, IpProtocol.TCP  # on every packet's way: looked up once


class SimHost(SimNode):
    """A host. It is also the :class:`~lab.roles.context.RoleContext` of the role that runs on it."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, spec: Node, network: SimNetwork) -> None:
        super().__init__(spec, network)
        self.udp = UdpStack(self)
        self._path_mtu = PathMtu()
        self._reassembler = Reassembler()
        self._tcp: TcpStack | None = None
        given = spec.options.get("udp_ports")
        self._udp_ports = EPHEMERAL_PORTS if given is None else parse_port_range(given)
        self._randoms: dict[str, random.Random] = {}
        self._programs: set[asyncio.Task[Any]] = set()
        self._process = SimProcess()
        self._dead: list[asyncio.Task[Any]] = []
        self._is_off = False
        self.has_moved = False
        """Whether sockets may be bound to an address that is no longer here."""
        self._knows_servers = False
        self._resolver: Resolver | None = None
        self.library_state: dict[str, Any] = {}
        """What a third-party library keeps a thread or process; here it is a host (see lab.sim.rebind)."""
        self.handling_packet = 0
        """Id of the packet whose delivery is being handled: the cause of what is sent meanwhile."""

    def attach(self, ports: list[Port]) -> None:
        """Take the interfaces and routes, and note the MTUs."""
        super().attach(ports)
        self._own |= frozenset(LOOPBACKS)
        self.note_link_mtus()

    def move_to(self, ports: list[Port]) -> None:
        """Have these interfaces and no others from now on.

        Sockets that are bound to an address which is gone stay open, as on Linux, and send nothing.
        """
        self.attach(ports)
        self.has_moved = True
        self._knows_servers, self._resolver = False, None

    def note_link_mtus(self) -> None:
        """Learn what the links of this host carry, as after a change of one."""
        for port in self.ports:
            direction = self.network.directions[port.link, self.name]
            self._path_mtu.set_link(port.link, direction.impairment.mtu)

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
        self.network.record(
            Event(
                time=self.network.event_time(), type=type_, node=self.name, call=call,
                packet_id=packet_id, cause_id=cause, count=count, data=data,
            )
        )  # fmt: skip
        if self.network.capture is not None and type_ is EventType.PACKET_DROPPED:
            self.network.capture.record_refusal(
                self.loop.time(), self.name, cause, str(data.get("reason", ""))
            )

    def random(self, purpose: str) -> random.Random:
        """Return this host's seeded generator for one purpose."""
        drawn = self._randoms.get(purpose)
        if drawn is None:
            drawn = self._randoms[purpose] = self.network.random(self.name, purpose)
        return drawn

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
        context = contextvars.copy_context()
        context.run(enter_host, self)
        context.run(enter_process, self._process)
        return context

    # Sockets

    async def resolve(self, name: str, family: int = 0) -> list[str]:
        """Return the addresses of a name (an address is its own), IPv4 first.

        Raises:
            socket.gaierror: the name does not exist, or has no address of that family.
        """
        if name == "localhost":
            return [address for address in LOOPBACKS if family in {0, family_of(address)}]
        if is_address(name) or (resolver := self.resolver) is None:
            return self.network.resolve(name, family)
        return await resolver.resolve(name, family)

    @property
    def resolver(self) -> Resolver | None:
        """The stub resolver where names are resolved over the network, None where from a table."""
        if not self._knows_servers:
            self._knows_servers = True
            servers = name_servers_of(self.spec, self.network.spec)
            addresses = [address for server in servers for address in addresses_of(server)]
            reachable = [(address, DNS_PORT) for address in addresses if self.source_address_for(address)]
            if servers:
                self._resolver = Resolver(reachable, self.random("resolver"))
        return self._resolver

    async def open_datagram(
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local: TransportAddress | None,
        remote: TransportAddress | None,
        family: int = 0,
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        """Open a UDP socket; see ``VirtualLoop.create_datagram_endpoint``."""
        return await self.udp.create_endpoint(protocol_factory, local, remote, family)

    def ephemeral_port(self, protocol: IpProtocol) -> int:
        """Return a free port of the ephemeral range, or of the node's own, drawn from a seeded stream."""
        draw = self.random("ephemeral ports")
        taken = self.udp.is_bound if protocol is IpProtocol.UDP else self.tcp.is_bound
        ports = self._udp_ports if protocol is IpProtocol.UDP else EPHEMERAL_PORTS
        for _ in range(64):
            port = draw.randrange(ports.start, ports.stop)
            if not taken(port):
                return port
        free = [port for port in ports if not taken(port)]
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
        family: int = 0,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect by TCP or TLS; see ``VirtualLoop.create_connection``."""
        port = check_port(remote[1])
        if local is not None and local[0]:
            local = ((await self.resolve(local[0], family))[0], local[1])
            family = family_of(local[0])
        failures: list[OSError] = []
        for address in await self.resolve(remote[0], family):
            try:
                if ssl is None or ssl is False:
                    return await self.tcp.connect(protocol_factory, (address, port), local)
                return await wrap_client(
                    self, protocol_factory, (address, port), local, ssl, server_hostname or remote[0]
                )
            except SSLError:
                raise  # somebody answered: no other address is asked
            except OSError as error:
                failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        raise OSError(f"Multiple exceptions: {', '.join(str(error) for error in failures)}")

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
        wanted = [host] if isinstance(host, str) and host else list(host or WILDCARDS)
        hosts = list(dict.fromkeys([address for name in wanted for address in await self.resolve(name)]))
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
        """Send to the network, or to itself; a host that is off sends nothing."""
        if self._is_off:
            return
        if self.has_moved and packet.source[0] not in self._own:
            self.network.drop(packet, self.name, f"{packet.source[0]} is no longer an address of this host")
            return
        if packet.destination[0] in self._own:
            self.loop.call_soon(self._accept, packet, context=KERNEL_CONTEXT)
        elif len(packet.payload) > self._path_mtu.surely_fits and packet.protocol is not _TCP:
            self._send_large(packet)
        else:
            SimNode.send_packet(self, packet)  # super() makes an object first, and this is every packet's way

    def _send_large(self, packet: Packet) -> None:
        """Cut a packet that is longer than the known path MTU, as its sender must (RFC 8200 §5) or may.

        TCP is not cut: it makes its segments smaller.
        """
        mtu = self._mtu_to(packet.destination[0], packet.source[0])
        if natural_length(packet) <= mtu:
            super().send_packet(packet)
            return
        whole = packet.translated()
        whole.dont_fragment = False
        for piece in fragment_packet(whole, mtu):
            super().send_packet(piece)

    def _mtu_to(self, destination: str, source: str) -> int:
        hop = self.next_hop(destination, source)
        return self._path_mtu.to(destination, hop[0].link, self.loop.time()) if hop else LONGEST_PACKET

    def fits_whole(self, source: str, destination: str, payload: int) -> bool:
        """Whether a UDP datagram of so many bytes needs no fragmentation, as far as is known."""
        headers = (IPV6_HEADER_BYTES if ":" in destination else IPV4_HEADER_BYTES) + UDP_HEADER_BYTES
        return payload + headers <= self._mtu_to(destination, source)

    def receive(self, packet: Packet, port: Port) -> None:
        """Accept what is addressed to this host; drop the rest."""
        if self._is_off:
            self.network.drop(packet, self.name, "the host is off")
        elif packet.destination[0] in self._own:
            if packet.protocol is _UDP and packet.fragment is None:
                self.udp.receive(packet)
            else:
                self._accept(packet)
        else:
            self.network.drop(packet, self.name, f"{packet.destination[0]} is no address of this host")

    def _unroutable(self, packet: Packet) -> None:
        super()._unroutable(packet)
        if packet.protocol is _UDP:
            self.udp.unroutable(packet)

    def _accept(self, packet: Packet) -> None:
        if packet.fragment is not None:
            whole = self._reassembler.accept(packet, self.loop.time())
            if whole is None:
                return
            packet = whole
        if packet.protocol is _UDP:
            self.udp.receive(packet)
        elif packet.protocol is _TCP:
            self.tcp.receive(packet)
        elif packet.icmp is not None:
            self._accept_icmp(packet, packet.icmp)

    def _accept_icmp(self, packet: Packet, icmp: IcmpMessage) -> None:
        if icmp.type is IcmpType.ECHO_REQUEST:
            self.answer_echo(packet)
            return
        quoted = icmp.quoted
        if quoted is None or not self.owns_address(quoted.source[0]):
            return
        if icmp.type is IcmpType.FRAGMENTATION_NEEDED and icmp.mtu:
            self._path_mtu.report(quoted.destination[0], icmp.mtu, self.loop.time())
        if quoted.protocol is IpProtocol.TCP:
            self.tcp.icmp_error(icmp)
        elif quoted.protocol is IpProtocol.UDP:
            self.udp.icmp_error(icmp, quoted)

    # Signals

    @property
    def state(self) -> ProcessState:
        """What the host's programs are doing: all that were started since the last :meth:`kill`."""
        return self._process.state

    def kill(self) -> None:
        """End the host's programs as SIGKILL does: they run no more code, the kernel closes their sockets.

        Programs that are started afterwards begin with empty hands.
        """
        process, self._process = self._process, SimProcess()
        self.network.loop.stop_process(process, ProcessState.DEAD)
        self.udp.end_process(process)
        if self._tcp is not None:
            self._tcp.end_process(process)
        # Kept to the end of the trial: a coroutine that is freed runs its "finally", which the dead do not.
        self._dead += [task for task in self.network.loop.tasks() if task.host is self and not task.done()]
        self._programs.clear()
        self.library_state = {}
        self._knows_servers, self._resolver = False, None

    def pause(self) -> None:
        """Stop the host's programs as SIGSTOP does: what arrives is taken by the kernel and waits."""
        self.network.loop.stop_process(self._process, ProcessState.PAUSED)

    def resume(self) -> None:
        """Let paused programs go on (SIGCONT); timers that were due meanwhile fire now."""
        self.network.loop.resume_process(self._process, self._wake_readers)

    def _wake_readers(self) -> None:
        if self._tcp is not None:
            self._tcp.resume_process(self._process)
        self.udp.resume_process(self._process)

    # Power

    def power_off(self) -> None:
        """Vanish: sockets, connections and programs end where they are, nothing is said to the peers."""
        self._is_off = True
        self.udp.reset()
        if self._tcp is not None:
            self._tcp.reset()
        self._reassembler = Reassembler()
        for task in sorted(self._programs, key=hash):
            task.cancel()

    def take_apart(self) -> None:
        """Let go of everything, sockets included."""
        vars(self.udp).clear()
        if self._tcp is not None:
            vars(self._tcp).clear()
        super().take_apart()

    def power_on(self) -> None:
        """Come back with empty hands; somebody must start the host's programs again."""
        self._is_off = False

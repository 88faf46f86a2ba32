"""The UDP sockets of a simulated host: binding, which socket a packet is for, what ICMP errors do to it.

Where RFCs leave it open it is as on Linux, whose programs the lab runs.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from lab.sim.process import KERNEL_CONTEXT, SimProcess
from lab.sim.udp import WILDCARDS, UdpTransport, check_port
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TransportAddress

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lab.sim.host import SimHost

_HARD_ERRORS: Final = {
    (IcmpType.PORT_UNREACHABLE, False): errno.ECONNREFUSED,
    (IcmpType.PORT_UNREACHABLE, True): errno.ECONNREFUSED,
    (IcmpType.ADMINISTRATIVELY_PROHIBITED, False): errno.EHOSTUNREACH,
    (IcmpType.ADMINISTRATIVELY_PROHIBITED, True): errno.EACCES,
    (IcmpType.FRAGMENTATION_NEEDED, False): errno.EMSGSIZE,
    (IcmpType.FRAGMENTATION_NEEDED, True): errno.EMSGSIZE,
}
"""(ICMP error, whether over IPv6) → what a connected socket hears; it hears nothing of any other error.

Linux calls the others transient (RFC 1122 §4.2.3.9 words it for TCP), and tells them only to sockets that
ask by IP_RECVERR.
"""


class UdpStack:
    """Every UDP socket of one host."""

    def __init__(self, host: SimHost) -> None:
        self._host = host
        self._sockets: dict[TransportAddress, UdpTransport] = {}
        self._users_of_port: dict[int, int] = {}

    def is_bound(self, port: int) -> bool:
        """Whether a socket uses the port, on any address."""
        return port in self._users_of_port

    @property
    def bound(self) -> tuple[TransportAddress, ...]:
        """The local addresses of all sockets, oldest first."""
        return tuple(self._sockets)

    # For programs

    async def create_endpoint(
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local: TransportAddress | None,
        remote: TransportAddress | None,
        family: int,
    ) -> tuple[UdpTransport, asyncio.DatagramProtocol]:
        """Resolve names, and open a socket of the first family for which that works.

        Raises:
            OSError: as :meth:`open`, of the first family tried; or a name does not exist.
            ValueError: the two have no family in common, or there is neither an address nor a family.
        """
        if not family and local is None and remote is None:
            raise ValueError("unexpected address family")
        failures: list[OSError] = []
        for own, peer in await self._address_pairs(local, remote, family):
            try:
                return self.open(protocol_factory, own, peer)
            except OSError as error:
                failures.append(error)
        if not failures:
            raise ValueError("can not get address information")
        raise failures[0]

    async def _address_pairs(
        self, local: TransportAddress | None, remote: TransportAddress | None, family: int
    ) -> list[tuple[TransportAddress, TransportAddress | None]]:
        """Return the local and remote addresses to try, both of one family, IPv4 first."""
        names_own = local is not None and bool(local[0])
        locals_ = await self._addresses_of(local, family) if local is not None and names_own else []
        remotes = await self._addresses_of(remote, family) if remote is not None else []
        pairs = []
        for v6 in (False, True):
            if family and (family == socket.AF_INET6) != v6:
                continue
            own = next((one for one in locals_ if (":" in one[0]) == v6), None)
            peer = next((one for one in remotes if (":" in one[0]) == v6), None)
            if not names_own:
                own = (WILDCARDS[v6], local[1] if local is not None else 0)
            if own is not None and (peer is not None or remote is None):
                pairs.append((own, peer))
        return pairs

    async def _addresses_of(self, address: TransportAddress, family: int) -> list[TransportAddress]:
        port = check_port(address[1])
        return [(found, port) for found in await self._host.resolve(address[0], family)]

    def open(
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local: TransportAddress,
        remote: TransportAddress | None,
    ) -> tuple[UdpTransport, asyncio.DatagramProtocol]:
        """Open a socket; ``local`` and ``remote`` are addresses of one family, wildcard and port 0 allowed.

        Raises:
            OSError: EADDRNOTAVAIL, EADDRINUSE, or ENETUNREACH where there is no route to ``remote``.
        """
        address, port = local
        if address not in WILDCARDS and not self._host.owns_address(address):
            raise _os_error(errno.EADDRNOTAVAIL, f"{address} on {self._host.name}")
        port = check_port(port) or self._host.ephemeral_port(IpProtocol.UDP)
        if self._is_taken(address, port):
            raise _os_error(errno.EADDRINUSE, f"UDP port {port} of {address} on {self._host.name}")
        if remote is not None:
            chosen = self._host.source_address_for(remote[0])
            if chosen is None:
                raise _os_error(errno.ENETUNREACH, remote[0])
            if address in WILDCARDS:
                address = chosen
        protocol = protocol_factory()
        transport = UdpTransport(self._host, protocol, (address, port), remote)
        self._sockets[transport.local] = transport
        self._users_of_port[port] = self._users_of_port.get(port, 0) + 1
        protocol.connection_made(transport)
        return transport, protocol

    def _is_taken(self, address: str, port: int) -> bool:
        """Whether the port is bound there; a wildcard's is everybody's of its family."""
        if port not in self._users_of_port:
            return False
        v6 = ":" in address
        users = [host for host, bound in self._sockets if bound == port and (":" in host) == v6]
        return bool(users) and (address in {WILDCARDS[v6], *users} or WILDCARDS[v6] in users)

    def release(self, transport: UdpTransport) -> None:
        """Free the port of a closed socket."""
        if self._sockets.get(transport.local) is not transport:
            return
        del self._sockets[transport.local]
        port = transport.local[1]
        self._users_of_port[port] -= 1
        if not self._users_of_port[port]:
            del self._users_of_port[port]

    def end_process(self, process: SimProcess) -> None:
        """Close the sockets of a killed process: what still comes for them is refused (ICMP)."""
        for transport in [one for one in self._sockets.values() if one.process is process]:
            transport.vanish()
            self.release(transport)

    def resume_process(self, process: SimProcess) -> None:
        """Let a process that was paused read the datagrams that wait."""
        for transport in self._sockets.values():
            if transport.process is process:
                self._host.loop.call_soon(transport.read_waiting, context=KERNEL_CONTEXT)

    def reset(self) -> None:
        """Forget every socket, as a host that lost power: no callback."""
        for transport in self._sockets.values():
            transport.vanish()
        self._sockets.clear()
        self._users_of_port.clear()

    # For the network

    def receive(self, packet: Packet) -> None:
        """Take a UDP packet addressed to this host; nobody's is answered with "port unreachable"."""
        local = packet.destination
        transport = self._sockets.get(local) or self._sockets.get((WILDCARDS[":" in local[0]], local[1]))
        if transport is None or (transport.remote is not None and transport.remote != packet.source):
            why = "no UDP socket" if transport is None else "the UDP socket is connected to another peer"
            self._host.network.drop(packet, self._host.name, f"{why} on port {local[1]}")
            self._host.send_icmp_error(IcmpType.PORT_UNREACHABLE, packet)
            return
        transport.deliver(packet)

    def icmp_error(self, icmp: IcmpMessage, quoted: Packet) -> None:
        """Take an ICMP error about a datagram of this host: connected sockets hear of some."""
        transport = self._sockets.get(quoted.source)
        number = _HARD_ERRORS.get((icmp.type, quoted.is_ipv6))
        if transport is not None and number is not None and transport.remote == quoted.destination:
            transport.fail(number)

    def unroutable(self, packet: Packet) -> None:
        """Tell the sender of a packet that there is no route."""
        transport = self._sockets.get(packet.source)
        if transport is not None:
            transport.fail(errno.ENETUNREACH)


def _os_error(number: int, about: str) -> OSError:
    return OSError(number, f"{os.strerror(number)}: {about}")

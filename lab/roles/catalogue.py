"""Which program a role name stands for, and its configuration, derived from the network it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lab.errors import Problem, UsageError, did_you_mean
from lab.protocols.turn_server import PermissionKey, PermissionRefresh, RelayConfig
from lab.roles.certificates import lab_authority
from lab.roles.context import RoleContext
from lab.roles.dns_server import DnsServer, DnsServerConfig
from lab.roles.endpoint import Endpoint, EndpointConfig
from lab.roles.network_zone import zone_of
from lab.roles.relay import Relay, RelayRoleConfig
from lab.roles.rendezvous import Rendezvous, RendezvousConfig
from lab.roles.servers import (
    PASSWORD,
    USERNAME,
    regions_of,
    rendezvous_of,
    stun_of,
    turn_of,
)
from lab.spec.network import Network, Node
from lab.spec.roles import (
    COTURN,
    DNS,
    ENDPOINT,
    RELAY,
    RENDEZVOUS,
    SIP_PROXY,
    STUN,
    STUN_PORT,
    TURN_TCP_PORT,
    TURN_TLS_PORT,
    public_name,
)
from lab.units import parse_duration


class Role(Protocol):
    """A program on a host: ``run()`` until cancelled."""

    async def run(self) -> None:
        """Run until cancelled."""


class CommandedRole(Role, Protocol):
    """A role that takes commands, once ready."""

    ready: asyncio.Event

    def handle(self, encoded: bytes) -> None:
        """Carry out one encoded command."""


def make_role(node: Node, network: Network, context: RoleContext) -> Role:
    """Return the program for ``node``.

    Raises:
        UsageError: no program has that role's name; or another than the lab's own is to run there.
    """
    if node.program is not None:
        raise UsageError(program_refusal(node))
    maker = _MAKERS.get(node.role)
    if maker is None:
        raise UsageError(f"{node.name}: no role {node.role!r}; {did_you_mean(node.role, _MAKERS)}")
    return maker(node, network, context)


def _endpoint(node: Node, network: Network, context: RoleContext) -> Role:
    rendezvous = rendezvous_of(node, network)
    if rendezvous is None:
        raise UsageError(f"{network.name} has endpoints but no node with role {RENDEZVOUS!r}")
    config = EndpointConfig(
        name=node.name,
        rendezvous=rendezvous,
        stun=stun_of(node, network),
        turn=turn_of(node, network),
        regions=regions_of(node, network),
    )
    return Endpoint(config, context)


def _rendezvous(_node: Node, _network: Network, context: RoleContext) -> Role:
    return Rendezvous(RendezvousConfig(), context)


def _relay(node: Node, network: Network, context: RoleContext) -> Role:
    options = node.options
    if options.get("program") == COTURN:
        raise UsageError(coturn_refusal(node))
    names = [public_name(node.name)] if DNS in network.by_role else []
    server = RelayConfig(
        addresses=tuple(context.addresses),
        users={USERNAME: PASSWORD},
        permission_refresh=PermissionRefresh(str(options.get("permission_refresh", "coturn"))),
        permission_key=PermissionKey(str(options.get("permission_key", "ip"))),
    )
    config = RelayRoleConfig(
        server=server,
        tcp_ports=(STUN_PORT, TURN_TCP_PORT),
        tls_ports=(TURN_TLS_PORT,),
        tls=lambda: lab_authority().server_context([*server.addresses, *names]),
    )
    return Relay(config, context)


def coturn_refusal(node: Node) -> Problem:
    """Return why a relay cannot be coturn outside the kernel world."""
    found = "coturn is a program of the kernel's sockets and clock: it cannot run in virtual time"
    return Problem(node.name, found, suggestion="run it with --world emu, or --relay lab")


def sip_proxy_refusal(node: Node) -> Problem:
    """Return why there is no SIP proxy outside the kernel world."""
    found = "a SIP proxy is Kamailio, a program of the kernel's sockets and clock: not in virtual time"
    return Problem(node.name, found, suggestion="run it with --world emu")


def require_sip_gateways(network: Network, *, on_kernel_plane: bool) -> None:
    """Make sure that boxes with a SIP gateway are the kernel's own.

    Raises:
        UsageError: they are not.
    """
    found = "a SIP gateway (sip_alg) is the kernel's own: no model has one"
    problems = [
        Problem(node.name, found, suggestion="use --world emu with --nat-plane auto or kernel")
        for node in network.nodes.values()
        if node.options.get("sip_alg")
    ]
    if problems and not on_kernel_plane:
        raise UsageError(*problems)


def _sip_proxy(node: Node, _network: Network, _context: RoleContext) -> Role:
    raise UsageError(sip_proxy_refusal(node))


def program_refusal(node: Node) -> Problem:
    """Return why an external program cannot play a node's part outside the kernel world."""
    found = (
        f"{node.program_name} is a program of the kernel's sockets and clock: it cannot run in virtual time"
    )
    suggestion = f"run it with --world emu, or with the lab's own program: --program {node.name}=lab"
    return Problem(node.name, found, suggestion=suggestion)


def _stun(_node: Node, _network: Network, context: RoleContext) -> Role:
    """A server that answers Binding alone: nobody has credentials for an allocation."""
    server = RelayConfig(addresses=tuple(context.addresses))
    return Relay(RelayRoleConfig(server=server, tcp_ports=(), tls_ports=()), context)


def _dns(node: Node, network: Network, context: RoleContext) -> Role:
    delay = parse_duration(node.options.get("answer_delay", "0"))
    return DnsServer(DnsServerConfig(zone=zone_of(node, network), delay=delay), context)


_MAKERS: Final[Mapping[str, Callable[[Node, Network, RoleContext], Role]]] = {
    ENDPOINT: _endpoint,
    RELAY: _relay,
    STUN: _stun,
    RENDEZVOUS: _rendezvous,
    SIP_PROXY: _sip_proxy,
    DNS: _dns,
}

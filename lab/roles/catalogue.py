"""Which program a role name stands for, and its configuration, derived from the network it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lab.errors import UsageError, did_you_mean
from lab.protocols.turn_server import PermissionKey, PermissionRefresh, RelayConfig
from lab.roles.certificates import lab_authority
from lab.roles.context import RoleContext
from lab.roles.dns_server import DnsServer, DnsServerConfig
from lab.roles.endpoint import Endpoint, EndpointConfig, TurnServers
from lab.roles.network_zone import zone_of
from lab.roles.relay import Relay, RelayRoleConfig
from lab.roles.rendezvous import Rendezvous, RendezvousConfig
from lab.spec.network import Network, Node
from lab.spec.roles import (
    DNS,
    ENDPOINT,
    RELAY,
    RENDEZVOUS,
    STUN,
    STUN_PORT,
    TURN_TCP_PORT,
    TURN_TLS_PORT,
    first_address,
    name_servers_of,
    public_name,
)
from lab.units import parse_duration
from nat_models.packet import TransportAddress

USERNAME: Final = "callpath"
PASSWORD: Final = "callpath-password"  # noqa: S105 - the lab's own relay, in the lab's own network


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
        UsageError: no program has that role's name.
    """
    maker = _MAKERS.get(node.role)
    if maker is None:
        raise UsageError(f"{node.name}: no role {node.role!r}; {did_you_mean(node.role, _MAKERS)}")
    return maker(node, network, context)


def _endpoint(node: Node, network: Network, context: RoleContext) -> Role:
    rendezvous = _chosen(node, network, RENDEZVOUS)
    if rendezvous is None:
        raise UsageError(f"{network.name} has endpoints but no node with role {RENDEZVOUS!r}")
    relay = _chosen(node, network, RELAY)
    stun = _chosen(node, network, STUN) or relay
    turn = None
    if relay is not None:
        addresses = _turn_addresses(_host_of(relay, node, network))
        turn = TurnServers(addresses=addresses, username=USERNAME, password=PASSWORD)
    config = EndpointConfig(
        name=node.name,
        rendezvous=(_host_of(rendezvous, node, network), RendezvousConfig().port),
        stun=(_host_of(stun, node, network), STUN_PORT) if stun else None,
        turn=turn,
    )
    return Endpoint(config, context)


def _host_of(server: Node, node: Node, network: Network) -> str:
    """Return how a node is told of a server: by name where it resolves names by DNS, else by address."""
    name = public_name(server.name)
    return name if name in network.dns and name_servers_of(node, network) else first_address(server)


def _chosen(node: Node, network: Network, role: str) -> Node | None:
    """Return the server of a role that an endpoint names in its options, else the first there is."""
    servers = network.by_role.get(role, {})
    name = node.options.get(role)
    if name is None:
        return next(iter(servers.values()), None)
    if name not in servers:
        raise UsageError(f"{node.name}: no {role} {name!r}; {did_you_mean(str(name), servers)}")
    return servers[str(name)]


def _turn_addresses(host: str) -> Mapping[str, TransportAddress]:
    return {"udp": (host, STUN_PORT), "tcp": (host, TURN_TCP_PORT), "tls": (host, TURN_TLS_PORT)}


def _rendezvous(_node: Node, _network: Network, context: RoleContext) -> Role:
    return Rendezvous(RendezvousConfig(), context)


def _relay(node: Node, network: Network, context: RoleContext) -> Role:
    options = node.options
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
    DNS: _dns,
}

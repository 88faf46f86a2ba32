"""Which program a role name stands for, and its configuration, derived from the network it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lab.errors import UsageError, did_you_mean
from lab.protocols.turn_server import PermissionKey, PermissionRefresh, RelayConfig
from lab.roles.certificates import lab_authority
from lab.roles.context import RoleContext
from lab.roles.endpoint import Endpoint, EndpointConfig, TurnServers
from lab.roles.relay import Relay, RelayRoleConfig
from lab.roles.rendezvous import Rendezvous, RendezvousConfig
from lab.spec.network import Network, Node
from lab.spec.roles import (
    ENDPOINT,
    RELAY,
    RENDEZVOUS,
    STUN,
    STUN_PORT,
    TURN_TCP_PORT,
    TURN_TLS_PORT,
    first_address,
)
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
    config = EndpointConfig(
        name=node.name,
        rendezvous=(first_address(rendezvous), RendezvousConfig().port),
        stun=(first_address(stun), STUN_PORT) if stun else None,
        turn=TurnServers(addresses=_turn_addresses(relay), username=USERNAME, password=PASSWORD)
        if relay
        else None,
    )
    return Endpoint(config, context)


def _chosen(node: Node, network: Network, role: str) -> Node | None:
    """Return the server of a role that an endpoint names in its options, else the first there is."""
    servers = network.by_role.get(role, {})
    name = node.options.get(role)
    if name is None:
        return next(iter(servers.values()), None)
    if name not in servers:
        raise UsageError(f"{node.name}: no {role} {name!r}; {did_you_mean(str(name), servers)}")
    return servers[str(name)]


def _turn_addresses(relay: Node) -> Mapping[str, TransportAddress]:
    address = first_address(relay)
    return {"udp": (address, STUN_PORT), "tcp": (address, TURN_TCP_PORT), "tls": (address, TURN_TLS_PORT)}


def _rendezvous(_node: Node, _network: Network, context: RoleContext) -> Role:
    return Rendezvous(RendezvousConfig(), context)


def _relay(node: Node, _network: Network, context: RoleContext) -> Role:
    options = node.options
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
        tls=lambda: lab_authority().server_context(server.addresses),
    )
    return Relay(config, context)


def _stun(_node: Node, _network: Network, context: RoleContext) -> Role:
    """A server that answers Binding alone: nobody has credentials for an allocation."""
    server = RelayConfig(addresses=tuple(context.addresses))
    return Relay(RelayRoleConfig(server=server, tcp_ports=(), tls_ports=()), context)


_MAKERS: Final[Mapping[str, Callable[[Node, Network, RoleContext], Role]]] = {
    ENDPOINT: _endpoint,
    RELAY: _relay,
    STUN: _stun,
    RENDEZVOUS: _rendezvous,
}

"""Which program a role name stands for, and its configuration, derived from the network it runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lab.errors import UsageError, did_you_mean
from lab.roles.context import RoleContext
from lab.roles.endpoint import Endpoint, EndpointConfig, TurnServers
from lab.roles.rendezvous import Rendezvous, RendezvousConfig
from lab.spec.network import Network, Node
from nat_models.packet import TransportAddress

ENDPOINT: Final = "endpoint"
RELAY: Final = "relay"
RENDEZVOUS: Final = "rendezvous"


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


def first_address(node: Node) -> str:
    """Return a node's first IPv4 address, or its first address."""
    addresses = [a.partition("/")[0] for interface in node.interfaces for a in interface.addresses]
    return next((a for a in addresses if ":" not in a), addresses[0])


def nodes_with_role(network: Network, role: str) -> list[Node]:
    """Return the nodes that play a role, in topology order."""
    return [node for node in network.nodes.values() if node.role == role]


def _endpoint(node: Node, network: Network, context: RoleContext) -> Role:
    meeting_points = nodes_with_role(network, RENDEZVOUS)
    if not meeting_points:
        raise UsageError(f"{network.name} has endpoints but no node with role {RENDEZVOUS!r}")
    relays = nodes_with_role(network, RELAY)
    chosen = node.options.get("relay")
    if chosen is not None:
        relays = [relay for relay in relays if relay.name == chosen]
        if not relays:
            known = [relay.name for relay in nodes_with_role(network, RELAY)]
            raise UsageError(f"{node.name}: no relay {chosen!r}; {did_you_mean(str(chosen), known)}")
    config = EndpointConfig(
        name=node.name,
        rendezvous=(first_address(meeting_points[0]), RendezvousConfig().port),
        stun=(first_address(relays[0]), 3478) if relays else None,
        turn=TurnServers(addresses=turn_addresses(relays[0])) if relays else None,
    )
    return Endpoint(config, context)


def turn_addresses(relay: Node) -> Mapping[str, TransportAddress]:
    raise NotImplementedError


def _rendezvous(_node: Node, _network: Network, context: RoleContext) -> Role:
    return Rendezvous(RendezvousConfig(), context)


_MAKERS: Final[Mapping[str, Callable[[Node, Network, RoleContext], Role]]] = {
    ENDPOINT: _endpoint,
    RENDEZVOUS: _rendezvous,
}

"""Where a node finds its servers in the network it is in: the rendezvous, STUN, TURN."""

from __future__ import annotations

from typing import Final

from lab.errors import UsageError, did_you_mean
from lab.roles.endpoint.config import TurnServers
from lab.roles.rendezvous import RendezvousConfig
from lab.spec.network import Network, Node
from lab.spec.roles import (
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
from nat_models.packet import TransportAddress

USERNAME: Final = "callpath"
PASSWORD: Final = "callpath-password"  # noqa: S105 - the lab's own relay, in the lab's own network


def rendezvous_of(node: Node, network: Network) -> TransportAddress | None:
    """Return where the rendezvous is, if there is one."""
    rendezvous = _chosen(node, network, RENDEZVOUS)
    return (_host_of(rendezvous, node, network), RendezvousConfig().port) if rendezvous else None


def stun_of(node: Node, network: Network) -> TransportAddress | None:
    """Return where a node asks for its reflexive address: a STUN server, else its relay, if there is any."""
    server = _chosen(node, network, STUN) or _chosen(node, network, RELAY)
    return (_host_of(server, node, network), STUN_PORT) if server else None


def turn_of(node: Node, network: Network) -> TurnServers | None:
    """Return the relay that a node names, else the first, if there is any."""
    relay = _chosen(node, network, RELAY)
    return _turn_servers(relay, node, network) if relay else None


def regions_of(node: Node, network: Network) -> tuple[TurnServers, ...]:
    """Return the relays among which a node has to choose: none, where there is one or it names one."""
    relays = network.by_role.get(RELAY, {}).values()
    choice = relays if RELAY not in node.options and len(relays) > 1 else ()
    return tuple(_turn_servers(relay, node, network) for relay in choice)


def _turn_servers(relay: Node, node: Node, network: Network) -> TurnServers:
    host = _host_of(relay, node, network)
    addresses = {"udp": (host, STUN_PORT), "tcp": (host, TURN_TCP_PORT), "tls": (host, TURN_TLS_PORT)}
    return TurnServers(addresses=addresses, username=USERNAME, password=PASSWORD)


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

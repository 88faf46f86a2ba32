"""A network, fully described: who is there, what joins them, every address and route. Frozen, world-free.

:mod:`lab.spec.plan` derives it from a Mininet ``Topo``; both worlds build exactly this.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network

from lab.spec.event import JsonValue
from lab.spec.impairment import Impairment
from lab.spec.program import Program
from nat_models.model import NatModel


class NodeKind(enum.Enum):
    """What a node is to the network; what programs run on it is its ``role``."""

    HOST = "host"
    ROUTER = "router"
    NAT = "nat"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One end of a link. ``addresses`` are IP texts with prefix length (``"192.168.1.10/24"``), IPv4 first.

    ``outside`` is meaningful on a NAT box: true on the side it translates to. Switch ports have no address.
    One that is not ``attached`` is where its host may move to: until then it has no part in the network.
    """

    node: str
    link: str
    addresses: tuple[str, ...] = ()
    outside: bool = False
    attached: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Longest prefix wins; among equals the one whose link has the packet's source address, else the first.

    ``via`` is the next hop's address, empty where the destination is on the link. Only a host with several
    links has equals: a default route for each, so that a packet leaves where its source address is at home.
    """

    destination: IPv4Network | IPv6Network
    link: str
    via: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node. ``interfaces`` in link order; ``options`` are the role's own settings, JSON-able.

    ``nat`` is set on NAT boxes alone; ``external_addresses`` are the addresses a NAT box translates to (its
    outside interface's, and more where it has a pool). ``program`` runs there in place of the role's own.
    """

    name: str
    kind: NodeKind
    role: str = ""
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] = ()
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    nat: NatModel | None = None
    external_addresses: tuple[str, ...] = ()
    program: Program | None = None

    @property
    def program_name(self) -> str:
        """What its program is called: after its role, unless it is another than the lab's own."""
        return self.role if self.program is None or self.program.runs_roles else self.program.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A cable between two nodes.

    ``forward`` is what packets from ``a`` to ``b`` meet, ``backward`` the other way.
    """

    label: str
    a: str
    b: str
    forward: Impairment
    backward: Impairment


@dataclass(frozen=True, kw_only=True)
class Network:
    """The whole network, nodes and links by name, in the topology's order."""

    name: str
    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    dns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Host names and the addresses they resolve to (A and AAAA by family)."""

    @cached_property
    def by_role(self) -> Mapping[str, Mapping[str, Node]]:
        """The nodes that play each role, by name, in topology order."""
        found: dict[str, dict[str, Node]] = {}
        for node in self.nodes.values():
            found.setdefault(node.role, {})[node.name] = node
        return found


def nat_boxes_of(network: Network) -> list[str]:
    """Return the names of the NAT boxes."""
    return [node.name for node in network.nodes.values() if node.kind is NodeKind.NAT]


def programs_of(network: Network) -> list[str]:
    """Return the names of the hosts on which a program runs."""
    return [
        node.name
        for node in network.nodes.values()
        if node.kind is NodeKind.HOST and (node.role or node.program is not None)
    ]


def players_of(network: Network) -> list[str]:
    """Return the names of the hosts, and of the roles that they play."""
    hosts = [node for node in network.nodes.values() if node.kind is NodeKind.HOST]
    return [*(node.name for node in hosts), *dict.fromkeys(node.role for node in hosts if node.role)]

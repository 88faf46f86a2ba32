"""Where a box stands in its network: all that a plane needs to know beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from lab.spec.network import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxWiring:
    """The devices and addresses of one box.

    ``inside`` and ``outside`` are names of network devices in the box's namespace.
    ``external_addresses`` are the IPv4 addresses it translates to, none for a box that does not translate.
    ``internal_networks`` are the prefixes behind it, IPv4 and IPv6. ``isolated``: the inside devices do not
    reach one another through the box. ``addresses`` (device, address with prefix length) and ``routes``
    (prefix, device, next hop or empty) are what the kernel has for boxes that netfilter is, and what the
    engine plane does itself.
    """

    inside: tuple[str, ...]
    outside: str
    external_addresses: tuple[str, ...] = ()
    internal_networks: tuple[str, ...] = ()
    isolated: bool = False
    addresses: tuple[tuple[str, str], ...] = ()
    routes: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def of_node(cls, node: Node, device_of_link: Mapping[str, str]) -> Self:
        """Return the wiring of a box of a network.

        Args:
            node: A node with a NAT model.
            device_of_link: The name of the box's device on each of its links.
        """
        inside = tuple(i.link for i in node.interfaces if not i.outside)
        outside = next(i.link for i in node.interfaces if i.outside)
        return cls(
            inside=tuple(device_of_link[link] for link in inside),
            outside=device_of_link[outside],
            external_addresses=tuple(a for a in node.external_addresses if ":" not in a),
            internal_networks=tuple(str(r.destination) for r in node.routes if r.link in inside),
            isolated=bool(node.options.get("isolate", False)),
            addresses=tuple((device_of_link[i.link], a) for i in node.interfaces for a in i.addresses),
            routes=tuple((str(r.destination), device_of_link[r.link], r.via) for r in node.routes),
        )

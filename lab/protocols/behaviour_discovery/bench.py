"""The test bench of a box: one host behind it, one server with two addresses before it, nothing else.

A box in a scenario's network cannot be probed on its own (others talk through it, and boxes nest), so the
same model is built once more, alone, by the same world, and probed there.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

from lab.spec.impairment import Impairment
from lab.spec.network import Interface, Link, Network, Node, NodeKind, Route
from nat_models.model import NatModel

HOST: Final = "host"
BOX: Final = "box"
SERVER: Final = "server"
SERVER_ADDRESSES: Final = ("198.18.0.1", "198.18.0.2")
"""From the block for tests of network devices (RFC 2544)."""

_WIRE: Final = Impairment(delay=0.001)
_INSIDE: Final = "10.255.0.0/24"
_OUTSIDE: Final = "198.18.0.0/24"


def certification_network(model: NatModel, *, external_addresses: int = 1) -> Network:
    """Return the network on which to probe a box.

    The prober runs on ``HOST``, a relay with ``SERVER_ADDRESSES`` on ``SERVER``.

    Args:
        model: What the box is built from.
        external_addresses: How many addresses it translates to.
    """
    external = tuple(f"198.18.0.{100 + number}" for number in range(external_addresses))
    inward, outward = Interface(node=BOX, link="in", addresses=("10.255.0.1/24",)), _on_link(BOX, external)
    nodes = [
        Node(
            name=HOST,
            kind=NodeKind.HOST,
            interfaces=(Interface(node=HOST, link="in", addresses=("10.255.0.2/24",)),),
            routes=(_route(_INSIDE, "in"), _route("0.0.0.0/0", "in", "10.255.0.1")),
        ),
        Node(
            name=BOX,
            kind=NodeKind.NAT,
            nat=model,
            external_addresses=external,
            interfaces=(inward, outward),
            routes=(_route(_INSIDE, "in"), _route(_OUTSIDE, "out")),
        ),
        Node(
            name=SERVER,
            kind=NodeKind.HOST,
            interfaces=(_on_link(SERVER, SERVER_ADDRESSES),),
            # The way back to inside addresses is for boxes that do not translate.
            routes=(_route(_OUTSIDE, "out"), _route(_INSIDE, "out", external[0])),
        ),
    ]
    links = [
        Link(label="in", a=HOST, b=BOX, forward=_WIRE, backward=_WIRE),
        Link(label="out", a=BOX, b=SERVER, forward=_WIRE, backward=_WIRE),
    ]
    return Network(
        name=f"bench of {model.name}",
        nodes={node.name: node for node in nodes},
        links={link.label: link for link in links},
    )


def _on_link(node: str, addresses: tuple[str, ...]) -> Interface:
    with_prefix = tuple(f"{address}/24" for address in addresses)
    return Interface(node=node, link="out", addresses=with_prefix, outside=node == BOX)


def _route(destination: str, link: str, via: str = "") -> Route:
    return Route(destination=ip_network(destination), link=link, via=via)

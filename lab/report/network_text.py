"""A network as text: what ``callpath show TOPOLOGY`` prints. Plain ASCII, the same for the same network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lab.spec.impairment_options import describe_impairment
from lab.spec.network import Interface, Link, Network, Node, NodeKind

_ASCII: Final = str.maketrans({"±": "+/-", "µ": "u"})


def format_network(network: Network) -> str:
    """Return nodes with addresses and routes, links with what they do to packets, and host names."""
    sections = [f"topology {network.name}"]
    sections.append("\n".join(["nodes", *(line for node in network.nodes.values() for line in _node(node))]))
    sections.append("\n".join(["links", *_links(list(network.links.values()))]))
    if network.dns:
        names = [(name, ", ".join(addresses)) for name, addresses in network.dns.items()]
        sections.append("\n".join(["host names", *_columns(names)]))
    return "\n\n".join(sections).translate(_ASCII)


def _node(node: Node) -> Iterator[str]:
    yield f"  {node.name}  ({_what_it_is(node)})"
    if node.kind is NodeKind.SWITCH:
        return
    yield from _columns([_interface(interface, node) for interface in node.interfaces], indent=4)
    routes = [(str(route.destination), route.via, route.link) for route in node.routes if route.via]
    default = {"0.0.0.0/0": "default", "::/0": "default (IPv6)"}
    yield from _columns(
        [(default.get(to, to), f"via {via}", f"on {link}") for to, via, link in routes], indent=4
    )


def _what_it_is(node: Node) -> str:
    words = [node.role or node.kind.value]
    if node.nat is not None:
        words.append(node.nat.name)
    words += [f"{name}={value}" for name, value in node.options.items()]
    return ", ".join(words)


def _interface(interface: Interface, node: Node) -> tuple[str, ...]:
    side = ""
    if node.kind is NodeKind.NAT:
        side = "outside" if interface.outside else "inside"
    elif not interface.attached:
        side = "not attached"
    return interface.link, side, ", ".join(interface.addresses)


def _links(links: Sequence[Link]) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for link in links:
        forward, backward = describe_impairment(link.forward), describe_impairment(link.backward)
        if link.forward == link.backward:
            rows.append((link.label, f"{link.a} <-> {link.b}", forward))
        else:
            rows += [
                (link.label, f"{link.a}  -> {link.b}", forward),
                ("", f"{link.a} <-  {link.b}", backward),
            ]
    return _columns(rows)


def _columns(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """Return rows as lines with aligned columns, without empty columns and trailing spaces."""
    filled = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in filled]
    return [
        " " * indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*filled, strict=True)
    ]

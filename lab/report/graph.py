"""A network as a graph to draw: what nodes are, what links do to packets; and that in Mermaid's language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lab.spec.impairment import PERFECT
from lab.spec.impairment_options import describe_impairment
from lab.spec.network import Link, Network, Node, NodeKind
from lab.spec.roles import addresses_of


@dataclass(frozen=True, kw_only=True)
class GraphNode:
    """A node; ``lines`` are its name, what it is, and its addresses."""

    name: str
    kind: NodeKind
    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class GraphLink:
    """A link between two nodes; ``lines`` are its label, then what it does, by direction where they differ.

    One that is not ``attached`` is where a host may move to.
    """

    a: str
    b: str
    lines: Sequence[str]
    attached: bool = True


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes and links in the topology's order."""

    title: str
    nodes: Sequence[GraphNode]
    links: Sequence[GraphLink]


def graph_of(network: Network) -> Graph:
    """Return the graph of a network."""
    loose = {at.link for node in network.nodes.values() for at in node.interfaces if not at.attached}
    return Graph(
        title=network.name,
        nodes=[_node(node) for node in network.nodes.values()],
        links=[_link(link, attached=link.label not in loose) for link in network.links.values()],
    )


def _node(node: Node) -> GraphNode:
    what = f"NAT {node.nat.name}" if node.nat is not None else node.role or node.kind.value
    addresses = [] if node.kind is NodeKind.ROUTER else addresses_of(node)
    return GraphNode(name=node.name, kind=node.kind, lines=[node.name, what, *addresses])


def _link(link: Link, *, attached: bool) -> GraphLink:
    return GraphLink(a=link.a, b=link.b, lines=[link.label, *_effects(link)], attached=attached)


def _effects(link: Link) -> Iterator[str]:
    if link.forward == link.backward:
        if link.forward != PERFECT:
            yield describe_impairment(link.forward)
        return
    for end, effect in ((link.b, link.forward), (link.a, link.backward)):
        yield f"to {end}: {describe_impairment(effect)}"


_SHAPES: Final = {
    NodeKind.HOST: ('["', '"]'),
    NodeKind.ROUTER: ('(("', '"))'),
    NodeKind.NAT: ('{{"', '"}}'),
    NodeKind.SWITCH: ('(["', '"])'),
}


def graph_mermaid(graph: Graph) -> str:
    """Return the graph in Mermaid's language, which GitHub and others draw."""
    ids = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["---", f"title: {_quoted([graph.title])}", "---", "flowchart LR"]
    for node in graph.nodes:
        opening, closing = _SHAPES[node.kind]
        lines.append(f"  {ids[node.name]}{opening}{_escaped(node.lines)}{closing}")
    for link in graph.links:
        stroke = "---" if link.attached else "-.-"
        lines.append(f"  {ids[link.a]} {stroke}|{_quoted(link.lines)}| {ids[link.b]}")
    return "\n".join(lines) + "\n"


def _quoted(lines: Sequence[str]) -> str:
    return f'"{_escaped(lines)}"'


def _escaped(lines: Sequence[str]) -> str:
    return "<br>".join(
        line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "#quot;")
        for line in lines
    )

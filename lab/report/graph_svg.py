"""A network as one SVG file: no script, no font, no reference to anything else. Equal networks, equal bytes.

Nodes are laid out as a tree from the middle of the network, left to right: a node's column is its distance,
its row the middle of what lies behind it. A link that is no part of the tree is a curve.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lab.report.graph import Graph, GraphLink, GraphNode
from lab.spec.network import NodeKind

_CHARACTER: Final = 6.7
"""Pixels a character of the font, a little too many."""
_LINE: Final = 15
_PADDING: Final = 9
_ROW_GAP: Final = 26
_TOP: Final = 46
_LEFT: Final = 16
_LEAST_COLUMN_GAP: Final = 90
_LABEL_AT: Final = 0.58
"""Of the way from left to right: labels of links that fan out stand apart there."""
_CURVE: Final = 34
"""Pixels by which a further link between two nodes is bent away."""

_STYLE: Final = """
svg { background: #fff; color: #1b1f24; font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, monospace }
text { fill: currentColor; white-space: pre; text-anchor: middle }
.title { font-weight: bold; text-anchor: start }
.name { font-weight: bold }
.label { paint-order: stroke; stroke: #fff; stroke-width: 4px }
.link { stroke: #57606a; fill: none; stroke-width: 1.5 }
.loose { stroke-dasharray: 5 4 }
.node { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5 }
.nat .node { fill: #fff8c5; stroke: #9a6700; stroke-width: 2.5 }
.router .node { fill: #ddf4ff; stroke: #0969da }
.switch .node { fill: #fff; stroke-dasharray: 4 3 }
@media screen and (prefers-color-scheme: dark) {
svg { background: #0d1117; color: #e6edf3 }
.label { stroke: #0d1117 }
.link { stroke: #9198a1 }
.node { fill: #151b23; stroke: #9198a1 }
.nat .node { fill: #272215; stroke: #d29922 }
.router .node { fill: #0c2d6b; stroke: #58a6ff }
.switch .node { fill: #0d1117 }
}
@media print { svg { background: none } }
"""


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where a node is, in pixels: its middle and its size."""

    x: float
    y: float
    width: float
    height: float


def graph_svg(graph: Graph) -> str:
    """Return the graph as an SVG document."""
    boxes = layout(graph)
    width = max((box.x + box.width / 2 for box in boxes.values()), default=0.0) + _LEFT
    width = max(width, _LEFT * 2 + len(graph.title) * _CHARACTER)
    height = max((box.y + box.height / 2 for box in boxes.values()), default=_TOP) + _LEFT + _CURVE
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    label = quoteattr(f"network {graph.title}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={label}>',
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="{_LEFT}" y="20">{escape(graph.title)}</text>',
            *_links(graph, boxes),
            *(element for node in graph.nodes for element in _drawn(node, boxes[node.name])),
            "</svg>\n",
        ]
    )


# Layout


def layout(graph: Graph) -> Mapping[str, Box]:
    """Return where each node is."""
    tree, depths = _tree(graph)
    sizes = {node.name: _size(node) for node in graph.nodes}
    columns = _columns(graph, depths, sizes)
    rows = _rows(tree, [name for name, depth in depths.items() if depth == 0], sizes)
    return {
        name: Box(x=columns[depths[name]], y=rows[name], width=width, height=height)
        for name, (width, height) in sizes.items()
    }


def _tree(graph: Graph) -> tuple[Mapping[str, Sequence[str]], Mapping[str, int]]:
    """Return each node's children, and its distance from the middle; a part apart has a middle of its own."""
    joined: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for link in graph.links:
        joined[link.a].append(link.b)
        joined[link.b].append(link.a)
    routers = {node.name for node in graph.nodes if node.kind is NodeKind.ROUTER}
    by_rank = sorted(joined, key=lambda name: (name not in routers, -len(joined[name])))
    children: dict[str, list[str]] = {name: [] for name in joined}
    depths: dict[str, int] = {}
    for root in by_rank:
        if root in depths:
            continue
        depths[root] = 0
        waiting = deque([root])
        while waiting:
            here = waiting.popleft()
            for there in joined[here]:
                if there not in depths:
                    depths[there] = depths[here] + 1
                    children[here].append(there)
                    waiting.append(there)
    return children, depths


def _size(node: GraphNode) -> tuple[float, float]:
    width = max(map(len, node.lines)) * _CHARACTER + 2 * _PADDING
    return width, len(node.lines) * _LINE + 2 * _PADDING


def _columns(
    graph: Graph, depths: Mapping[str, int], sizes: Mapping[str, tuple[float, float]]
) -> Sequence[float]:
    """Return the middle of each column: far enough apart for what stands on the links between."""
    count = max(depths.values(), default=0) + 1
    widths = [max(sizes[name][0] for name, depth in depths.items() if depth == at) for at in range(count)]
    gaps = [float(_LEAST_COLUMN_GAP)] * count
    for link in graph.links:
        nearer = min(depths[link.a], depths[link.b])
        text = max(map(len, link.lines)) * _CHARACTER / (2 * (1 - _LABEL_AT)) + _PADDING
        if depths[link.a] != depths[link.b]:
            gaps[nearer] = max(gaps[nearer], text)
    middles, left = [], float(_LEFT)
    for width, gap in zip(widths, gaps, strict=True):
        middles.append(left + width / 2)
        left += width + gap
    return middles


def _rows(
    tree: Mapping[str, Sequence[str]], roots: Sequence[str], sizes: Mapping[str, tuple[float, float]]
) -> Mapping[str, float]:
    """Return the middle of each node: that of the room which it and all behind it take."""
    order = [*roots]
    for name in order:
        order += tree[name]
    room: dict[str, float] = {}
    for name in reversed(order):
        room[name] = max(sizes[name][1] + _ROW_GAP, sum(room[child] for child in tree[name]))
    begins: dict[str, float] = {}
    top = float(_TOP)
    for root in roots:
        begins[root] = top
        top += room[root]
    for name in order:
        top = begins[name] + (room[name] - sum(room[child] for child in tree[name])) / 2
        for child in tree[name]:
            begins[child] = top
            top += room[child]
    return {name: begins[name] + (room[name] - _ROW_GAP) / 2 for name in order}


# Drawing


def _links(graph: Graph, boxes: Mapping[str, Box]) -> Iterator[str]:
    drawn: dict[frozenset[str], int] = {}
    for link in graph.links:
        pair = frozenset((link.a, link.b))
        drawn[pair] = drawn.get(pair, 0) + 1
        left, right = sorted((boxes[link.a], boxes[link.b]), key=lambda box: (box.x, box.y))
        yield from _link(link, left, right, bend=_CURVE * (drawn[pair] - 1))


def _link(link: GraphLink, left: Box, right: Box, *, bend: float) -> Iterator[str]:
    """Draw a link: a straight line, or a curve where it has to go round something."""
    if left.x == right.x:
        x1, x2, bend = left.x + left.width / 2, right.x + right.width / 2, bend + _CURVE
        middle = max(x1, x2) + bend, (left.y + right.y) / 2
    else:
        x1, x2 = left.x + left.width / 2, right.x - right.width / 2
        middle = (x1 + x2) / 2, (left.y + right.y) / 2 + 2 * bend
    style = "link" if link.attached else "link loose"
    path = f"M{x1:.1f} {left.y:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {x2:.1f} {right.y:.1f}"
    yield f'<path class="{style}" d="{path}"/>'
    at = _LABEL_AT
    x = (1 - at) ** 2 * x1 + 2 * at * (1 - at) * middle[0] + at**2 * x2
    y = (1 - at) ** 2 * left.y + 2 * at * (1 - at) * middle[1] + at**2 * right.y
    yield from _text(link.lines, x, y, "label")


def _drawn(node: GraphNode, box: Box) -> Iterator[str]:
    place = f'x="{box.x - box.width / 2:.1f}" y="{box.y - box.height / 2:.1f}"'
    corner = 4 if node.kind in {NodeKind.HOST, NodeKind.SWITCH} else 14
    yield f'<g class="{node.kind.value}">'
    yield f'<rect class="node" {place} width="{box.width:.1f}" height="{box.height:.1f}" rx="{corner}"/>'
    yield from _text(node.lines, box.x, box.y, "name")
    yield "</g>"


def _text(lines: Sequence[str], x: float, y: float, of_first: str) -> Iterator[str]:
    """Write lines about a point; the first has a class of its own, of a link all have."""
    top = y - (len(lines) - 1) * _LINE / 2 + _LINE * 0.3
    for number, line in enumerate(lines):
        style = f' class="{of_first}"' if number == 0 or of_first == "label" else ""
        yield f'<text{style} x="{x:.1f}" y="{top + number * _LINE:.1f}">{escape(line)}</text>'

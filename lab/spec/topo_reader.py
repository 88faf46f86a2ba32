"""Reads a Mininet ``Topo`` into a checked graph, and finds everything wrong with what its author wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.spec.findings import Findings, Place
from lab.spec.graph import Graph, check_connected, check_detached
from lab.spec.link_reader import LinkReader
from lab.spec.node_reader import NodeReader

if TYPE_CHECKING:
    from mininet.topo import Topo


def read_graph(topo: Topo, where: str, places: Mapping[Place, str] | None = None) -> Graph:
    """Return the checked graph of ``topo``. ``where`` names the topology in messages where no place is known.

    Raises:
        UsageError: everything wrong with names, roles, options, labels and links, at once.
    """
    findings = Findings(where, places or {})
    cables = LinkReader(topo, findings).read()
    graph = Graph(devices=NodeReader(topo, cables, findings).read(), cables=cables)
    if not graph.devices:
        findings.wrong(where, "the topology has no nodes")
    if not findings.problems:
        findings.extend(check_connected(graph) or check_detached(graph))
    if findings.problems:
        raise UsageError(*findings.problems)
    return graph

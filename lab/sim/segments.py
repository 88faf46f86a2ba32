"""Segments: which interfaces hear each other, and which links a packet crosses between them.

A segment is what one or more switches join, or a single cable. Switches are not simulated as nodes: a packet
crosses the link to the switch, then the link from it, and each may delay or lose it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from lab.protocols.impairment import LinkDirection
from lab.sim.leg import Leg
from lab.sim.node import Port
from lab.spec.network import Network, NodeKind


class Segments:
    """Every segment of a network; ways are found when first asked for."""

    def __init__(self, spec: Network, directions: Mapping[tuple[str, str], LinkDirection]) -> None:
        self._spec = spec
        self._directions = directions
        self._trunks = self._find_trunks()
        self._segment_of = self._number_segments()
        self._owners: dict[tuple[str, str], Port] = {}

    def add(self, ports: Iterable[Port]) -> None:
        """Let interfaces be heard on their segments."""
        for port in ports:
            for address in port.addresses:
                self._owners[self._segment_of[port.link], address] = port

    def remove(self, ports: Iterable[Port]) -> None:
        """Take interfaces off their segments."""
        for port in ports:
            for address in port.addresses:
                self._owners.pop((self._segment_of[port.link], address), None)

    def first_leg(self, port: Port, neighbour: str) -> Leg | None:
        """Return the beginning of the way from ``port`` to that address on its segment, None without one."""
        target = self._owners.get((self._segment_of[port.link], neighbour))
        if target is None:
            return None
        here = port.node.name
        path = [self._directions[port.link, here]]
        if port.link != target.link:
            here = self._far_end(port.link, here)
            for label in self._links_onward(here, target):
                path.append(self._directions[label, here])
                here = self._far_end(label, here)
        leg = Leg(path[-1], target, port)
        for direction in reversed(path[:-1]):
            leg = Leg(direction, leg, port)
        return leg

    def _far_end(self, label: str, node: str) -> str:
        link = self._spec.links[label]
        return link.b if link.a == node else link.a

    def _links_onward(self, switch: str, target: Port) -> list[str]:
        """Return the links from a switch, over others or not, to ``target``: the shortest way."""
        last_switch = self._far_end(target.link, target.node.name)
        if switch == last_switch:
            return [target.link]
        waiting: deque[tuple[str, list[str]]] = deque([(switch, [])])
        seen = {switch}
        while waiting:
            here, links = waiting.popleft()
            if here == last_switch:
                return [*links, target.link]
            for label in self._trunks[here]:
                onward = self._far_end(label, here)
                if onward not in seen:
                    seen.add(onward)
                    waiting.append((onward, [*links, label]))
        raise AssertionError("owners of one segment are joined by its switches")

    def _find_trunks(self) -> dict[str, list[str]]:
        """Return, for each switch, its links to other switches."""
        trunks: dict[str, list[str]] = {}
        for name, node in self._spec.nodes.items():
            if node.kind is NodeKind.SWITCH:
                trunks[name] = [
                    interface.link
                    for interface in node.interfaces
                    if self._spec.nodes[self._far_end(interface.link, name)].kind is NodeKind.SWITCH
                ]
        return trunks

    def _number_segments(self) -> dict[str, str]:
        """Return the segment of each link, named by its first switch, or by the link itself."""
        leader: dict[str, str] = {}
        for switch in self._trunks:
            waiting = [switch] if switch not in leader else []
            while waiting:
                here = waiting.pop()
                leader[here] = switch
                far_ends = (self._far_end(label, here) for label in self._trunks[here])
                waiting += [onward for onward in far_ends if onward not in leader]
        return {
            label: leader.get(link.a) or leader.get(link.b) or f"cable {label}"
            for label, link in self._spec.links.items()
        }

"""When the sides of a call are to begin their checks, worked out from the links; and whether they did.

In virtual time an answer takes as long as its links take, and no program waits for a processor. Here it
passes through half a dozen processes, each of which may wait; and by a few hundredths of a second
in the wrong place aioice takes another path (docs/start-offsets.md). So both sides begin at moments that are
worked out (:class:`~lab.spec.command.StartPlan`), and tell how late they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.spec.command import StartPlan
from lab.spec.impairment import Impairment
from lab.spec.network import Network, Node
from lab.spec.roles import RENDEZVOUS

MARGIN: Final = 0.020
"""Seconds that both sides wait for an answer which is late, where the scenario says by how much one begins
after the other. With eight trials at a time on two cores nine of ten answers are less late than that."""

Way = Mapping[str, Impairment]
"""What a packet meets on a link, by the node that sends it."""


def start_plan(
    network: Network, links: Mapping[str, Way], caller: str, callee: str, *, exactly: bool
) -> StartPlan | None:
    """Return when the sides of a call are to begin.

    None where that cannot be said: an endpoint is a program that nobody here wrote, there is more than one
    way to the rendezvous, or links may lose what they carry or let it queue.

    Args:
        network: who is there.
        links: what joins them at present, and how: by label, those that carry nothing left out.
        caller: an endpoint.
        callee: another.
        exactly: whether the scenario says by how much one is to begin after the other.
    """
    if not all(_is_the_labs_own(network.nodes[name]) for name in (caller, callee)):
        return None
    ways = _without_rings(links)
    servers = network.by_role.get(RENDEZVOUS, {})
    if ways is None or len(servers) != 1:
        return None
    (server,) = servers
    legs = _seconds(ways, callee, server), _seconds(ways, server, caller)
    if legs[0] is None or legs[1] is None:
        return None
    return StartPlan(travel=legs[0] + legs[1], margin=MARGIN if exactly else 0.0)


def _is_the_labs_own(node: Node) -> bool:
    return node.program is None or node.program.runs_roles or node.program.is_the_labs


def _without_rings(links: Mapping[str, Way]) -> Mapping[str, Mapping[str, Impairment]] | None:
    """Return by node what its packets meet on the way to each neighbour; None if two ways lead somewhere."""
    towards: dict[str, dict[str, Impairment]] = {}
    root: dict[str, str] = {}

    def top(name: str) -> str:
        while (above := root.setdefault(name, name)) != name:
            name = above
        return name

    for way in links.values():
        one, other = way
        if top(one) == top(other):
            return None
        root[top(one)] = top(other)
        towards.setdefault(one, {})[other] = way[one]
        towards.setdefault(other, {})[one] = way[other]
    return towards


def _seconds(ways: Mapping[str, Mapping[str, Impairment]], start: str, end: str) -> float | None:
    """Return how long the only way takes a packet; None if there is none, or links do more than delay it."""
    reached: dict[str, float] = {start: 0.0}
    waiting = [start]
    for here in waiting:
        for there, met in ways.get(here, {}).items():
            if there not in reached and _only_delays(met):
                reached[there] = reached[here] + met.delay
                waiting.append(there)
    return reached.get(end)


def _only_delays(met: Impairment) -> bool:
    """Whether a packet surely arrives, about when it is to."""
    return not (met.loss or met.loss_burst or met.loss_block or met.rate)

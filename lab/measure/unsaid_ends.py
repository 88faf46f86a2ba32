"""Packets that a box took and did not pass on, without a word: found in a capture, with what it tells of why.

Netfilter drops in silence. But a capture has every packet that came to a box and every one that left it: of
one that went no further it tells where that was, and whether the port it was for had sent anything to where
it came from. That is what a filter asks (RFC 4787 §5); what else may have been the reason is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from lab.measure.trace import Journey, PacketDrop, PacketStep, PacketTrace, journeys_of
from lab.spec.network import Network, Node, NodeKind

_UNDER_WAY: Final = 0.25
"""Seconds before the capture's end: a packet that came to a box later may still be in it."""
_FORWARDING: Final = frozenset({NodeKind.NAT, NodeKind.ROUTER})

UNSAID: Final = "it went no further"
"""How every such reason begins."""


def unsaid_ends(trace: PacketTrace) -> list[PacketDrop]:
    """Return what ended at a router or NAT box although nothing has told so.

    Args:
        trace: of a capture of all interfaces.
    """
    end = trace.steps[-1].time if trace.steps else 0.0
    sent = _Sent(trace)
    return [
        PacketDrop(
            time=journey.last.time,
            where=journey.last.node,
            packet_id=journey.packet_id,
            reason=_why(trace.network, journey.last, sent),
        )
        for journey in journeys_of(trace)
        if _ends_at_a_box(trace.network, journey) and journey.last.time < end - _UNDER_WAY
    ]


def _ends_at_a_box(network: Network, journey: Journey) -> bool:
    last = journey.last
    return journey.dropped is None and not last.outbound and network.nodes[last.node].kind in _FORWARDING


class _Sent:
    """What left each node, by time: from which place to which."""

    def __init__(self, trace: PacketTrace) -> None:
        self._steps: dict[tuple[str, str], list[PacketStep]] = {}
        for step in trace.steps:
            if step.outbound:
                self._steps.setdefault((step.node, step.source), []).append(step)

    def before(self, last: PacketStep) -> Iterator[str]:
        """Yield where the place that a packet was for has sent to, until then."""
        for step in self._steps.get((last.node, last.destination), ()):
            if step.time <= last.time:
                yield step.destination


def _why(network: Network, last: PacketStep, sent: _Sent) -> str:
    node = network.nodes[last.node]
    outside = {interface.link for interface in node.interfaces if interface.outside}
    if node.kind is NodeKind.ROUTER and not _has_route(node, last.destination):
        return f"{UNSAID}; {node.name} has no route to {_address(last.destination)}"
    if node.kind is not NodeKind.NAT or last.link not in outside:
        return UNSAID
    return f"{UNSAID}; {_evidence(last, [*sent.before(last)])}"


def _has_route(node: Node, place: str) -> bool:
    address = ip_address(_address(place))
    return any(address in route.destination for route in node.routes)


def _address(place: str) -> str:
    """Return the address of ``host:port``, without the brackets of IPv6."""
    return place.rpartition(":")[0].strip("[]")


def _evidence(last: PacketStep, sent_to: Sequence[str]) -> str:
    """Return what had been sent from the port that a packet from outside was for."""
    place, peer = last.destination, last.source
    address = _address(peer)
    if not sent_to:
        return f"nothing had been sent from {place} before"
    if peer in sent_to:
        return f"{place} had sent to {peer}, so that a filter is not the reason"
    if any(_address(other) == address for other in sent_to):
        return f"{place} had sent to {address}, to another port than {peer.rpartition(':')[2]}"
    return f"{place} had sent to others, not to {address}"

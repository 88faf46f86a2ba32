"""Which records of a capture are of one packet: it keeps its content from interface to interface.

A box changes addresses and ports, a router the hop limit; nobody changes what a packet carries. So a record
of a packet that arrives is that of the earliest equal one under way on the segment, and what a router sends
is the earliest equal one that it was handed. What a link doubled has the number of what it is a copy of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Final

from lab.emu.nat_planes.engine.datagram import parse_datagram_untrusted
from lab.errors import WireFormatError
from lab.protocols.capture_file import Seen
from lab.spec.network import Network, NodeKind

_FORWARDING: Final = {NodeKind.ROUTER, NodeKind.NAT}
_FORWARDED_WITHIN: Final = 0.25
"""Seconds. What a box has not sent on by then it has dropped; an equal one that it sends is another."""

_Waiting = dict[Hashable, deque[tuple[float, int]]]


def number_packets(records: Iterable[Seen], network: Network) -> None:
    """Give records their packet's number, from 1.

    Args:
        records: all of a capture, by time; those that a link or a box lost say so already.
        network: where they were taken.
    """
    segments = _segments(network)
    under_way: _Waiting = {}
    handed: _Waiting = {}
    latest: dict[Hashable, int] = {}
    count = 0
    for seen in records:
        node, link = seen.tap
        content = _content(seen.data)
        on_segment, at_node = (segments[link], content), (node, content)
        if not seen.outbound:
            number = _first(under_way, on_segment) or latest.get(on_segment, 0)
        elif network.nodes[node].kind in _FORWARDING:
            number = _first(handed, at_node, since=seen.time - _FORWARDED_WITHIN)
        else:
            number = 0
        if not number:
            count += 1
            number = count
        seen.packet_id = number
        if seen.comments:
            continue  # it went no further
        if not seen.outbound:
            handed.setdefault(at_node, deque()).append((seen.time, number))
        else:
            latest[on_segment] = number
            under_way.setdefault(on_segment, deque()).append((seen.time, number))


def _first(waiting: _Waiting, place: Hashable, since: float = 0.0) -> int:
    """Take the packet that has waited longest at a place, if not from before ``since``; 0: there is none."""
    queue = waiting.get(place)
    while queue:
        time, number = queue.popleft()
        if time >= since:
            return number
    return 0


def _content(data: bytes) -> Hashable:
    """Return what a packet is known by wherever it is."""
    try:
        packet = parse_datagram_untrusted(data).packet
    except WireFormatError:
        return data
    quoted = packet.icmp.quoted if packet.icmp else None
    what = packet.icmp.type if packet.icmp else packet.tcp
    return packet.protocol, what, packet.fragment, packet.payload, quoted.payload if quoted else b""


def _segments(network: Network) -> dict[str, str]:
    """Return by link the name of its segment: switches join links."""
    name = {label: label for label in network.links}
    for node in network.nodes.values():
        if node.kind is NodeKind.SWITCH:
            joined = {name[interface.link] for interface in node.interfaces}
            first = min(joined)
            name = {label: first if segment in joined else segment for label, segment in name.items()}
    return name

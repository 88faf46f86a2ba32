"""A capture as every world writes it: a network's interfaces by name, who has which address, then packets.

Interfaces are called ``node:link``, in the network's order, and a box's outer ones are described as
``outside``. A packet is in the file as often as an interface saw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import BinaryIO

from lab.protocols.pcapng import PcapngWriter
from lab.spec.network import Interface, Network

Tap = tuple[str, str]
"""A node and its link: an interface by name. Without a link it stands for the place."""


@dataclass(slots=True)
class Seen:
    """One packet as one interface sent (``outbound``) or got it, at ``time`` (seconds of the trial's clock).

    ``data`` begins with the IP header; ``packet_id`` is the same wherever the same packet is seen, 0 is none.
    """

    time: float
    tap: Tap
    data: bytes
    outbound: bool
    packet_id: int = 0
    comments: list[str] = field(default_factory=list)


class CaptureFile:
    """Writes one capture.

    Args:
        stream: where to.
        network: whose interfaces are described before the first packet; None: those that are used alone.
        taps: further interfaces and places that packets name.
        comment: what is to be known of the whole file.
        hardware: what the packets went over, and ``system``, what carried them.
    """

    def __init__(
        self,
        stream: BinaryIO,
        network: Network | None,
        taps: Iterable[Tap],
        *,
        comment: str,
        hardware: str,
        system: str,
    ) -> None:
        self._writer = PcapngWriter(stream)
        self._writer.write_section(comment, hardware=hardware, system=system)
        self._numbers: dict[Tap, int] = {}
        interfaces = _interfaces(network)
        for tap, interface in interfaces.items():
            side = "outside" if interface.outside else ""
            self._numbers[tap] = self._writer.write_interface(":".join(tap), interface.addresses, side)
        for tap in dict.fromkeys(taps):
            if tap not in self._numbers:
                self._numbers[tap] = self._writer.write_interface(":".join(filter(None, tap)))
        if names := _names(interfaces):
            self._writer.write_names(names)

    def add(self, seen: Seen) -> None:
        """Add a packet; they come by time."""
        self._writer.write_packet(
            self._numbers[seen.tap],
            seen.time,
            seen.data,
            outbound=seen.outbound,
            packet_id=seen.packet_id,
            comments=seen.comments,
        )

    def add_statistics(self, tap: Tap, time: float, *, received: int, dropped: int) -> None:
        """Say at the end how many packets came by an interface, and how many of them are missing."""
        self._writer.write_statistics(self._numbers[tap], time, received=received, dropped=dropped)


def _interfaces(network: Network | None) -> dict[Tap, Interface]:
    if network is None:
        return {}
    nodes = network.nodes.values()
    return {(at.node, at.link): at for node in nodes for at in node.interfaces if at.addresses}


def _names(interfaces: Mapping[Tap, Interface]) -> dict[IPv4Address | IPv6Address, list[str]]:
    """Return the names of addresses that are one node's alone; private ones may be several nodes'."""
    owners: dict[IPv4Address | IPv6Address, list[str]] = {}
    for (node, _), interface in interfaces.items():
        for address in interface.addresses:
            owners.setdefault(ip_interface(address).ip, []).append(node)
    return {address: nodes for address, nodes in owners.items() if len(nodes) == 1}

"""Routes: hosts and NAT boxes send to their uplink, routers know every prefix of their realm.

A host with several links has one default route for each, the uplink's first: among equally long prefixes a
packet takes the one whose link has its source address, else the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

from lab.spec.addressing import AddressPlan
from lab.spec.graph import Device
from lab.spec.network import NodeKind, Route
from lab.spec.realm import Layout, Port, Segment

_EVERYWHERE4: Final = IPv4Network("0.0.0.0/0")
_EVERYWHERE6: Final = IPv6Network("::/0")


def routes_of(device: Device, layout: Layout, plan: AddressPlan) -> tuple[Route, ...]:
    """Return a device's routes: on its links, then behind others, then the default; IPv4 first."""
    if device.kind is NodeKind.SWITCH:
        return ()
    return (*_Family(layout, plan, 4).routes(device), *_Family(layout, plan, 6).routes(device))


@dataclass(frozen=True)
class _NextHop:
    link: str
    via: str


class _Family:
    """Routing of one address family. IPv4 stops at translating NATs; IPv6 goes on through them."""

    def __init__(self, layout: Layout, plan: AddressPlan, version: Literal[4, 6]) -> None:
        self._layout = layout
        self._devices = layout.graph.devices
        self._everywhere = _EVERYWHERE4 if version == 4 else _EVERYWHERE6
        self._prefixes: Mapping[str, IPv4Network | IPv6Network]
        self._prefixes = plan.prefixes if version == 4 else plan.prefixes6
        self._addresses = plan.addresses if version == 4 else plan.addresses6

    def routes(self, device: Device) -> Iterator[Route]:
        on_link = [label for label in device.cables if self._segment(label).key in self._prefixes]
        for label in on_link:
            yield Route(destination=self._prefix(label), link=label)
        defaults = list(self._defaults(device, on_link))
        if device.forwards:
            yield from self._beyond(device, on_link, defaults)
        for hop in defaults:
            yield Route(destination=self._everywhere, link=hop.link, via=hop.via)

    def _segment(self, label: str) -> Segment:
        return self._layout.segment_of[label]

    def _prefix(self, label: str) -> IPv4Network | IPv6Network:
        return self._prefixes[self._segment(label).key]

    def _defaults(self, device: Device, on_link: Collection[str]) -> Iterator[_NextHop]:
        """Yield default next hops, the preferred one first. Only hosts may have more than one."""
        candidates = [label for label in on_link if label == device.uplink]
        if not device.forwards:
            candidates += [label for label in on_link if label != device.uplink]
        for label in candidates:
            gateway = self._layout.exit_from(device, label)
            if gateway is not None:
                yield _NextHop(label, self._addresses[gateway][0])

    def _beyond(
        self, device: Device, on_link: Collection[str], defaults: Collection[_NextHop]
    ) -> Iterator[Route]:
        """Yield routes to segments beyond others, by the fewest hops; none that the default covers."""
        inner = [label for label in on_link if not self._is_border(device, label)]
        seen = {self._segment(label).key for label in on_link}
        waiting: deque[tuple[Segment, _NextHop | None, str]] = deque(
            (self._segment(label), None, label) for label in inner
        )
        while waiting:
            segment, hop, entered_by = waiting.popleft()
            for port in segment.ports:
                for further in self._segments_behind(port, device):
                    if further.key in seen:
                        continue
                    seen.add(further.key)
                    onward = hop or _NextHop(entered_by, self._addresses[port][0])
                    waiting.append((further, onward, entered_by))
                    if onward not in defaults:
                        destination = self._prefixes[further.key]
                        yield Route(destination=destination, link=onward.link, via=onward.via)

    def _segments_behind(self, port: Port, asking: Device) -> Iterator[Segment]:
        """Yield the segments that the device at ``port`` forwards to from there."""
        device = self._devices[port.device]
        if device is asking or not device.forwards or self._is_border(device, port.cable):
            return
        for label in device.cables:
            segment = self._segment(label)
            if label != port.cable and segment.key in self._prefixes and not self._is_border(device, label):
                yield segment

    def _is_border(self, device: Device, label: str) -> bool:
        """Whether IPv4 routing ends there: the outside of a translating NAT."""
        return self._everywhere is _EVERYWHERE4 and device.translates and label == device.uplink

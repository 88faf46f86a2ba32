"""What a host knows of the MTU towards others: its own links', and what routers reported (RFC 1191, 8201)."""

from __future__ import annotations

from typing import Final

MTU_LIFETIME: Final = 600.0
"""Seconds a reported MTU is believed (RFC 1191 §6.3; Linux: mtu_expires)."""
LONGEST_PACKET: Final = 65_535
"""Bytes that an IP header can say."""
IPV6_MINIMUM_MTU: Final = 1280
"""A report below it does not count as one (RFC 8201 §4)."""
_HEADER_ROOM: Final = 40 + 8 + 20
"""With so much less payload than the MTU any packet fits: IPv6, fragment and TCP header."""


class PathMtu:
    """The MTUs that one host knows. ``surely_fits`` is the payload (bytes) that fits wherever it sends."""

    def __init__(self) -> None:
        self.surely_fits = 0
        self._links: dict[str, int] = {}
        self._reported: dict[str, tuple[int, float]] = {}

    def set_link(self, label: str, mtu: int) -> None:
        """Note the MTU in bytes of a link of the host's own."""
        self._links[label] = mtu
        self._note_smallest()

    def report(self, destination: str, mtu: int, now: float) -> None:
        """Note what "fragmentation needed" or "packet too big" said of the way to an address."""
        if ":" in destination:
            mtu = max(mtu, IPV6_MINIMUM_MTU)
        self._reported[destination] = (mtu, now + MTU_LIFETIME)
        self._note_smallest()

    def to(self, destination: str, link: str, now: float) -> int:
        """Return the MTU in bytes of the way to an address that leaves by a link."""
        own = self._links[link]
        reported, until = self._reported.get(destination, (own, now))
        if until < now:
            del self._reported[destination]
            self._note_smallest()
            return own
        return min(own, reported)

    def _note_smallest(self) -> None:
        known = [*self._links.values(), *(mtu for mtu, _ in self._reported.values())]
        self.surely_fits = min(known, default=0) - _HEADER_ROOM

"""Which relayed ports are taken (RFC 8656 §7.2)."""

from __future__ import annotations

import random

from lab.protocols.stun_auth import signature
from nat_models.packet import TransportAddress


class RelayPorts:
    """The relayed ports of a server, given out at random: a guessable port invites strangers.

    Where to look for a free one is a keyed hash of the request. So a client's port does not depend on who
    asked before, and two clients that ask at the same moment get the same ports in either order.
    """

    def __init__(self, first: int, last: int, random: random.Random) -> None:
        self._first = first
        self._count = last - first + 1
        self._secret = random.randbytes(16)
        self._taken: set[TransportAddress] = set()

    def take(self, ip: str, request: bytes, *, even: bool = False, with_next: bool = False) -> int | None:
        """Return a free port of this address, now taken; None when there is none.

        Args:
            ip: The relay address, as text.
            request: What tells this request from every other.
            even: Take an even port (EVEN-PORT).
            with_next: Take the port above it too.
        """
        digest = signature(self._secret, ip.encode() + request, "sha256")
        start = int.from_bytes(digest[:8]) % self._count
        for step in range(self._count):
            port = self._first + (start + step) % self._count
            if (even and port & 1) or not self._is_free(ip, port):
                continue
            if with_next and not self._is_free(ip, port + 1):
                continue
            self._taken.add((ip, port))
            if with_next:
                self._taken.add((ip, port + 1))
            return port
        return None

    def release(self, relayed: TransportAddress) -> None:
        """Give a port back."""
        self._taken.discard(relayed)

    def _is_free(self, ip: str, port: int) -> bool:
        return port < self._first + self._count and (ip, port) not in self._taken

"""Rate with a finite queue: packets leave one after the other, and what finds the queue full is dropped."""

from __future__ import annotations

from typing import Final

# A backlog computed from times is off by less than this (2^-52 · 10^5 s · 10 Gbit/s / 8 = 0.03 bytes).
_ROUNDING_BYTES: Final = 0.5


class Transmitter:
    """A sender of ``rate`` bits a second in front of which ``queue`` bytes may wait (tail drop).

    No event is needed: the bytes not yet sent follow from the time at which the last accepted packet will be
    out. They count in full, the unsent part of the packet being sent included. An idle sender takes any
    packet, however small the queue.
    """

    __slots__ = ("_busy_until", "queue", "rate")

    def __init__(self, rate: float, queue: int) -> None:
        self.rate = rate
        self.queue = queue
        self._busy_until = 0.0

    def backlog(self, now: float) -> float:
        """Return the bytes not yet sent."""
        return max(0.0, self._busy_until - now) * self.rate / 8

    def send(self, length: int, now: float) -> float | None:
        """Return when a packet of ``length`` bytes is out, or None when the queue has no room for it."""
        if self._busy_until > now:
            if self.backlog(now) + length > self.queue + _ROUNDING_BYTES:
                return None
            self._busy_until += length * 8 / self.rate
        else:
            self._busy_until = now + length * 8 / self.rate
        return self._busy_until

    def retune(self, rate: float, queue: int, now: float) -> None:
        """Take another rate and queue size from ``now`` on; what waits leaves at the new rate."""
        waiting = self.backlog(now)
        self.rate = rate
        self.queue = queue
        self._busy_until = now + waiting * 8 / rate

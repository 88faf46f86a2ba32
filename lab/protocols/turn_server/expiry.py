"""Things that end some time: a heap in which refreshing costs nothing.

An entry stays where it was put; only when it comes up is it looked at again, and put back if the thing was
refreshed meanwhile. Allocations and permissions are refreshed far more often than they end.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Expiring:
    """Something that ends at ``expires``, in seconds of the server's clock. ``gone`` once nobody needs it."""

    __slots__ = ("_queued", "expires", "gone")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.gone = False
        self._queued = float("inf")


class ExpiryQueue:
    """The ends of all things at one server, earliest first, equal ones in the order they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Expiring]] = []
        self._serial = 0

    def watch(self, item: Expiring) -> None:
        """Note the item's end: when it is made, and when its end comes nearer. Harmless otherwise."""
        if item.expires < item._queued:  # noqa: SLF001 - the queue's own mark on the item
            item._queued = item.expires  # noqa: SLF001
            self._serial += 1
            heapq.heappush(self._heap, (item.expires, self._serial, item))

    def next_time(self) -> float | None:
        """Return when to look again, in seconds; None when nothing will end."""
        heap = self._heap
        while heap and heap[0][2].gone:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def is_due(self, now: float) -> bool:
        """Return whether anything might have ended by ``now``."""
        return bool(self._heap) and self._heap[0][0] <= now

    def pop_due(self, now: float) -> Iterator[Expiring]:
        """Yield, in order, what has ended by ``now``, and forget it."""
        while self.is_due(now):
            when, _, item = heapq.heappop(self._heap)
            if item.gone or when != item._queued:  # noqa: SLF001
                continue
            item._queued = float("inf")  # noqa: SLF001
            if item.expires > now:
                self.watch(item)
            else:
                yield item

"""When mappings end: a queue that packets never touch.

A refresh only moves the time in the mapping. The queue holds one item a mapping, at the expiry it had when
the item was made; an item that comes up early is put back at the expiry the mapping has now. So a packet
costs nothing here, and a mapping costs one heap operation a lifetime.
"""

from __future__ import annotations

import heapq

from nat_models.mapping_entry import MappingEntry


class ExpiryQueue:
    """Every mapping of one box, by a time at which it has certainly not expired yet."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, MappingEntry]] = []
        """(when it may have expired, order, mapping), the earliest first."""
        self._serial = 0

    def push(self, entry: MappingEntry) -> None:
        """Have the mapping looked at when it expires, as it stands now. An earlier item of it is harmless."""
        self._serial += 1
        heapq.heappush(self.heap, (entry.expires, self._serial, entry))

    def sweep(self, now: float) -> None:
        """End every mapping that has expired, in the order in which they did; none is left that has."""
        heap = self.heap
        while heap and heap[0][0] <= now:
            time, _, entry = heapq.heappop(heap)
            if not entry.table.holds(entry):
                continue
            if entry.expires <= time:
                entry.table.end(entry, entry.expires)
                continue
            if entry.expires > now:
                entry.table.tidy(entry, now)
            self.push(entry)

    def forget_all(self) -> None:
        """Lose all state, as a reboot does."""
        self.heap.clear()

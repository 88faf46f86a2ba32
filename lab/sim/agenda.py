"""What will happen in a trial, instant by instant.

Of ten things that a trial does six or more happen at the instant of another one: endpoints pace themselves by
the same 20 ms, links delay by the same few. So what is kept in a heap is instants, bare numbers, and each has
a list of what happens then, in order. To put something into it costs a look-up where a heap of everything
would compare a dozen tuples, scattered over the memory of a whole network.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from heapq import heapify, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.sim.handles import VirtualTimer

Entry = tuple[int, Callable[[Any], object] | None, Any]
"""(order, callback, its argument), or (order, None, timer); the order is unique."""


class Agenda:
    """Everything that is scheduled. Total order: by instant, within one by the order of the entry.

    The loop itself adds to ``at`` and takes from ``current``: each event of a trial would cost a call more.
    """

    __slots__ = ("at", "current", "instant", "instants")

    def __init__(self) -> None:
        self.instants: list[float] = []
        """A heap of the keys of ``at``."""
        self.at: dict[float, list[Entry]] = {}
        """What happens at each instant, first things first."""
        self.current: list[Entry] = []
        """What is left of the instant that was begun last, first things last. It is in ``at`` no longer.

        What is scheduled for that instant meanwhile gets a new list there: it comes after all of these.
        """
        self.instant = 0.0
        """The instant of ``current``."""

    def __len__(self) -> int:
        """How many entries there are; takes time proportional to the number of instants."""
        return len(self.current) + sum(map(len, self.at.values()))

    def place(self, when: float, entry: Entry) -> None:
        """Put an entry where its order belongs, which may be before others that are there."""
        there = self.at.get(when)
        if when == self.instant and self.current and (there is None or entry[0] < there[0][0]):
            insort(self.current, entry, key=_latest_first)
        elif there is not None:
            insort(there, entry, key=_order)
        else:
            self.at[when] = [entry]
            heappush(self.instants, when)

    def take_timers(self, is_wanted: Callable[[VirtualTimer], bool]) -> list[tuple[float, int, VirtualTimer]]:
        """Take out the timers of a kind; return them with their instants and orders, in no certain order."""
        taken: list[tuple[float, int, VirtualTimer]] = []
        for when, entries in [(self.instant, self.current), *self.at.items()]:
            wanted = [entry for entry in entries if entry[1] is None and is_wanted(entry[2])]
            if wanted:
                taken += ((when, order, timer) for order, _, timer in wanted)
                orders = {order for order, _, _ in wanted}
                entries[:] = [entry for entry in entries if entry[0] not in orders]
                if not entries and entries is not self.current:
                    del self.at[when]
        self.instants[:] = self.at
        heapify(self.instants)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self.instants.clear()
        self.at.clear()
        self.current.clear()


def _order(entry: Entry) -> int:
    return entry[0]


def _latest_first(entry: Entry) -> int:
    return -entry[0]

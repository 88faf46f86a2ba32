"""The server's table of allocations: who has one, which relayed address is whose, what ends when."""

from __future__ import annotations

from lab.protocols.turn_server.actions import FiveTuple
from lab.protocols.turn_server.allocation import Allocation
from lab.protocols.turn_server.expiry import ExpiryQueue
from nat_models.packet import TransportAddress


class AllocationTable:
    """Allocations by client and by relayed address. ``expiries`` watches everything that ends."""

    def __init__(self) -> None:
        self.by_client: dict[FiveTuple, Allocation] = {}
        self.by_relayed: dict[TransportAddress, Allocation] = {}
        self.expiries = ExpiryQueue()
        self._counts: dict[str, int] = {}

    def add(self, allocation: Allocation) -> None:
        """Enter a new allocation."""
        self.by_client[allocation.five_tuple] = allocation
        for relayed in allocation.relayed.values():
            self.by_relayed[relayed] = allocation
        self._counts[allocation.username] = self.count_of(allocation.username) + 1
        self.expiries.watch(allocation)

    def remove(self, allocation: Allocation) -> list[TransportAddress]:
        """Take an allocation out and return the relayed addresses to close."""
        del self.by_client[allocation.five_tuple]
        for relayed in allocation.relayed.values():
            del self.by_relayed[relayed]
        self._counts[allocation.username] -= 1
        return allocation.clear()

    def remove_family(self, allocation: Allocation, family: int) -> TransportAddress:
        """Take one of an allocation's two relayed addresses out and return it, to be closed."""
        relayed = allocation.give_up(family)
        del self.by_relayed[relayed]
        return relayed

    def count_of(self, username: str) -> int:
        """Return how many allocations a user has."""
        return self._counts.get(username, 0)

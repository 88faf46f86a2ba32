"""Loss by exact count: so many of every so many packets, never one more or less."""

from __future__ import annotations

from lab.protocols.impairment.draws import Draws, Purpose


class BlockLoss:
    """Loses exactly ``lost`` of every ``block`` packets, counted from packet ``first``; where, is seeded."""

    __slots__ = ("_block", "_draws", "_first", "_lost", "_number", "_positions", "reason")

    def __init__(self, lost: int, block: int, seed: int, first: int = 0) -> None:
        self._lost = lost
        self._block = block
        self._first = first
        self._draws = Draws(seed, Purpose.BLOCK_POSITIONS)
        self._number = -1
        self._positions: frozenset[int] = frozenset()
        self.reason = f"loss of exactly {lost} of every {block} packets"

    def loses(self, index: int) -> bool:
        """Return whether the packet of that index is lost."""
        number, position = divmod(index - self._first, self._block)
        if number != self._number:
            self._number = number
            self._positions = self._choose(self._first + number * self._block)
        return position in self._positions

    def _choose(self, start: int) -> frozenset[int]:
        """Return the lost positions of the block whose first packet is ``start`` (Floyd's sampling)."""
        chosen: set[int] = set()
        for place in range(self._block - self._lost, self._block):
            # Modulo's bias is below block/2^64.
            candidate = self._draws.bits(start + place) % (place + 1)
            chosen.add(place if candidate in chosen else candidate)
        return frozenset(chosen)

"""Time of flight: a fixed delay, more or less a uniform jitter."""

from __future__ import annotations

from lab.protocols.impairment.draws import Draws, Purpose


class Flight:
    """How long a packet is on its way: ``delay`` ± ``jitter`` seconds, uniform, never negative.

    A duplicate has a flight of its own. Whether packets may overtake each other is decided by the direction,
    which knows the arrivals before.
    """

    __slots__ = ("_copy_draws", "_draws", "_lowest", "_spread")

    def __init__(self, delay: float, jitter: float, seed: int) -> None:
        self._lowest = delay - jitter
        self._spread = 2.0 * jitter
        self._draws = Draws(seed, Purpose.JITTER)
        self._copy_draws = Draws(seed, Purpose.DUPLICATE_JITTER)

    def seconds(self, index: int) -> float:
        """Return the seconds in flight of the packet of that index."""
        flight = self._lowest + self._spread * self._draws.share(index)
        return max(flight, 0.0)

    def copy_seconds(self, index: int) -> float:
        """Return the seconds in flight of that packet's duplicate."""
        flight = self._lowest + self._spread * self._copy_draws.share(index)
        return max(flight, 0.0)

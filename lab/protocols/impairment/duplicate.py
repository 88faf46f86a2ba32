"""Duplication: some packets arrive twice."""

from __future__ import annotations

from lab.protocols.impairment.draws import Draws, Purpose


class Duplication:
    """Doubles a packet with probability ``share`` (0..1). The copy is made in flight: it takes no rate."""

    __slots__ = ("_draws", "_share")

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._draws = Draws(seed, Purpose.DUPLICATE)

    def doubles(self, index: int) -> bool:
        """Return whether the packet of that index arrives twice."""
        return self._draws.share(index) < self._share

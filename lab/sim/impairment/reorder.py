"""Reordering: some packets overtake those in flight."""

from __future__ import annotations

from lab.sim.impairment.draws import Draws, Purpose


class Reordering:
    """Sends a packet ahead with probability ``share`` (0..1), at most ``gap`` seconds early (0: no limit)."""

    __slots__ = ("_draws", "_gap", "_share")

    def __init__(self, share: float, gap: float, seed: int) -> None:
        self._share = share
        self._gap = gap
        self._draws = Draws(seed, Purpose.REORDER)

    def overtakes(self, index: int) -> bool:
        """Return whether the packet of that index goes ahead."""
        return self._draws.share(index) < self._share

    def hurry(self, sent: float, arrival: float) -> float:
        """Return when a packet that goes ahead arrives: it left at ``sent`` and was due at ``arrival``."""
        return max(sent, arrival - self._gap) if self._gap else sent

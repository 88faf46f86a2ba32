"""Reordering: some packets overtake those in flight."""

from __future__ import annotations

from lab.protocols.impairment.draws import Draws, Purpose


class Reordering:
    """Sends a packet ahead with probability ``share`` (0..1)."""

    __slots__ = ("_draws", "_share")

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._draws = Draws(seed, Purpose.REORDER)

    def overtakes(self, index: int) -> bool:
        """Return whether the packet of that index goes ahead."""
        return self._draws.share(index) < self._share


def hurried(sent: float, arrival: float, gap: float) -> float:
    """Return when a packet that goes ahead arrives: it left at ``sent`` and was due at ``arrival``.

    It comes at most ``gap`` seconds early; with a gap of 0 there is no limit.
    """
    return max(sent, arrival - gap) if gap else sent

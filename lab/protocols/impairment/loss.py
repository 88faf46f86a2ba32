"""Independent loss: each packet is lost with the same probability."""

from __future__ import annotations

from lab.protocols.impairment.draws import Draws, Purpose


class IndependentLoss:
    """Loses a packet with probability ``share`` (0..1)."""

    __slots__ = ("_draws", "_share", "reason")

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._draws = Draws(seed, Purpose.LOSS)
        self.reason = f"random loss of {share * 100:g}%"

    def loses(self, index: int) -> bool:
        """Return whether the packet of that index is lost."""
        return self._draws.share(index) < self._share

"""Burst loss: a two-state Markov chain, stepped once a packet (Gilbert 1960, Elliott 1963)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.protocols.impairment.draws import Draws, Purpose

if TYPE_CHECKING:
    from lab.spec.impairment import GilbertElliott


class BurstLoss:
    """The chain of one direction. It starts in the good state before packet ``first``.

    Every packet index is one step, whether or not that packet came this far: a queue that drops some packets
    does not move the bursts of the others.
    """

    __slots__ = ("_bad", "_chain", "_loss", "_next", "_step", "reason")

    def __init__(self, chain: GilbertElliott, seed: int, first: int = 0) -> None:
        self._chain = chain
        self._step = Draws(seed, Purpose.BURST_STEP)
        self._loss = Draws(seed, Purpose.BURST_LOSS)
        self._next = first
        self._bad = False
        self.reason = (
            f"burst loss (bursts of {1 / chain.bad_to_good:.3g} packets)"
            if chain.bad_to_good
            else "burst loss"
        )

    def loses(self, index: int) -> bool:
        """Return whether the packet of that index is lost; indexes come in rising order."""
        chain = self._chain
        while self._next <= index:
            leave = chain.bad_to_good if self._bad else chain.good_to_bad
            if self._step.share(self._next) < leave:
                self._bad = not self._bad
            self._next += 1
        share = chain.loss_bad if self._bad else chain.loss_good
        # A draw is below 1 and never below 0: the usual shares 0 and 1 need none.
        return share == 1 or (share > 0 and self._loss.share(index) < share)

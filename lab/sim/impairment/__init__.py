"""What a link does to packets in virtual time: one impairment a file; :class:`LinkDirection` joins them."""

from __future__ import annotations

from lab.sim.impairment.decision import Decision, Delivery, Fate
from lab.sim.impairment.direction import LinkDirection

__all__ = ["Decision", "Delivery", "Fate", "LinkDirection"]

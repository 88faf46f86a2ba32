"""What a link does to packets in virtual time: one impairment a file, put together by :class:`LinkDirection`."""

from __future__ import annotations

from lab.sim.impairment.decision import Decision, Fate
from lab.sim.impairment.direction import LinkDirection

__all__ = ["Decision", "Fate", "LinkDirection"]

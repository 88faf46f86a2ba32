"""What a link does to packets, in either world: one impairment a file; :class:`LinkDirection` joins them."""

from __future__ import annotations

from lab.protocols.impairment.aim import aim
from lab.protocols.impairment.decision import Decision, Delivery, Fate
from lab.protocols.impairment.direction import LinkDirection

__all__ = ["Decision", "Delivery", "Fate", "LinkDirection", "aim"]

"""What a link does to packets, one direction: the frozen, unit-free form (seconds, shares, bits a second)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GilbertElliott:
    """Burst loss: a two-state chain stepped once a packet (Gilbert 1960, Elliott 1963).

    ``good_to_bad`` and ``bad_to_good`` are transition probabilities a packet, ``loss_good`` and ``loss_bad``
    the loss probability in each state. Mean loss is (p·loss_bad + r·loss_good)/(p + r), mean burst length 1/r
    packets.
    """

    good_to_bad: float
    bad_to_good: float
    loss_good: float = 0.0
    loss_bad: float = 1.0


class JitterOrder(enum.Enum):
    """Whether jitter may let a later packet overtake an earlier one."""

    KEEP = "keep"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """One direction of one link. Everything off is a perfect wire of no delay.

    ``delay`` and ``jitter`` in seconds: each packet takes delay ± jitter, uniform. ``loss``, ``duplicate``
    and ``reorder`` are shares in 0..1; a reordered packet is sent at once, ahead of those in flight
    (``reorder_gap`` seconds early at most). ``loss_block`` = (lost, block): exactly ``lost`` of every
    ``block`` packets. ``rate`` in bits a second with a queue of ``queue`` bytes (tail drop); 0 is unlimited.
    ``mtu`` in bytes.
    """

    delay: float = 0.0
    jitter: float = 0.0
    jitter_order: JitterOrder = JitterOrder.KEEP
    loss: float = 0.0
    loss_burst: GilbertElliott | None = None
    loss_block: tuple[int, int] | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_gap: float = 0.0
    rate: float = 0.0
    queue: int = 262_144
    mtu: int = 1500


PERFECT = Impairment()

"""What a link decided about one packet."""

from __future__ import annotations

import enum
from typing import NamedTuple

from nat_models.packet import IcmpMessage, Packet


class Fate(enum.Flag):
    """What befell a packet, as a decision log keeps it and a replay takes it. DELIVER is none of the others."""

    DELIVER = 0
    DROP = 1
    DUPLICATE = 2
    REORDER = 4

    def __str__(self) -> str:
        """``deliver``, ``drop``, ``duplicate+reorder``."""
        return "+".join(str(fate.name).lower() for fate in Fate if fate in self and fate) or "deliver"


class Decision(NamedTuple):
    """What becomes of one packet that was handed to a link.

    Exactly one of these holds: ``deliveries`` says when it arrives (seconds of the run's clock; twice when it is
    duplicated), ``reason`` says why it does not, ``fragments`` are to be handed to the link in its place.
    ``icmp`` goes with a drop that the sender must be told of: the node that sent the packet into the link returns
    it, from its own address, to the packet's source.
    ``index`` is the packet's number on this direction, from 0; -1 when it never got a number (MTU).
    """

    deliveries: tuple[float, ...] = ()
    index: int = -1
    reason: str = ""
    fragments: tuple[Packet, ...] = ()
    icmp: IcmpMessage | None = None

"""What a link decided about one packet."""

from __future__ import annotations

import enum
from typing import NamedTuple

from nat_models.packet import Packet


class Fate(enum.Flag):
    """What befell a packet, as a decision log keeps it and a replay takes it; DELIVER is none of the rest."""

    DELIVER = 0
    DROP = 1
    DUPLICATE = 2
    REORDER = 4

    def __str__(self) -> str:
        """``deliver``, ``drop``, ``duplicate+reorder``."""
        return "+".join(str(fate.name).lower() for fate in Fate if fate in self and fate) or "deliver"

    @classmethod
    def from_text(cls, text: str) -> Fate:
        """Return the fate that reads so.

        Raises:
            ValueError: no fate reads so.
        """
        fate = cls.DELIVER
        for word in text.split("+"):
            fate |= cls.__members__.get(word.upper(), cls.DELIVER)
        if str(fate) != text or (cls.DROP in fate and fate is not cls.DROP):
            raise ValueError(f"{text!r} is not a fate (deliver, drop, duplicate, reorder, duplicate+reorder)")
        return fate


Delivery = tuple[float, Packet]
"""When a packet arrives (seconds of the run's clock), and the packet."""


class Lost(NamedTuple):
    """A fragment that does not arrive: its index on the link, and why."""

    packet: Packet
    reason: str
    packet_index: int


class Decision(NamedTuple):
    """What becomes of one packet that was handed to a link.

    It arrives (``deliveries``: twice when duplicated, in pieces when fragmented), or ``reason`` says why it
    does not, and ``packet_index`` which packet of the link it was (-1: it was refused before it was one).
    ``lost`` are the fragments that do not arrive, whether others do or not. ``mtu`` (bytes) is set when the
    sender must be told that the packet is too big: the node that sent it into the link answers with ICMP
    "fragmentation needed" from its own address. ``fate`` says what chance did to a packet that arrives.
    """

    deliveries: tuple[Delivery, ...] = ()
    reason: str = ""
    lost: tuple[Lost, ...] = ()
    mtu: int = 0
    packet_index: int = -1
    fate: Fate = Fate.DELIVER

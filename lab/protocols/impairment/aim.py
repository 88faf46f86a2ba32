"""Losing the packets that a timeline names: by what they are and their number, or by index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lab.protocols.impairment.direction import LinkDirection
from lab.protocols.impairment.match import matcher

if TYPE_CHECKING:
    from lab.spec.packet_drop import DropPackets
    from nat_models.packet import Packet

Matching = Callable[["Packet"], bool]


def aim(
    drop: DropPackets,
    directions: Mapping[str, LinkDirection],
    seen_by: Callable[[Matching], Matching] = lambda matching: matching,
) -> None:
    """Lose what ``drop`` says from now on; each direction counts its own packets.

    Args:
        drop: what to lose.
        directions: those of its link, by sending node.
        seen_by: makes of what asks a packet that which asks what the direction is handed in its place.

    Raises:
        ValueError: a packet that is named by its index has been sent already.
    """
    numbers = drop.numbers
    for sender, direction in directions.items():
        if drop.sender not in {None, sender}:
            continue
        if drop.packets:
            direction.drop_indexes(drop.packets)
        else:
            asked = seen_by(matcher(drop.match))
            direction.drop_matching(asked, numbers.first, numbers.how_many, step=numbers.step)

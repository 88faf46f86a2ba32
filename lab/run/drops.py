"""What a link lost by chance in one trial, as steps that lose the same packets in another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lab.spec.event import Event, EventType
from lab.spec.network import Network

BY_CHANCE: Final = "lost on "
"""How the reasons of drops begin that a link drew; a cut, a full queue or a request has other words."""


def drop_steps(events: Iterable[Event], network: Network) -> list[dict[str, Any]]:
    """Return the steps of a timeline that lose what the links of a trial lost by chance.

    With them, and the loss turned off from the start, a trial of the same seed and parameters goes as this
    one did: which packets are lost is all that loss decides, and chance is drawn by a packet's index.

    Args:
        events: those of a trial.
        network: what it ran on.

    Returns:
        One step a direction of a link, as a scenario file has it: ``{"at": "0s", "drop": {...}}``.
    """
    directions = {
        f"{link.label} from {end}": (link.label, end)
        for link in network.links.values()
        for end in (link.a, link.b)
    }
    lost: dict[str, list[int]] = {}
    for event in events:
        index = event.data.get("index")
        by_chance = str(event.data.get("reason", "")).startswith(BY_CHANCE)
        if event.type is EventType.PACKET_DROPPED and by_chance and isinstance(index, int):
            lost.setdefault(event.node, []).append(index)
    return [
        {"at": "0s", "drop": {"link": link, "from": sender, "packets": sorted(lost[name])}}
        for name, (link, sender) in directions.items()
        if name in lost
    ]

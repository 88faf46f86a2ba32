"""The context of a role that runs on real sockets: events go to a list, randomness is seeded by name."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from lab.spec.event import Event, EventType, JsonValue
from lab.spec.seeds import stream


class RealRoleContext:
    """A :class:`~lab.roles.context.RoleContext` on the running loop's clock. ``events`` holds the past."""

    def __init__(self, node: str, addresses: Sequence[str], *, seed: int = 0) -> None:
        self.node = node
        self.addresses = tuple(addresses)
        self.events: list[Event] = []
        self._seed = seed
        self._randoms: dict[str, random.Random] = {}

    def emit(
        self,
        type_: EventType,
        *,
        call: str = "",
        packet_id: int = 0,
        cause_id: int = 0,
        count: int = 1,
        **data: JsonValue,
    ) -> None:
        """Record an event now, on this node."""
        self.record(
            Event(
                time=asyncio.get_running_loop().time(),
                type=type_,
                node=self.node,
                call=call,
                packet_id=packet_id,
                cause_id=cause_id,
                count=count,
                data=data,
            )
        )

    def record(self, event: Event) -> None:
        """Keep an event; a subclass may tell it elsewhere."""
        self.events.append(event)

    def random(self, purpose: str) -> random.Random:
        """Return this node's seeded generator for one purpose; the same one each time."""
        if purpose not in self._randoms:
            self._randoms[purpose] = stream(self._seed, "", self.node, purpose)
        return self._randoms[purpose]

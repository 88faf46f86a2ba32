"""What a role gets from its world: a name, a clock, seeded randomness, its addresses, and `emit`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from lab.spec.event import EventType, JsonValue


class RoleContext(Protocol):
    """The whole interface between a role and the world it runs in.

    Time is ``asyncio.get_running_loop().time()``.
    """

    @property
    def node(self) -> str:
        """Name of the host in the topology."""

    @property
    def addresses(self) -> Sequence[str]:
        """The host's own IP addresses as text, IPv4 first, in interface order."""

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

    def random(self, purpose: str) -> random.Random:
        """Return this node's seeded generator for one purpose; the same one each time it is asked for."""

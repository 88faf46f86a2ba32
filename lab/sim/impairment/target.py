"""Drops by aim: the nth packet that matches, rather than one in so many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nat_models.packet import Packet


@dataclass(slots=True)
class Target:
    """Drops the packets number ``nth`` to ``nth + count - 1`` of those that ``match``, counted from 1."""

    match: Callable[[Packet], bool]
    nth: int = 1
    count: int = 1
    reason: str = "dropped on request"
    _seen: int = field(default=0, init=False)

    def hits(self, packet: Packet) -> bool:
        """Count the packet if it matches, and return whether it is to be dropped."""
        if not self.match(packet):
            return False
        self._seen += 1
        return self.nth <= self._seen < self.nth + self.count

    @property
    def is_spent(self) -> bool:
        """Whether it will never drop again."""
        return self._seen >= self.nth + self.count - 1

"""Drops by aim: the nth packet that matches, rather than one in so many."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nat_models.packet import Packet


@dataclass(slots=True)
class Target:
    """Drops of the packets that ``match``, counted from 1, number ``nth`` and every ``step`` after it.

    ``count`` of them in all; None: without end.
    """

    match: Callable[[Packet], bool]
    nth: int = 1
    count: int | None = 1
    reason: str = "dropped on request"
    step: int = 1
    _seen: int = field(default=0, init=False)

    def hits(self, packet: Packet) -> bool:
        """Count the packet if it matches, and return whether it is to be dropped."""
        if not self.match(packet):
            return False
        self._seen += 1
        beyond = self._seen - self.nth
        return beyond >= 0 and beyond % self.step == 0 and not self._is_past(beyond)

    def _is_past(self, beyond: int) -> bool:
        return self.count is not None and beyond > (self.count - 1) * self.step

    @property
    def is_spent(self) -> bool:
        """Whether it will never drop again."""
        return self._is_past(self._seen + 1 - self.nth)

"""How late the lab's own processes carry packets: what a machine that stalls does to a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

LATE: Final = 0.020
"""Seconds; a packet that is later than this is counted as late. It is the time between two of aioice's
checks: what is less late changes numbers, what is later may change which check comes first."""


@dataclass(slots=True)
class Lateness:
    """How many packets were carried, how many of them late, and by how much (seconds) at worst."""

    carried: int = 0
    late: int = 0
    worst: float = 0.0

    def note(self, seconds: float) -> None:
        """Count a packet that went on so much later than it was to."""
        self.carried += 1
        if seconds > LATE:
            self.late += 1
        self.worst = max(self.worst, seconds)

    def as_data(self) -> dict[str, float]:
        """Return it as JSON values, for another process."""
        return {"carried": self.carried, "late": self.late, "worst": self.worst}

    @classmethod
    def of_all(cls, reports: Iterable[Mapping[str, float]]) -> Self:
        """Return what several processes have reported, together."""
        told = list(reports)
        return cls(
            carried=int(sum(one["carried"] for one in told)),
            late=int(sum(one["late"] for one in told)),
            worst=max((one["worst"] for one in told), default=0.0),
        )

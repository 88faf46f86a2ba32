"""How long a process of a trial was held up while its call's checks ran: by the machine, or by its own work.

aioice sends a check every 20 ms and answers as it hears. A process that gets no processor meanwhile sends
late what decides which side is heard first, and nothing on the network tells.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

TICK: Final = 0.01
"""Seconds between two looks at the clock. What holds a process up for longer is seen all but this much."""
WATCHED: Final = 1.0
"""Seconds of a call's checks. By then each of the first two dozen was sent twice at least (RFC 8445 §14.3:
again after 500 ms), and a call that has no path by then does not get another one by who is late."""


@dataclass(slots=True)
class _Watch:
    since: float
    worst: float = 0.0


class HoldUps:
    """Looks at the loop's clock every :data:`TICK` while a call is watched, and keeps the worst lateness."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watches: dict[str, _Watch] = {}
        self._look: asyncio.TimerHandle | None = None

    def begin(self, call: str) -> None:
        """Watch the first second of this call's checks, or until their end."""
        now = self._loop.time()
        self._watches[call] = _Watch(now)
        if self._look is None:
            self._look = self._loop.call_at(now + TICK, self._look_now)

    def end(self, call: str) -> float:
        """Return by how many seconds a look was late at worst; zero if the call was not watched."""
        self._note()
        watch = self._watches.pop(call, None)
        return watch.worst if watch else 0.0

    def _look_now(self) -> None:
        self._note()
        now = self._loop.time()
        goes_on = any(now < watch.since + WATCHED for watch in self._watches.values())
        self._look = self._loop.call_at(now + TICK, self._look_now) if goes_on else None

    def _note(self) -> None:
        """Note how late the look is that was to come next; one that is still to come is not."""
        if self._look is None:
            return
        now, planned = self._loop.time(), self._look.when()
        for watch in self._watches.values():
            if planned <= watch.since + WATCHED:
                watch.worst = max(watch.worst, now - max(planned, watch.since))

"""The event loop of the kernel world: real time, counted from the beginning of the trial.

Every process of a trial has one, with the same origin, so that there is one clock: the kernel's monotonic
one, which is the same for all processes of a machine.
"""

from __future__ import annotations

import asyncio
import select
import selectors
import time
from typing import Final

from lab.emu.system_calls import set_timer_slack

_SLACK: Final = 1
"""Nanoseconds by which the kernel may put off a wake-up; 50 µs unless told otherwise."""


class RunClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is seconds since ``origin`` on the monotonic clock."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        super().__init__(_PreciseSelector())
        set_timer_slack(_SLACK)

    def time(self) -> float:
        """Return seconds since the origin."""
        return time.monotonic() - self._origin


class _PreciseSelector(selectors.EpollSelector):
    """Waits as long as it is told, to the microsecond.

    epoll counts in milliseconds and rounds up: a timer would be late by 0.7 ms on average, and what sends
    every 20 ms would send every 20.7. ``select`` on the one descriptor of epoll itself is late by 0.06 ms.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


def monotonic_now() -> float:
    """Return the reading of the clock that origins are given on, in seconds."""
    return time.monotonic()

"""What the virtual loop schedules: asyncio's handles, made and cancelled at a third of the cost.

A trial makes hundreds of them a call. asyncio's own constructor asks the loop whether it is in debug mode,
its ``cancel`` asks again; the virtual loop never is, because debug mode reads the wall clock.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Protocol


class Scheduler(Protocol):
    """What a timer needs of its loop."""

    def timer_cancelled(self) -> None:
        """Note that a timer in the agenda will do nothing."""


class VirtualHandle(asyncio.Handle):
    """A callback of this instant. Private attributes are those of :class:`asyncio.Handle`.

    :meth:`VirtualLoop.call_soon` makes it, and sets them: a call of a constructor would cost as much again.
    """

    __slots__ = ()

    _callback: Any
    _args: tuple[Any, ...]
    _context: contextvars.Context
    _loop: Scheduler
    _repr = _source_traceback = None  # debug mode's

    def cancel(self) -> None:
        """Do not call it; what it would have been called with is let go."""
        self._cancelled = True
        self._callback, self._args = None, ()


class VirtualTimer(asyncio.TimerHandle):
    """A callback of a later instant; the loop makes it, too. ``_scheduled`` as long as the agenda has it."""

    __slots__ = ()

    _callback: Any
    _args: tuple[Any, ...]
    _context: contextvars.Context
    _loop: Scheduler
    _when: float
    _scheduled: bool
    _repr = _source_traceback = None  # debug mode's

    def cancel(self) -> None:
        """Do not call it; the loop sweeps it out of the agenda when there are many."""
        if not self._cancelled:
            self._cancelled = True
            self._callback, self._args = None, ()
            if self._scheduled:
                self._loop.timer_cancelled()

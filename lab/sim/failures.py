"""Exceptions that no program handles, as ``role.failed`` events: nothing that goes wrong is lost.

asyncio reports three kinds. What a callback raises is reported when it happens. A task that ends with an
exception nobody fetches is reported when its memory is freed: that moment depends on the garbage collector,
so these are told at the end of the trial, in the order in which the tasks were made.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from lab.roles.culprit import culprit_of
from lab.sim.clock import SerialTask
from lab.sim.current import host_of
from lab.spec.event import EventType

if TYPE_CHECKING:
    from lab.sim.network import SimNetwork


_NUMBERED: Final = re.compile(r"Task-\d+")


class FailureReporter:
    """Hears of the unhandled exceptions of one trial from the moment it is made."""

    def __init__(self, network: SimNetwork) -> None:
        self._network = network
        self._abandoned: dict[int, SerialTask[Any]] = {}
        network.loop.set_exception_handler(self._hear)

    def _hear(self, _loop: object, context: dict[str, Any]) -> None:
        error, future = context.get("exception"), context.get("future")
        if isinstance(future, SerialTask):
            self._abandoned[hash(future)] = future
        elif error is not None and future is None:
            # (A bare future is no program: whoever awaited it has ended.)
            self.report(_host_in(context), error, program=culprit_of(context))

    def report_abandoned(self) -> None:
        """Report the tasks that failed and were not asked about it, until now."""
        for task in self._network.loop.tasks():
            if _has_unseen_error(task):
                self._abandoned[hash(task)] = task
        for _, task in sorted(self._abandoned.items()):
            if (error := task.exception()) is not None:
                self.report(task.host_name, error, program=_name_of(task))
        self._abandoned.clear()

    def report(self, node: str, error: BaseException, *, program: str) -> None:
        """Record that a program of a node failed."""
        self._network.emit(
            EventType.ROLE_FAILED, node=node, error=f"{type(error).__name__}: {error}", program=program
        )


def _has_unseen_error(task: asyncio.Task[Any]) -> bool:
    # asyncio's own note of whether to complain when the task is freed; reading exception() would clear it.
    return task.done() and bool(task._log_traceback)  # noqa: SLF001


def _name_of(task: asyncio.Task[Any]) -> str:
    """Return a task's name, or its coroutine's in place of a number, which would count all of the process."""
    name = task.get_name()
    return str(getattr(task.get_coro(), "__qualname__", "")) if _NUMBERED.fullmatch(name) else name


def _host_in(context: dict[str, Any]) -> str:
    handle = context.get("handle")
    host = host_of(None if handle is None else handle._context)  # noqa: SLF001 - asyncio gives it no public name
    return "" if host is None else host.name

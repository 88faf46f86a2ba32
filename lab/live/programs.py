"""Programs of the user's that run on a host: a process in the kernel world, a task in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from lab.errors import ProgramFailed, TrialInvalid
from lab.units import parse_duration

T = TypeVar("T")

LOOK_EVERY: Final = 0.02
"""Seconds between two looks at what a process has printed."""

_MOST_QUOTED: Final = 2000
"""Characters of a program's output that an error repeats: the last."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended: its exit status (negative: that signal), and all that it printed."""

    command: tuple[str, ...]
    exit_code: int
    output: str


class LiveTask(Generic[T]):
    """A coroutine that runs on a host in virtual time."""

    def __init__(
        self, name: str, task: asyncio.Task[T], run: Callable[[Callable[..., Coroutine[Any, Any, Any]]], Any]
    ) -> None:
        self.name = name
        self._task = task
        self._run = run
        self._is_looked_at = False

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._task.done()

    def result(self, timeout: str = "10min") -> T:
        """Wait until it has ended, ``timeout`` of virtual time at most; return what it returned.

        Raises:
            ProgramFailed: it has not ended by then, or was stopped.
            Exception: what it raised.
        """
        self._is_looked_at = True
        limit = parse_duration(timeout, "timeout")
        if not self._task.done():
            self._run(lambda _lab: asyncio.wait({self._task}, timeout=limit))
        if not self._task.done():
            raise ProgramFailed(f"{self.name} has not ended after {timeout}")
        if self._task.cancelled():
            raise ProgramFailed(f"{self.name} was stopped")
        return self._task.result()

    def stop(self) -> None:
        """Cancel it, and let it clean up."""
        self._task.cancel()
        self._run(lambda _lab: asyncio.wait({self._task}, timeout=60.0))
        self._is_looked_at = True

    def unseen_error(self) -> BaseException | None:
        """Return what it raised, if nobody has asked for its result."""
        if self._is_looked_at or not self._task.done() or self._task.cancelled():
            return None
        return self._task.exception()


class LiveProcess:
    """A program of this machine on a host of the kernel world. Its output goes to the file ``log``.

    Args:
        node: the host.
        command: its command line.
        log: where standard output and standard error go.
        end: has the exit status when it has ended.
        send_signal: sends a signal to it and to those that it has started.
        pause: waits some seconds.
    """

    def __init__(
        self,
        node: str,
        command: tuple[str, ...],
        *,
        log: Path,
        end: Future[int],
        send_signal: Callable[[int], None],
        pause: Callable[[float], None],
    ) -> None:
        self.node, self.command, self.log = node, command, log
        self.name = f"{' '.join(command)} on {node}"
        self._end = end
        self._send_signal = send_signal
        self._pause = pause

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._end.done()

    @property
    def output(self) -> str:
        """What it has printed until now."""
        return self.log.read_text(errors="replace")

    def wait(self, timeout: str = "1min") -> Finished:
        """Wait until it has ended.

        Raises:
            ProgramFailed: it has not ended by then; it runs on.
            TrialInvalid: the lab is closed.
        """
        try:
            status = self._end.result(parse_duration(timeout, "timeout"))
        except TimeoutError:
            raise ProgramFailed(self._told(f"has not ended after {timeout}")) from None
        except CancelledError:
            raise TrialInvalid("the lab is closed") from None
        return Finished(command=self.command, exit_code=status, output=self.output)

    def wait_for_output(self, text: str, timeout: str = "10s") -> str:
        """Wait until it has printed a text, a line that says it is ready for example; return all it printed.

        Raises:
            ProgramFailed: it has ended or ``timeout`` is over, and it was not printed.
        """
        waited, limit = 0.0, parse_duration(timeout, "timeout")
        while True:
            has_ended = not self.is_running
            if text in (output := self.output):
                return output
            if has_ended:
                raise ProgramFailed(self._told(f"ended with {self._end.result()} and did not print {text!r}"))
            if waited >= limit:
                raise ProgramFailed(self._told(f"has not printed {text!r} after {timeout}"))
            self._pause(LOOK_EVERY)
            waited += LOOK_EVERY

    def signal(self, number: int) -> None:
        """Send a signal to it and to the programs that it has started; nothing, if it has ended."""
        if self.is_running:
            self._send_signal(int(number))

    def stop(self, timeout: str = "5s") -> Finished:
        """End it by SIGTERM, and by SIGKILL if that does not help in time."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(ProgramFailed):
            return self.wait(timeout)
        self.signal(signal.SIGKILL)
        return self.wait("10s")

    def _told(self, what: str) -> str:
        output = self.output[-_MOST_QUOTED:].strip()
        return f"{self.name}: {what}\n" + (f"it printed\n{output}" if output else "it printed nothing")

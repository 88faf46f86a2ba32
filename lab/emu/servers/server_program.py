"""A server that nobody here wrote, as the program of a node: started, asked whether it answers, its end told.

The role process that :mod:`lab.emu.programs.role_nursery` forks for the host starts it and waits for its end.
It, the server and whatever processes the server has of its own are one process group, so that a signal to the
program meets them all.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lab.emu.programs.program_ends import ProgramEnded, ProgramNotReady, how_it_ended, with_last_lines
from lab.emu.system_calls import die_with_parent

START_SECONDS: Final = 15.0
"""In which a server has to answer on every listener; on an idle machine it takes a tenth of a second."""

_MARK: Final = "CALLPATH_SERVER"
"""In the environment of a server and of all its processes."""


class ServerProgram(abc.ABC):
    """A server as a role: ``run()`` until cancelled. ``ready`` is set once it has answered everywhere."""

    name: str
    """What its project calls it."""
    given: Sequence[int] = ()
    """Descriptors that it is given besides."""
    start_seconds: float | None = None
    """In which it has to answer everywhere; None: :data:`START_SECONDS`."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()

    @abc.abstractmethod
    def prepare(self) -> Sequence[str]:
        """Write what it reads; return its command line."""

    @abc.abstractmethod
    async def until_it_answers(self) -> None:
        """Return when it has answered wherever it is to listen, however long that takes."""

    @abc.abstractmethod
    def silent(self) -> str:
        """Return where it has not answered yet."""

    async def run(self) -> None:
        """Start it, wait until it answers, then for its end.

        Raises:
            ProgramNotReady: it does not answer.
            ProgramEnded: it did, and has come to its end.
        """
        mark = f"{os.getpid()}-{id(self)}"
        process = await asyncio.create_subprocess_exec(
            *self.prepare(),
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            env={**os.environ, _MARK: mark},
            pass_fds=self.given,
        )
        ended = asyncio.ensure_future(process.wait())
        try:
            await self._until_ready(ended)
            self.ready.set()
            raise ProgramEnded(with_last_lines(how_it_ended(self.name, await ended)))
        finally:
            if process.returncode is None:
                process.kill()
                await ended
            _kill_marked(f"{_MARK}={mark}")

    async def _until_ready(self, ended: asyncio.Future[int]) -> None:
        answered = asyncio.ensure_future(self.until_it_answers())
        either: set[asyncio.Future[Any]] = {ended, answered}
        seconds = START_SECONDS if self.start_seconds is None else self.start_seconds
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if answered.done() and not ended.done():
            answered.result()
            return
        answered.cancel()
        if ended.done():  # who answered was another
            raise ProgramNotReady(with_last_lines(how_it_ended(self.name, ended.result())))
        where = f"{self.name} has not answered in {seconds:g} s on {self.silent()}"
        raise ProgramNotReady(with_last_lines(where))


def _kill_marked(mark: str) -> None:
    """End the processes that a server has left behind: one that is killed cannot end its own."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and mark.encode() in _environment_of(place).split(b"\0"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(place.name), signal.SIGKILL)


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""

"""The user's programs on the nodes of one network, seen from the agent."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket

from lab.emu.programs.role_programs import Nursery
from lab.emu.programs.user_program import UserProgramSetup
from lab.errors import Problem, UsageError


class UserPrograms:
    """Processes by number: started, signalled, waited for. ``nursery`` forks them."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._numbers = itertools.count(1)
        self._ends: dict[int, asyncio.Future[int]] = {}

    async def start(self, setup: UserProgramSetup, output: str) -> int:
        """Start a program whose output is added to a file; return its number when it runs.

        Raises:
            UsageError: there is no such program, or no such directory.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            end = self._nursery.fork(theirs, file)
            os.close(file)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        writer.write(setup.encode())
        complaint = await reader.readline()
        writer.close()
        if complaint:
            raise UsageError(Problem("", f"cannot run on {setup.node}: {json.loads(complaint)}"))
        number = next(self._numbers)
        self._ends[number] = end
        return number

    async def wait(self, number: int) -> int:
        """Return the exit status of a program when it has ended; negative: of that signal."""
        return await asyncio.shield(self._ends[number])

    def signal(self, number: int, signal_number: int) -> None:
        """Send a signal to a program and to those that it has started; nothing, if it has ended."""
        self._nursery.signal(self._ends[number], signal_number)

    async def stop(self) -> None:
        """End all programs, whatever they do, and wait for it."""
        for end in self._ends.values():
            self._nursery.signal(end, signal.SIGKILL)
        for end in self._ends.values():
            await asyncio.wait({end})
        self._ends.clear()

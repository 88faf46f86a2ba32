"""The role processes of one network, seen from the agent: started, steered, heard, and their ends noticed."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab.emu.messages import LONGEST_LINE
from lab.emu.programs.role_nursery import become_nursery
from lab.emu.programs.role_process import EXIT_REPORTED, READY, RoleSetup
from lab.errors import HostNotReady, UsageError

OUTPUT: Final = Path("/run/callpath-output")
"""Where each program's output goes, a file a node; in the private /run."""
MOST_OUTPUT: Final = 1 << 18
"""Bytes of a program's output that are kept: its last."""


class Nursery:
    """The process that forks roles (:mod:`lab.emu.programs.role_nursery`). This one is forked to be it.

    Make it before there are threads, or an event loop.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            become_nursery(theirs)
        theirs.close()
        self._tokens = itertools.count(1)
        self._ends: dict[int, asyncio.Future[int]] = {}

    def listen(self) -> None:
        """Hear of ends from now on, in the running loop."""
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def fork(self, control: socket.socket, output: int, given: Sequence[int] = ()) -> asyncio.Future[int]:
        """Start a role process, with descriptors; the future has its exit status when it has ended."""
        token = next(self._tokens)
        end = self._ends[token] = asyncio.get_running_loop().create_future()
        message = json.dumps({"token": token}).encode()
        socket.send_fds(self._socket, [message], [control.fileno(), output, *given])
        return end

    def signal(self, end: asyncio.Future[int], number: int) -> None:
        """Send a signal to the role process whose end that is, if it has not ended."""
        for token, other in self._ends.items():
            if other is end:
                self._socket.send(json.dumps({"token": token, "signal": number}).encode())

    def _hear(self) -> None:
        data = self._socket.recv(4096)
        if not data:
            asyncio.get_running_loop().remove_reader(self._socket)
            for end in self._ends.values():
                end.set_exception(HostNotReady("the process that starts roles has ended"))
            self._ends.clear()
            return
        message = json.loads(data)
        self._ends.pop(message["token"]).set_result(message["status"])


class Readiness(enum.Enum):
    """What came first of a program: it was ready, and takes commands or none; or it ended."""

    COMMANDED = "takes commands"
    UNCOMMANDED = "takes no commands"
    ENDED = "ended"


class _Program:
    """A role process. Commands that come before its socket is open wait."""

    def __init__(self, role: str, end: asyncio.Future[int]) -> None:
        self.role = role
        self.end = end
        self.ready: asyncio.Future[Readiness] = asyncio.get_running_loop().create_future()
        self.is_killed = False
        self.listener: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: list[bytes] = []

    async def open(self, control: socket.socket) -> asyncio.StreamReader:
        """Open the socket, and send what has waited."""
        reader, self._writer = await asyncio.open_unix_connection(sock=control, limit=LONGEST_LINE)
        self._writer.writelines(self._waiting)
        return reader

    def write(self, line: bytes) -> None:
        """Send a line, or keep it until the socket is open."""
        if self._writer is None:
            self._waiting.append(line)
        else:
            self._writer.write(line)

    def close(self) -> None:
        """Stop listening, and close the socket."""
        if self.listener is not None:
            self.listener.cancel()
        if self._writer is not None:
            self._writer.close()


class RolePrograms:
    """The role processes of one trial.

    Args:
        nursery: starts them.
        tell: called with each event line (bytes, with the newline), as the process wrote it.
        tell_end: called with (node, role, why) when one has ended; ``why`` is empty if it has said so.
    """

    def __init__(
        self, nursery: Nursery, tell: Callable[[bytes], None], tell_end: Callable[[str, str, str], None]
    ) -> None:
        self._nursery = nursery
        self._tell = tell
        self._tell_end = tell_end
        self._programs: dict[str, _Program] = {}
        OUTPUT.mkdir(exist_ok=True)

    def start(self, role: str, setup: RoleSetup, given: Sequence[int] = ()) -> asyncio.Future[Readiness]:
        """Start the program of a node; the future ends when it is ready, or has ended.

        ``given`` are descriptors that its process gets besides: of its container, where it is in one.

        The future raises :class:`~lab.errors.HostNotReady` where a program of the machine does not serve.
        """
        ours, theirs = socket.socketpair()
        with theirs, (OUTPUT / setup.node).open("ab") as output:
            program = _Program(role, self._nursery.fork(theirs, output.fileno(), given))
        program.write(setup.encode())
        program.listener = asyncio.get_running_loop().create_task(self._listen(setup.node, program, ours))
        self._programs[setup.node] = program
        return program.ready

    def command(self, node: str, encoded: bytes) -> None:
        """Hand a command to a node's program; one that has ended does not hear it.

        Raises:
            UsageError: no program runs there.
        """
        self._program(node).write(encoded + b"\n")

    def signal(self, node: str, number: int) -> None:
        """Send a signal to a node's program. If it is SIGKILL, nothing is told of its end.

        Raises:
            UsageError: no program runs there.
        """
        program = self._program(node)
        program.is_killed = program.is_killed or number == signal.SIGKILL
        self._nursery.signal(program.end, number)

    def _program(self, node: str) -> _Program:
        if node not in self._programs:
            raise UsageError(f"no program runs on {node}")
        return self._programs[node]

    def outputs(self) -> dict[str, str]:
        """Return what each node's program has printed until now, in all its lives; of much, the last."""
        return {node: _tail(OUTPUT / node) for node in self._programs}

    async def stop(self) -> None:
        """End all programs, whatever they do, and wait for it; nothing is told of it."""
        for program in self._programs.values():
            program.close()
            self._nursery.signal(program.end, signal.SIGKILL)
        for program in self._programs.values():
            await program.end
        for node in self._programs:
            (OUTPUT / node).unlink(missing_ok=True)
        self._programs.clear()

    async def _listen(self, node: str, program: _Program, control: socket.socket) -> None:
        reader = await program.open(control)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                if line.startswith(READY):
                    _settle(program.ready, json.loads(line))
                else:
                    self._tell(line)
        status = await asyncio.shield(program.end)
        if not program.is_killed:
            why = "" if status == EXIT_REPORTED else describe_end(status, _tail(OUTPUT / node))
            self._tell_end(node, program.role, why)
        if not program.ready.done():
            program.ready.set_result(Readiness.ENDED)


def _settle(ready: asyncio.Future[Readiness], told: Mapping[str, Any]) -> None:
    """End the wait for a program with what it says of itself."""
    if told["ready"]:
        ready.set_result(Readiness.COMMANDED if told["commanded"] else Readiness.UNCOMMANDED)
    else:
        ready.set_exception(HostNotReady(told["why"]))


def describe_end(status: int, output: str) -> str:
    """Return in words how a program ended, with the last line that it printed."""
    how = f"ended with exit status {status}"
    if status < 0:
        with contextlib.suppress(ValueError):
            how = f"was ended by {signal.Signals(-status).name}"
    lines = output.strip().splitlines()
    return f"the program {how}" + (f": {lines[-1]}" if lines else "")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_OUTPUT))
        return file.read().decode(errors="replace")

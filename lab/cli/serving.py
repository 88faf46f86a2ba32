"""What ``callpath up`` and ``callpath serve`` share: a server that runs until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lab.errors import Problem, UsageError

if TYPE_CHECKING:
    from lab.serve.verbs import Labs

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    listening: socket.socket,
    labs: Labs | None = None,
    *,
    token: str = "",
    ready: Callable[[], object],
    meanwhile: Callable[[], object] = lambda: None,
    command: Sequence[str] = (),
    ends_with_stdin: bool = False,
) -> int:
    """Serve until an interrupt, a signal to end, or a client's request; return the exit code.

    Args:
        listening: where.
        labs: what there is already.
        token: what clients must say.
        ready: called when clients can connect.
        meanwhile: called every now and then, and once more before the labs end; what it raises is the end.
        command: run when clients can connect; its end is the server's, and its exit status is returned.
        ends_with_stdin: the end of standard input is the server's, too.

    Raises:
        UsageError: there is no such command; standard input is a file, which does not end.
    """
    return asyncio.run(_serve(listening, labs, token, ready, meanwhile, command, ends_with_stdin))


async def _serve(
    listening: socket.socket,
    labs: Labs | None,
    token: str,
    ready: Callable[[], object],
    meanwhile: Callable[[], object],
    command: Sequence[str],
    ends_with_stdin: bool,
) -> int:
    from lab.serve.server import Server, serve_until_down

    end = asyncio.Event()
    for number in ENDS:
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    if ends_with_stdin:
        _end_with_stdin(end)
    telling = asyncio.get_running_loop().create_task(_now_and_then(meanwhile))
    telling.add_done_callback(lambda _: end.set())
    running = await _start(command) if command else None
    waiting = asyncio.get_running_loop().create_task(_set_at_its_end(running, end)) if running else None
    try:
        server = Server(labs, token=token)
        ending = partial(_look_once_more, telling, meanwhile)
        await serve_until_down(server, listening, end, ready=ready, ending=ending)
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        if running is not None and running.returncode is None:
            running.terminate()
        if waiting is not None:
            await waiting
    code = running.returncode if running is not None else 0
    assert code is not None, "it was waited for"
    return 128 - code if code < 0 else code


def _end_with_stdin(end: asyncio.Event) -> None:
    """Set the event when standard input ends, which whoever started this process holds."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            end.set()

    try:
        loop.add_reader(0, read)
    except OSError:
        expected = "a pipe that whoever starts this keeps open"
        raise UsageError(Problem("--end-with-stdin", "standard input is a file", expected)) from None


async def _start(command: Sequence[str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(*command)
    except OSError as error:
        raise UsageError(Problem(command[0], str(error.strerror), "a program to run")) from None


async def _set_at_its_end(running: asyncio.subprocess.Process, end: asyncio.Event) -> None:
    await running.wait()
    end.set()


def _look_once_more(telling: asyncio.Task[None], meanwhile: Callable[[], object]) -> None:
    """End the task that looks now and then, and see what has happened since it last did."""
    if telling.cancel():
        meanwhile()


async def _now_and_then(meanwhile: Callable[[], object]) -> None:
    while True:
        meanwhile()
        await asyncio.sleep(0.1)

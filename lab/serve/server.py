"""The server: sockets, connections, lines; what is wrong with one request stays with that one.

=====================  =================================================================================
what goes wrong        what follows
=====================  =================================================================================
a line is no request   an error in the one form, with the request's id where it has one; the next line
a line is too long     an error; the rest of the line is thrown away
the client vanishes    what it asked for is done to its end; its connection is forgotten
the client reads not   its connection waits; the others do not
a lab ends by itself   requests to it fail, as "invalid" or "host-not-ready"; the server goes on
the server ends        its labs end with it, and by construction whatever ran on them
=====================  =================================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from lab.errors import Problem, UsageError
from lab.serve import requests as ask
from lab.serve.answers import answer_line, error_line, event_line
from lab.serve.verbs import Labs, carry_out
from lab.spec.event import Event, EventType

LONGEST_LINE: Final = 1 << 20
"""Bytes of a request."""

_SIDE_BY_SIDE: Final = 64
"""Requests that are carried out at the same time; one more waits."""

_LOOK_EVERY: Final = 0.05
"""Seconds between two looks at what happened, for those who follow events."""


class Server:
    """Serves labs to any number of connections. One event loop, and a thread for each request under way.

    ``is_down`` is set when a client has asked for the end.

    Args:
        labs: what there is already.
        token: what the first request of each connection must have; empty: nothing.
    """

    def __init__(self, labs: Labs | None = None, *, token: str = "") -> None:
        self.labs = labs or Labs()
        self.is_down = asyncio.Event()
        self._token = token
        self._threads = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="callpath-request")
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, listening: socket.socket) -> asyncio.Server:
        """Begin to accept connections on a listening socket."""
        start = asyncio.start_unix_server if listening.family is socket.AF_UNIX else asyncio.start_server
        return await start(self._accept, sock=listening, limit=LONGEST_LINE)

    async def close(self) -> None:
        """End every lab, then every connection."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self.labs.close_all)
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        self._connections.add(task)
        try:
            await _Connection(self, writer, is_known=not self._token).serve(reader)
        except ConnectionError:
            pass  # it vanished
        except asyncio.CancelledError:
            pass  # the server ends; asyncio's streams would complain of it
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def admits(self, request: ask.AnyRequest) -> bool:
        """Whether a connection's first request has the token."""
        return isinstance(request, ask.Hello) and hmac.compare_digest(
            request.token.encode(), self._token.encode()
        )

    async def do(self, request: ask.AnyRequest) -> Any:
        """Carry out a request in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, carry_out, self.labs, request)


class _Connection:
    """One client: its requests one after another, and the events it follows beside them."""

    def __init__(self, server: Server, writer: asyncio.StreamWriter, *, is_known: bool) -> None:
        self._server = server
        self._writer = writer
        self._is_known = is_known
        self._followers: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer requests until the client has no more, or is none of ours."""
        try:
            async for line in lines_untrusted(reader):
                if not await self._answer(line):
                    return
        finally:
            for task in self._followers:
                task.cancel()

    async def _answer(self, line: bytes | UsageError) -> bool:
        """Answer one line; return whether to go on with this client."""
        id_: str | int | None = None
        try:
            found = ask.read_object_untrusted(line)
            id_ = ask.id_of(found)
            request = ask.read_request_untrusted(found)
            self._admit(request)
            await self._carry_out(id_, request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is to know
            await self._send(error_line(id_, error))
        return self._is_known

    def _admit(self, request: ask.AnyRequest) -> None:
        """Make sure that the client may ask.

        Raises:
            UsageError: it has not said the server's token.
        """
        self._is_known = self._is_known or self._server.admits(request)
        if not self._is_known:
            expected = 'first of all {"do": "hello", "token": ...} with the token that the server printed'
            raise UsageError(Problem("hello: token", "not this server's", expected))

    async def _carry_out(self, id_: Any, request: ask.AnyRequest) -> None:
        if isinstance(request, ask.Down):
            await self._send(answer_line(id_, {}))
            self._server.is_down.set()
        elif isinstance(request, ask.Events):
            await self._tell_events(id_, request)
        else:
            await self._send(answer_line(id_, await self._server.do(request)))

    async def _tell_events(self, id_: str | int | None, request: ask.Events) -> None:
        """Answer, then tell events by their numbers; the lab keeps them, slow readers cost nothing."""
        name, live = self._server.labs.get(request.lab)
        events, wanted = live.world.lab.events, set(request.types)
        upto = len(events)
        numbers = [n for n in range(request.since, upto) if not wanted or events[n].type in wanted]
        await self._send(answer_line(id_, {"lab": name, "told": len(numbers), "next": upto}))
        for number in numbers:
            await self._send(event_line(name, number, events[number]))
        if request.follow:
            task = asyncio.get_running_loop().create_task(self._follow(name, events, wanted, upto))
            self._followers.add(task)
            task.add_done_callback(self._followers.discard)

    async def _follow(
        self, name: str, events: Sequence[Event], wanted: Collection[EventType], number: int
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                for event in events[number:]:
                    if not wanted or event.type in wanted:
                        await self._send(event_line(name, number, event))
                    number += 1
                await asyncio.sleep(_LOOK_EVERY)

    async def _send(self, line: bytes) -> None:
        self._writer.write(line)
        await self._writer.drain()


async def lines_untrusted(
    reader: asyncio.StreamReader, longest: int = LONGEST_LINE
) -> AsyncIterator[bytes | UsageError]:
    """Yield each line without its end, and an error in place of one that is too long.

    Empty lines are left out; a last line needs no end.
    """
    line, is_too_long = bytearray(), False
    while data := await reader.read(1 << 16):
        *ends, rest = data.split(b"\n")
        for end in ends:
            line += end
            if is_too_long or len(line) > longest:
                yield _too_long(longest)
            elif line.strip():
                yield bytes(line)
            line, is_too_long = bytearray(), False
        line += rest
        if len(line) > longest:
            line, is_too_long = bytearray(), True
    if is_too_long:
        yield _too_long(longest)
    elif line.strip():
        yield bytes(line)


def _too_long(longest: int) -> UsageError:
    return UsageError(Problem("request", f"a line of more than {longest} bytes", "a shorter one"))


async def serve_until_down(
    server: Server,
    listening: socket.socket,
    end: asyncio.Event,
    *,
    ready: Callable[[], object],
    ending: Callable[[], object] = lambda: None,
) -> None:
    """Serve until a client asks for the end, or ``end`` is set; then end everything.

    ``ready`` is called when clients can connect, ``ending`` before the first lab is ended.
    """
    accepting = await server.listen(listening)
    try:
        ready()
        waiting = [asyncio.ensure_future(one.wait()) for one in (server.is_down, end)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    finally:
        try:
            ending()
        finally:
            accepting.close()
            await server.close()

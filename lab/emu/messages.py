"""What a run's parent and its agent say to each other: JSON objects, one a line, over a Unix socket.

==========  ==========================================================================
direction   message
==========  ==========================================================================
to agent    ``{"id": 1, "do": "build", ...}``: a request; its other keys are the operation's
to parent   ``{"id": 1, "answer": ...}``: it is done
to parent   ``{"id": 1, "error": "...", "kind": "HostNotReady"}``: it is not, and why
to parent   ``{"v": 1, "t": ...}``: an event of a role, as it is stored (:mod:`lab.spec.event`)
to parent   ``{"ended": "alice", "role": ..., "why": ...}``: a role's process has ended
==========  ==========================================================================

A network's description goes to the agent pickled: it is the parent's own, and travels in this direction only.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import pickle
from collections.abc import Callable
from typing import Any, Final

from lab.emu.outer import OuterNamespace
from lab.errors import CallpathError, HostNotReady, UsageError
from lab.spec.event import Event
from lab.spec.network import Network

Message = dict[str, Any]

LONGEST_LINE: Final = 1 << 26
"""Bytes; a program's output is an answer."""

EVENT: Final = b'{"v":'
"""How the line of an event begins, and of nothing else."""

_ERRORS: Final[dict[str, type[CallpathError]]] = {
    error.__name__: error for error in (HostNotReady, UsageError, CallpathError)
}


def encode_message(message: Message) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode_message(line: bytes) -> Message:
    """Return the message of a line of our own."""
    message: Message = json.loads(line)
    return message


def encode_object(value: object) -> str:
    """Return one of our frozen values as text without spaces, for a process that was started from here."""
    return base64.b85encode(pickle.dumps(value)).decode()


def decode_object(text: str) -> Any:
    """Return the value that the process which started this one has encoded."""
    return pickle.loads(base64.b85decode(text.strip()))  # noqa: S301 - our own parent's


def encode_network(network: Network) -> str:
    """Return a network as text for the agent."""
    return encode_object(network)


def decode_network(text: str) -> Network:
    """Return the network that the parent described."""
    network = decode_object(text)
    assert isinstance(network, Network)
    return network


def describe_error(error: Exception) -> Message:
    """Return an error as the keys of an answer."""
    kind = type(error).__name__
    text = str(error) if kind in _ERRORS else f"{kind}: {error}"
    return {"error": text, "kind": kind if kind in _ERRORS else CallpathError.__name__}


class AgentConnection:
    """The parent's end: requests to the agent of an outer namespace, and what it tells by itself.

    Args:
        outer: the namespace; its agent is :mod:`lab.emu.agent`.
        hear_event: called with each event.
        hear_end: called with (node, role, why) when a role's process has ended.
    """

    def __init__(
        self,
        outer: OuterNamespace,
        hear_event: Callable[[Event], None] = lambda _event: None,
        hear_end: Callable[[str, str, str], None] = lambda _node, _role, _why: None,
    ) -> None:
        self._outer = outer
        self._hear_event = hear_event
        self._hear_end = hear_end
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen."""
        reader, self._writer = await asyncio.open_unix_connection(
            sock=self._outer.channel.dup(), limit=LONGEST_LINE
        )
        self._task = asyncio.get_running_loop().create_task(self._listen(reader))

    async def close(self) -> None:
        """Stop listening, if it was begun; the namespace goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def tell(self, do: str, **fields: Any) -> asyncio.Future[Any]:
        """Send a request; the future has the answer, or the agent's error as the same class here."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        if self._writer is None or self._task is None or self._task.done():
            future.set_exception(self._outer.why_it_ended())
        else:
            self._writer.write(encode_message({"id": number, "do": do, **fields}))
        return future

    async def ask(self, do: str, **fields: Any) -> Any:
        """Send a request and return the answer.

        Raises:
            HostNotReady: the machine cannot do it, or the namespace has ended.
            UsageError: what was asked for makes no sense.
        """
        return await self.tell(do, **fields)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._take(line)
        error = self._outer.why_it_ended()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    def _take(self, line: bytes) -> None:
        if line.startswith(EVENT):
            self._hear_event(Event.from_json(line.decode())[1])
        elif "id" in (message := decode_message(line)):
            self._settle(message)
        else:
            self._hear_end(message["ended"], message["role"], message["why"])

    def _settle(self, message: Message) -> None:
        future = self._waiting.pop(message["id"])
        if future.done():  # whoever asked has been cancelled
            return
        if "error" in message:
            future.set_exception(_ERRORS[message["kind"]](message["error"]))
        else:
            future.set_result(message["answer"])

"""Where a server is to listen, and whether it has answered there: whatever it is asked in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.errors import WireFormatError

_ATTEMPT_SECONDS: Final = 0.5
"""For one request and its answer: they do not leave the host."""
_PAUSE_SECONDS: Final = 0.02
"""Between attempts."""
_LONGEST_DATAGRAM: Final = 65_535


@dataclass(slots=True)
class Listener:
    """Where a server is to listen, over ``udp``, ``tcp`` or ``tls``, and whether it has answered there."""

    transport: str
    address: str
    port: int
    has_answered: bool = field(default=False, compare=False)

    @property
    def place(self) -> str:
        """Host and port as a URI has them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def __str__(self) -> str:
        return f"{self.transport} {self.place}"

    async def ask_by_datagram(self, request: bytes) -> bytes:
        """Return the datagram with which one is answered.

        Raises:
            OSError: nobody listens.
        """
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as asking:
            asking.connect((self.address, self.port))
            asking.send(request)
            return await asyncio.get_running_loop().sock_recv(asking, _LONGEST_DATAGRAM)


Question = Callable[[Listener], Awaitable[bool]]
"""Ask a listener once; return whether it answers as it is to.

It raises OSError where nobody listens, WireFormatError where the answer is none, and
asyncio.IncompleteReadError where the connection ended before the answer did.
"""


async def wait_until_all_answer(listeners: Sequence[Listener], answers: Question) -> None:
    """Ask until each has answered, however long that takes; all are asked at the same time."""
    await asyncio.gather(*(_ask_until_answered(listener, answers) for listener in listeners))


async def _ask_until_answered(listener: Listener, answers: Question) -> None:
    while not listener.has_answered:
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                listener.has_answered = await answers(listener)
        except (OSError, TimeoutError, WireFormatError, asyncio.IncompleteReadError):
            pass  # nobody listens yet
        if not listener.has_answered:
            await asyncio.sleep(_PAUSE_SECONDS)


def silent_ones(listeners: Iterable[Listener]) -> str:
    """Return in words where nobody has answered yet."""
    return ", ".join(str(listener) for listener in listeners if not listener.has_answered)

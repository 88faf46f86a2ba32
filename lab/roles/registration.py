"""A name at the rendezvous, kept while its owner runs: registered, and registered again when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from lab.errors import WireFormatError
from lab.protocols.signalling import MAX_LINE_BYTES, Signal, encode_signal, parse_signal_untrusted
from lab.roles.context import RoleContext
from lab.spec.event import EventType
from nat_models.packet import TransportAddress

REGISTRATION_TIMEOUT: Final = 120.0
"""Seconds that the rendezvous has for acknowledging a registration, and that a call made before waits for it.

TCP repeats a lost segment by itself (RFC 6298); this is time for five repetitions of the slowest kind, after
3, 9, 21, 45 and 93 s.
"""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds before who lost the rendezvous tries to register again, doubled at each failure.

Each pause is 50 to 100 % of that, at random, so that not all come back at one moment: the rule of RFC 5626
§4.5, with the times of a softphone in place of its 30 s to half an hour.
"""


class Registration:
    """One name at the rendezvous. ``ready`` is set while the rendezvous has acknowledged it.

    Args:
        name: what others call it.
        rendezvous: where that is.
        context: the role's whose name it is.
        hear: called with each signal from another.
        prepare: waited for before each connection, where given.
    """

    def __init__(
        self,
        name: str,
        rendezvous: TransportAddress,
        context: RoleContext,
        hear: Callable[[Signal], None],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._name = name
        self._rendezvous = rendezvous
        self._context = context
        self._hear = hear
        self._prepare = prepare
        self._writer: asyncio.StreamWriter | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Register and listen until cancelled; register again where the rendezvous was lost.

        Raises:
            OSError: at the start the rendezvous cannot be reached, or does not acknowledge the registration.
        """
        await self._session()
        failures = 0
        while True:
            await asyncio.sleep(self._pause(failures))
            try:
                await self._session()
                failures = 0
            except OSError:
                failures += 1

    async def is_registered(self) -> bool:
        """Return whether the name is registered, as soon as it is."""
        if self.ready.is_set():
            return True
        try:
            async with asyncio.timeout(REGISTRATION_TIMEOUT):
                return await self.ready.wait()
        except TimeoutError:
            return False

    def why_not(self) -> str:
        """Return in words that it is not registered."""
        return (
            f"{self._name} is not registered: no answer from the rendezvous within {REGISTRATION_TIMEOUT:g} s"
        )

    def send(self, signal: Signal) -> None:
        """Send a signal; one about a call is an event."""
        assert self._writer is not None, "run() connects first"
        if signal.call:
            self._context.emit(EventType.SIGNAL_SENT, call=signal.call, kind=signal.kind, to=signal.to)
        self._writer.write(encode_signal(signal))

    def _pause(self, failures: int) -> float:
        doubled = FIRST_PAUSE * float(2 ** min(failures, 30))
        return min(doubled, LONGEST_PAUSE) * self._context.random("registration").uniform(0.5, 1.0)

    async def _session(self) -> None:
        """Register, and hear what the rendezvous says until the connection is lost.

        Raises:
            OSError: the rendezvous cannot be reached, or does not acknowledge the registration.
        """
        if self._prepare is not None:
            await self._prepare()
        reader, self._writer = await asyncio.open_connection(*self._rendezvous, limit=MAX_LINE_BYTES)
        try:
            await self._register(reader)
            with suppress(OSError):
                await self._listen(reader)
        finally:
            self.ready.clear()
            self._writer.close()

    async def _register(self, reader: asyncio.StreamReader) -> None:
        self.send(Signal(kind="register", sender=self._name))
        try:
            async with asyncio.timeout(REGISTRATION_TIMEOUT):
                await self._listen(reader, until=self.ready)
        except TimeoutError:
            raise TimeoutError(self.why_not()) from None
        if not self.ready.is_set():
            raise ConnectionResetError(f"{self._name} is not registered: the rendezvous hung up")

    async def _listen(self, reader: asyncio.StreamReader, until: asyncio.Event | None = None) -> None:
        """Hear what the rendezvous says, to the end or until an event has happened."""
        while (until is None or not until.is_set()) and (line := await reader.readline()):
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            signal = parse_signal_untrusted(line)
        except WireFormatError as error:
            self._context.emit(EventType.ROLE_FAILED, error=str(error))
            return
        if signal.kind == "registered":
            self.ready.set()
            return
        self._context.emit(
            EventType.SIGNAL_RECEIVED, call=signal.call, kind=signal.kind, sender=signal.sender
        )
        self._hear(signal)

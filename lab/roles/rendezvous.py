"""The rendezvous: passes offers and answers between endpoints that registered a name with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from lab.errors import WireFormatError
from lab.protocols.signalling import (
    MAX_LINE_BYTES,
    PASSED_ON,
    Signal,
    encode_signal,
    parse_signal_untrusted,
)
from lab.roles.context import RoleContext

BACKLOG: Final = 4096
"""Half-open connections; thousands of endpoints register at once when a run begins (Linux: somaxconn)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RendezvousConfig:
    """TCP ``port`` to listen on; 443, so that a web-only firewall lets the signalling through."""

    port: int = 443


class Rendezvous:
    """One server, any number of endpoints. ``ready`` is set once every address is listened on.

    A registration is acknowledged, as in SIP (RFC 3261 §10.3): who sent it cannot know otherwise that calls
    reach it. A name registered again moves to the newer connection.
    """

    def __init__(self, config: RendezvousConfig, context: RoleContext) -> None:
        self._config = config
        self._context = context
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OSError: an address or port cannot be listened on.
        """
        server = await asyncio.start_server(
            self._serve,
            list(self._context.addresses),
            self._config.port,
            limit=MAX_LINE_BYTES,
            backlog=BACKLOG,
        )
        self.ready.set()
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = ""
        try:
            while line := await reader.readline():
                signal = parse_signal_untrusted(line)
                if signal.kind == "register":
                    name = signal.sender
                    self._writers[name] = writer
                    writer.write(encode_signal(Signal(kind="registered", sender="", to=name)))
                elif signal.kind in PASSED_ON:
                    self._pass_on(signal, writer)
                else:  # for the rendezvous to say, and for nobody else
                    return
        except (WireFormatError, ValueError, OSError):
            pass  # a peer that talks nonsense, or vanished, loses its connection; the others keep theirs
        finally:
            if self._writers.get(name) is writer:
                del self._writers[name]
            writer.close()

    def _pass_on(self, signal: Signal, back: asyncio.StreamWriter) -> None:
        target = self._writers.get(signal.to)
        if target is None:
            back.write(
                encode_signal(Signal(kind="unknown", sender=signal.to, to=signal.sender, call=signal.call))
            )
        else:
            target.write(encode_signal(signal))

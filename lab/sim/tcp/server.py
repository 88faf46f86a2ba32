"""Listening: the backlog of half-open connections, and the asyncio server over one or more listeners."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from lab.sim.tcp.transport import sockaddr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.sim.tcp.endpoint import ProtocolFactory, TcpEndpoint
    from lab.sim.tcp.stack import TcpStack
    from nat_models.packet import TransportAddress


class TcpListener:
    """One listening address. Callbacks of its connections run in the context of the one who listened."""

    def __init__(
        self, stack: TcpStack, protocol_factory: ProtocolFactory, local: TransportAddress, backlog: int
    ) -> None:
        self.local = local
        self.protocol_factory = protocol_factory
        self.context = contextvars.copy_context()
        self._stack = stack
        self._backlog = backlog
        self._half_open: dict[TcpEndpoint, None] = {}

    @property
    def has_room(self) -> bool:
        """Whether a SYN is answered; beyond the backlog it is dropped silently, as Linux does."""
        return len(self._half_open) < self._backlog

    def getsockname(self) -> tuple[Any, ...]:
        """Return the address, as a socket does."""
        return sockaddr(self.local)

    def began(self, endpoint: TcpEndpoint) -> None:
        """Count a half-open connection until it opens or ends."""
        self._half_open[endpoint] = None
        endpoint.on_opened = lambda: self._half_open.pop(endpoint, None)

    def close(self) -> None:
        """Stop listening; half-open connections are reset, open ones live on."""
        self._stack.stop_listening(self)
        for endpoint in list(self._half_open):
            endpoint.connection.abort()
            endpoint.push()


class TcpServer(asyncio.AbstractServer):
    """What ``create_server`` returns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listeners: Sequence[TcpListener]) -> None:
        self._loop = loop
        self._listeners = tuple(listeners)
        self._forever: asyncio.Future[None] | None = None

    @property
    def sockets(self) -> tuple[TcpListener, ...]:
        """The listeners; each has ``getsockname()``, as sockets do."""
        return self._listeners

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return bool(self._listeners)

    async def start_serving(self) -> None:
        """Do nothing: serving began when the server was made."""

    async def serve_forever(self) -> None:
        """Serve until cancelled or closed."""
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self._forever = self._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()

    def close(self) -> None:
        """Accept nothing more; connections that exist live on."""
        listeners, self._listeners = self._listeners, ()
        for listener in listeners:
            listener.close()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()

    async def wait_closed(self) -> None:
        """Return at once, as Python 3.11 does: connections do not belong to the server."""

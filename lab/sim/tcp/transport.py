"""The asyncio transport of a simulated TCP connection: what programs see."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.sim.tcp.endpoint import TcpEndpoint
    from nat_models.packet import TransportAddress

_HIGH_WATER = 64 * 1024
"""Bytes in the transport's buffer at which the writer is paused (asyncio's default)."""


def sockaddr(address: TransportAddress) -> tuple[Any, ...]:
    """Return an address as the socket module spells it: four values for IPv6."""
    host, port = address
    return (host, port, 0, 0) if ":" in host else address


class TcpTransport(asyncio.Transport):
    """A stream transport. As with a real socket, data that the stack has taken counts as written.

    ``get_extra_info`` knows ``peername`` and ``sockname``; there is no ``socket``, so libraries skip its
    options.
    """

    _start_tls_compatible = True  # asyncio's own mark

    def __init__(self, endpoint: TcpEndpoint, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._connection = endpoint.connection
        self._loop = endpoint.loop
        self._send_buffer = endpoint.send_buffer
        self._closing = False
        self._lost = False
        self._eof_written = False
        self._eof_delivered = False
        self._reading_paused = False
        self._writing_paused = False
        self.charge: Callable[[int], int] | None = None
        """What a write of so many bytes counts for on the wire, at least as many; None: what it is
        (lab.sim.tls)."""
        self._high_water = _HIGH_WATER
        self._low_water = _HIGH_WATER // 4
        self.set_protocol(protocol)

    # Who we are

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``peername`` or ``sockname``."""
        if name == "peername":
            return sockaddr(self._endpoint.remote)
        if name == "sockname":
            return sockaddr(self._endpoint.local)
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what arrives from now on to ``protocol``."""
        self._protocol: Any = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol in charge."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Whether the transport was closed or lost."""
        return self._closing

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, in order; never blocks."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data: expecting a bytes-like instance, got {type(data).__name__}")
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing:
            return
        self._connection.write(bytes(data), None if self.charge is None else self.charge(len(data)))
        self._endpoint.push()
        self._control_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send the pieces as one write."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Half-close is possible."""
        return True

    def write_eof(self) -> None:
        """Send a FIN after what was written; receiving goes on."""
        if self._eof_written or self._closing:
            return
        self._eof_written = True
        self._connection.shutdown()
        self._endpoint.push()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the stack's send buffer had no room for."""
        return max(0, self._connection.sender.backlog - self._send_buffer)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return (low, high) in bytes."""
        return self._low_water, self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set at how many buffered bytes the protocol is paused and resumed.

        Raises:
            ValueError: not ``high >= low >= 0``.
        """
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high_water, self._low_water = high, low
        self._control_writing()

    def _control_writing(self) -> None:
        if not self._writing_paused and not self._lost and self.get_write_buffer_size() > self._high_water:
            self._writing_paused = True
            self._guarded(self._protocol.pause_writing)

    # Reading

    def is_reading(self) -> bool:
        """Whether data is delivered now."""
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing; the receive window fills and stops the peer."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Deliver again, what waited first."""
        if self._reading_paused:
            self._reading_paused = False
            self._loop.call_soon(self._endpoint.pump)

    # Ending

    def close(self) -> None:
        """Send what was written, then a FIN; deliver nothing more."""
        if self._closing:
            return
        self._closing = True
        self._close_when_written()

    def abort(self) -> None:
        """Reset the connection now."""
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        """Reset the connection and report ``exc`` to the protocol (asyncio's own name: its TLS calls it)."""
        if self._lost:
            return
        self._closing = True
        self._connection.abort()
        self.report_lost(exc)
        self._endpoint.push()

    def _close_when_written(self) -> None:
        if not self._lost and self.get_write_buffer_size() == 0:
            self._connection.close(self._loop.time())
            self.report_lost(None)
            self._endpoint.push()

    def report_lost(self, exc: BaseException | None) -> None:
        """Tell the protocol, soon and once, that the connection is over."""
        if self._lost:
            return
        self._lost = self._closing = True
        self._loop.call_soon(self._protocol.connection_lost, exc, context=self._endpoint.context)

    def drop(self) -> None:
        """Stop without a word to anybody: the host has vanished."""
        self._lost = self._closing = True
        if isinstance(self._protocol, SSLProtocol) and self._protocol._app_transport is not None:  # noqa: SLF001
            self._protocol._app_transport._closed = True  # noqa: SLF001 - or it warns that nobody closed it
        self._protocol = None  # it refers to this: what refers to each other is freed late

    # What the endpoint calls, with its context entered

    def deliver(self) -> None:
        """Give the protocol what is readable, then the end of the stream."""
        receiver = self._connection.receiver
        if receiver.unread and self.is_reading():
            data = receiver.read()
            if data:
                self._guarded(self._buffer_received if self._buffered else self._protocol.data_received, data)
        if receiver.finished and not receiver.unread and not self._eof_delivered and self.is_reading():
            self._eof_delivered = True
            if not self._guarded(self._protocol.eof_received):
                self.close()

    def written(self) -> None:
        """Resume the writer, or close, when the buffer has drained."""
        if self._writing_paused and not self._lost and self.get_write_buffer_size() <= self._low_water:
            self._writing_paused = False
            self._guarded(self._protocol.resume_writing)
        if self._closing and not self._lost:
            self._close_when_written()

    def _buffer_received(self, data: bytes) -> None:
        while data:
            buffer = self._protocol.get_buffer(len(data))
            count = min(len(buffer), len(data))
            if not count:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:count] = data[:count]
            self._protocol.buffer_updated(count)
            data = data[count:]

    def _guarded(self, callback: Any, *args: Any) -> Any:
        """Call the protocol; an exception of its own ends the connection, as in asyncio."""
        try:
            return callback(*args)
        except Exception as error:  # noqa: BLE001 - the protocol's, whatever it is
            self._loop.call_exception_handler(
                {"message": "Fatal error: protocol callback failed", "exception": error, "transport": self}
            )
            self._force_close(error)
            return None

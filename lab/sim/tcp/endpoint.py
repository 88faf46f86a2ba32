"""A connection in its stack: turns segments into packets and back, keeps its timer, makes its transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.sim.process import KERNEL_CONTEXT, SimProcess, process_of
from lab.sim.tcp.config import TcpFailure
from lab.sim.tcp.connection import TcpConnection
from lab.sim.tcp.segment import packet_of, segment_of
from lab.sim.tcp.state import TcpState
from lab.sim.tcp.transport import TcpTransport
from nat_models.packet import format_address

if TYPE_CHECKING:
    import contextvars

    from lab.sim.tcp.stack import TcpStack
    from nat_models.packet import Packet, TransportAddress

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Opened = asyncio.Future[tuple[asyncio.Transport, asyncio.BaseProtocol]]


class TcpEndpoint:
    """Owns one :class:`TcpConnection` from its first segment to the end of TIME-WAIT.

    Args:
        stack: the host's stack.
        connection: the state machine, opened or accepted by the caller.
        local: own address.
        remote: the peer's address.
        protocol_factory: called once the handshake is complete.
        context: in which the program's callbacks run.
    """

    def __init__(
        self,
        stack: TcpStack,
        connection: TcpConnection,
        local: TransportAddress,
        remote: TransportAddress,
        protocol_factory: ProtocolFactory,
        context: contextvars.Context,
    ) -> None:
        self.connection = connection
        self.local = local
        self.remote = remote
        self.context = context
        self.loop = stack.host.loop
        self.send_buffer = stack.config.send_buffer
        self.opened: Opened | None = None
        """What ``connect`` awaits; None for an accepted connection."""
        self.on_opened: Callable[[], object] | None = None
        self._stack = stack
        self._host = stack.host
        self._protocol_factory = protocol_factory
        self._transport: TcpTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dropped = False
        self._process = process_of(context)

    def belongs_to(self, process: SimProcess) -> bool:
        """Whether a program of ``process`` opened or accepts this connection."""
        return self._process is process

    def receive(self, packet: Packet) -> None:
        """Process a packet of this connection."""
        self.connection.receive(segment_of(packet), self.loop.time())
        self.pump()

    def pump(self) -> None:
        """After anything that happened: open, deliver, send, report, and set the timer."""
        if self._dropped:
            return
        if self._process is not None and self._process.is_stopped:
            self.push()  # the kernel goes on: it acknowledges and retransmits, its buffer fills
            return
        if self._transport is None and self.connection.is_synchronized:
            self._open()
        if self._transport is not None:
            self.context.run(self._transport.deliver)
        self.push()
        if self._transport is not None and self.connection.state is not TcpState.CLOSED:
            self.context.run(self._transport.written)

    def push(self) -> None:
        """Send what is to be sent, and set the timer."""
        if self._dropped:
            return
        connection, host = self.connection, self._host
        for segment in connection.segments_to_send(self.loop.time()):
            host.send_packet(
                packet_of(segment, self.local, self.remote, host.next_packet_id(), host.handling_packet)
            )
        if connection.state is TcpState.CLOSED:
            self._closed()
        else:
            self._set_timer()

    def drop(self) -> None:
        """Stop without a word to anybody: the host has vanished."""
        self._dropped = True
        self._cancel_timer()
        if self._transport is not None:
            self._transport.drop()

    def orphan(self) -> None:
        """Close the connection for a program that was killed: a reset where data was unread, else a FIN."""
        if self._transport is not None:
            self._transport.drop()
            self._transport = None
        self.opened = None
        self.connection.sender.forget_beyond(self.send_buffer)  # the rest was in the program's memory
        self.connection.close(self.loop.time())
        self.push()

    # Beginning and end

    def _open(self) -> None:
        if self.on_opened is not None:
            self.on_opened()
            self.on_opened = None
        try:
            self._transport = self.context.run(self._make_transport)
        except Exception as error:  # noqa: BLE001 - the program's factory or connection_made, whatever it is
            self.connection.abort()
            self._fail(error)
            return
        if self.opened is not None and not self.opened.done():
            self.opened.set_result((self._transport, self._transport.get_protocol()))

    def _make_transport(self) -> TcpTransport:
        protocol = self._protocol_factory()
        transport = TcpTransport(self, protocol)
        protocol.connection_made(transport)
        return transport

    def _closed(self) -> None:
        self._cancel_timer()
        self._stack.forget(self)
        failure = self.connection.failure
        error = None if failure is None else failure.as_error(format_address(self.remote))
        if self._transport is not None:
            self._transport.report_lost(error)
        elif self.opened is not None:
            self._fail(error or TcpFailure.RESET.as_error(format_address(self.remote)))
        elif self.on_opened is not None:
            self.on_opened()
            self.on_opened = None

    def _fail(self, error: BaseException) -> None:
        if self.opened is None:
            self.loop.call_exception_handler(
                {"message": "Error on transport creation for incoming connection!", "exception": error}
            )
        elif not self.opened.done():
            self.opened.set_exception(error)

    # The timer: one handle, moved only when it would ring too late

    def _set_timer(self) -> None:
        due = self.connection.next_wake()
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(due, self._ring, context=KERNEL_CONTEXT)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        due = self.connection.next_wake()
        if due is not None and due <= self.loop.time():
            self.connection.wake(self.loop.time())
            self.pump()
        elif not self._dropped:
            self._set_timer()

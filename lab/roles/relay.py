"""The relay: a TURN and STUN server on sockets, simulated or real (UDP, TCP, TLS).

Everything is decided by :class:`~lab.protocols.turn_server.TurnServer`; this module carries its actions
out. It owns the sockets, the connections and the one timer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from lab.errors import WireFormatError
from lab.protocols.channel_data import StreamDeframer
from lab.protocols.turn_server import (
    Action,
    Allocated,
    CloseClient,
    CloseRelayPort,
    Dropped,
    Expired,
    FiveTuple,
    OpenRelayPort,
    Refused,
    RelayConfig,
    SendFromRelay,
    SendToClient,
    Transport,
    TurnServer,
)
from lab.roles.context import RoleContext
from lab.spec.event import EventType
from nat_models.packet import TransportAddress, format_address

STREAM_BACKLOG_BYTES: Final = 1 << 18
"""Data for a stream client that reads too slowly is dropped beyond this, as a full queue on a link would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayRoleConfig:
    """The server, and where else it listens beside UDP ``server.port`` (and the alternate one of RFC 5780).

    ``tls`` makes the server's TLS context; without it nobody listens on ``tls_ports``.
    """

    server: RelayConfig
    tcp_ports: tuple[int, ...] = (3478,)
    tls_ports: tuple[int, ...] = (5349, 443)
    tls: Callable[[], ssl.SSLContext] | None = None


class Relay:
    """The role. ``ready`` is set once every port is listened on."""

    def __init__(self, config: RelayRoleConfig, context: RoleContext) -> None:
        self._config = config
        self._context = context
        self._server = TurnServer(config.server, random=context.random("turn"))
        self.ready = asyncio.Event()
        self._services: dict[TransportAddress, asyncio.DatagramTransport] = {}
        self._listeners: list[asyncio.AbstractServer] = []
        self._clients: dict[FiveTuple, asyncio.WriteTransport] = {}
        self._relays: dict[TransportAddress, asyncio.DatagramTransport] = {}
        self._opening: dict[TransportAddress, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._closed = False
        self._perform_one: dict[type, Callable[[Any], None]] = {
            SendToClient: self._send_to_client,
            SendFromRelay: self._send_from_relay,
            OpenRelayPort: self._open_relay_port,
            CloseRelayPort: self._close_relay_port,
            CloseClient: self._close_client,
            Allocated: self._tell_allocated,
            Refused: self._tell_refused,
            Expired: self._tell_expired,
            Dropped: self._tell_dropped,
        }

    @property
    def allocations(self) -> int:
        """How many allocations there are now."""
        return self._server.allocations

    def rotate_nonces(self) -> None:
        """Make every client's nonce stale at once."""
        self._server.rotate_nonces()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            OSError: an address or port cannot be listened on.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self._listen()
            self.ready.set()
            await self._loop.create_future()
        finally:
            self._close()

    async def _listen(self) -> None:
        config = self._config.server
        for address in config.addresses:
            for port in (config.port, config.alternate_port):
                if port == config.port or config.other_address((address, port)) is not None:
                    await self._listen_udp((address, port))
        hosts = list(config.addresses)
        for port in self._config.tcp_ports:
            await self._listen_stream(hosts, port, Transport.TCP, None)
        if self._config.tls is not None:
            context = self._config.tls()
            for port in self._config.tls_ports:
                await self._listen_stream(hosts, port, Transport.TLS, context)

    async def _listen_udp(self, address: TransportAddress) -> None:
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _ServicePort(self, address), local_addr=address
        )
        self._services[address] = transport

    async def _listen_stream(
        self,
        hosts: list[str],
        port: int,
        transport: Transport,
        context: ssl.SSLContext | None,
    ) -> None:
        self._listeners.append(
            await self._loop.create_server(lambda: _StreamClient(self, transport), hosts, port, ssl=context)
        )

    def _close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._opening.values():
            task.cancel()
        for listener in self._listeners:
            listener.close()
        for transport in (*self._services.values(), *self._clients.values(), *self._relays.values()):
            transport.close()

    # What comes in

    def received(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Handle a message from a client."""
        now = self._loop.time()
        self._perform(self._server.receive(data, *five_tuple, now))

    def received_from_peer(self, data: bytes, relayed: TransportAddress, peer: TransportAddress) -> None:
        """Handle a datagram to a relayed address."""
        now = self._loop.time()
        self._perform(self._server.receive_from_peer(relayed, peer, data, now))

    def connected(self, five_tuple: FiveTuple, transport: asyncio.WriteTransport) -> None:
        """Note a stream client."""
        self._clients[five_tuple] = transport

    def disconnected(self, five_tuple: FiveTuple) -> None:
        """Forget a stream client, and end its allocation."""
        del self._clients[five_tuple]
        if self._closed:
            return
        now = self._loop.time()
        self._perform(self._server.client_gone(*five_tuple, now))

    # What is to be done

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._perform_one[type(action)](action)
        wake = self._server.next_wake()
        if wake is not None and (self._timer is None or wake < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(wake, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._perform(self._server.wake(self._loop.time()))

    def _send_to_client(self, action: SendToClient) -> None:
        if action.transport is Transport.UDP:
            self._services[action.server].sendto(action.data, action.client)
            return
        five_tuple = FiveTuple(action.transport, action.client, action.server)
        transport = self._clients.get(five_tuple)
        if transport is None:
            return
        if transport.get_write_buffer_size() > STREAM_BACKLOG_BYTES:
            reason = f"the client reads too slowly: {STREAM_BACKLOG_BYTES} bytes wait for it"
            self._tell_dropped(Dropped(action.server, action.client, reason))
        else:
            transport.write(action.data)

    def _send_from_relay(self, action: SendFromRelay) -> None:
        transport = self._relays.get(action.relayed)
        if transport is not None:
            transport.sendto(action.data, action.peer)

    def _open_relay_port(self, action: OpenRelayPort) -> None:
        relayed = action.relayed
        self._opening[relayed] = self._loop.create_task(
            self._bind(relayed), name=f"open {format_address(relayed)}"
        )

    async def _bind(self, relayed: TransportAddress) -> None:
        try:
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: _RelayPort(self, relayed), local_addr=relayed
            )
        except OSError:
            actions = self._server.relay_port_failed(relayed)
        else:
            self._relays[relayed] = transport
            actions = self._server.relay_port_opened(relayed, self._loop.time())
        del self._opening[relayed]
        self._perform(actions)

    def _close_relay_port(self, action: CloseRelayPort) -> None:
        transport = self._relays.pop(action.relayed, None)
        if transport is not None:
            transport.close()

    def _close_client(self, action: CloseClient) -> None:
        transport = self._clients.get(FiveTuple(action.transport, action.client, action.server))
        if transport is not None:
            transport.close()

    def _tell_allocated(self, action: Allocated) -> None:
        transport, client, _ = action.five_tuple
        self._context.emit(
            EventType.TURN_ALLOCATED,
            client=format_address(client),
            relayed=format_address(action.relayed),
            lifetime=action.lifetime,
            transport=transport.value,
        )

    def _tell_refused(self, action: Refused) -> None:
        client = format_address(action.five_tuple.client)
        self._context.emit(
            EventType.TURN_REFUSED,
            client=client,
            method=action.method,
            code=action.code,
            reason=action.reason,
        )

    def _tell_expired(self, action: Expired) -> None:
        self._context.emit(
            EventType.TURN_EXPIRED,
            what=action.what.value,
            client=format_address(action.five_tuple.client),
            peer=format_address(action.peer) if action.peer else None,
            why=action.why,
        )

    def _tell_dropped(self, action: Dropped) -> None:
        packet = f"{format_address(action.source)} > {format_address(action.destination)}"
        self._context.emit(EventType.PACKET_DROPPED, reason=action.reason, packet=packet)


class _ServicePort(asyncio.DatagramProtocol):
    """One UDP port of the service."""

    def __init__(self, relay: Relay, address: TransportAddress) -> None:
        self._relay = relay
        self._address = address

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        client = cast("TransportAddress", addr if len(addr) == 2 else addr[:2])
        self._relay.received(data, FiveTuple(Transport.UDP, client, self._address))


class _RelayPort(asyncio.DatagramProtocol):
    """The socket of one relayed address."""

    def __init__(self, relay: Relay, relayed: TransportAddress) -> None:
        self._relay = relay
        self._relayed = relayed

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        peer = cast("TransportAddress", addr if len(addr) == 2 else addr[:2])
        self._relay.received_from_peer(data, self._relayed, peer)


class _StreamClient(asyncio.Protocol):
    """One TCP or TLS connection of a client."""

    def __init__(self, relay: Relay, transport: Transport) -> None:
        self._relay = relay
        self._kind = transport
        self._deframer = StreamDeframer()
        self._transport: asyncio.Transport
        self._five_tuple: FiveTuple | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        client, server = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        if client is None or server is None:  # it was reset before we looked
            transport.close()
            return
        self._five_tuple = FiveTuple(self._kind, client[:2], server[:2])
        self._relay.connected(self._five_tuple, self._transport)

    def data_received(self, data: bytes) -> None:
        if self._five_tuple is None:
            return
        try:
            frames = self._deframer.feed_untrusted(data)
        except WireFormatError:
            self._transport.close()
            return
        for frame in frames:
            self._relay.received(frame, self._five_tuple)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._five_tuple is not None:
            self._relay.disconnected(self._five_tuple)

"""A TURN and STUN server without sockets (RFC 8489, RFC 8656, RFC 5780).

Theory of operation. Bytes and time go in, actions come out; nothing here reads a clock or a socket.

- Everything starts in :meth:`TurnServer.receive` (from a client) or :meth:`TurnServer.receive_from_peer`.
- A request is authenticated, then checked for unknown attributes, then handled. A handler returns actions or
  raises ``RequestRefused``, which becomes the error response.
- Indications and ChannelData are relayed or dropped, never answered.
- What ends by itself (allocations, permissions, channels, reservations) sits in one queue. The owner calls
  :meth:`TurnServer.wake` at :meth:`TurnServer.next_wake`; being late does no harm, as every other call first
  catches up.
"""

from __future__ import annotations

import random
from typing import Final

from lab.errors import WireFormatError
from lab.protocols.channel_data import (
    encode_channel_data,
    encode_channel_data_padded,
    parse_channel_data_untrusted,
)
from lab.protocols.stun import (
    Attribute,
    Message,
    MessageBuilder,
    MessageClass,
    Method,
    parse_message_untrusted,
)
from lab.protocols.stun_address import family_of
from lab.protocols.turn_server.actions import (
    Action,
    CloseClient,
    Dropped,
    Ended,
    Expired,
    FiveTuple,
    Refused,
    SendFromRelay,
    SendToClient,
)
from lab.protocols.turn_server.allocate import Allocator
from lab.protocols.turn_server.allocation import Allocation, Channel, Permission, Reservation
from lab.protocols.turn_server.allocations import AllocationTable
from lab.protocols.turn_server.authentication import Authenticator
from lab.protocols.turn_server.binding import answer_binding
from lab.protocols.turn_server.config import RelayConfig, Transport
from lab.protocols.turn_server.expiry import Expiring
from lab.protocols.turn_server.peers import Peers
from lab.protocols.turn_server.request import KNOWN_ATTRIBUTES, Request, RequestRefused, refuse_unknown
from nat_models.packet import TransportAddress, format_address

NO_PERMISSION: Final = "no permission for this peer"


class TurnServer:
    """One server. ``random`` gives ports, nonces, tokens and transaction ids."""

    def __init__(self, config: RelayConfig, *, random: random.Random) -> None:
        self.config = config
        self._random = random
        self._table = AllocationTable()
        self._auth = Authenticator(config, random)
        self._allocator = Allocator(config, self._table, random)
        self._peers = Peers(config, self._table.expiries)

    @property
    def allocations(self) -> int:
        """How many allocations there are."""
        return len(self._table.by_client)

    def receive(
        self,
        data: bytes,
        transport: Transport,
        client: TransportAddress,
        server: TransportAddress,
        now: float,
    ) -> list[Action]:
        """Return what one datagram, or one deframed stretch of a stream, leads to.

        Args:
            data: A STUN message or ChannelData; anything else is ignored on UDP and closes a stream.
            transport: What it came by.
            client: Where it came from.
            server: The service address it came to.
            now: Seconds of the caller's clock.
        """
        actions = self.wake(now) if self._table.expiries.is_due(now) else []
        five_tuple = FiveTuple(transport, client, server)
        try:
            if data and data[0] & 0xC0 == 0x40:
                actions.append(self._relay_channel_data(data, five_tuple))
            else:
                actions += self._handle(parse_message_untrusted(data), five_tuple, now)
        except WireFormatError:
            if transport.is_stream:
                actions.append(CloseClient(transport, client, server))
        return actions

    def receive_from_peer(
        self, relayed: TransportAddress, peer: TransportAddress, data: bytes, now: float
    ) -> list[Action]:
        """Return what a datagram from ``peer`` to a relayed address leads to (RFC 8656 §§11.4, 12.7)."""
        actions = self.wake(now) if self._table.expiries.is_due(now) else []
        allocation = self._table.by_relayed.get(relayed)
        if allocation is None:
            actions.append(Dropped(peer, relayed, "no allocation has this relayed address"))
        elif not self._peers.is_permitted(allocation, peer):
            actions.append(Dropped(peer, relayed, NO_PERMISSION))
        else:
            transport, client, server = allocation.five_tuple
            channel = allocation.channels_by_peer.get(peer)
            if channel is None or not channel.bound:
                wire = self._data_indication(peer, data)
            elif transport is Transport.UDP:
                wire = encode_channel_data(channel.number, data)
            else:
                wire = encode_channel_data_padded(channel.number, data)
            actions.append(SendToClient(transport, client, server, wire))
        return actions

    def relay_port_opened(self, relayed: TransportAddress, now: float) -> list[Action]:
        """Return what follows the opening of a port that was asked for."""
        return self._allocator.port_opened(relayed, now)

    def relay_port_failed(self, relayed: TransportAddress) -> list[Action]:
        """Return what follows when a port that was asked for cannot be opened: another one, or 508."""
        opening, actions = self._allocator.port_failed(relayed)
        if opening is None:
            return actions
        try:
            return actions + self._allocator.retry(opening)
        except RequestRefused as refusal:
            return actions + self._refuse(opening.request, refusal)

    def client_gone(
        self, transport: Transport, client: TransportAddress, server: TransportAddress, now: float
    ) -> list[Action]:
        """Return what follows when a stream client's connection ended: its allocation ends with it."""
        del now
        five_tuple = FiveTuple(transport, client, server)
        allocation = self._table.by_client.get(five_tuple)
        if allocation is None:
            return self._allocator.forget_client(five_tuple)
        return self._end_allocation(allocation, "the client's connection closed")

    def rotate_nonces(self) -> None:
        """Make every nonce stale, as a server does that changes its secret: clients meet 438."""
        self._auth.nonces.rotate()

    def next_wake(self) -> float | None:
        """Return when :meth:`wake` should be called, in seconds; None while nothing will end."""
        return self._table.expiries.next_time()

    def wake(self, now: float) -> list[Action]:
        """Return what has ended by ``now``."""
        actions: list[Action] = []
        for item in self._table.expiries.pop_due(now):
            actions += self._expire(item)
        return actions

    def _handle(self, message: Message, five_tuple: FiveTuple, now: float) -> list[Action]:
        if message.message_class is MessageClass.INDICATION:
            return self._relay_send(message, five_tuple)
        if message.message_class is not MessageClass.REQUEST:
            return []
        request = Request(message, five_tuple, now, self.config.software)
        try:
            return self._answer(request)
        except RequestRefused as refusal:
            return self._refuse(request, refusal)
        except WireFormatError as error:
            return self._refuse(request, RequestRefused(400, str(error)))

    def _answer(self, request: Request) -> list[Action]:
        message = request.message
        if message.method == Method.BINDING:
            refuse_unknown(message)
            return [answer_binding(self.config, request)]
        if message.method not in KNOWN_ATTRIBUTES or message.method == Method.SEND:
            return []  # an unknown method is discarded, not answered (RFC 8489 §6.3)
        if self.config.require_auth:
            request.identity = self._auth.authenticate(message, request.five_tuple, request.now)
        refuse_unknown(message)
        if message.method == Method.ALLOCATE:
            return self._allocator.allocate(request)
        allocation = self._allocation_of(request)
        if message.method == Method.REFRESH:
            return self._refresh(request, allocation)
        if message.method == Method.CREATE_PERMISSION:
            self._peers.create_permission(request, allocation)
        else:
            self._peers.bind_channel(request, allocation)
        return [request.answer(request.success())]

    def _refuse(self, request: Request, refusal: RequestRefused) -> list[Action]:
        answer = request.refuse(refusal)
        if refusal.code == 401 and not refusal.detail:
            return [answer]
        return [Refused(request.five_tuple, request.method_name, refusal.code, refusal.detail), answer]

    def _allocation_of(self, request: Request) -> Allocation:
        allocation = self._table.by_client.get(request.five_tuple)
        if allocation is None:
            raise RequestRefused(437, "this client has no allocation")
        if allocation.username != request.identity.username:
            raise RequestRefused(441, f"the allocation is {allocation.username!r}'s")
        return allocation

    def _refresh(self, request: Request, allocation: Allocation) -> list[Action]:
        family = request.message.uint8(Attribute.REQUESTED_ADDRESS_FAMILY)
        if family is not None and family not in allocation.relayed:
            raise RequestRefused(443, "the allocation has no address of this family")
        if request.message.uint32(Attribute.LIFETIME) == 0:
            answer = request.answer(request.success().uint32(Attribute.LIFETIME, 0))
            if family is not None and len(allocation.relayed) > 1:
                return [*self._allocator.release(self._table.remove_family(allocation, family)), answer]
            return [*self._end_allocation(allocation, "the client deleted it"), answer]
        lifetime = self._allocator.lifetime(request)
        allocation.expires = request.now + lifetime
        self._table.expiries.watch(allocation)
        return [request.answer(request.success().uint32(Attribute.LIFETIME, lifetime))]

    def _relay_channel_data(self, data: bytes, five_tuple: FiveTuple) -> Action:
        try:
            number, payload = parse_channel_data_untrusted(data)
        except WireFormatError as error:
            return Dropped(five_tuple.client, five_tuple.server, str(error))
        allocation = self._table.by_client.get(five_tuple)
        channel = allocation.channels.get(number) if allocation else None
        if allocation is None or channel is None or not channel.bound:
            return Dropped(five_tuple.client, five_tuple.server, f"channel {number:#06x} is not bound")
        return SendFromRelay(allocation.relayed[family_of(channel.peer[0])], channel.peer, payload)

    def _relay_send(self, message: Message, five_tuple: FiveTuple) -> list[Action]:
        if message.method != Method.SEND or message.required_but_not_in(KNOWN_ATTRIBUTES[Method.SEND]):
            return []
        peer = message.xor_address(Attribute.XOR_PEER_ADDRESS)
        data = message.get(Attribute.DATA)
        if peer is None or data is None:
            return []
        allocation = self._table.by_client.get(five_tuple)
        if allocation is None:
            return [Dropped(five_tuple.client, peer, "this client has no allocation")]
        if not self._peers.is_permitted(allocation, peer):
            return [Dropped(five_tuple.client, peer, NO_PERMISSION)]
        return [SendFromRelay(allocation.relayed[family_of(peer[0])], peer, data)]

    def _data_indication(self, peer: TransportAddress, data: bytes) -> bytes:
        builder = MessageBuilder(Method.DATA, MessageClass.INDICATION, self._random.randbytes(12))
        return builder.xor_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data).finish()

    def _end_allocation(self, allocation: Allocation, why: str) -> list[Action]:
        actions: list[Action] = [Expired(Ended.ALLOCATION, allocation.five_tuple, None, why)]
        for relayed in self._table.remove(allocation):
            actions += self._allocator.release(relayed)
        return actions

    def _expire(self, item: Expiring) -> list[Action]:
        match item:
            case Allocation():
                return self._end_allocation(item, "its lifetime ran out unrefreshed")
            case Permission():
                item.remove()
                why = f"not refreshed; data from {item.peer[0]} is dropped from now on"
                return [Expired(Ended.PERMISSION, item.allocation.five_tuple, item.peer, why)]
            case Channel() if item.bound:
                item.bound = False
                item.expires += self.config.channel_cooldown
                self._table.expiries.watch(item)
                why = f"channel {item.number:#06x} to {format_address(item.peer)} was not rebound"
                return [Expired(Ended.CHANNEL, item.allocation.five_tuple, item.peer, why)]
            case Channel():
                item.remove()
            case Reservation():
                return self._allocator.reservation_expired(item)
        return []

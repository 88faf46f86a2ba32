"""Allocate requests (RFC 8656 §7.2): from the checks to the opened ports.

An allocation is made in two steps, because binding a socket takes time and can fail: the request's ports are
asked for (:class:`~lab.protocols.turn_server.actions.OpenRelayPort`), and answered once all are open. A port
that cannot be bound is replaced by another one, a few times.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from lab.protocols.stun import Attribute
from lab.protocols.stun_address import FAMILY_IPV4, FAMILY_IPV6, pack_address
from lab.protocols.turn_server.actions import Action, Allocated, CloseRelayPort, FiveTuple, OpenRelayPort
from lab.protocols.turn_server.allocation import Allocation, Reservation
from lab.protocols.turn_server.allocations import AllocationTable
from lab.protocols.turn_server.config import RelayConfig
from lab.protocols.turn_server.ports import RelayPorts
from lab.protocols.turn_server.request import REASONS, Request, RequestRefused
from nat_models.packet import TransportAddress

UDP_PROTOCOL_NUMBER: Final = 17
PORT_ATTEMPTS: Final = 10


@dataclass(slots=True)
class Wish:
    """What an Allocate request asks for, checked."""

    families: list[int]
    lifetime: int
    even: bool = False
    reserve_next: bool = False
    refused_family: int = 0
    """A family asked for in addition that this server does not have (ADDRESS-ERROR-CODE)."""


@dataclass(slots=True)
class Opening:
    """An allocation whose ports are being opened."""

    request: Request
    wish: Wish
    relayed: list[TransportAddress] = field(default_factory=list)
    reserved: TransportAddress | None = None
    waiting: list[TransportAddress] = field(default_factory=list)
    opened: list[TransportAddress] = field(default_factory=list)
    attempts: int = 0


class Allocator:
    """Turns Allocate requests into allocations."""

    def __init__(self, config: RelayConfig, table: AllocationTable, random: random.Random) -> None:
        self._config = config
        self._table = table
        self._random = random
        self._ports = RelayPorts(*config.relay_ports, random)
        self._openings: dict[FiveTuple, Opening] = {}
        self._opening_by_port: dict[TransportAddress, Opening] = {}
        self._reservations: dict[bytes, Reservation] = {}

    def allocate(self, request: Request) -> list[Action]:
        """Return what a new Allocate request leads to; a retransmitted one is answered as before.

        Raises:
            RequestRefused: 300, 400, 437, 440, 442, 486 or 508, as RFC 8656 §7.2 orders them.
        """
        existing = self._table.by_client.get(request.five_tuple)
        if existing is not None:
            if existing.transaction_id != request.message.transaction_id:
                raise RequestRefused(437, "this client has an allocation already")
            return [_resend(request, existing)]
        if request.five_tuple in self._openings:
            return []
        token = request.message.get(Attribute.RESERVATION_TOKEN)
        wish = self._wish(request)
        if token is not None:
            return self._use_reservation(request, wish, token)
        self._check_quota(request)
        opening = Opening(request, wish)
        actions = self._open(opening)
        self._openings[request.five_tuple] = opening
        return actions

    def port_opened(self, relayed: TransportAddress, now: float) -> list[Action]:
        """Return what an opened port leads to: the answer, once it was the last one waited for."""
        opening = self._opening_by_port.pop(relayed, None)
        if opening is None:
            return self.release(relayed)
        opening.waiting.remove(relayed)
        opening.opened.append(relayed)
        return [] if opening.waiting else self._complete(opening, now)

    def port_failed(self, relayed: TransportAddress) -> tuple[Opening | None, list[Action]]:
        """Return the opening that a port which cannot be bound belonged to, and what its other ports need.

        The port stays marked as taken: whoever has it will have it next time as well.
        """
        opening = self._opening_by_port.pop(relayed, None)
        return opening, self._abandon_ports(opening) if opening else []

    def retry(self, opening: Opening) -> list[Action]:
        """Ask for other ports.

        Raises:
            RequestRefused: 508 after too many failures.
        """
        opening.attempts += 1
        if opening.attempts >= PORT_ATTEMPTS:
            del self._openings[opening.request.five_tuple]
            raise RequestRefused(508, f"{PORT_ATTEMPTS} ports could not be bound")
        return self._open(opening)

    def forget_client(self, five_tuple: FiveTuple) -> list[Action]:
        """Give up what is being opened for a client that is gone."""
        opening = self._openings.pop(five_tuple, None)
        return self._abandon_ports(opening) if opening else []

    def release(self, relayed: TransportAddress) -> list[Action]:
        """Close a port and give it back."""
        self._ports.release(relayed)
        return [CloseRelayPort(relayed)]

    def reservation_expired(self, reservation: Reservation) -> list[Action]:
        """Close the reserved port that nobody came for."""
        del self._reservations[reservation.token]
        return self.release(reservation.relayed)

    def _wish(self, request: Request) -> Wish:
        message = request.message
        transport = message.uint8(Attribute.REQUESTED_TRANSPORT)
        if transport is None:
            raise RequestRefused(400, "no REQUESTED-TRANSPORT")
        if transport != UDP_PROTOCOL_NUMBER:
            raise RequestRefused(442, f"protocol {transport} is not relayed")
        even_port = message.uint8(Attribute.EVEN_PORT)
        self._refuse_contradictions(request, even_port)
        wish = Wish(self._families(request), self.lifetime(request))
        wish.even = even_port is not None
        wish.reserve_next = even_port is not None and bool(even_port & 0x80)
        if message.uint8(Attribute.ADDITIONAL_ADDRESS_FAMILY) is not None:
            if FAMILY_IPV6 in self._config.relays:
                wish.families.append(FAMILY_IPV6)
            else:
                wish.refused_family = FAMILY_IPV6
        if self._config.alternate_server is not None:
            alternate = pack_address(self._config.alternate_server)
            raise RequestRefused(300, "sent elsewhere", [(Attribute.ALTERNATE_SERVER, alternate)])
        return wish

    def _refuse_contradictions(self, request: Request, even_port: int | None) -> None:
        message = request.message
        requested = message.uint8(Attribute.REQUESTED_ADDRESS_FAMILY)
        additional = message.uint8(Attribute.ADDITIONAL_ADDRESS_FAMILY)
        if requested is not None and additional is not None:
            raise RequestRefused(400, "one family requested and another one in addition")
        if additional is not None and additional != FAMILY_IPV6:
            raise RequestRefused(400, "only IPv6 can come in addition")
        if additional is not None and even_port is not None and even_port & 0x80:
            raise RequestRefused(400, "a reserved port with two families")
        if Attribute.RESERVATION_TOKEN in message and (
            even_port is not None or requested is not None or additional is not None
        ):
            raise RequestRefused(400, "a reservation token with other wishes about the port")

    def _families(self, request: Request) -> list[int]:
        family = request.message.uint8(Attribute.REQUESTED_ADDRESS_FAMILY)
        if family is None:
            family = FAMILY_IPV4
        if family not in self._config.relays:
            raise RequestRefused(440, f"no relay address of family {family}")
        return [family]

    def lifetime(self, request: Request) -> int:
        """Return the lifetime in seconds that a request gets (RFC 8656 §7.2)."""
        wanted = request.message.uint32(Attribute.LIFETIME)
        default = self._config.default_lifetime
        return default if wanted is None else max(default, min(wanted, self._config.max_lifetime))

    def _check_quota(self, request: Request) -> None:
        username, opening = request.identity.username, self._openings.values()
        limit = self._config.allocations_per_user
        pending = sum(o.request.identity.username == username for o in opening) if limit else 0
        if limit and self._table.count_of(username) + pending >= limit:
            raise RequestRefused(486, f"{username!r} has {limit} allocations")
        limit = self._config.max_allocations
        if limit and len(self._table.by_client) + len(self._openings) >= limit:
            raise RequestRefused(508, f"the server has {limit} allocations")

    def _open(self, opening: Opening) -> list[Action]:
        wish, request = opening.wish, opening.request
        asked = " ".join(map(str, request.five_tuple)).encode() + request.message.transaction_id
        opening.relayed, opening.opened, opening.reserved = [], [], None
        for family in wish.families:
            ip = self._config.relays[family]
            port = self._ports.take(ip, asked, even=wish.even, with_next=wish.reserve_next)
            if port is None:
                self._openings.pop(request.five_tuple, None)
                for taken in opening.relayed:
                    self._ports.release(taken)
                raise RequestRefused(508, f"no free port on {ip}")
            opening.relayed.append((ip, port))
            if wish.reserve_next:
                opening.reserved = (ip, port + 1)
        opening.waiting = [*opening.relayed, *([opening.reserved] if opening.reserved else [])]
        self._opening_by_port.update(dict.fromkeys(opening.waiting, opening))
        return [OpenRelayPort(relayed) for relayed in opening.waiting]

    def _abandon_ports(self, opening: Opening) -> list[Action]:
        # Ports still being opened are closed when they report; by then nobody waits for them.
        for relayed in opening.waiting:
            self._opening_by_port.pop(relayed, None)
        return [action for relayed in opening.opened for action in self.release(relayed)]

    def _complete(self, opening: Opening, now: float) -> list[Action]:
        request = opening.request
        del self._openings[request.five_tuple]
        token = b""
        if opening.reserved is not None:
            token = self._random.randbytes(8)
            reservation = Reservation(token, opening.reserved, now + self._config.reservation_lifetime)
            self._reservations[token] = reservation
            self._table.expiries.watch(reservation)
        return self._establish(request, opening.wish, opening.relayed, token, now)

    def _use_reservation(self, request: Request, wish: Wish, token: bytes) -> list[Action]:
        reservation = self._reservations.get(token)
        if reservation is None:
            raise RequestRefused(508, "no such reservation, or it ran out")
        self._check_quota(request)
        del self._reservations[token]
        reservation.gone = True
        return self._establish(request, wish, [reservation.relayed], b"", request.now)

    def _establish(
        self, request: Request, wish: Wish, relayed: list[TransportAddress], token: bytes, now: float
    ) -> list[Action]:
        username = request.identity.username
        allocation = Allocation(request.five_tuple, username, relayed, now + wish.lifetime)
        builder = request.success()
        for address in relayed:
            builder.xor_address(Attribute.XOR_RELAYED_ADDRESS, address)
        builder.uint32(Attribute.LIFETIME, wish.lifetime)
        builder.xor_address(Attribute.XOR_MAPPED_ADDRESS, request.five_tuple.client)
        if token:
            builder.add(Attribute.RESERVATION_TOKEN, token)
        if wish.refused_family:
            value = bytes((wish.refused_family, 0, 4, 40)) + REASONS[440].encode()
            builder.add(Attribute.ADDRESS_ERROR_CODE, value)
        answer = request.answer(builder)
        allocation.transaction_id = request.message.transaction_id
        allocation.response = answer.data
        self._table.add(allocation)
        return [Allocated(request.five_tuple, relayed[0], wish.lifetime, username), answer]


def _resend(request: Request, allocation: Allocation) -> Action:
    answer = request.answer(request.success())
    answer.data = allocation.response
    return answer

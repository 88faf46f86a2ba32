"""Which external address and port a new mapping gets (RFC 4787 §4.2, RFC 6888), and which are free."""

from __future__ import annotations

import random as random_module
from collections import Counter, deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from nat_models.model import NatModel, Pooling, PortAssignment
from nat_models.outcome import ExhaustedError
from nat_models.packet import IpProtocol, TransportAddress

Refused = Callable[[TransportAddress], bool]
"""Whether an external endpoint may not be taken for the flow at hand, though no mapping holds it."""

WELL_KNOWN_LAST = 1023
"""Ports up to here are one class, those above another; preservation stays in its class (RFC 4787 REQ-3a)."""

_PRESERVING = frozenset(
    {PortAssignment.PRESERVE, PortAssignment.PRESERVE_OVERLOAD, PortAssignment.PRESERVE_SYMMETRIC}
)


class _Request(NamedTuple):
    protocol: IpProtocol
    internal: TransportAddress
    address: str
    refused: Refused


class PortAllocator:
    """The external endpoints of one box. UDP, TCP and ICMP each have a port space of their own.

    An internal host keeps its paired address (RFC 4787 REQ-2) and its port block (RFC 6888 REQ-14) until the
    box reboots: both are then constant, and a log needs one line a host (RFC 7422).
    """

    def __init__(self, model: NatModel, addresses: Sequence[str], random: random_module.Random) -> None:
        self._pool = model.ports
        self._kind = model.port_assignment
        self._paired = model.pooling is Pooling.PAIRED
        self._addresses = tuple(addresses)
        self._secret = random.randbytes(16)
        self._draws: Counter[str] = Counter()
        self.forget_all()

    def forget_all(self) -> None:
        """Lose all state, as a reboot does."""
        self.free_all()
        self._pairing: dict[str, str] = {}
        self._next: dict[tuple[IpProtocol, str], int] = {}
        self._offsets: dict[tuple[str, str], int] = {}
        self._blocks: dict[tuple[str, str], int] = {}
        self._blocks_given: Counter[str] = Counter()

    def free_all(self) -> None:
        """Take every port for free; what was dealt out to hosts, and the next in turn, stay as they are."""
        self._users: Counter[tuple[IpProtocol, TransportAddress]] = Counter()
        self._used: Counter[tuple[IpProtocol, str]] = Counter()
        self._of_host: Counter[str] = Counter()
        self._of_endpoint: dict[tuple[IpProtocol, TransportAddress], list[TransportAddress]] = {}
        self._held: dict[tuple[IpProtocol, TransportAddress], tuple[float, TransportAddress]] = {}
        self._hold_ends: deque[tuple[float, tuple[IpProtocol, TransportAddress]]] = deque()

    @property
    def preserves(self) -> bool:
        """Whether the internal port is kept where possible."""
        return self._kind in _PRESERVING

    def allocate(
        self, protocol: IpProtocol, internal: TransportAddress, now: float, refused: Refused
    ) -> TransportAddress:
        """Return the external endpoint of a new mapping of ``internal``, now in use.

        Raises:
            ExhaustedError: the pool, the host's block or the host's limit is used up.
        """
        limit = self._pool.per_host_limit
        if limit and self._of_host[internal[0]] >= limit:
            raise ExhaustedError(f"{internal[0]} has its limit of {limit} mappings")
        self._end_holds(now)
        external = self._on_some_address(protocol, internal, refused)
        self._users[protocol, external] += 1
        self._used[protocol, external[0]] += 1
        self._of_host[internal[0]] += 1
        self._of_endpoint.setdefault((protocol, internal), []).append(external)
        return external

    def release(
        self, protocol: IpProtocol, internal: TransportAddress, external: TransportAddress, at: float
    ) -> None:
        """Give back what :meth:`allocate` gave; hold-down counts from ``at``, when the mapping ended."""
        self._users[protocol, external] -= 1
        if not self._users[protocol, external]:
            del self._users[protocol, external]
        self._used[protocol, external[0]] -= 1
        self._of_host[internal[0]] -= 1
        mine = self._of_endpoint[protocol, internal]
        mine.remove(external)
        if not mine:
            del self._of_endpoint[protocol, internal]
        if self._pool.hold_down > 0:
            end = at + self._pool.hold_down
            self._held[protocol, external] = (end, internal)
            self._hold_ends.append((end, (protocol, external)))

    def _end_holds(self, now: float) -> None:
        while self._hold_ends and self._hold_ends[0][0] <= now:
            end, port = self._hold_ends.popleft()
            if port in self._held and self._held[port][0] == end:
                del self._held[port]

    def _on_some_address(
        self, protocol: IpProtocol, internal: TransportAddress, refused: Refused
    ) -> TransportAddress:
        full = "the box has no external address"
        for address in self._addresses_for(internal[0]):
            try:
                return (address, _CHOOSE[self._kind](self, _Request(protocol, internal, address, refused)))
            except ExhaustedError as exhausted:
                full = exhausted.reason
        raise ExhaustedError(full)

    def _addresses_for(self, host: str) -> Sequence[str]:
        """Return the addresses to try in turn. Paired pooling never leaves the host's own."""
        if len(self._addresses) <= 1:
            return self._addresses
        if not self._paired:
            return sorted(self._addresses, key=lambda _: self.draw(host, 0, 0xFFFF_FFFF))
        address = self._pairing.get(host)
        if address is None:
            # Hosts are dealt out over the addresses in the order in which they appear.
            address = self._pairing[host] = self._addresses[len(self._pairing) % len(self._addresses)]
        return (address,)

    def _is_free(self, request: _Request, port: int) -> bool:
        external = (request.address, port)
        if (request.protocol, external) in self._users:
            return False
        # A port in hold-down may go back to the endpoint that had it, to nobody else.
        held = self._held.get((request.protocol, external))
        return (held is None or held[1] == request.internal) and not request.refused(external)

    def _preserve(self, request: _Request) -> int:
        port = request.internal[1]
        if self._pool.first <= port <= self._pool.last and self._is_free(request, port):
            return port
        return self._any(request)

    def _preserve_overload(self, request: _Request) -> int:
        # Other endpoints may share the port; this endpoint's own mappings stay apart, as its mapping rule
        # says.
        port = request.internal[1]
        external = (request.address, port)
        mine = self._of_endpoint.get((request.protocol, request.internal), ())
        if (
            self._pool.first <= port <= self._pool.last
            and external not in mine
            and not request.refused(external)
        ):
            return port
        return self._any(request)

    def _preserve_symmetric(self, request: _Request) -> int:
        if (request.protocol, request.internal) in self._of_endpoint:
            return self._any(request)
        return self._preserve(request)

    def _sequential(self, request: _Request) -> int:
        pool = self._pool
        start = self._next.get((request.protocol, request.address), pool.first)
        port = self._probe(request, start, pool.first, pool.last)
        self._next[request.protocol, request.address] = port + 1
        return port

    def _contiguous(self, request: _Request) -> int:
        host, port = request.internal
        offset = self._offsets.get((host, request.address))
        if offset is not None:
            near = port + offset
            if self._pool.first <= near <= self._pool.last and self._is_free(request, near):
                return near
        chosen = self._any(request)
        self._offsets[host, request.address] = chosen - port
        return chosen

    def _in_block(self, request: _Request) -> int:
        host = request.internal[0]
        first = self._blocks.get((host, request.address))
        if first is None:
            first = self._new_block(host, request.address)
        last = first + self._pool.block_size - 1
        try:
            return self._probe(request, self.draw(host, first, last), first, last)
        except ExhaustedError:
            raise ExhaustedError(f"port block {first}-{last} of {host} is used up") from None

    def _new_block(self, host: str, address: str) -> int:
        given = self._blocks_given[address]
        first = self._pool.first + given * self._pool.block_size
        if first + self._pool.block_size - 1 > self._pool.last:
            raise ExhaustedError(f"no port block left on {address}: {given} hosts have one each")
        self._blocks_given[address] += 1
        self._blocks[host, address] = first
        return first

    def _any(self, request: _Request) -> int:
        first, last = self._range_for(request.internal[1])
        return self._probe(request, self.draw(request.internal[0], first, last), first, last)

    def draw(self, host: str, first: int, last: int) -> int:
        """Return a number of ``first..last``, at random: the next one of this host.

        Each host behind the box has a sequence of its own, so that what one does, or what is lost of it, does
        not give all others other ports.
        """
        number = self._draws[host] = self._draws[host] + 1
        digest = blake2b(f"{number} {host}".encode(), digest_size=8, key=self._secret).digest()
        return first + int.from_bytes(digest) % (last - first + 1)

    def _range_for(self, port: int) -> tuple[int, int]:
        """Return where to look for another port: the pool, or the port's class of it where ports are kept."""
        first, last = self._pool.first, self._pool.last
        if not self.preserves or first > WELL_KNOWN_LAST or last <= WELL_KNOWN_LAST:
            return first, last
        return (first, WELL_KNOWN_LAST) if port <= WELL_KNOWN_LAST else (WELL_KNOWN_LAST + 1, last)

    def _probe(self, request: _Request, start: int, first: int, last: int) -> int:
        """Return the first free port from ``start`` upwards, going round within ``first..last``."""
        size = last - first + 1
        used = self._used[request.protocol, request.address]
        if used < self._pool.last - self._pool.first + 1:
            for step in range(size):
                port = first + (start - first + step) % size
                if self._pool.parity and (port ^ request.internal[1]) & 1:
                    continue
                if self._is_free(request, port):
                    return port
        raise ExhaustedError(f"no free {request.protocol.name} port on {request.address}: {used} in use")


_CHOOSE: Final = {
    PortAssignment.PRESERVE: PortAllocator._preserve,  # noqa: SLF001 - of the class above
    PortAssignment.PRESERVE_OVERLOAD: PortAllocator._preserve_overload,  # noqa: SLF001
    PortAssignment.PRESERVE_SYMMETRIC: PortAllocator._preserve_symmetric,  # noqa: SLF001
    PortAssignment.SEQUENTIAL: PortAllocator._sequential,  # noqa: SLF001
    PortAssignment.RANDOM: PortAllocator._any,  # noqa: SLF001
    PortAssignment.CONTIGUOUS: PortAllocator._contiguous,  # noqa: SLF001
    PortAssignment.PORT_BLOCK: PortAllocator._in_block,  # noqa: SLF001
}
"""How each kind finds a port; an allocator that kept its own method would refer to itself."""

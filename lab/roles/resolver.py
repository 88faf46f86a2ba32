"""A stub resolver that asks DNS servers over the network, with time-outs and attempts as the C library's.

``resolv.conf(5)`` is what it follows: every attempt asks the servers in order and waits ``timeout`` for
each; no cache. An answer cut short is asked for again over TCP.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from lab.errors import UsageError, WireFormatError
from lab.protocols.dns import (
    DnsAnswer,
    DnsQuery,
    RecordType,
    ResponseCode,
    SrvRecord,
    build_query,
    order_services,
    parse_answer_untrusted,
)
from lab.roles.dns_stream import framed, read_framed
from nat_models.packet import TransportAddress


class Resolver:
    """Resolves names by asking ``servers``.

    Args:
        servers: IP address and port of each, in the order to ask.
        lots: seeded randomness for message identifiers and for the choice among equal SRV records.
        timeout: seconds to wait for each server.
        attempts: how often to go through the servers.
    """

    def __init__(
        self,
        servers: Sequence[TransportAddress],
        lots: random.Random,
        *,
        timeout: float = 5.0,
        attempts: int = 2,
    ) -> None:
        self._servers = tuple(servers)
        self._lots = lots
        self._timeout = timeout
        self._attempts = attempts

    async def resolve(self, name: str, family: int = socket.AF_UNSPEC) -> list[str]:
        """Return the addresses of a name, IPv4 first; an IP address is its own.

        Without a family both are asked for at once, and what one of them gives is enough.

        Raises:
            socket.gaierror: EAI_NONAME where there is none, EAI_AGAIN where no server could say.
        """
        if _is_address(name):
            return [name]
        kinds = _KINDS.get(family, (RecordType.A, RecordType.AAAA))
        answers = await asyncio.gather(*(self._ask(name, kind) for kind in kinds))
        addresses = [address for answer in answers for address in answer.addresses]
        if not addresses:
            raise _failure(name, answers)
        return addresses

    async def resolve_srv(self, name: str) -> list[SrvRecord]:
        """Return the servers of a service such as ``_sip._udp.example.com``, in the order to try them.

        Raises:
            socket.gaierror: EAI_NONAME where there is no such service, EAI_AGAIN where no server could say.
        """
        answer = await self._ask(name, RecordType.SRV)
        # A target of "." says: decidedly not available here (RFC 2782).
        offered = [record for record in answer.services if record.target != "."]
        if not offered:
            raise _failure(name, [answer])
        return order_services(offered, self._lots)

    async def _ask(self, name: str, kind: RecordType) -> DnsAnswer:
        """Return the first answer that decides, or a failure."""
        for _ in range(self._attempts):
            for server in self._servers:
                query = DnsQuery(name, kind, self._lots.getrandbits(16))
                try:
                    async with asyncio.timeout(self._timeout):
                        answer = await _exchange(server, query)
                except (TimeoutError, OSError, asyncio.IncompleteReadError, WireFormatError):
                    continue
                except UsageError:
                    return DnsAnswer(ResponseCode.NXDOMAIN)  # no name has that form
                if answer.code is not ResponseCode.FAILURE:
                    return answer
        return DnsAnswer(ResponseCode.FAILURE)


_KINDS: Final[Mapping[int, tuple[RecordType, ...]]] = {
    socket.AF_INET: (RecordType.A,),
    socket.AF_INET6: (RecordType.AAAA,),
}


def _failure(name: str, answers: Sequence[DnsAnswer]) -> socket.gaierror:
    if any(answer.code is ResponseCode.FAILURE for answer in answers):
        return socket.gaierror(socket.EAI_AGAIN, f"no DNS server answered for {name}")
    return socket.gaierror(socket.EAI_NONAME, f"DNS has no such record for {name}")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _exchange(server: TransportAddress, query: DnsQuery) -> DnsAnswer:
    """Ask one server once; over TCP if the answer is too long for UDP."""
    message = build_query(query)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Exchange(query), remote_addr=server)
    try:
        transport.sendto(message)
        answer = await protocol.answer
    finally:
        transport.close()
    return await _exchange_over_tcp(server, query, message) if answer.truncated else answer


async def _exchange_over_tcp(server: TransportAddress, query: DnsQuery, message: bytes) -> DnsAnswer:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(framed(message))
        return parse_answer_untrusted(await read_framed(reader), query)
    finally:
        writer.close()


class _Exchange(asyncio.DatagramProtocol):
    """A connected UDP socket that waits for the answer to one query and ignores everything else."""

    def __init__(self, query: DnsQuery) -> None:
        self._query = query
        self.answer: asyncio.Future[DnsAnswer] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        del addr  # the socket is connected: it is the server's
        try:
            answer = parse_answer_untrusted(data, self._query)
        except WireFormatError:
            return
        if not self.answer.done():
            self.answer.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        """Give up on a server that says it does not serve (ICMP port unreachable)."""
        if not self.answer.done():
            self.answer.set_exception(exc)

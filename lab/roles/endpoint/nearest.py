"""Which of several TURN servers is the nearest: the one whose answer to a Binding request comes first.

A client with servers in several regions is best off with the one that costs its media the least detour. TURN
servers answer Binding without credentials (RFC 8656 §3.1 has them be STUN servers, too), so one datagram each
tells.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lab.errors import WireFormatError
from lab.protocols.stun import MessageBuilder, MessageClass, Method, parse_message_untrusted

if TYPE_CHECKING:
    import random

    from nat_models.packet import TransportAddress

ASKED_AT: Final = (0.0, 0.5, 1.5)
"""Seconds at which every server is asked: once, and twice again (RFC 8489 §6.2.1, with its RTO of 500 ms)."""
GIVEN_UP_AT: Final = 2.5
"""Seconds after which none is taken to be reachable by UDP."""


class _Answers(asyncio.DatagramProtocol):
    """Notes which server's answer is the first."""

    def __init__(self, positions: dict[bytes, int], first: asyncio.Future[int]) -> None:
        self._positions = positions
        self._first = first

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            message = parse_message_untrusted(data)
        except WireFormatError:
            return
        position = self._positions.get(message.transaction_id)
        if (
            position is not None
            and message.message_class is not MessageClass.REQUEST
            and not self._first.done()
        ):
            self._first.set_result(position)

    def error_received(self, exc: Exception) -> None:
        """Leave it at that: a server that cannot be reached does not answer."""


async def nearest(servers: Sequence[TransportAddress], random: random.Random) -> int:
    """Return the position of the server that answers first; 0, the first of them, where none answers.

    Args:
        servers: STUN over UDP, by name or IPv4 address.
        random: where transaction ids come from.
    """
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()
    asked = {random.randbytes(12): position for position in range(len(servers))}
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answers(asked, first),
        local_addr=("0.0.0.0", 0),  # noqa: S104 - whichever address leads there
    )
    asking = loop.create_task(_ask(transport, list(zip(asked, servers, strict=True))))
    try:
        async with asyncio.timeout(GIVEN_UP_AT):
            return await first
    except TimeoutError:
        return 0
    finally:
        asking.cancel()
        transport.close()


async def _ask(
    transport: asyncio.DatagramTransport, servers: Sequence[tuple[bytes, TransportAddress]]
) -> None:
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    found = [await _resolved(server) for _, server in servers]
    for due in ASKED_AT:
        await asyncio.sleep(max(0.0, began + due - loop.time()))
        for (transaction, _), address in zip(servers, found, strict=True):
            if address is not None:
                request = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction)
                transport.sendto(request.finish(fingerprint=True), address)


async def _resolved(server: TransportAddress) -> TransportAddress | None:
    host, port = server
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM
        )
    except OSError:
        return None
    return str(found[0][4][0]), port

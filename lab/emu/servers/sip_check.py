"""Whether a SIP server answers: an OPTIONS request to each place where it is to listen (RFC 3261 §11)."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from lab.emu.servers.listener import Listener
from lab.protocols.sip_options import options_request, status_untrusted

_TRANSACTION_BYTES: Final = 8
_OK: Final = 200


async def answers_ok(listener: Listener) -> bool:
    """Return whether a request is answered 200.

    Raises:
        OSError: nobody listens.
        WireFormatError: the answer is none.
        asyncio.IncompleteReadError: the connection ended before the answer did.
    """
    return await sip_status(listener) == _OK


async def sip_status(listener: Listener) -> int:
    """Return the status code with which a request is answered.

    Raises:
        OSError: nobody listens.
        WireFormatError: the answer is none.
        asyncio.IncompleteReadError: the connection ended before the answer did.
    """
    transaction = os.urandom(_TRANSACTION_BYTES).hex()  # it is seen by nobody but the server
    request = options_request(listener.place, listener.transport.upper(), listener.place, transaction)
    if listener.transport == "tcp":
        return status_untrusted(await _by_stream(listener, request), transaction)
    return status_untrusted(await listener.ask_by_datagram(request), transaction)


async def _by_stream(listener: Listener, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(listener.address, listener.port)
    try:
        writer.write(request)
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()

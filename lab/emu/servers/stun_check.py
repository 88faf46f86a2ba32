"""Whether a STUN server answers: a Binding request (RFC 8489 §3) to each place where it is to listen."""

from __future__ import annotations

import asyncio
import os

from lab.emu.servers.listener import Listener
from lab.protocols.stun import (
    HEADER_BYTES,
    TRANSACTION_ID_BYTES,
    Message,
    MessageBuilder,
    MessageClass,
    Method,
    parse_message_untrusted,
)
from lab.protocols.turn_server import Transport
from lab.roles.certificates import lab_client_context


async def answers(listener: Listener) -> bool:
    """Return whether a Binding request is answered with success, which has the address it came from.

    Over TLS the certificate has to be the lab's, for the address.

    Raises:
        OSError: nobody listens, or who does has no such certificate.
        WireFormatError: the answer is no STUN message.
        asyncio.IncompleteReadError: the connection ended before the answer did.
    """
    transaction = os.urandom(TRANSACTION_ID_BYTES)  # it is seen by nobody but the server
    request = MessageBuilder(Method.BINDING, MessageClass.REQUEST, transaction).finish()
    if Transport(listener.transport).is_stream:
        answer = await _by_stream(listener, request)
    else:
        answer = await listener.ask_by_datagram(request)
    return _is_success(parse_message_untrusted(answer), transaction)


def _is_success(answer: Message, transaction: bytes) -> bool:
    return (
        answer.message_class is MessageClass.SUCCESS
        and answer.transaction_id == transaction
        and answer.mapped_address is not None
    )


async def _by_stream(listener: Listener, request: bytes) -> bytes:
    tls = lab_client_context() if listener.transport is Transport.TLS else None
    reader, writer = await asyncio.open_connection(listener.address, listener.port, ssl=tls)
    try:
        writer.write(request)
        header = await reader.readexactly(HEADER_BYTES)
        return header + await reader.readexactly(int.from_bytes(header[2:4]))
    finally:
        writer.close()

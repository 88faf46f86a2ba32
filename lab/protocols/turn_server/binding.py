"""Binding requests, with the extensions for NAT behaviour discovery (RFC 8489 §6, RFC 5780 §§6-7)."""

from __future__ import annotations

from typing import Final

from lab.protocols.stun import Attribute
from lab.protocols.turn_server.actions import SendToClient
from lab.protocols.turn_server.config import RelayConfig, Transport
from lab.protocols.turn_server.request import Request, RequestRefused
from nat_models.packet import TransportAddress

CHANGE_IP: Final = 0x04
CHANGE_PORT: Final = 0x02


def answer_binding(config: RelayConfig, request: Request) -> SendToClient:
    """Return the Binding success response, from whichever address and to whichever port was asked for.

    Raises:
        RequestRefused: 400 (RESPONSE-PORT with PADDING), 420 (CHANGE-REQUEST where there is no other address,
            or discovery attributes on a stream).
    """
    transport, client, server = request.five_tuple
    other = config.other_address(server) if transport is Transport.UDP else None
    origin = _origin(request, server, other)
    target = _target(request, transport, client)
    builder = request.success().xor_address(Attribute.XOR_MAPPED_ADDRESS, client)
    if other is not None:
        # Discovery clients look for MAPPED-ADDRESS as well: a NAT that rewrites addresses shows by it.
        builder.address(Attribute.MAPPED_ADDRESS, client)
        builder.address(Attribute.RESPONSE_ORIGIN, origin).address(Attribute.OTHER_ADDRESS, other)
    padding = request.message.get(Attribute.PADDING)
    if padding is not None:
        if Attribute.RESPONSE_PORT in request.message:
            raise RequestRefused(400, "RESPONSE-PORT with PADDING would amplify")
        # No longer than the request's, for the same reason; RFC 5780 §7.6 leaves the length open.
        builder.add(Attribute.PADDING, bytes(len(padding)))
    return SendToClient(transport, target, origin, request.encode(builder))


def _origin(request: Request, server: TransportAddress, other: TransportAddress | None) -> TransportAddress:
    change = request.message.uint32(Attribute.CHANGE_REQUEST)
    if change is None:
        return server
    if other is None:
        listed = int(Attribute.CHANGE_REQUEST).to_bytes(2)
        raise RequestRefused(420, "no other address to answer from", [(Attribute.UNKNOWN_ATTRIBUTES, listed)])
    ip = other[0] if change & CHANGE_IP else server[0]
    port = other[1] if change & CHANGE_PORT else server[1]
    return ip, port


def _target(request: Request, transport: Transport, client: TransportAddress) -> TransportAddress:
    port = request.message.uint16(Attribute.RESPONSE_PORT)
    if port is None:
        return client
    if transport is not Transport.UDP:
        listed = int(Attribute.RESPONSE_PORT).to_bytes(2)
        raise RequestRefused(420, "no other port on a stream", [(Attribute.UNKNOWN_ATTRIBUTES, listed)])
    return client[0], port

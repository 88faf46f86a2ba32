"""One request under way, and how it is answered: success or a refusal, signed as the request was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lab.protocols.stun import Attribute, Message, MessageBuilder, MessageClass, Method
from lab.protocols.turn_server.actions import FiveTuple, SendToClient

REASONS: Final = {
    300: "Try Alternate",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    486: "Allocation Quota Reached",
    508: "Insufficient Capacity",
}
"""Reason phrases of RFC 8489 §14.8 and RFC 8656 §19."""


class RequestRefused(Exception):
    """The request is answered by an error. Never leaves the server.

    ``detail`` says for people what was wrong; it is not sent. ``attributes`` are sent after ERROR-CODE.
    """

    def __init__(self, code: int, detail: str = "", attributes: Iterable[tuple[int, bytes]] = ()) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.attributes = tuple(attributes)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed a request, and with what; responses are signed alike."""

    username: str
    key: bytes | None
    sha256: bool = False


NOBODY: Final = Identity("", None)


@dataclass(slots=True)
class Request:
    """A request being handled. ``now`` in seconds of the server's clock."""

    message: Message
    five_tuple: FiveTuple
    now: float
    software: str = ""
    identity: Identity = NOBODY

    @property
    def method_name(self) -> str:
        """The method, as the RFCs write it."""
        return self.message.describe().split()[0]

    def success(self) -> MessageBuilder:
        """Return an empty success response."""
        return MessageBuilder(self.message.method, MessageClass.SUCCESS, self.message.transaction_id)

    def answer(self, builder: MessageBuilder) -> SendToClient:
        """Return the response, signed as the request was, back to where it came from."""
        return SendToClient(*self.five_tuple, self.encode(builder))

    def encode(self, builder: MessageBuilder) -> bytes:
        """Return the bytes of a response, signed as the request was."""
        if self.software:
            builder.text(Attribute.SOFTWARE, self.software)
        return builder.finish(
            key=self.identity.key,
            sha256=self.identity.sha256,
            fingerprint=Attribute.FINGERPRINT in self.message,
        )

    def refuse(self, refusal: RequestRefused) -> SendToClient:
        """Return the error response."""
        message = self.message
        builder = MessageBuilder(message.method, MessageClass.ERROR, message.transaction_id)
        builder.error(refusal.code, REASONS[refusal.code])
        for kind, value in refusal.attributes:
            builder.add(kind, value)
        return self.answer(builder)


AUTHENTICATION_ATTRIBUTES: Final = frozenset(
    {
        Attribute.USERNAME,
        Attribute.USERHASH,
        Attribute.REALM,
        Attribute.NONCE,
        Attribute.PASSWORD_ALGORITHM,
        Attribute.MESSAGE_INTEGRITY,
        Attribute.MESSAGE_INTEGRITY_SHA256,
    }
)

KNOWN_ATTRIBUTES: Final[Mapping[int, frozenset[Attribute]]] = {
    Method.BINDING: AUTHENTICATION_ATTRIBUTES
    # What ICE agents send along is no reason to refuse a plain Binding request.
    | {Attribute.PRIORITY, Attribute.USE_CANDIDATE}
    | {Attribute.CHANGE_REQUEST, Attribute.RESPONSE_PORT, Attribute.PADDING},
    # Not DONT-FRAGMENT: a program cannot set DF for one datagram, so RFC 8656 §7.2 asks for 420.
    Method.ALLOCATE: AUTHENTICATION_ATTRIBUTES
    | {Attribute.LIFETIME, Attribute.REQUESTED_TRANSPORT, Attribute.REQUESTED_ADDRESS_FAMILY}
    | {Attribute.EVEN_PORT, Attribute.RESERVATION_TOKEN},
    Method.REFRESH: AUTHENTICATION_ATTRIBUTES | {Attribute.LIFETIME, Attribute.REQUESTED_ADDRESS_FAMILY},
    Method.CREATE_PERMISSION: AUTHENTICATION_ATTRIBUTES | {Attribute.XOR_PEER_ADDRESS},
    Method.CHANNEL_BIND: AUTHENTICATION_ATTRIBUTES | {Attribute.XOR_PEER_ADDRESS, Attribute.CHANNEL_NUMBER},
    Method.SEND: AUTHENTICATION_ATTRIBUTES | {Attribute.XOR_PEER_ADDRESS, Attribute.DATA},
}
"""The comprehension-required attributes that each method's handler understands."""


def refuse_unknown(message: Message) -> None:
    """Refuse a request with comprehension-required attributes nobody here understands (RFC 8489 §6.3.1).

    Raises:
        RequestRefused: 420, with the list.
    """
    unknown = message.required_but_not_in(KNOWN_ATTRIBUTES[message.method])
    if unknown:
        listed = b"".join(kind.to_bytes(2) for kind in unknown)
        words = ", ".join(f"{kind:#06x}" for kind in unknown)
        raise RequestRefused(420, f"unknown {words}", [(Attribute.UNKNOWN_ATTRIBUTES, listed)])

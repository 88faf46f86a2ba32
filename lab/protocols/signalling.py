"""The rendezvous protocol: how two endpoints exchange offers and answers. One JSON object a line, over TCP.

It stands for whatever carries SDP in the field (SIP, a WebSocket). The content is what ICE needs, RFC 8839's
attributes as fields, or a whole session description in the words of who wrote it. An endpoint registers a
name and is told that it is registered, then sends messages to names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from lab.errors import WireFormatError

MAX_LINE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class IceDescription:
    """What one side tells the other (RFC 8839): credentials, and candidates as ``a=candidate`` values."""

    username_fragment: str
    password: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One message.

    Its ``kind`` is ``register``, ``offer``, ``answer``, ``candidate`` (RFC 8838) or ``bye``; from the
    rendezvous itself ``registered`` (the name leads here from now on) or ``unknown`` (no such name).
    ``sent`` is when it was sent, where both sides have one clock and go by that (seconds).
    """

    kind: str
    sender: str
    to: str = ""
    call: str = ""
    ice: IceDescription | None = None
    sdp: str = ""
    sent: float | None = None


_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
PASSED_ON: Final = frozenset({"offer", "answer", "candidate", "bye"})
"""What one endpoint says to another; the other kinds are between an endpoint and the rendezvous."""
_KINDS: Final = PASSED_ON | {"register", "registered", "unknown"}


def encode_signal(signal: Signal) -> bytes:
    """Return the message as one line."""
    ice = signal.ice
    record: dict[str, Any] = {
        "kind": signal.kind,
        "sender": signal.sender,
        "to": signal.to,
        "call": signal.call,
        "ice": None
        if ice is None
        else {
            "username_fragment": ice.username_fragment,
            "password": ice.password,
            "candidates": ice.candidates,
        },
    }
    if signal.sdp:
        record["sdp"] = signal.sdp
    if signal.sent is not None:
        record["sent"] = signal.sent
    return _ENCODE(record).encode() + b"\n"


def parse_signal_untrusted(line: bytes) -> Signal:
    """Return the message in ``line``.

    Raises:
        WireFormatError: not a message of this protocol, whatever the bytes.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireFormatError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise WireFormatError(f"not an object: {line[:40]!r}")
    texts = {key: _text(record, key) for key in ("kind", "sender", "to", "call", "sdp")}
    if texts["kind"] not in _KINDS:
        raise WireFormatError(f"unknown kind {texts['kind']!r}")
    return Signal(**texts, ice=_ice(record.get("ice")), sent=_number(record, "sent"))


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key, "")
    if not isinstance(value, str):
        raise WireFormatError(f"{key} is not text: {value!r}")
    return value


def _number(record: dict[str, Any], key: str) -> float | None:
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise WireFormatError(f"{key} is not a number: {value!r}")
    return float(value)


def _ice(record: object) -> IceDescription | None:
    if record is None:
        return None
    if not isinstance(record, dict):
        raise WireFormatError(f"ice is not an object: {record!r}")
    candidates = record.get("candidates")
    if not isinstance(candidates, list) or not all(isinstance(c, str) for c in candidates):
        raise WireFormatError(f"candidates are not a list of texts: {candidates!r}")
    return IceDescription(
        username_fragment=_text(record, "username_fragment"),
        password=_text(record, "password"),
        candidates=tuple(candidates),
    )

"""What baresip's ctrl_tcp says and hears: JSON objects, events and answers to commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lab.adapters.baresip.netstring import ControlError, encode_netstring


@dataclass(frozen=True)
class Happening:
    """An event of baresip's, such as ``CALL_ESTABLISHED``; texts are empty where it says nothing of it.

    Attributes:
        type: what happened.
        direction: ``incoming`` or ``outgoing``.
        peer: the other side's URI.
        id: the SIP Call-ID, the same on both sides.
        text: more of it, such as why a call ended.
    """

    type: str
    direction: str = ""
    peer: str = ""
    id: str = ""
    text: str = ""

    @property
    def peer_user(self) -> str:
        """The user part of the other side's URI (RFC 3261 §19.1.1)."""
        user, at, _ = self.peer.partition(":")[2].partition("@")
        return user if at else ""


@dataclass(frozen=True)
class Answer:
    """What became of a command; ``tag`` is what was sent with it."""

    done: bool
    text: str
    tag: str


def command(name: str, parameters: str = "", tag: str = "") -> bytes:
    """Return a command as it goes over the wire."""
    record = {"command": name, "params": parameters, "token": tag}
    return encode_netstring(json.dumps(record).encode())


def parse_control_untrusted(payload: bytes) -> Happening | Answer:
    """Return what a payload says.

    Raises:
        ControlError: it is neither an event nor an answer, whatever the bytes.
    """
    try:
        record = json.loads(payload)
    except (ValueError, RecursionError):
        raise ControlError(f"not JSON: {payload[:60]!r}") from None
    if isinstance(record, dict) and record.get("event") is True and _text(record, "type"):
        return Happening(
            type=_text(record, "type"),
            direction=_text(record, "direction"),
            peer=_text(record, "peeruri"),
            id=_text(record, "id"),
            text=_text(record, "param"),
        )
    if isinstance(record, dict) and record.get("response") is True:
        return Answer(done=record.get("ok") is True, text=_text(record, "data"), tag=_text(record, "token"))
    raise ControlError(f"neither an event nor an answer: {payload[:60]!r}")


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key, "")
    return value if isinstance(value, str) else ""

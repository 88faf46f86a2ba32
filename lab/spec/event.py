"""The one event schema (version 1), and the words events may be named with.

An event says that something happened to somebody at some time. Everything the lab measures, prints or draws
is a function of the stored events. One JSON object a line; keys in fixed order; times in seconds of the run's
one monotonic clock, rounded to the nanosecond, so that equal runs are equal bytes.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SCHEMA_VERSION: Final = 1

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class EventType(enum.StrEnum):
    """Every event the lab emits. The comment gives the keys of ``data``."""

    TRIAL_STARTED = "trial.started"  # topology
    TRIAL_ENDED = "trial.ended"  # reason, events (count), packets (count)
    NAT_MAPPING_CREATED = "nat.mapping_created"  # internal, external, remote, protocol
    NAT_MAPPING_EXPIRED = "nat.mapping_expired"  # internal, external, remote, protocol, idle (seconds)
    NAT_REBOOTED = "nat.rebooted"  # mappings (count lost)
    PACKET_DROPPED = "packet.dropped"  # reason, packet (text)
    LINK_CHANGED = "link.changed"  # link, settings
    CALL_STARTED = "call.started"  # caller, callee
    CALL_ENDED = "call.ended"  # reason
    SIGNAL_SENT = "signal.sent"  # kind, to
    SIGNAL_RECEIVED = "signal.received"  # kind, sender
    ICE_GATHERING = "ice.gathering"  # policy, stun, turn, transport
    ICE_CANDIDATE = "ice.candidate"  # side, type, address, priority; or side, address, problem
    ICE_CANDIDATE_ERROR = "ice.candidate_error"  # code (701: the server did not answer), url
    ICE_GATHERED = "ice.gathered"  # candidates (how many), types, seconds
    ICE_CHECKING = "ice.checking"  # controlling, pairs (at most: own candidates times the other's)
    ICE_CHECK = "ice.check"  # local {type,address}, remote {type,address}, before, after (pair states)
    ICE_NOMINATED = "ice.nominated"  # local {type,address}, remote {type,address}
    ICE_VALIDATED = "ice.validated"  # pairs [[local type, remote type]] on which a check succeeded
    ICE_SELECTED = "ice.selected"  # local {type,address}, remote {type,address}
    ICE_CONNECTED = "ice.connected"  # seconds (since call.started)
    ICE_FAILED = "ice.failed"  # reason
    ICE_CONSENT_LOST = "ice.consent_lost"  # since_connected (seconds)
    MEDIA_SENT = "media.sent"  # bytes, sequence
    MEDIA_RECEIVED = "media.received"  # bytes, sequence, delay
    TURN_ALLOCATED = "turn.allocated"  # client, relayed, lifetime, transport
    TURN_REFUSED = "turn.refused"  # client, method, code, reason
    TURN_EXPIRED = "turn.expired"  # what (allocation, permission, channel), client, peer, why
    ROLE_FAILED = "role.failed"  # error, program (its name, or the callback that failed)
    COMMAND = "command"  # command (its kind: answer, dial, send-media, hang-up)


class PathClass(enum.StrEnum):
    """Which way media went, by the selected candidates of both sides: see lab.measure.calls.

    The types of candidates are those of RFC 8445 §5.1.1.
    """

    HOST = "host"
    PEER_REFLEXIVE = "peer-reflexive"
    SERVER_REFLEXIVE = "server-reflexive"
    RELAY = "relay"
    NONE = "none"

    @property
    def is_direct(self) -> bool:
        """Whether media goes without a relay."""
        return self in {PathClass.HOST, PathClass.PEER_REFLEXIVE, PathClass.SERVER_REFLEXIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One happening. ``time`` in seconds; ``packet_id`` and ``cause_id`` are 0 where no packet is meant.

    ``count`` weighs the event: condensed populations emit one event for many happenings; metrics multiply.
    """

    time: float
    type: EventType
    node: str = ""
    call: str = ""
    packet_id: int = 0
    cause_id: int = 0
    count: int = 1
    data: Mapping[str, JsonValue] = field(default_factory=dict)

    def to_json(self, trial: str) -> str:
        """Return the event as one line of JSON (no newline), byte-identical for equal events."""
        record = {
            "v": SCHEMA_VERSION,
            "t": round(self.time, 9),
            "trial": trial,
            "type": self.type.value,
            "node": self.node,
            "call": self.call,
            "packet": self.packet_id,
            "cause": self.cause_id,
            "count": self.count,
            "data": self.data,
        }
        return _ENCODE(record)

    @staticmethod
    def from_json(line: str) -> tuple[str, Event]:
        """Return (trial, event) of one stored line.

        Raises:
            ValueError: not JSON, or not an event of this schema version.
        """
        record = json.loads(line)
        if not isinstance(record, dict) or record.get("v") != SCHEMA_VERSION:
            raise ValueError(f"not an event of schema {SCHEMA_VERSION}: {line[:80]!r}")
        try:
            event = Event(
                time=record["t"],
                type=EventType(record["type"]),
                node=record["node"],
                call=record["call"],
                packet_id=record["packet"],
                cause_id=record["cause"],
                count=record["count"],
                data=record["data"],
            )
            return record["trial"], event
        except KeyError as missing:
            raise ValueError(f"event lacks {missing}: {line[:80]!r}") from None

"""The one event schema (version 1), and the words events may be named with.

An event says that something happened to somebody at some time. Everything the lab measures, prints or draws
is a function of the stored events. One JSON object a line; keys in fixed order; times in seconds of the run's
one monotonic clock, rounded to the nanosecond, so that equal runs are equal bytes.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Final, NamedTuple

SCHEMA_VERSION: Final = 1

TIME_DIGITS: Final = 9
"""Decimals of an event's time in seconds. Worlds round before anything is computed from it: an event that is
read back is then the event that was emitted, and so is every number derived from it."""

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


_NO_DATA: Final[Mapping[str, JsonValue]] = {}


class EventType(enum.StrEnum):
    """Every event the lab emits. The comment gives the keys of ``data``."""

    TRIAL_STARTED = "trial.started"  # topology, stalled_before (why it is run again)
    TRIAL_ENDED = "trial.ended"  # reason, events (count), packets (count), stalled
    NAT_MAPPING_CREATED = "nat.mapping_created"  # internal, external, remote, protocol
    NAT_MAPPING_EXPIRED = "nat.mapping_expired"  # internal, external, remote, protocol, idle (seconds)
    NAT_REBOOTED = "nat.rebooted"  # mappings (count lost)
    NAT_FLUSHED = "nat.flushed"  # mappings (count lost)
    PACKET_DROPPED = "packet.dropped"  # reason, packet (text), index (on a link: its number there, from 0)
    PACKET_DUPLICATED = "packet.duplicated"  # packet (text), index (on the link: its number there, from 0)
    PACKET_REORDERED = "packet.reordered"  # packet (text), index (on the link: its number there, from 0)
    LINK_CHANGED = "link.changed"  # link, settings
    CALL_STARTED = "call.started"  # caller, callee, signalling_only (of external programs without media)
    CALL_ENDED = "call.ended"  # reason
    SIGNAL_SENT = "signal.sent"  # kind, to
    SIGNAL_RECEIVED = "signal.received"  # kind, sender
    ICE_GATHERING = "ice.gathering"  # policy, stun, turn, transport
    ICE_CANDIDATE = "ice.candidate"  # side, type, address, priority; or side, address, problem
    ICE_CANDIDATE_ERROR = "ice.candidate_error"  # code (701: the server did not answer), url
    ICE_GATHERED = "ice.gathered"  # candidates (how many), types, seconds, turn_round_trip (seconds, or null)
    ICE_CHECKING = "ice.checking"  # controlling, pairs (in the list as formed: RFC 8445 §6.1.2), late (s)
    ICE_CHECK = "ice.check"  # local {type,address}, remote {type,address}, before, after (pair states)
    ICE_NOMINATED = "ice.nominated"  # local {type,address}, remote {type,address}
    ICE_VALIDATED = "ice.validated"  # pairs [[local type, remote type]] on which a check succeeded
    ICE_SELECTED = "ice.selected"  # local {type,address}, remote {type,address}
    ICE_CONNECTED = "ice.connected"  # seconds (since call.started), held_up (s, at worst, while checks ran)
    ICE_FAILED = "ice.failed"  # reason, held_up (as above)
    ICE_CONSENT_LOST = "ice.consent_lost"  # since_connected (seconds)
    MEDIA_SENT = "media.sent"  # bytes, sequence
    MEDIA_RECEIVED = "media.received"  # bytes, sequence, delay
    MEDIA_RTP = "media.rtp"  # direction (sent, received), packets, lost (None: unknown), kind, codec, bytes
    PROGRAM_REPORTED = "program.reported"  # what, and whatever else an external program says
    SIP_REGISTERED = "sip.registered"  # registrar, seconds (from the first REGISTER to the 200)
    SIP_ANSWERED = "sip.answered"  # seconds (from INVITE to the 200, at the caller)
    SIP_COMPLETED = "sip.completed"  # a SIP call that went as it was to go, told by the caller
    SIP_FAILED = "sip.failed"  # reason; told by the caller
    TURN_ALLOCATED = "turn.allocated"  # client, relayed, lifetime, transport
    TURN_REFUSED = "turn.refused"  # client, method, code, reason
    TURN_EXPIRED = "turn.expired"  # what (allocation, permission, channel), client, peer, why
    ROLE_FAILED = "role.failed"  # error, program (its name, or the callback that failed)
    ROLE_KILLED = "role.killed"  # program
    ROLE_RESTARTED = "role.restarted"  # program
    ROLE_PAUSED = "role.paused"  # program
    ROLE_RESUMED = "role.resumed"  # program
    HOST_DETACHED = "host.detached"  # links, addresses (which it no longer has)
    HOST_ATTACHED = "host.attached"  # link, addresses
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


class Event(NamedTuple):
    """One happening. ``time`` in seconds; ``packet_id`` and ``cause_id`` are 0 where no packet is meant.

    ``count`` weighs the event: condensed populations emit one event for many happenings; metrics multiply.

    A named tuple, as a trial makes thousands: a frozen dataclass costs three times as much to build, and the
    garbage collector looks at it for ever.
    """

    time: float
    type: EventType
    node: str = ""
    call: str = ""
    packet_id: int = 0
    cause_id: int = 0
    count: int = 1  # type: ignore[assignment]  # tuple's own method of that name is of no use here
    data: Mapping[str, JsonValue] = _NO_DATA

    def to_json(self, trial: str) -> str:
        """Return the event as one line of JSON (no newline), byte-identical for equal events."""
        record = {
            "v": SCHEMA_VERSION,
            "t": round(self.time, TIME_DIGITS),
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

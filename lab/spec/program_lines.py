"""What an external program and the lab say to each other: JSON objects, one a line, on its input and output.

==============  ==================================================================================
to the program  line
==============  ==================================================================================
first           ``{"setup": {...}}``: who and where it is, and its servers (:class:`Setup`)
later           ``{"command": "dial", ...}``: one of :mod:`lab.spec.command`
later           ``{"signal": {"kind": "offer", "sender": "alice", "call": "call-1", "sdp": "..."}}``
==============  ==================================================================================

==================  ==============================================================================
from the program    line
==================  ==============================================================================
once                ``{"ready": true}``
to the other end    ``{"signal": {"kind": "answer", "to": "alice", "call": "call-1", "sdp": "..."}}``
what has happened   ``{"type": "ice.selected", "call": "call-1", "data": {...}}``, with ``time`` or not
==================  ==============================================================================

A program reports the events below, with at least the data that they have there; whatever else it says of them
is kept. Everything that comes from it is checked here, so that nothing behind has to be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lab.errors import WireFormatError
from lab.spec.event import EventType

LONGEST_LINE: Final = 1 << 18
"""Bytes of one line of a program's; a session description has some ten thousand."""
_SHOWN: Final = 100


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# To the program


class Server(_Part):
    """A STUN or TURN server, over one transport."""

    kind: Literal["stun", "turn"]
    transport: Literal["udp", "tcp", "tls"]
    host: str
    port: int
    username: str = ""
    password: str = ""


class Neighbour(_Part):
    """Another host of the network; ``name`` is the one that DNS knows, empty where it knows none."""

    role: str
    addresses: tuple[str, ...]
    name: str = ""


class Setup(_Part):
    """What a program is told first.

    Attributes:
        node: its node in the topology, and the name by which others call it.
        role: the node's role; empty where the topology gives it none.
        addresses: the node's own IP addresses, IPv4 first.
        servers: the STUN and TURN servers that it may use.
        ca_file: a file with the certificate of the authority that signed the servers' (PEM).
        rendezvous: host and port of the rendezvous; only for who wants to speak to it in person.
        udp_ports: first and last of the ports that UDP sockets may use, where they are limited.
        seed: for its random choices; the same in the same trial of the same run.
        origin: the machine's monotonic clock, in seconds, at the beginning of the trial.
        directory: a directory of its own, which goes with the run.
        options: what the scenario says to it.
        nodes: all hosts of the network by name.
    """

    node: str
    role: str
    addresses: tuple[str, ...]
    servers: tuple[Server, ...] = ()
    ca_file: str = ""
    rendezvous: tuple[str, int] | None = None
    udp_ports: tuple[int, int] | None = None
    seed: int = 0
    origin: float = 0.0
    directory: str = ""
    options: Mapping[str, Any] = Field(default_factory=dict)
    nodes: Mapping[str, Neighbour] = Field(default_factory=dict)


def setup_line(setup: Setup) -> bytes:
    """Return the first line that a program hears."""
    return _line({"setup": setup.model_dump(mode="json")})


def signal_line(kind: str, sender: str, call: str, sdp: str) -> bytes:
    """Return the line that hands a program what another end has sent."""
    return _line({"signal": {"kind": kind, "sender": sender, "call": call, "sdp": sdp}})


def _line(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


# From the program


class Ready(_Part):
    """It takes commands from now on."""

    ready: Literal[True]


class OutgoingSignal(_Part):
    """Something for another end."""

    kind: Literal["offer", "answer", "candidate", "bye"]
    to: str = Field(min_length=1)
    call: str = Field(min_length=1)
    sdp: str = ""


class _SignalLine(_Part):
    signal: OutgoingSignal


class Report(_Part):
    """Something has happened; ``time`` in seconds since the beginning of the trial, None: just now."""

    type: EventType
    call: str = ""
    time: float | None = Field(default=None, ge=0)
    count: int = Field(default=1, ge=1)
    data: dict[str, Any] = Field(default_factory=dict)


Line = Ready | OutgoingSignal | Report
"""What a program may say."""


class _Data(BaseModel):
    """Data of an event: at least this."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


CandidateType = Literal["host", "srflx", "prflx", "relay"]


class _Candidate(_Data):
    type: CandidateType
    address: str


class _Pair(_Data):
    local: _Candidate
    remote: _Candidate


class _Check(_Pair):
    before: str
    after: str


class _Reason(_Data):
    reason: str


class _Started(_Data):
    caller: str
    callee: str


class _Gathered(_Data):
    types: list[CandidateType]
    seconds: float = Field(ge=0)


class _LocalCandidate(_Data):
    side: Literal["local", "remote"]
    type: CandidateType
    address: str


class _CandidateError(_Data):
    code: int
    url: str


class _Validated(_Data):
    pairs: list[tuple[CandidateType, CandidateType]]


class _Connected(_Data):
    seconds: float | None = Field(default=None, ge=0)


class _Sent(_Data):
    sequence: int = Field(ge=0)
    bytes: int = Field(ge=0)


class _Received(_Sent):
    delay: float


class _Rtp(_Data):
    direction: Literal["sent", "received"]
    packets: int = Field(ge=0)
    lost: int | None = None


class _Seconds(_Data):
    seconds: float = Field(ge=0)


class _Reported(_Data):
    what: str


REPORTS: Final[Mapping[EventType, type[_Data]]] = {
    EventType.CALL_STARTED: _Started,
    EventType.CALL_ENDED: _Reason,
    EventType.ICE_GATHERING: _Data,
    EventType.ICE_CANDIDATE: _LocalCandidate,
    EventType.ICE_CANDIDATE_ERROR: _CandidateError,
    EventType.ICE_GATHERED: _Gathered,
    EventType.ICE_CHECKING: _Data,
    EventType.ICE_CHECK: _Check,
    EventType.ICE_NOMINATED: _Pair,
    EventType.ICE_VALIDATED: _Validated,
    EventType.ICE_SELECTED: _Pair,
    EventType.ICE_CONNECTED: _Connected,
    EventType.ICE_FAILED: _Reason,
    EventType.ICE_CONSENT_LOST: _Data,
    EventType.MEDIA_SENT: _Sent,
    EventType.MEDIA_RECEIVED: _Received,
    EventType.MEDIA_RTP: _Rtp,
    EventType.PROGRAM_REPORTED: _Reported,
    EventType.SIP_REGISTERED: _Seconds,
    EventType.SIP_ANSWERED: _Seconds,
    EventType.SIP_COMPLETED: _Data,
    EventType.SIP_FAILED: _Reason,
}
"""The events that a program may report, and the data that each must have."""

_LINES: Final[Mapping[str, TypeAdapter[Any]]] = {
    "ready": TypeAdapter(Ready),
    "signal": TypeAdapter(_SignalLine),
    "type": TypeAdapter(Report),
}


def parse_line_untrusted(line: bytes) -> Line:
    """Return what a program's line says.

    Raises:
        WireFormatError: it is none of this contract, whatever the bytes; the message shows it.
    """
    try:
        record = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise WireFormatError(f"not JSON: {_shown(line)}") from None
    kind = next((key for key in _LINES if isinstance(record, dict) and key in record), None)
    if kind is None:
        raise WireFormatError(f"an object with 'ready', 'signal' or 'type' is expected: {_shown(line)}")
    try:
        said = _LINES[kind].validate_python(record)
        if isinstance(said, Report):
            _check_data(said, line)
    except ValidationError as error:
        raise WireFormatError(f"{_first_problem(error)}: {_shown(line)}") from None
    return said.signal if isinstance(said, _SignalLine) else said


def _refuse(constant: str) -> None:
    """Take no NaN and no infinity: JSON has none."""
    raise ValueError(constant)


def _check_data(report: Report, line: bytes) -> None:
    shape = REPORTS.get(report.type)
    if shape is None:
        known = ", ".join(REPORTS)
        said = f"{report.type} is not a program's to report; it reports {known}"
        raise WireFormatError(f"{said}: {_shown(line)}")
    shape.model_validate(report.data)


def _first_problem(error: ValidationError) -> str:
    detail = error.errors()[0]
    place = ".".join(map(str, detail["loc"]))
    return f"{place}: {detail['msg']}" if place else detail["msg"]


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")

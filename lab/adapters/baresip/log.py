"""What baresip's log tells of ICE and media, line by line, as baresip 1.0.0 writes it with ``-v``.

Two things are said nowhere else: the candidate pairs (in a dump of ICE's state when the checks are over) and
how many RTP packets were sent and received (a table when a call ends).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_TYPES: Final = "host|srflx|prflx|relay"
_CHECKING: Final = re.compile(r"starting connectivity checks with (\d{1,6}) candidate pairs")
_ROLE: Final = re.compile(r"local_role=(Controlling|Controlled)\b")
_CANDIDATE: Final = re.compile(rf"^  \{{1\}} fnd=.* prio=\w+ (?:[^\s:]+:)?({_TYPES}):(\S+)(?: \(rel-addr=|$)")
_PAIR: Final = re.compile(
    rf"^\s*(\*?)\s*\{{comp=1\}}\s+\w+ \{{...\}} \S+?:({_TYPES}):(\S+) <---> ({_TYPES}):(\S+)"
)
_FAILED: Final = re.compile(r"^ice: connectivity check failed: (.*)$")
_HEARD: Final = re.compile(r"^stream: incoming rtp for 'audio' established, receiving from (\S+)$")
_SENDING: Final = re.compile(r"^stream: audio: starting RTCP with remote (\S+)$")
"""With RTP and RTCP on one port, which is the other side's for both."""
_TABLE: Final = re.compile(r"^(packets|lost):\s+(\d{1,12})\s+(\d{1,12})\s*$")


@dataclass(frozen=True)
class Candidate:
    """A candidate's type (RFC 8445 §5.1.1) and address with port."""

    type: str
    address: str


@dataclass(frozen=True)
class Invited:
    """Somebody calls."""


@dataclass(frozen=True)
class Gathered:
    """All candidates were gathered."""


@dataclass(frozen=True)
class Checking:
    """Checks began, on so many pairs."""

    pairs: int


@dataclass(frozen=True)
class Concluded:
    """What the checks came to: own candidates, the other's, valid pairs, the pair in use (None: none)."""

    controlling: bool
    candidates: tuple[Candidate, ...]
    remote: tuple[Candidate, ...]
    valid: tuple[tuple[Candidate, Candidate], ...]
    selected: tuple[Candidate, Candidate] | None


@dataclass(frozen=True)
class ChecksFailed:
    """No pair was found."""

    reason: str


@dataclass(frozen=True)
class Connected:
    """Media may flow."""


@dataclass(frozen=True)
class Heard:
    """The first media of the other side has come, from this address."""

    address: str


@dataclass(frozen=True)
class Sending:
    """Media goes to this address from now on."""

    address: str


@dataclass(frozen=True)
class Table:
    """A row of the table at a call's end: ``packets`` or ``lost``, sent and received."""

    row: str
    sent: int
    received: int


Fact = Invited | Gathered | Checking | Concluded | ChecksFailed | Connected | Heard | Sending | Table


@dataclass
class _Dump:
    """The state of ICE as it is being told."""

    section: str = ""
    controlling: bool = False
    candidates: list[Candidate] = field(default_factory=list)
    remote: list[Candidate] = field(default_factory=list)
    valid: list[tuple[Candidate, Candidate]] = field(default_factory=list)
    selected: tuple[Candidate, Candidate] | None = None

    def concluded(self) -> Concluded:
        return Concluded(
            self.controlling, tuple(self.candidates), tuple(self.remote), tuple(self.valid), self.selected
        )


class LogReader:
    """Takes lines, gives what they tell."""

    def __init__(self) -> None:
        self._dump: _Dump | None = None

    def line(self, text: str) -> Fact | None:
        """Return what a line tells, None for most of them."""
        text = _COLOURS.sub("", text).rstrip()
        if "Dumping media state:" in text:
            self._dump = _Dump()
        if self._dump is not None:
            return self._of_dump(text, self._dump)
        if text.startswith("ua: sipsess connect via "):
            return Invited()
        if text.endswith("ice: all components gathered."):
            return Gathered()
        if (checking := _CHECKING.search(text)) is not None:
            return Checking(int(checking[1]))
        if (failed := _FAILED.match(text)) is not None:
            return ChecksFailed(failed[1])
        if text.startswith("stream: mnat 'ice' connected:"):
            return Connected()
        if (heard := _HEARD.match(text)) is not None:
            return Heard(heard[1])
        if (sending := _SENDING.match(text)) is not None:
            return Sending(sending[1])
        row = _TABLE.match(text)
        return None if row is None else Table(row[1], int(row[2]), int(row[3]))

    def _of_dump(self, text: str, dump: _Dump) -> Fact | None:
        if text.startswith("STUN debug:"):
            self._dump = None
            return dump.concluded()
        for section in ("Local Candidates", "Remote Candidates", "Check list", "Valid list"):
            if text.startswith(f" {section}:"):
                dump.section = section
        if (role := _ROLE.search(text)) is not None:
            dump.controlling = role[1] == "Controlling"
        candidate, pair = _CANDIDATE.match(text), _PAIR.match(text)
        if candidate is not None:
            side = dump.candidates if dump.section == "Local Candidates" else dump.remote
            side.append(Candidate(candidate[1], candidate[2]))
        if pair is not None and dump.section == "Valid list":
            found = Candidate(pair[2], pair[3]), Candidate(pair[4], pair[5])
            dump.valid.append(found)
            dump.selected = found if pair[1] else dump.selected
        return None

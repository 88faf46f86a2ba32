"""Which packets of a link a timeline takes out: those that match, by number; or exact ones, by their index.

A link decides about every packet that is handed to it, and numbers them from 0 in each direction. The events
of a run name that index; so what was lost by chance in one run can be lost on purpose in another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, StrictInt, ValidationError, WithJsonSchema, model_validator

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.comparison import Comparator
from lab.spec.scenario_values import PROBLEMS, Name, Part, refuse
from lab.units import parse_size

PROTOCOLS: Final = ("udp", "tcp", "icmp")
STUN_METHODS: Final = (
    "binding", "allocate", "refresh", "send", "data", "create-permission", "channel-bind",
)  # fmt: skip
STUN_CLASSES: Final = ("request", "indication", "success", "error")

MOST_PACKETS: Final = 100_000
"""Of one list of packets: as many as a file of the largest size can name."""

_HIGHEST: Final = 1_000_000_000

_SIZE: Final = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*")
_NTH: Final = re.compile(r"\s*(?:(first)|every\s+(\d{1,9})|(\d{1,9})\s*\.\.\s*(\d{1,9}))\s*")


def _word(known: Sequence[str], value: object) -> object:
    if value in known:
        return value
    raise refuse(((), Problem("", f"{value!r} is not known here", "", did_you_mean(str(value), known))))


class SizeLimit(NamedTuple):
    """A comparison of a packet's length with so many bytes."""

    comparator: Comparator
    size: int

    def holds(self, length: int) -> bool:
        """Whether a packet of ``length`` bytes is meant."""
        return self.comparator.holds(length, self.size)

    def __str__(self) -> str:
        """As the file has it."""
        return f"{self.comparator.value} {self.size}B"


class Numbers(NamedTuple):
    """Which of the packets that match: ``first``, then every ``step``, as far as ``last`` (None: no end).

    A ``step`` of 0 is that of one packet, or of ``count`` in a row.
    """

    first: int
    step: int = 1
    last: int | None = None

    @property
    def how_many(self) -> int | None:
        """How many they are; None: without end."""
        return None if self.last is None else (self.last - self.first) // self.step + 1


def _size(value: object) -> SizeLimit:
    if isinstance(value, SizeLimit):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        expected = "a comparison of the IP packet's length, such as >= 1000B"
        raise refuse(((), Problem("", f"{value!r} is not a comparison", expected)))
    try:
        return SizeLimit(Comparator(found[1]), parse_size(found[2]))
    except UsageError as error:
        raise refuse(*(((), problem) for problem in error.problems)) from None


def _nth(value: object) -> Numbers:
    if isinstance(value, Numbers):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _HIGHEST:
        return Numbers(value, 0)
    found = _NTH.fullmatch(value) if isinstance(value, str) else None
    if found is not None and found[1]:
        return Numbers(1, 0)
    if found is not None and found[2] and int(found[2]):
        return Numbers(int(found[2]), int(found[2]))
    if found is not None and found[3] and 1 <= int(found[3]) <= int(found[4]):
        return Numbers(int(found[3]), 1, int(found[4]))
    expected = "first, a number from 1 (3), every so many (every 3), or a range (5..9)"
    raise refuse(((), Problem("", f"{value!r} says no packet", expected)))


def _words(known: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(known)})


_ANY_SIZE: Final = {"type": "string"}
_ANY_NUMBER: Final = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": _NTH.pattern}]
}

Protocol = Annotated[str, BeforeValidator(partial(_word, PROTOCOLS)), _words(PROTOCOLS)]
StunMethod = Annotated[str, BeforeValidator(partial(_word, STUN_METHODS)), _words(STUN_METHODS)]
StunClass = Annotated[str, BeforeValidator(partial(_word, STUN_CLASSES)), _words(STUN_CLASSES)]
Port = Annotated[StrictInt, Field(ge=1, le=65_535)]
Size = Annotated[SizeLimit, BeforeValidator(_size), WithJsonSchema(_ANY_SIZE)]
Nth = Annotated[Numbers, BeforeValidator(_nth), WithJsonSchema(_ANY_NUMBER)]


class PacketMatch(Part):
    """What a packet must be; what is not given may be anything."""

    protocol: Protocol | None = Field(default=None, description="`udp`, `tcp` or `icmp`.")
    port: Port | None = Field(default=None, description="Source or destination port.")
    source_port: Port | None = Field(default=None, description="Port it comes from.")
    destination_port: Port | None = Field(default=None, description="Port it goes to.")
    stun_method: StunMethod | None = Field(
        default=None, description="STUN or TURN method, over UDP: `binding`, `allocate` ..."
    )
    stun_class: StunClass | None = Field(
        default=None, description="`request`, `indication`, `success` or `error`, of STUN over UDP."
    )
    size: Size | None = Field(default=None, description='Length of the IP packet: `">= 1000B"`.')

    @model_validator(mode="after")
    def _can_match(self) -> PacketMatch:
        stun = "stun_method" if self.stun_method else "stun_class" if self.stun_class else ""
        ports = [name for name in ("port", "source_port", "destination_port") if getattr(self, name)]
        if stun and self.protocol not in {None, "udp"}:
            found = f"{stun} of {self.protocol}"
            raise refuse(((stun,), Problem("", found, "protocol: udp", "over TCP a packet is no message")))
        if ports and self.protocol == "icmp":
            raise refuse(((ports[0],), Problem("", f"{ports[0]} of icmp", "protocol: udp or tcp")))
        return self

    def __str__(self) -> str:
        """As the file has it: ``udp, stun_class request``; empty where anything matches."""
        given = [(name, getattr(self, name)) for name in type(self).model_fields]
        return ", ".join(
            str(value) if name == "protocol" else f"{name} {value}"
            for name, value in given
            if value is not None
        )


ANYTHING: Final = PacketMatch.model_validate({})


class DropPackets(Part):
    """Lose chosen packets on a link, from now on."""

    link: Name = Field(description="The link's label.")
    sender: Name | None = Field(
        default=None, alias="from", description="The end that hands them to the link; both if not given."
    )
    match: PacketMatch = Field(default=ANYTHING, description="What a packet must be to count.")
    nth: Nth = Field(
        default=Numbers(1, 0),
        description="Which of those that match, counted from now on: `first`, `3`, `every 3`, `5..9`.",
    )
    count: StrictInt | None = Field(
        default=None, ge=1, le=_HIGHEST, description="How many to lose; 1, but no limit for `every 3`."
    )
    packets: tuple[Annotated[StrictInt, Field(ge=0)], ...] = Field(
        default=(),
        max_length=MOST_PACKETS,
        description="Exact packets, by the index that events give; in place of `match` and `nth`.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """What was given, as :meth:`lab.handle.Lab.drop` takes it."""
        given = self.model_fields_set - {"link"}
        return {name: getattr(self, name) for name in type(self).model_fields if name in given}

    @property
    def numbers(self) -> Numbers:
        """Those of the packets that match, counted from 1; ``last`` None: without end."""
        first, step, last = self.nth
        if step == 0:
            return Numbers(first, 1, first + (self.count or 1) - 1)
        if self.count is not None:
            last = first + (self.count - 1) * step
        return Numbers(first, step, last)

    @model_validator(mode="after")
    def _says_one_thing(self) -> DropPackets:
        problems: list[tuple[tuple[str | int, ...], Problem]] = []
        if self.packets:
            for name in ("match", "nth", "count"):
                if name in self.model_fields_set:
                    found = f"{name} beside packets, which says it all"
                    problems.append(((name,), Problem("", found, "one of the two")))
            if self.sender is None:
                found = "each direction counts its own packets"
                problems.append((("packets",), Problem("", found, "from: one end of the link")))
        elif self.nth.last is not None and self.count is not None:
            problems.append(
                (("count",), Problem("", "count beside a range, which has an end", "one of the two"))
            )
        if problems:
            raise refuse(*problems)
        return self

    def __str__(self) -> str:
        """In words: ``drops 3 packets from alice``, ``drops number 1 of udp, port 3478``."""
        side = f" from {self.sender}" if self.sender else ""
        if self.packets:
            return f"drops {len(self.packets)} packet{'s' * (len(self.packets) > 1)}{side} by index"
        first, step, last = self.numbers
        which = (
            f"number {first}"
            if first == last
            else f"numbers {first} to {last}"
            if last
            else f"from {first} on"
        )
        every = f", every {step}" if step > 1 else ""
        matching = f" of {self.match}" if str(self.match) else ""
        return f"drops {which}{every}{side}{matching}"


def parse_drop(options: Mapping[str, object], where: str = "") -> DropPackets:
    """Return what ``options`` ask for, as the keys of ``drop`` in a scenario file.

    Raises:
        UsageError: with every problem found.
    """
    try:
        return DropPackets.model_validate(dict(options))
    except ValidationError as error:
        raise UsageError(*(p for detail in error.errors() for p in _problems(detail, where))) from None


def _problems(detail: Mapping[str, Any], where: str) -> list[Problem]:
    place = ".".join(map(str, [part for part in (where, *detail["loc"]) if part != ""]))
    if detail["type"] != PROBLEMS:
        return [Problem(place, f"{detail['input']!r}"[:80], detail["msg"])]
    return [
        Problem(".".join([place, *map(str, below)]) if below else place, p.found, p.expected, p.suggestion)
        for below, p in detail["ctx"]["problems"]
    ]

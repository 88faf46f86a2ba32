"""What NAT behaviour discovery found: for each axis the values that fit what was seen, and why not fewer."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from nat_models.model import (
    Filtering,
    FilterScope,
    Hairpinning,
    Mapping,
    Pooling,
    PortAssignment,
    Refresh,
    ReplyReuse,
    Transparency,
    Unsolicited,
)
from nat_models.packet import TransportAddress, format_address

V = TypeVar("V")

AXES: Final = (
    "transparency",
    "mapping",
    "filtering",
    "filter_scope",
    "reply_reuse",
    "port_assignment",
    "pooling",
    "hairpinning",
    "unsolicited",
    "fragments",
)
"""What is observed of a NAT, in the words of :class:`nat_models.NatModel`."""


@dataclass(frozen=True, slots=True)
class Observed(Generic[V]):
    """The values of one axis that fit what was seen.

    One value is a finding. Several mean that the difference cannot be seen on this box, ``why`` says the
    reason. None at all means that the observations contradict each other.
    """

    possible: tuple[V, ...]
    why: str = ""

    @property
    def value(self) -> V | None:
        """The one value, if it is one."""
        return self.possible[0] if len(self.possible) == 1 else None

    @property
    def is_settled(self) -> bool:
        """Whether exactly one value fits."""
        return len(self.possible) == 1

    def describe(self) -> str:
        """Return words: the value, or ``unobservable (reason)`` with what is left."""
        if not self.possible:
            return f"contradictory ({self.why})"
        words = " or ".join(str(getattr(value, "value", value)) for value in self.possible)
        return words if self.is_settled else f"unobservable between {words} ({self.why})"


@dataclass(frozen=True, slots=True)
class PortSample:
    """The first mapping of a socket: its internal and external endpoint."""

    internal: TransportAddress
    external: TransportAddress


@dataclass(frozen=True, slots=True)
class LifetimeProbe:
    """Whether a mapping was alive after ``idle`` seconds. ``replied``: whether it had seen an answer."""

    replied: bool
    idle: float
    alive: bool

    def describe(self) -> str:
        """Return words: ``answered mapping alive after 270 s``."""
        kind = "answered" if self.replied else "unanswered"
        return f"{kind} mapping {'alive' if self.alive else 'gone'} after {self.idle:g} s idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything found about the path from one host to one server; see RFC 5780 §§3-4 for the terms.

    With ``reachable`` false (no answer by UDP) or ``other`` None (the server has no second address) nothing
    else is known. ``lifetimes`` and ``refresh`` are filled where a lifetime was given to probe.
    """

    server: TransportAddress
    local: TransportAddress
    reachable: bool = False
    other: TransportAddress | None = None
    mapped: TransportAddress | None = None
    transparency: Observed[Transparency] = Observed(tuple(Transparency), "not probed")
    mapping: Observed[Mapping] = Observed(tuple(Mapping), "not probed")
    filtering: Observed[Filtering] = Observed(tuple(Filtering), "not probed")
    filter_scope: Observed[FilterScope] = Observed(tuple(FilterScope), "not probed")
    reply_reuse: Observed[ReplyReuse] = Observed(tuple(ReplyReuse), "not probed")
    port_assignment: Observed[PortAssignment] = Observed(tuple(PortAssignment), "not probed")
    samples: tuple[PortSample, ...] = ()
    pooling: Observed[Pooling] = Observed(tuple(Pooling), "not probed")
    hairpinning: Observed[Hairpinning] = Observed(tuple(Hairpinning), "not probed")
    unsolicited: Observed[Unsolicited] = Observed(tuple(Unsolicited), "not probed")
    fragments: Observed[bool] = Observed((False, True), "not probed")
    lifetimes: tuple[LifetimeProbe, ...] = ()
    refresh: Observed[Refresh] = Observed(tuple(Refresh), "not probed")
    address_rewritten: bool = False
    """MAPPED-ADDRESS differed from XOR-MAPPED-ADDRESS: something on the path rewrites addresses."""
    response_port: bool = True
    """Whether the server sends its answer to another port where it is asked to."""
    notes: tuple[str, ...] = ()
    """Observations that no axis has a place for, in words."""

    @property
    def parity_kept(self) -> bool:
        """Whether every sampled external port had the parity of the internal one (RFC 4787 REQ-4)."""
        return all((s.internal[1] ^ s.external[1]) & 1 == 0 for s in self.samples)

    def describe(self) -> MappingType[str, str]:
        """Return one line of words for each axis, for people and for the record."""
        if not self.reachable:
            return {"reachable": f"no answer from {format_address(self.server)} by UDP"}
        lines = {"mapped": format_address(self.mapped) if self.mapped else "unknown"}
        for name in (*AXES, "refresh"):
            observed: Observed[object] = getattr(self, name)
            lines[name] = observed.describe()
        if self.lifetimes:
            lines["lifetimes"] = "; ".join(probe.describe() for probe in self.lifetimes)
        if self.notes:
            lines["notes"] = "; ".join(self.notes)
        return lines

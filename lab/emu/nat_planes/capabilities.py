"""What a plane cannot be: a table, from which refusals and the page for people are both made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from lab.emu.nat_planes.plane import NatPlane
from nat_models.model import (
    Filtering,
    FilterScope,
    Hairpinning,
    NatModel,
    PortAssignment,
    Refresh,
    ReplyReuse,
    Transparency,
    Unsolicited,
)
from nat_models.model import Mapping as MappingRule

NFT, KERNEL, ENGINE = NatPlane.NFT, NatPlane.KERNEL, NatPlane.ENGINE

STREAM_AFTER: Final = 2.0
"""Seconds after which connection tracking believes in an answered UDP flow; fixed in the kernel."""

Asks = Callable[[NatModel, int], bool]
"""Whether a model, on a box with so many external addresses, asks for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Something a model may ask for, and the planes that cannot do it, each with the reason."""

    axis: str
    what: str
    asks: Asks
    cannot: Mapping[NatPlane, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a plane cannot be a model, and the planes that could do this part of it."""

    model: str
    plane: NatPlane
    axis: str
    what: str
    reason: str
    instead: tuple[NatPlane, ...]

    def __str__(self) -> str:
        """Return one sentence, with what to use instead."""
        others = " or ".join(f"--nat-plane {plane.value}" for plane in self.instead)
        remedy = f"; use {others}" if others else "; no plane of the kernel world can"
        return f"{self.model}: the {self.plane.value} plane cannot do {self.what}: {self.reason}{remedy}"


def check(plane: NatPlane, model: NatModel, *, external_addresses: int = 1) -> list[Refusal]:
    """Return why a plane cannot be a model; nothing where it can.

    Args:
        plane: What is to carry the model out.
        model: What the box is to do.
        external_addresses: How many addresses it translates to.
    """
    refused = [limit for limit in LIMITS if plane in limit.cannot and limit.asks(model, external_addresses)]
    return [
        Refusal(
            model=model.name,
            plane=plane,
            axis=limit.axis,
            what=limit.what,
            reason=limit.cannot[plane],
            instead=tuple(other for other in NatPlane if other not in limit.cannot),
        )
        for limit in refused
    ]


def planes_for(model: NatModel, *, external_addresses: int = 1) -> list[NatPlane]:
    """Return the planes that can be a model, in the order of preference."""
    return [p for p in NatPlane if not check(p, model, external_addresses=external_addresses)]


def _translates(model: NatModel) -> bool:
    return model.transparency is Transparency.TRANSLATE


def _filters(model: NatModel) -> bool:
    return model.transparency is not Transparency.NONE


def _admits_strangers(model: NatModel) -> bool:
    """Whether a remote can come in by a mapping that was not made for it: only then reply reuse shows."""
    if not _translates(model) or model.mapping is MappingRule.ENDPOINT_INDEPENDENT:
        return False
    by_address = model.filtering is Filtering.ADDRESS_DEPENDENT
    return (
        model.filtering is Filtering.ENDPOINT_INDEPENDENT
        or model.filter_scope is FilterScope.PER_ENDPOINT
        or (by_address and model.mapping is MappingRule.ADDRESS_AND_PORT_DEPENDENT)
    )


def _ports(assignment: PortAssignment) -> Asks:
    return lambda model, _: _translates(model) and model.port_assignment is assignment


def _is_no_masquerade(model: NatModel, _addresses: int) -> bool:
    """Whether mapping, filtering and ports are none of the two combinations that masquerade has."""
    if not _filters(model):
        return False
    restricted = Filtering.ADDRESS_AND_PORT_DEPENDENT
    if (model.filtering, model.tcp.filtering) != (restricted, restricted):
        return True
    if not _translates(model):
        return False
    found = (model.mapping, model.tcp.mapping, model.port_assignment)
    independent, dependent = MappingRule.ENDPOINT_INDEPENDENT, MappingRule.ADDRESS_AND_PORT_DEPENDENT
    return found not in {
        (independent, independent, PortAssignment.PRESERVE_OVERLOAD),
        (dependent, dependent, PortAssignment.RANDOM),
    }


def _tells_answers_apart_otherwise(model: NatModel, _addresses: int) -> bool:
    lifetimes = model.lifetimes
    return (
        _filters(model)
        and lifetimes.unreplied != lifetimes.udp
        and lifetimes.udp_stream_after != STREAM_AFTER
    )


_BY_SETS: Final = "netfilter has no way to draw such a port"
_FIXED: Final = "masquerade is what it is: port-preserving with overloading, or random for every flow"
_TRACKING: Final = "connection tracking decides it"

LIMITS: Final[tuple[Limit, ...]] = (
    Limit(
        axis="mapping, filtering, port_assignment",
        what="a mapping, filtering or port assignment that is not masquerade's",
        asks=_is_no_masquerade,
        cannot={KERNEL: _FIXED},
    ),
    Limit(
        axis="port_assignment",
        what="port preservation with overloading",
        asks=_ports(PortAssignment.PRESERVE_OVERLOAD),
        cannot={NFT: "its sets give a port to one internal endpoint only"},
    ),
    Limit(
        axis="port_assignment",
        what="sequential ports",
        asks=_ports(PortAssignment.SEQUENTIAL),
        cannot={NFT: _BY_SETS, KERNEL: _FIXED},
    ),
    Limit(
        axis="port_assignment",
        what="ports at a constant distance",
        asks=_ports(PortAssignment.CONTIGUOUS),
        cannot={NFT: _BY_SETS, KERNEL: _FIXED},
    ),
    Limit(
        axis="port_assignment",
        what="port blocks",
        asks=_ports(PortAssignment.PORT_BLOCK),
        cannot={NFT: _BY_SETS, KERNEL: _FIXED},
    ),
    Limit(
        axis="ports.parity",
        what="port parity",
        asks=lambda model, _: _translates(model) and model.ports.parity,
        cannot={NFT: _BY_SETS, KERNEL: _FIXED},
    ),
    Limit(
        axis="ports.per_host_limit",
        what="a limit on the mappings of a host",
        asks=lambda model, _: _translates(model) and model.ports.per_host_limit > 0,
        cannot={NFT: "its sets are not counted by host", KERNEL: _FIXED},
    ),
    Limit(
        axis="ports.hold_down",
        what="hold-down of freed ports",
        asks=lambda model, _: _translates(model) and model.ports.hold_down > 0,
        cannot={NFT: "an element of a set that has expired is gone", KERNEL: _FIXED},
    ),
    Limit(
        axis="external_addresses",
        what="several external addresses",
        asks=lambda model, addresses: _translates(model) and addresses > 1,
        cannot={KERNEL: "masquerade takes the address of the device"},
    ),
    Limit(
        axis="filter_scope",
        what="filters by internal endpoint",
        asks=lambda model, _: _admits_strangers(model) and model.filter_scope is FilterScope.PER_ENDPOINT,
        cannot={KERNEL: _TRACKING},
    ),
    Limit(
        axis="reply_reuse",
        what="replies that leave by the mapping rule alone (reply_reuse: off)",
        asks=lambda model, _: _admits_strangers(model) and model.reply_reuse is ReplyReuse.OFF,
        cannot={NFT: f"{_TRACKING}, by the flow that is there", KERNEL: _TRACKING},
    ),
    Limit(
        axis="reply_reuse",
        what="replies that leave by the mapping the remote came in by last (reply_reuse: inbound-first)",
        asks=lambda model, _: _admits_strangers(model) and model.reply_reuse is ReplyReuse.INBOUND_FIRST,
        cannot={NFT: f"{_TRACKING}, by the flow that is there", KERNEL: _TRACKING},
    ),
    Limit(
        axis="reply_reuse",
        what="remotes that keep their port where they have a flow already (reply_reuse: existing-flow-first)",
        asks=lambda model, _: (
            _admits_strangers(model) and model.reply_reuse is ReplyReuse.EXISTING_FLOW_FIRST
        ),
        cannot=dict.fromkeys(
            (NFT, KERNEL), "connection tracking gives the second flow's remote another port"
        ),
    ),
    Limit(
        axis="hairpinning",
        what="hairpinning",
        asks=lambda model, _: _translates(model) and model.hairpinning is not Hairpinning.NONE,
        cannot={KERNEL: "masquerade knows no mapping that an inside host could be reached by"},
    ),
    Limit(
        axis="lifetimes.udp_refresh",
        what="refresh by one direction alone",
        asks=lambda model, _: _filters(model) and model.lifetimes.udp_refresh is not Refresh.BOTH,
        cannot={KERNEL: "connection tracking is refreshed by both directions"},
    ),
    Limit(
        axis="lifetimes.udp_by_port",
        what="lifetimes by destination port",
        asks=lambda model, _: _filters(model) and bool(model.lifetimes.udp_by_port),
        cannot={KERNEL: "its two UDP timers serve every port"},
    ),
    Limit(
        axis="lifetimes.udp_stream_after",
        what="answered flows believed in after another time than 2 s",
        asks=_tells_answers_apart_otherwise,
        cannot={KERNEL: "the kernel believes in an answered flow 2 s after its first packet"},
    ),
    Limit(
        axis="lifetimes",
        what="lifetimes in fractions of a second",
        asks=lambda model, _: (
            _filters(model) and any(float(s) % 1 for s in (model.lifetimes.udp, model.lifetimes.unreplied))
        ),
        cannot={KERNEL: "its timers are set in whole seconds"},
    ),
    Limit(
        axis="unsolicited",
        what="strays delivered to the box itself (input-accept)",
        asks=lambda model, _: (
            _translates(model) and Unsolicited.INPUT_ACCEPT in {model.unsolicited, model.tcp.unsolicited}
        ),
        cannot={NFT: "a flow that the box took would hold a port that its sets gave to another"},
    ),
    Limit(
        axis="unsolicited",
        what="different answers to strays of UDP and of TCP",
        asks=lambda model, _: _translates(model) and model.unsolicited is not model.tcp.unsolicited,
        cannot={KERNEL: "one INPUT chain accepts or drops"},
    ),
    Limit(
        axis="unsolicited",
        what="strays answered by ICMP or reset",
        asks=lambda model, _: (
            _filters(model)
            and not {model.unsolicited, model.tcp.unsolicited} <= {Unsolicited.DROP, Unsolicited.INPUT_ACCEPT}
        ),
        cannot={KERNEL: "a router's INPUT chain accepts or drops"},
    ),
    Limit(
        axis="tcp.syn_hold",
        what="an answer to an unsolicited SYN that waits (RFC 5382 REQ-4)",
        asks=lambda model, _: (
            _filters(model)
            and model.tcp.syn_hold > 0
            and model.tcp.unsolicited in {Unsolicited.ICMP_UNREACHABLE, Unsolicited.RST}
        ),
        cannot={NFT: "netfilter answers at once or never", KERNEL: "netfilter answers at once or never"},
    ),
    Limit(
        axis="tcp.simultaneous_open",
        what="refusal of simultaneous open",
        asks=lambda model, _: _filters(model) and not model.tcp.simultaneous_open,
        cannot=dict.fromkeys((NFT, KERNEL), "connection tracking lets crossing SYNs pass"),
    ),
    Limit(
        axis="refusal_icmp",
        what="an ICMP error to a host that gets no mapping",
        asks=lambda model, _: _translates(model) and model.refusal_icmp,
        cannot=dict.fromkeys((NFT, KERNEL), "netfilter drops without a word when ports run out"),
    ),
)

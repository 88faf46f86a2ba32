"""What a NAT box is: the axes of RFC 4787, RFC 5382 and RFC 6888 as enums, and one frozen record of them.

Classic names (full-cone, symmetric ...) are presets (:mod:`nat_models.presets`), not values here: they say
too little. Two axes on which independent implementations differ are settings of their own, shown with every
result: :class:`FilterScope` and :class:`ReplyReuse`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Mapping(enum.Enum):
    """When an outbound packet reuses the external port of an earlier one (RFC 4787 §4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(enum.Enum):
    """Which remote may send to a mapping (RFC 4787 §5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class FilterScope(enum.Enum):
    """Whose sending opens the filter of a mapping.

    PER_MAPPING: only packets that left by this very mapping. PER_ENDPOINT: packets that the internal endpoint
    sent by any of its mappings. They differ only where mapping is not endpoint-independent.
    """

    PER_MAPPING = "per-mapping"
    PER_ENDPOINT = "per-endpoint"


class ReplyReuse(enum.Enum):
    """From which mapping an internal endpoint's packet to R leaves, after one of R's was admitted.

    OFF: by the mapping rule alone (table NATs). INBOUND_FIRST: by the mapping that R came in on, always.
    EXISTING_FLOW_FIRST: an outbound flow to R that existed before wins; else the mapping R came in on.
    SEPARATE_FLOWS: as EXISTING_FLOW_FIRST; but where a flow to R existed before and R comes in by another
    mapping, that is a second flow beside it, in which the inside sees R under another port of its address.
    What it sends to that port leaves by the mapping that R came in on and arrives at R's true port
    (connection tracking: what netfilter is measured to do).
    They differ only where mapping is not endpoint-independent. TCP is tracked: a segment always follows its
    session.
    """

    OFF = "off"
    INBOUND_FIRST = "inbound-first"
    EXISTING_FLOW_FIRST = "existing-flow-first"
    SEPARATE_FLOWS = "separate-flows"


class PortAssignment(enum.Enum):
    """How the external port of a new mapping is chosen (RFC 4787 §4.2).

    PRESERVE keeps the internal port and takes another one when it is in use. PRESERVE_OVERLOAD keeps it even
    then, so that two internal endpoints share one external port ("port overloading": breaks REQ-3).
    PRESERVE_SYMMETRIC keeps it for the first destination and takes a random one for every further mapping of
    the same internal endpoint. SEQUENTIAL counts up; RANDOM draws from the range; CONTIGUOUS keeps the
    distance of consecutive internal ports; PORT_BLOCK gives each internal host a block of its own (RFC 6888
    REQ-14, RFC 7422).
    """

    PRESERVE = "preserve"
    PRESERVE_OVERLOAD = "preserve-overload"
    PRESERVE_SYMMETRIC = "preserve-symmetric"
    SEQUENTIAL = "sequential"
    RANDOM = "random"
    CONTIGUOUS = "contiguous"
    PORT_BLOCK = "port-block"


class Pooling(enum.Enum):
    """Whether one internal host keeps one external address where the box has several (RFC 4787 REQ-2)."""

    PAIRED = "paired"
    ARBITRARY = "arbitrary"


class Hairpinning(enum.Enum):
    """What happens to a packet from inside to one of the box's own mappings (RFC 4787 §6).

    With EXTERNAL_SOURCE the receiver sees the sender's external address (REQ-9a), with INTERNAL_SOURCE its
    private one.
    """

    NONE = "none"
    INTERNAL_SOURCE = "internal-source"
    EXTERNAL_SOURCE = "external-source"


class Refresh(enum.Enum):
    """Which packets keep a mapping alive (RFC 4787 REQ-6)."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    BOTH = "both"


class Unsolicited(enum.Enum):
    """What becomes of an inbound packet that no mapping or filter admits.

    INPUT_ACCEPT delivers it to the box itself, as a Linux router without an INPUT drop does: the box answers
    "port unreachable" and remembers the flow, and a later outbound packet to that remote is given another
    external port because the remembered flow holds the old one.
    """

    DROP = "drop"
    ICMP_UNREACHABLE = "icmp-unreachable"
    RST = "rst"
    INPUT_ACCEPT = "input-accept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long idle state lives, in seconds, and what refreshes it.

    ``udp`` is the lifetime of a UDP mapping that saw packets both ways, ``udp_unreplied`` of one that saw
    only outbound packets: connection tracking tells them apart, most tables do not (None: the same as
    ``udp``).
    ``udp_by_port`` gives other values by destination port (RFC 4787 REQ-5a). ``udp_stream_after``: a mapping
    that saw packets both ways gets ``udp`` only from a packet at least that many seconds after its first
    (Linux: 2 s). TCP values: RFC 5382 REQ-5. ``icmp``: RFC 5508 §3.2.
    """

    udp: float = 300.0
    udp_unreplied: float | None = None
    udp_by_port: tuple[tuple[int, float], ...] = ()
    udp_stream_after: float = 0.0
    udp_refresh: Refresh = Refresh.OUTBOUND
    tcp_established: float = 7440.0
    tcp_transitory: float = 240.0
    icmp: float = 60.0

    @property
    def unreplied(self) -> float:
        """The lifetime in seconds of a UDP mapping that saw only outbound packets."""
        return self.udp if self.udp_unreplied is None else self.udp_unreplied


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPool:
    """The external ports to draw from. ``first`` and ``last`` are inclusive.

    ``parity`` keeps even to even and odd to odd (RFC 4787 REQ-4). ``block_size`` ports a host for PORT_BLOCK.
    ``per_host_limit`` caps the mappings of one internal host (RFC 6888 REQ-4); 0 is no cap. ``hold_down`` is
    the time in seconds in which a freed port is given to nobody else (RFC 6888 REQ-8).
    """

    first: int = 1024
    last: int = 65535
    parity: bool = False
    block_size: int = 512
    per_host_limit: int = 0
    hold_down: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpBehaviour:
    """What a box does with TCP (RFC 5382). Mapping and filtering of TCP may differ from those of UDP.

    ``syn_hold`` (seconds): an unsolicited inbound SYN is held that long, answered by nothing, before
    ``unsolicited`` applies; an outbound SYN to the same remote cancels it (REQ-4). 0 acts at once.
    ``rst_hold`` (seconds): how long a session survives an RST (RFC 7857 §2.2); 0 ends it at once.
    ``simultaneous_open``: whether an inbound SYN that crosses an outbound one passes (REQ-2).
    ``pick_up``: whether an outbound segment without a SYN before it makes a session, as Linux does after a
    reboot.
    """

    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT
    unsolicited: Unsolicited = Unsolicited.DROP
    syn_hold: float = 6.0
    rst_hold: float = 0.0
    simultaneous_open: bool = True
    pick_up: bool = False


class Transparency(enum.Enum):
    """Whether the box translates. FIREWALL keeps addresses and only filters; NONE forwards everything."""

    TRANSLATE = "translate"
    FIREWALL = "firewall"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """One outbound rule, first match wins: ``protocol`` is ``udp``, ``tcp``, ``icmp`` or ``any``.

    ``action`` is ``accept``, ``drop`` or ``reject``: reject answers TCP with a reset, all else with ICMP
    "administratively prohibited". ``ports`` are destination ports (empty: all), ``networks`` destination
    prefixes as text (empty: all).
    """

    action: str
    protocol: str = "any"
    ports: tuple[int, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NatModel:
    """Everything a box does, every axis on its own: a value that can be hashed and pickled."""

    name: str
    transparency: Transparency = Transparency.TRANSLATE
    mapping: Mapping = Mapping.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT
    filter_scope: FilterScope = FilterScope.PER_MAPPING
    reply_reuse: ReplyReuse = ReplyReuse.SEPARATE_FLOWS
    port_assignment: PortAssignment = PortAssignment.PRESERVE
    ports: PortPool = field(default_factory=PortPool)
    pooling: Pooling = Pooling.PAIRED
    hairpinning: Hairpinning = Hairpinning.NONE
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    unsolicited: Unsolicited = Unsolicited.DROP
    tcp: TcpBehaviour = field(default_factory=TcpBehaviour)
    icmp_errors: bool = True
    """Whether ICMP errors about a mapping's packets are translated and passed (RFC 5508 §4)."""
    refusal_icmp: bool = False
    """Whether an inside host learns by ICMP that no mapping could be made for it (RFC 5508 REQ-8)."""
    fragments: bool = True
    """Whether fragments are forwarded, in any order (RFC 4787 REQ-14)."""
    fragment_memory: int = 64
    """Fragments held while the first one is missing; more are dropped (RFC 4787 REQ-14a)."""
    outbound_rules: tuple[FirewallRule, ...] = ()
    """Egress policy of a firewall in front of the translation; empty allows all."""
    sources: tuple[str, ...] = ()
    """Where these values come from: RFC section, document, measurement."""
    description: str = ""

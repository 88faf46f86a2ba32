"""NAT behaviour discovery, client side (RFC 5780), and the certification of a box against its model."""

from lab.protocols.behaviour_discovery.certification import compare, lifetime_plan
from lab.protocols.behaviour_discovery.discovery import DiscoveryPlan, discover
from lab.protocols.behaviour_discovery.findings import Findings, LifetimeProbe, Observed, PortSample
from lab.protocols.behaviour_discovery.lifetimes import LifetimePlan, search_lifetime
from lab.protocols.behaviour_discovery.probing import (
    Answer,
    Corner,
    DiscoveryIncomplete,
    Ground,
    ProbeHost,
    ProbeSocket,
)

__all__ = [
    "Answer",
    "Corner",
    "DiscoveryIncomplete",
    "DiscoveryPlan",
    "Findings",
    "Ground",
    "LifetimePlan",
    "LifetimeProbe",
    "Observed",
    "PortSample",
    "ProbeHost",
    "ProbeSocket",
    "compare",
    "discover",
    "lifetime_plan",
    "search_lifetime",
]

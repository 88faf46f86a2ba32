"""NAT behaviour discovery, client side (RFC 5780), and the certification of a box against its model."""

from lab.protocols.behaviour_discovery.certification import compare, lifetime_plan
from lab.protocols.behaviour_discovery.classification import (
    Classification,
    LifetimeBounds,
    alternatives,
    classify,
    is_classifiable,
)
from lab.protocols.behaviour_discovery.discovery import DiscoveryPlan, discover
from lab.protocols.behaviour_discovery.findings import Findings, LifetimeProbe, Observed, PortSample
from lab.protocols.behaviour_discovery.lifetimes import (
    LifetimePlan,
    LifetimeSearch,
    probe_refresh,
    search_lifetime,
)
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
    "Classification",
    "Corner",
    "DiscoveryIncomplete",
    "DiscoveryPlan",
    "Findings",
    "Ground",
    "LifetimeBounds",
    "LifetimePlan",
    "LifetimeProbe",
    "LifetimeSearch",
    "Observed",
    "PortSample",
    "ProbeHost",
    "ProbeSocket",
    "alternatives",
    "classify",
    "compare",
    "discover",
    "is_classifiable",
    "lifetime_plan",
    "probe_refresh",
    "search_lifetime",
]

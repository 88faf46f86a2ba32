"""The prober of a bench (:mod:`lab.emu.certify`), run in the namespace of its host by the agent."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from lab.emu.kernel_network import KernelNetwork
from lab.protocols.behaviour_discovery import DiscoveryPlan, Findings, compare
from lab.protocols.behaviour_discovery.bench import BOX, HOST, SERVER_ADDRESSES
from lab.roles.prober import Prober, ProberConfig
from lab.roles.real_context import RealRoleContext
from lab.spec.roles import STUN_PORT, addresses_of

_ATTEMPTS: Final = 2
_INTERVAL: Final = 0.25
"""Seconds: a bench is a few microseconds long, and what has not come by then was filtered."""


async def probe_box(network: KernelNetwork, external_addresses: int) -> dict[str, Any]:
    """Return what the prober found of the bench's box, in words, and how that differs from its model."""
    findings = await asyncio.to_thread(_probe, network)
    model = network.spec.nodes[BOX].nat
    assert model is not None, "a bench has a box"
    problems = compare(findings, model, external_addresses=external_addresses)
    return {"found": dict(findings.describe()), "problems": list(problems)}


def _probe(network: KernelNetwork) -> Findings:
    """Probe from the host's namespace; this thread is in it meanwhile."""
    host = network.nodes[HOST]
    config = ProberConfig(
        server=(SERVER_ADDRESSES[0], STUN_PORT),
        plan=DiscoveryPlan(lifetimes=None),
        attempts=_ATTEMPTS,
        interval=_INTERVAL,
    )
    prober = Prober(config, RealRoleContext(HOST, addresses_of(host.spec)))
    with host.inside():
        return asyncio.run(prober.probe())

"""Probe a NAT box of the simulated world, alone on a bench: is it what its model claims?"""

from __future__ import annotations

from dataclasses import dataclass

from lab.protocols.behaviour_discovery import DiscoveryPlan, Findings, compare, lifetime_plan
from lab.protocols.behaviour_discovery.bench import HOST, SERVER, SERVER_ADDRESSES, certification_network
from lab.protocols.turn_server import RelayConfig
from lab.roles.prober import Prober, ProberConfig
from lab.roles.relay import Relay, RelayRoleConfig
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.roles import STUN_PORT
from nat_models import NatModel

_DEADLINE = 200_000.0
"""Virtual seconds; the longest published mapping lifetime is some hours."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What the probe found of a box, and how it differs from its model; no difference certifies it."""

    model: NatModel
    findings: Findings
    problems: tuple[str, ...]


def certify(model: NatModel, *, external_addresses: int = 1) -> Certificate:
    """Build the box alone in the simulated world, probe it as in the field, and compare."""
    loop = VirtualLoop(deadline=_DEADLINE)  # type: ignore[abstract]  # threads and files are not simulated
    network = SimNetwork(
        certification_network(model, external_addresses=external_addresses), loop, trial_key="certification"
    )
    host, server = network.host(HOST), network.host(SERVER)
    relay = Relay(RelayRoleConfig(server=RelayConfig(addresses=SERVER_ADDRESSES), tcp_ports=()), server)
    plan = DiscoveryPlan(lifetimes=lifetime_plan(model, STUN_PORT))
    prober = Prober(ProberConfig(server=(SERVER_ADDRESSES[0], STUN_PORT), plan=plan), host)

    async def probe() -> Findings:
        server.start(relay.run())
        await relay.ready.wait()
        return await host.start(prober.probe())

    try:
        findings = loop.run_until_complete(probe())
    finally:
        network.power_off()
        loop.close()
    problems = compare(findings, model, external_addresses=external_addresses)
    return Certificate(model=model, findings=findings, problems=tuple(problems))

"""Does what was found fit what was claimed? A run counts only where it does.

Each mismatch is a sentence. An axis that cannot be seen on a box is no mismatch: then it makes no difference
there either, or (port overloading, a second host's view) needs a probe of another kind.
"""

from __future__ import annotations

import random

from lab.protocols.behaviour_discovery.findings import Findings, Observed
from lab.protocols.behaviour_discovery.lifetimes import LifetimePlan
from nat_models.engine import Nat
from nat_models.model import NatModel, Pooling, PortAssignment, Transparency
from nat_models.outcome import Side
from nat_models.packet import IpProtocol, Packet, format_address

AXES = (
    "mapping",
    "filtering",
    "filter_scope",
    "reply_reuse",
    "port_assignment",
    "hairpinning",
    "unsolicited",
    "fragments",
)
UNTRANSLATED_AXES = ("filtering", "fragments")


def lifetime_plan(model: NatModel, server_port: int) -> LifetimePlan:
    """Return the plan that checks the lifetimes which a model claims for traffic to ``server_port``."""
    lifetimes = model.lifetimes
    by_port = dict(lifetimes.udp_by_port).get(server_port)
    if by_port is not None:
        return LifetimePlan(replied=by_port)
    unreplied = lifetimes.unreplied if lifetimes.unreplied != lifetimes.udp else None
    # A little more, so that the second packet comes after the box began to believe in the flow.
    settle = lifetimes.udp_stream_after * 1.1 if lifetimes.udp_stream_after else 0.0
    if unreplied is not None and not settle:
        # Boxes that refresh on outbound packets alone count a mapping as answered from the next one on.
        settle = min(unreplied, lifetimes.udp) * 0.1
    return LifetimePlan(replied=lifetimes.udp, unreplied=unreplied, settle=settle)


def compare(findings: Findings, model: NatModel, *, external_addresses: int = 1) -> list[str]:
    """Return what does not fit, a sentence each; an empty list certifies the box.

    Args:
        findings: What was measured.
        model: What the scenario claims.
        external_addresses: How many the box was given (pooling shows only with several).
    """
    may_pass = _lets_udp_out(findings, model)
    if not findings.reachable:
        server = format_address(findings.server)
        return (
            [f"no answer from {server} by UDP, though the rules of {model.name} let it out"]
            if may_pass
            else []
        )
    if not may_pass:
        return [
            f"UDP to {format_address(findings.server)} passes, though the rules of {model.name} forbid it"
        ]
    if findings.other is None:
        return ["the server has one address only: nothing could be measured"]
    problems = _differing(findings, model, ("transparency",))
    if problems or model.transparency is Transparency.NONE:
        return problems
    if model.transparency is Transparency.FIREWALL:
        problems = _differing(findings, model, UNTRANSLATED_AXES)
    else:
        problems = _differing(findings, model, AXES)
        problems += _port_problems(findings, model)
        problems += _pooling_problems(findings, model, external_addresses)
    return problems + _lifetime_problems(findings, model)


def _lets_udp_out(findings: Findings, model: NatModel) -> bool:
    """Ask the model's own outbound rules, by a packet like the probe's."""
    box = Nat(model, external_addresses=["192.0.2.1"], random=random.Random(0))
    probe = Packet(IpProtocol.UDP, findings.local, findings.server)
    return bool(box.handle(probe, Side.INSIDE, 0.0).packets)


def _differing(findings: Findings, model: NatModel, axes: tuple[str, ...]) -> list[str]:
    problems = []
    for axis in axes:
        observed: Observed[object] = getattr(findings, axis)
        claimed = getattr(model, axis)
        if claimed not in observed.possible:
            words = getattr(claimed, "value", claimed)
            problems.append(f"{axis.replace('_', ' ')} is {observed.describe()}, not {words}")
    return problems


def _port_problems(findings: Findings, model: NatModel) -> list[str]:
    pool, ports = model.ports, [sample.external[1] for sample in findings.samples]
    problems = []
    outside = [port for port in ports if not pool.first <= port <= pool.last]
    if outside:
        problems.append(f"external ports {outside} are not in {pool.first} to {pool.last}")
    if pool.parity and not findings.parity_kept:
        problems.append("external ports do not keep the parity of internal ones")
    if model.port_assignment is PortAssignment.PORT_BLOCK:
        blocks = sorted({(port - pool.first) // pool.block_size for port in ports})
        if len(blocks) > 1:
            problems.append(f"external ports {ports} are not of one block of {pool.block_size}")
    return problems


def _pooling_problems(findings: Findings, model: NatModel, external_addresses: int) -> list[str]:
    if model.pooling not in findings.pooling.possible:
        return ["one host's mappings are on several external addresses, not paired with one"]
    if external_addresses > 1 and model.pooling is Pooling.ARBITRARY and not findings.pooling.is_settled:
        return [f"{len(findings.samples)} mappings of one host are on one of {external_addresses} addresses"]
    return []


def _lifetime_problems(findings: Findings, model: NatModel) -> list[str]:
    if not findings.lifetimes:
        return []
    plan = lifetime_plan(model, findings.server[1])
    problems = []
    for probe in findings.lifetimes:
        claimed = plan.replied if probe.replied else plan.unreplied
        if claimed is not None and probe.alive != (probe.idle < claimed):
            problems.append(f"{probe.describe()}, not for {claimed:g} s")
    if model.lifetimes.udp_refresh not in findings.refresh.possible:
        words = findings.refresh.describe()
        problems.append(f"mappings are refreshed by: {words}, not {model.lifetimes.udp_refresh.value}")
    return problems

"""How long mappings live, and what keeps them alive (RFC 5780 §4.6, RFC 4787 §4.3).

A mapping is left idle and then asked for by a packet from the server that a helper socket ordered; the mapped
socket itself stays silent, because its own packet would make the mapping anew. Every probe has a socket of
its own, so all of them idle side by side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lab.protocols.behaviour_discovery.findings import LifetimeProbe, Observed
from lab.protocols.behaviour_discovery.probing import Corner, DiscoveryIncomplete, Ground, ProbeSocket
from nat_models.model import Refresh
from nat_models.packet import TransportAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimePlan:
    """Lifetimes to check, in seconds: of an answered mapping, and of one that saw no answer (None: equal).

    Each is probed ``margin`` (a share) before and after its end. An answered mapping is used once more
    ``settle`` seconds after its first packet: some boxes believe only then in a lasting flow.
    """

    replied: float
    unreplied: float | None = None
    settle: float = 0.0
    margin: float = 0.1


async def probe_lifetimes(ground: Ground, plan: LifetimePlan) -> tuple[LifetimeProbe, ...]:
    """Return whether mappings were alive shortly before and after the ends that the plan expects."""
    idle = [plan.replied * (1 - plan.margin), plan.replied * (1 + plan.margin)]
    probes = [_probe_replied(ground, plan, seconds) for seconds in idle]
    if plan.unreplied is not None:
        idle = [plan.unreplied * (1 - plan.margin), plan.unreplied * (1 + plan.margin)]
        probes += [_probe_unreplied(ground, seconds) for seconds in idle]
    return tuple(await ground.host.together(*probes))


async def probe_refresh(ground: Ground, plan: LifetimePlan) -> Observed[Refresh]:
    """Find which packets keep an answered mapping alive beyond its lifetime."""
    outbound, inbound = await ground.host.together(
        _outlives(ground, plan, lambda socket, _: ground.send_unanswered(socket)),
        _outlives(ground, plan, lambda socket, mapped: ground.admits(socket, mapped, Corner.SAME)),
    )
    if outbound and inbound:
        return Observed((Refresh.BOTH,))
    if outbound or inbound:
        return Observed((Refresh.OUTBOUND if outbound else Refresh.INBOUND,))
    return Observed((), f"no packet kept a mapping alive beyond {plan.replied:g} s")


async def search_lifetime(
    ground: Ground, *, low: float, high: float, resolution: float
) -> tuple[float, float]:
    """Return (longest idle time survived, shortest not survived) of an answered mapping, by bisection.

    Args:
        ground: Where to probe.
        low: Seconds that a mapping surely survives.
        high: Seconds that it surely does not.
        resolution: Seconds between the two results at which to stop.
    """
    plan = LifetimePlan(replied=high)
    while high - low > resolution:
        middle = (low + high) / 2
        probe = await _probe_replied(ground, plan, middle)
        low, high = (middle, high) if probe.alive else (low, middle)
    return low, high


async def _probe_replied(ground: Ground, plan: LifetimePlan, idle: float) -> LifetimeProbe:
    socket = await ground.host.open()
    mapped = await _settled(ground, socket, plan)
    await ground.host.sleep(idle)
    alive = await ground.admits(socket, mapped, Corner.SAME)
    socket.close()
    return LifetimeProbe(replied=True, idle=idle, alive=alive)


async def _probe_unreplied(ground: Ground, idle: float) -> LifetimeProbe:
    socket, mapped = await _unanswered(ground)
    await ground.host.sleep(idle)
    alive = await ground.admits(socket, mapped, Corner.SAME)
    socket.close()
    return LifetimeProbe(replied=False, idle=idle, alive=alive)


async def _unanswered(ground: Ground) -> tuple[ProbeSocket, TransportAddress]:
    for _ in range(16):
        socket = await ground.host.open()
        mapped = await ground.send_unanswered(socket)
        if mapped is not None:
            return socket, mapped
        socket.close()
    raise DiscoveryIncomplete("no two sockets got the same external address")


async def _outlives(
    ground: Ground,
    plan: LifetimePlan,
    use: Callable[[ProbeSocket, TransportAddress], Awaitable[object]],
) -> bool:
    """Use a mapping in one direction at 0.6 lifetimes; return whether it is alive at 1.2."""
    socket = await ground.host.open()
    mapped = await _settled(ground, socket, plan)
    await ground.host.sleep(plan.replied * 0.6)
    await use(socket, mapped)
    await ground.host.sleep(plan.replied * 0.6)
    alive = await ground.admits(socket, mapped, Corner.SAME)
    socket.close()
    return alive


async def _settled(ground: Ground, socket: ProbeSocket, plan: LifetimePlan) -> TransportAddress:
    mapped = await ground.bind(socket)
    if plan.settle:
        await ground.host.sleep(plan.settle)
        mapped = await ground.bind(socket)
    return mapped

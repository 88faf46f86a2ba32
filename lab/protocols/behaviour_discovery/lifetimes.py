"""How long mappings live, and what keeps them alive (RFC 5780 §4.6, RFC 4787 §4.3).

A mapping is left idle and then asked for by a packet from the server that a helper socket ordered; the mapped
socket itself stays silent, because its own packet would make the mapping anew. Every probe has a socket of
its own, so all of them idle side by side.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from lab.protocols.behaviour_discovery.findings import LifetimeProbe, Observed
from lab.protocols.behaviour_discovery.probing import Corner, DiscoveryIncomplete, Ground, ProbeSocket
from nat_models.model import Refresh
from nat_models.packet import TransportAddress

RUNGS: Final = 8
"""Idle times of one round of a search."""
FIRST_RANGE: Final = 256
"""The longest idle time of the first round is at most this many times the shortest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimePlan:
    """Lifetimes to check, in seconds: of an answered mapping, and of one that saw no answer (None: equal).

    Each is probed ``margin`` (a share) before and after its end. An answered mapping is used about every
    second for ``settle`` seconds: some boxes believe only then in a lasting flow.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeSearch:
    """How to look for an unknown lifetime: no longer than ``longest`` seconds, to ``resolution`` seconds.

    An answered mapping is used for ``settle`` seconds before it idles. ``answered`` false searches the
    lifetime of a mapping which saw no answer.
    ``tell`` hears of every idle time as soon as it was waited for.
    """

    longest: float
    resolution: float
    settle: float = 0.0
    answered: bool = True
    tell: Callable[[LifetimeProbe], None] = lambda _: None


async def search_lifetime(ground: Ground, search: LifetimeSearch) -> tuple[float, float]:
    """Return (longest idle time survived, shortest not survived); infinity where all were survived.

    In each round some mappings idle side by side for times between the two bounds, and are asked for in order
    until one is gone. So a round costs hardly more than the lifetime, not the longest time tried.
    """
    low, high = 0.0, math.inf
    while high - low > search.resolution:
        if math.isinf(high):
            if low >= search.longest:
                break
            times = _growing(search)
        else:
            times = [low + (high - low) * step / RUNGS for step in range(1, RUNGS)]
        survived, gone = await _climb(ground, search, times)
        if survived <= low and gone >= high:
            break  # the clock of this machine, or the path, is too rough for more
        low, high = max(low, survived), min(high, gone)
    return low, high


def _growing(search: LifetimeSearch) -> list[float]:
    """Return times up to the longest, each longer than the one before by one factor."""
    shortest = min(search.longest, max(search.resolution, search.longest / FIRST_RANGE))
    factor = (search.longest / shortest) ** (1 / (RUNGS - 1))
    return [shortest * factor**step for step in range(RUNGS - 1)] + [search.longest]


async def _climb(ground: Ground, search: LifetimeSearch, times: list[float]) -> tuple[float, float]:
    """Let one mapping idle for each of ``times``; return the longest survived and the shortest not."""
    started = await ground.host.together(*(_start(ground, search) for _ in times))
    survived, gone = 0.0, math.inf
    for (socket, mapped, since), idle in zip(started, times, strict=True):
        await ground.host.sleep(max(0.0, since + idle - ground.host.now()))
        waited = ground.host.now() - since
        alive = await ground.admits(socket, mapped, Corner.SAME)
        search.tell(LifetimeProbe(replied=search.answered, idle=waited, alive=alive))
        if not alive:
            gone = waited
            break
        survived = waited
    for socket, _, _ in started:
        socket.close()
    return survived, gone


async def _start(ground: Ground, search: LifetimeSearch) -> tuple[ProbeSocket, TransportAddress, float]:
    """Return a new mapping and since when it idles."""
    if search.answered:
        socket = await ground.host.open()
        mapped = await _settled(ground, socket, search.settle)
    else:
        socket, mapped = await _unanswered(ground)
    return socket, mapped, ground.host.now()


async def _probe_replied(ground: Ground, plan: LifetimePlan, idle: float) -> LifetimeProbe:
    socket = await ground.host.open()
    mapped = await _settled(ground, socket, plan.settle)
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
    mapped = await _settled(ground, socket, plan.settle)
    await ground.host.sleep(plan.replied * 0.6)
    await use(socket, mapped)
    await ground.host.sleep(plan.replied * 0.6)
    alive = await ground.admits(socket, mapped, Corner.SAME)
    socket.close()
    return alive


async def _settled(ground: Ground, socket: ProbeSocket, settle: float) -> TransportAddress:
    """Use a mapping about every second, as a call would, so that it lasts until it counts as lasting."""
    mapped = await ground.bind(socket)
    times = math.ceil(settle)
    for _ in range(times):
        await ground.host.sleep(settle / times)
        mapped = await ground.bind(socket)
    return mapped

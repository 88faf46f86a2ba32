"""Certify boxes: the lab's prober inside, the lab's server outside, and the box of a plane between them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nat_bench import INSIDE_HOSTS, SERVER_ADDRESSES, Bench

from lab.emu.nat_planes import NatPlane, start_box
from lab.protocols.behaviour_discovery import DiscoveryPlan, Findings, compare, lifetime_plan
from lab.protocols.turn_server import RelayConfig
from lab.roles.prober import Prober, ProberConfig
from lab.roles.real_context import RealRoleContext
from lab.roles.relay import Relay, RelayRoleConfig
from lab.spec.roles import STUN_PORT
from nat_models import NatModel

T = TypeVar("T")


class Serving:
    """A thread in the server's namespace that runs the relay until it is left."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self._bench.inside("server"):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        context = RealRoleContext("server", SERVER_ADDRESSES)
        config = RelayRoleConfig(server=RelayConfig(addresses=SERVER_ADDRESSES[:2]), tcp_ports=())
        relay = Relay(config, context)
        running = asyncio.create_task(relay.run())
        await relay.ready.wait()
        self._ready.set()
        await self._stop.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def probe(
    plane: NatPlane, model: NatModel, external_addresses: int, attempts: int, *, timed: bool = True
) -> Findings:
    """Return what the prober finds behind a new box."""
    addressed = plane is not NatPlane.ENGINE
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(Bench(external_addresses=external_addresses, addressed=addressed))
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        stack.callback(box.stop)
        with Serving(bench):
            lifetimes = lifetime_plan(model, STUN_PORT) if timed else None
            config = ProberConfig(
                server=(SERVER_ADDRESSES[0], STUN_PORT),
                plan=DiscoveryPlan(lifetimes=lifetimes),
                attempts=attempts,
                interval=0.2,
            )
            return in_thread(bench, "h1", lambda: _probe(config))


async def _probe(config: ProberConfig) -> Findings:
    return await Prober(config, RealRoleContext("host", [INSIDE_HOSTS["h1"]])).probe()


def in_thread(bench: Bench, name: str, coroutine: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a coroutine in the namespace of a node."""

    def enter() -> T:
        with bench.inside(name):
            return asyncio.run(coroutine())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter).result()


def certify(
    plane: NatPlane, models: list[tuple[NatModel, int]], timed: bool = False, side_by_side: int = 4
) -> list[tuple[Findings, list[str]]]:
    """Return findings and what does not fit, of boxes with so many external addresses, side by side."""

    def one(case: tuple[NatModel, int]) -> tuple[Findings, list[str]]:
        model, addresses = case
        findings = probe(plane, model, addresses, 2, timed=timed)
        return findings, compare(findings, model, external_addresses=addresses)

    with ThreadPoolExecutor(side_by_side) as pool:
        return list(pool.map(one, models))

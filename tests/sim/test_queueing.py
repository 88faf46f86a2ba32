"""Waiting lines: a SimPy resource that calls of an asyncio program hold, on the one clock of a trial."""

import asyncio
import random

import pytest
import simpy

from lab.sim.clock import VirtualLoop
from lab.sim.queueing import LoopEnvironment

HOLD = 120.0
"""Seconds, the mean length of a call."""
CALLS = 10_000


def erlang_b(offered, channels):
    """Return the share of calls that find all channels busy (Erlang, 1917), by the usual recursion."""
    blocked = 1.0
    for busy in range(1, channels + 1):
        blocked = offered * blocked / (busy + offered * blocked)
    return blocked


def busy_hour(offered, channels, *, queues, seed=1):
    """Let calls arrive at random on a trunk; return how long each waited for a channel (None: refused)."""
    loop = VirtualLoop()
    environment = LoopEnvironment(loop)
    trunk = simpy.Resource(environment, capacity=channels)
    draw = random.Random(seed)
    waits = []

    async def call(length):
        if not queues and trunk.count == trunk.capacity:
            waits.append(None)
            return
        came = loop.time()
        with trunk.request() as channel:
            await environment.wait_for(channel)
            waits.append(loop.time() - came)
            await asyncio.sleep(length)

    async def arrivals():
        calls = []
        for _ in range(CALLS):
            await asyncio.sleep(draw.expovariate(offered / HOLD))
            calls.append(asyncio.ensure_future(call(draw.expovariate(1 / HOLD))))
        await asyncio.gather(*calls)

    loop.run_until_complete(arrivals())
    assert trunk.count == 0, "each channel was given back"
    loop.close()
    return waits


@pytest.mark.parametrize(("offered", "channels"), [(4.0, 5), (10.0, 10), (20.0, 30)])
def test_a_trunk_refuses_the_share_of_calls_that_erlangs_formula_has(offered, channels):
    refused = busy_hour(offered, channels, queues=False).count(None) / CALLS
    expected = erlang_b(offered, channels)
    # Refusals come in clusters while all channels are busy, hence more than binomial scatter.
    assert refused == pytest.approx(expected, abs=0.002 + 5 * (expected * (1 - expected) / CALLS) ** 0.5)


def test_calls_that_wait_for_a_channel_wait_as_long_as_erlangs_other_formula_has():
    """M/M/n with all kept: the share that waits and the mean wait follow from Erlang's B (Erlang C)."""
    offered, channels = 5.0, 8
    waits = busy_hour(offered, channels, queues=True)
    blocked = erlang_b(offered, channels)
    waiting = blocked / (1 - offered / channels * (1 - blocked))
    mean = waiting * HOLD / (channels - offered)
    # Who waits, waits with others: waits scatter far more than independent ones would.
    assert sum(wait > 0 for wait in waits) / CALLS == pytest.approx(waiting, rel=0.15)
    assert sum(waits) / CALLS == pytest.approx(mean, rel=0.25)


def test_one_seed_is_one_busy_hour():
    assert busy_hour(5.0, 5, queues=True, seed=3)[:500] == busy_hour(5.0, 5, queues=True, seed=3)[:500]

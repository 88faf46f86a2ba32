"""Events a second: the virtual clock beside a bare heap and a bare SimPy, in one run.

1,000 timers live at any time, each firing starts the next. The figure to read is the ratio to `heapq`.
"""

import heapq

import pytest
import simpy

from lab.sim.clock import VirtualLoop

LIVE, FIRES = 1_000, 300_000


def bare_heap():
    heap = [(number / LIVE, number, None) for number in range(LIVE)]
    for serial in range(LIVE, FIRES):
        when, _, _ = heapq.heappop(heap)
        heapq.heappush(heap, (when + 1.0, serial, None))


def bare_simpy():
    environment, left = simpy.Environment(), [FIRES]

    def fire(_event):
        left[0] -= 1
        if left[0] > 0:
            environment.timeout(1.0).callbacks.append(fire)

    for number in range(LIVE):
        environment.timeout(number / LIVE).callbacks.append(fire)
    environment.run()


def virtual_loop_post():
    loop, left = VirtualLoop(), [FIRES]

    def fire(argument):
        left[0] -= 1
        if left[0] > 0:
            loop.post(loop.time() + 1.0, fire, argument)

    for number in range(LIVE):
        loop.post(number / LIVE, fire, None)
    loop.run_forever()


def virtual_loop_call_later():
    loop, left = VirtualLoop(), [FIRES]

    def fire():
        left[0] -= 1
        if left[0] > 0:
            loop.call_later(1.0, fire)

    for number in range(LIVE):
        loop.call_later(number / LIVE, fire)
    loop.run_forever()


@pytest.mark.benchmark(group="clock: 300,000 events")
@pytest.mark.parametrize("clock", [bare_heap, bare_simpy, virtual_loop_post, virtual_loop_call_later])
def test_events_a_second(benchmark, clock):
    benchmark.pedantic(clock, rounds=5, warmup_rounds=1)
    benchmark.extra_info["events_per_second"] = round(FIRES / benchmark.stats.stats.min)

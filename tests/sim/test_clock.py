"""The virtual clock: one heap, total order, real cancellation, asyncio's own API."""

import asyncio
import subprocess
import sys

import pytest
import simpy

from lab.sim.clock import BudgetExceeded, DeadlineExceeded, Deadlock, VirtualLoop
from lab.sim.queueing import LoopEnvironment


def test_sleeping_takes_virtual_time_and_no_real_time():
    loop = VirtualLoop()

    async def program() -> float:
        await asyncio.sleep(10 * 3600)
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(program()) == 36_000


def test_callbacks_of_one_instant_run_in_the_order_they_were_scheduled():
    loop, order = VirtualLoop(), []
    for name in "abc":
        loop.call_at(1.0, order.append, name)
    loop.post(1.0, order.append, "posted")
    loop.post_urgent(1.0, order.append, "urgent")
    loop.call_at(0.5, order.append, "earlier")
    loop.run_forever()
    assert order == ["earlier", "urgent", "a", "b", "c", "posted"]


def test_a_time_in_the_past_means_now_and_the_clock_never_goes_back():
    loop, seen = VirtualLoop(), []
    loop.call_at(5.0, lambda: loop.call_at(1.0, lambda: seen.append(loop.time())))
    loop.run_forever()
    assert seen == [5.0]


def test_cancelled_timers_leave_the_agenda_so_that_long_runs_do_not_grow():
    loop = VirtualLoop()
    for _ in range(10_000):
        loop.call_later(100.0, lambda: None).cancel()
    assert len(loop._agenda) < 2_000


def test_a_cancelled_timer_neither_runs_nor_moves_the_clock():
    loop = VirtualLoop()
    loop.call_later(100.0, pytest.fail, "ran although cancelled").cancel()
    loop.run_forever()
    assert loop.time() == 0.0


def test_timeouts_and_queues_of_the_standard_library_work_in_virtual_time():
    loop = VirtualLoop()

    async def program() -> str:
        queue: asyncio.Queue[str] = asyncio.Queue()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await queue.get()
        asyncio.get_running_loop().call_later(5, queue.put_nowait, "late")
        return await asyncio.wait_for(queue.get(), 10)

    assert loop.run_until_complete(program()) == "late"
    assert loop.time() == 35.0


def test_a_trial_that_outlives_its_deadline_is_invalid():
    loop = VirtualLoop(deadline=60.0)
    with pytest.raises(DeadlineExceeded, match="deadline of 60 s"):
        loop.run_until_complete(asyncio.sleep(61))
    assert loop.time() <= 60.0


def test_a_trial_that_grows_without_end_is_stopped_by_its_event_budget():
    loop = VirtualLoop(event_budget=1_000)

    async def breeds() -> None:
        while True:  # noqa: ASYNC110 - it waits for nothing, it spends the budget
            await asyncio.sleep(0)

    with pytest.raises(BudgetExceeded, match="budget of 1000 events"):
        loop.run_until_complete(breeds())


def test_waiting_for_what_can_never_happen_is_told_at_once():
    loop = VirtualLoop()

    async def waits() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock, match="nothing is scheduled"):
        loop.run_until_complete(waits())


def test_closing_cancels_what_still_runs_and_lets_it_clean_up():
    loop, cleaned = VirtualLoop(), []

    async def background() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            cleaned.append(True)

    async def program() -> None:
        loop.create_task(background())
        await asyncio.sleep(1)

    loop.run_until_complete(program())
    loop.close()
    assert cleaned == [True]
    assert loop.is_closed()


_SET_ORDER = """
import asyncio
from lab.sim.clock import VirtualLoop
loop = VirtualLoop()
async def name(n):
    await asyncio.sleep(1)
    return n
async def program():
    junk = [object() for _ in range(HASH * 7)]  # moves the addresses of what comes after
    done, _ = await asyncio.wait([loop.create_task(name(n)) for n in range(50)])
    futures = [loop.create_future() for _ in range(50)]
    for number, future in enumerate(futures):
        future.set_result(number)
    more, _ = await asyncio.wait(futures)
    return [task.result() for task in done] + [future.result() for future in more]
print(loop.run_until_complete(program()))
"""


def test_sets_of_tasks_and_futures_iterate_alike_in_every_process():
    """asyncio.wait returns sets; hashed by address their order would differ from process to process."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _SET_ORDER.replace("HASH", str(seed))],
            env={"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1, 77)
    }
    assert len(outputs) == 1


def test_leaving_the_simulation_by_a_thread_or_a_file_descriptor_is_refused():
    loop = VirtualLoop()
    with pytest.raises(NotImplementedError):
        loop.add_reader(0, lambda: None)
    with pytest.raises(NotImplementedError):
        loop.call_soon_threadsafe(lambda: None)


# SimPy on the same heap


def test_simpy_processes_and_asyncio_programs_share_one_clock():
    loop = VirtualLoop()
    environment = LoopEnvironment(loop)
    log = []

    def process():
        yield environment.timeout(2)
        log.append(("simpy", environment.now))
        yield environment.timeout(2)
        return "done"

    async def program() -> str:
        waiting = environment.process(process())
        await asyncio.sleep(3)
        log.append(("asyncio", loop.time()))
        return await environment.wait_for(waiting)

    assert loop.run_until_complete(program()) == "done"
    assert log == [("simpy", 2), ("asyncio", 3)]
    assert loop.time() == 4


def test_a_simpy_resource_queues_in_order_of_arrival_as_under_simpy_alone():
    def scenario(environment, log):
        server = simpy.Resource(environment, capacity=2)

        def customer(name, service):
            with server.request() as turn:
                yield turn
                log.append((environment.now, name))
                yield environment.timeout(service)

        for number in range(6):
            environment.process(customer(number, 1 + number % 3))

    alone, shared = [], []
    plain = simpy.Environment()
    scenario(plain, alone)
    plain.run()
    loop = VirtualLoop()
    scenario(LoopEnvironment(loop), shared)
    loop.run_forever()
    assert shared == alone


def test_a_failing_simpy_process_fails_who_waits_for_it():
    loop = VirtualLoop()
    environment = LoopEnvironment(loop)

    def process():
        yield environment.timeout(1)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        loop.run_until_complete(environment.wait_for(environment.process(process())))


def test_an_event_that_is_past_is_waited_for_no_longer():
    loop = VirtualLoop()
    environment = LoopEnvironment(loop)
    event = environment.event().succeed("long ago")

    async def program():
        await asyncio.sleep(1)
        return await environment.wait_for(event)

    assert loop.run_until_complete(program()) == "long ago"
    assert loop.time() == 1


def test_a_simpy_process_that_fails_alone_stops_the_run_as_under_simpy():
    loop = VirtualLoop()
    environment = LoopEnvironment(loop)

    def process():
        yield environment.timeout(1)
        raise ValueError("nobody waits for me")

    environment.process(process())
    with pytest.raises(ValueError, match="nobody waits"):
        loop.run_until_complete(asyncio.sleep(5))


def test_the_loop_alone_runs_a_simpy_environment():
    with pytest.raises(RuntimeError, match="virtual loop"):
        LoopEnvironment(VirtualLoop()).run(until=1)

"""Sessions a second and core, over 1,000 of them: mixed NATs, 1 % loss, STUN and TURN, data both ways.

Each of two things is measured in twenty worlds of fifty (as a run's trials are) and in one of a thousand:

- an *aioice session*: two aioice programs and nothing of the lab but its network and its relay;
- a *call*: what the lab makes of one, with registration and signalling over TCP, commands, all events kept.

CPU time, not wall time: the machine may be shared. The codec's part is measured in the same run: the STUN
messages that aioice built, signed and parsed are built, signed and parsed again, alone.
"""

import asyncio
import gc
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from aioice import stun
from aioice_program import Side

from lab.sim.garbage import rare_garbage_collection
from lab.sim.lab import simulate
from lab.spec.find import load_topology

HERE = Path(__file__).parent
ARRIVALS_PER_SECOND = 50
SESSIONS = 1_000


def run_world(pairs, session, *, role):
    """Run so many sessions in one world, 50 a second; return what became of them."""
    network = load_topology(str(HERE / "many_homes.py"), {"pairs": pairs, "role": role})
    outcomes = []

    async def scenario(lab):
        async def one(number):
            await asyncio.sleep(number / ARRIVALS_PER_SECOND)
            outcomes.append(await session(lab, f"a{number}", f"b{number}"))

        await asyncio.gather(*(one(number) for number in range(pairs)))

    _, invalid = simulate(
        network, scenario, {}, run_seed=1, trial_key="", deadline=86_400, event_budget=1 << 40
    )
    assert not invalid
    assert sum(map(bool, outcomes)) >= pairs * 0.9
    return outcomes


def run_aioice(pairs):
    """Run aioice between the hosts of so many pairs; return the types of candidate selected."""

    async def session(lab, a, b):
        hosts = [lab.simulated.host(name) for name in (a, b)]
        server = lab.simulated.host("relay").addresses[0]
        sides = [Side(server, controlling=controlling) for controlling in (True, False)]
        programs = [
            host.start(side.run(other))
            for host, side, other in zip(hosts, sides, reversed(sides), strict=True)
        ]
        return (await asyncio.gather(*programs))[0]

    return run_world(pairs, session, role="host")


def run_calls(pairs, *, hold="0s"):
    """Make so many calls; return whether each was connected."""

    async def session(lab, a, b):
        return (await lab.call(a, b, hold=hold)).connected

    return run_world(pairs, session, role="endpoint")


WORKLOADS = {"aioice": run_aioice, "call": run_calls}


def cpu_seconds(work):
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def recorded_codec_calls(work):
    """Return every call of aioice's codec that some work makes, ready to be made again."""
    calls, originals = [], {}

    def recording(name, function):
        def record(*arguments):
            if name == "__bytes__":
                message = arguments[0]
                fresh = stun.Message(
                    message.message_method,
                    message.message_class,
                    message.transaction_id,
                    dict(message.attributes),
                )
                calls.append((function, (fresh,)))
            else:
                calls.append((function, arguments))
            return function(*arguments)

        return record

    places = [(stun.Message, "__bytes__"), (stun, "message_integrity"), (stun, "parse_message")]
    for place, name in places:
        originals[place, name] = getattr(place, name)
        setattr(place, name, recording(name, originals[place, name]))
    try:
        work()
    finally:
        for (place, name), original in originals.items():
            setattr(place, name, original)
    return calls


def replay(calls):
    for function, arguments in calls:
        try:  # noqa: SIM105 - a context manager a call would be measured with it
            function(*arguments)
        except ValueError:
            pass  # media is no STUN message, and aioice finds out by trying


@pytest.mark.benchmark(group="sessions")
@pytest.mark.parametrize("together", [50, 1_000], ids="in worlds of {}".format)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_thousand_mixed_sessions_at_one_percent_loss(benchmark, workload, together):
    run = WORKLOADS[workload]
    run(50)  # imports, caches and the first keys are not part of a session

    def all_of_them():
        with rare_garbage_collection():  # as in the processes that run a run's trials
            for _ in range(SESSIONS // together):
                run(together)

    seconds = []
    benchmark.pedantic(lambda: seconds.append(cpu_seconds(all_of_them)), rounds=3)
    calls = recorded_codec_calls(partial(run, 200))
    codec = min(cpu_seconds(lambda: replay(calls)) for _ in range(3)) / 200
    session = min(seconds) / SESSIONS
    benchmark.extra_info |= {
        "cpu_ms_per_session": round(session * 1e3, 2),
        "sessions_per_second_and_core": round(1 / session),
        "codec_alone_cpu_ms_per_session": round(codec * 1e3, 2),
        "ratio_to_codec_alone": round(session / codec, 1),
    }


_ALIVE = """
import sys
sys.path.insert(0, {here!r})
from test_sessions import peak_kilobytes, run_calls
run_calls(10)
before = peak_kilobytes()
run_calls({pairs}, hold="{hold}s")
print(before, peak_kilobytes())
"""


def peak_kilobytes():
    """Return this process's own peak: getrusage's begins with that of the parent which forked it."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1])


@pytest.mark.benchmark(group="sessions")
@pytest.mark.parametrize("pairs", [1_000, 4_000])
def test_sessions_alive_at_once_and_the_memory_of_each(benchmark, pairs):
    """All calls stay up, with consent checks and refreshes, until a minute after the last one began."""
    hold = pairs / ARRIVALS_PER_SECOND + 60
    code = _ALIVE.format(here=str(HERE), pairs=pairs, hold=hold)

    def run():
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    before, after = map(int, benchmark.pedantic(run, rounds=1).split())
    benchmark.extra_info["kilobytes_per_live_session"] = round((after - before) / pairs)
    benchmark.extra_info["peak_megabytes"] = round(after / 1024)

"""Calls a second and core: mixed NATs, 1 % loss, TURN on, signalling over TCP, media both ways.

CPU time, not wall time: the machine may be shared. The codec's part is measured in the same run: the STUN
messages that aioice built, signed and parsed are built, signed and parsed again, alone.
"""

import asyncio
import gc
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aioice import stun

from lab.sim.lab import simulate
from lab.spec.find import load_topology

HERE = Path(__file__).parent
ARRIVALS_PER_SECOND = 50


def run_sessions(pairs, *, hold=0.0):
    """Run so many calls in one world, 50 a second; return what became of them."""
    network = load_topology(str(HERE / "many_homes.py"), {"pairs": pairs})
    records = []

    async def scenario(lab):
        async def one(number):
            await asyncio.sleep(number / ARRIVALS_PER_SECOND)
            records.append(await lab.call(f"a{number}", f"b{number}", hold=hold))

        await asyncio.gather(*(one(number) for number in range(pairs)))

    _, invalid = simulate(
        network, scenario, {}, run_seed=1, trial_key="", deadline=86_400, event_budget=1 << 40
    )
    assert not invalid
    # A registration that is lost is repeated after a second: a call made meanwhile finds nobody.
    assert sum(record.connected for record in records) >= pairs * 0.9
    return records


def cpu_seconds(work):
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def recorded_codec_calls(pairs):
    """Return every call of aioice's codec that so many sessions make, ready to be made again."""
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
        run_sessions(pairs)
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
def test_a_thousand_mixed_sessions_at_one_percent_loss(benchmark):
    pairs = 1_000
    run_sessions(50)  # imports, caches and the first keys are not part of a session
    seconds = []
    benchmark.pedantic(lambda: seconds.append(cpu_seconds(lambda: run_sessions(pairs))), rounds=3)
    calls = recorded_codec_calls(200)
    codec = min(cpu_seconds(lambda: replay(calls)) for _ in range(3)) / 200
    session = min(seconds) / pairs
    benchmark.extra_info |= {
        "cpu_ms_per_session": round(session * 1e3, 2),
        "sessions_per_second_and_core": round(1 / session),
        "codec_alone_cpu_ms_per_session": round(codec * 1e3, 2),
        "ratio_to_codec_alone": round(session / codec, 1),
    }


_ALIVE = """
import sys
sys.path.insert(0, {here!r})
from test_sessions import peak_kilobytes, run_sessions
run_sessions(10)
before = peak_kilobytes()
run_sessions({pairs}, hold={hold})
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

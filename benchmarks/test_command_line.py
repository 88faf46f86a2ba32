"""How long the command line takes to say what it can do; the goal is 150 ms, most of it for Python itself."""

import subprocess
import sys
import time

import pytest

HELP = (sys.executable, "-m", "lab.cli", "--help")
BARE = (sys.executable, "-c", "pass")


def wall_seconds(command):
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


@pytest.mark.benchmark(group="command line")
def test_help_beside_python_alone(benchmark):
    benchmark.pedantic(lambda: subprocess.run(HELP, stdout=subprocess.DEVNULL, check=True), rounds=20)
    bare = min(wall_seconds(BARE) for _ in range(20))
    ours = min(wall_seconds(HELP) for _ in range(20))
    benchmark.extra_info |= {
        "help_milliseconds": round(ours * 1e3, 1),
        "python_alone_milliseconds": round(bare * 1e3, 1),
        "ratio": round(ours / bare, 1),
    }

"""One real call, traced once: Alice behind a symmetric NAT, Bob behind a port-restricted one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli.main import run_command_line
from lab.run.plan import plan_run
from lab.run.replay import Replay, trace_trial

# The browser and made-up runs are modules beside the tests, which importlib's mode does not find by itself.
sys.path.append(str(Path(__file__).parent))

SCENARIO = str(Path(__file__).with_name("offset_call.py"))


def traced(alice_nat: str, bob_nat: str, start_offset: float = 0.0) -> Replay:
    values = {"alice_nat": [alice_nat], "bob_nat": [bob_nat], "start_offset": [start_offset]}
    return trace_trial(plan_run(SCENARIO, seed=1, repeat=1, overrides=values).trials[0])


@pytest.fixture(scope="package")
def relayed_call() -> Replay:
    return traced("symmetric", "port-restricted")


@pytest.fixture(scope="package")
def hasty_call() -> Replay:
    """Return a call that was relayed although a direct path was possible: one side began 200 ms later."""
    return traced("eim-adf", "eim-adf", 0.2)


@pytest.fixture(scope="package")
def direct_call() -> Replay:
    return traced("full-cone", "full-cone")


def stored(base: Path, *arguments: str) -> Path:
    """Run a scenario and return the directory of the run."""
    run_command_line(["run", *arguments, "--results", str(base)])
    (path,) = base.iterdir()
    return path


@pytest.fixture(scope="package")
def failing_run(tmp_path_factory) -> Path:
    """Return a run of 36 calls with failing, inconclusive and passing verdicts, and a warning."""
    return stored(tmp_path_factory.mktemp("failing"), str(Path(__file__).with_name("failing_calls.yaml")))


@pytest.fixture(scope="package")
def browser() -> Iterator[object]:
    """Chromium, with one page."""
    from browser import Browser  # noqa: PLC0415 - beside this file: see above

    chromium = Browser()
    yield chromium
    chromium.close()

"""One real call, traced once: Alice behind a symmetric NAT, Bob behind a port-restricted one."""

from pathlib import Path

import pytest

from lab.run.plan import plan_run
from lab.run.replay import Replay, trace_trial

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

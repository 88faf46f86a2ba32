"""One real call, traced once: Alice behind a symmetric NAT, Bob behind a port-restricted one."""

import pytest

from lab.run.plan import plan_run
from lab.run.replay import Replay, trace_trial


def traced(alice_nat: str, bob_nat: str) -> Replay:
    values = {"alice_nat": [alice_nat], "bob_nat": [bob_nat]}
    return trace_trial(plan_run("nat_matrix", seed=1, repeat=1, overrides=values).trials[0])


@pytest.fixture(scope="package")
def relayed_call() -> Replay:
    return traced("symmetric", "port-restricted")

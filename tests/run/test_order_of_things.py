"""What happens in a trial does not hang on what else ran, was made or was asked for in the same process."""

import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from lab.run.trial import run_trial
from lab.sim.lab import simulate
from lab.spec.find import load_topology
from lab.spec.trial import Trial

ONE_CALL = str(Path(__file__).with_name("one_call.py"))
OVER_TLS = "over TLS"
NETWORKS = {
    "reflexive": ("two_homes", {}),
    "relayed, with losses": ("two_homes", {"alice_nat": "symmetric", "alice_loss": "5%"}),
    OVER_TLS: ("two_homes", {"alice_nat": "tcp-443-only"}),
    "by name": ("two_homes", {"with_dns": True, "bob_loss": "2%"}),
    "several addresses": ("multihomed", {}),
    "both families": ("dual_stack", {}),
    "one box": ("same_nat", {}),
}

_IN_ANOTHER_PROCESS = """
import hashlib, json, sys
from lab.run.trial import run_trial
from lab.spec.trial import Trial
for record in json.loads(sys.argv[1]):
    result = run_trial(Trial(**record))
    print(hashlib.sha256(result.events.encode()).hexdigest(), hashlib.sha256(result.pcapng).hexdigest())
"""


def record_of(kind):
    topology, parameters = NETWORKS[kind]
    # OpenSSL's bytes have no seed, so what TLS carries is left out of the comparison of captures.
    return {
        "scenario": ONE_CALL,
        "topology": topology,
        "parameters": parameters,
        "run_seed": 5,
        "capture": kind != OVER_TLS,
    }


def digest_here(kind):
    """Return digests of a trial's events and of its capture, made in this process."""
    result = run_trial(Trial(**record_of(kind)))
    assert not result.invalid
    return " ".join(hashlib.sha256(made).hexdigest() for made in (result.events.encode(), result.pcapng))


def digests_elsewhere(kinds, hash_seed):
    done = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS, json.dumps([record_of(kind) for kind in kinds])],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(kinds, done.stdout.splitlines(), strict=True))


def test_trials_in_any_order_and_any_process_are_the_same_to_the_byte():
    """Nothing that a process keeps (certificates, caches, contexts, counters) reaches the trials after it."""
    kinds = list(NETWORKS)
    here = {kind: digest_here(kind) for kind in kinds}
    for hash_seed, order in enumerate((kinds[::-1], random.Random(1).sample(kinds, len(kinds)))):
        assert digests_elsewhere(order, hash_seed) == here
    assert {kind: digest_here(kind) for kind in reversed(kinds)} == here, "and once more, the other way round"


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_is_made_elsewhere_in_a_trial_does_not_move_a_call(kind):
    """Tasks and futures are numbered; an order that follows from such a number follows from all that ran.

    So did the order of aioice's candidates, which came out of a set: by these numbers, modulo eight.
    """
    topology, parameters = NETWORKS[kind]

    def lines(bystanders):
        async def scenario(lab):
            for _ in range(bystanders):
                lab.simulated.host("rendezvous").start(asyncio.sleep(3600))
            await lab.call("alice", "bob")

        events, invalid = simulate(
            load_topology(topology, parameters), scenario, {},
            run_seed=5, trial_key="trial", deadline=600.0, event_budget=1_000_000,
        )  # fmt: skip
        assert not invalid
        return [event.to_json("trial") for event in events[:-1]]  # the last one counts the turns of the loop

    alone = lines(0)
    assert len(alone) > 20
    for bystanders in (1, 3, 6):
        assert lines(bystanders) == alone

"""One seed, one run: events and captures are equal to the byte, whatever process they were made in."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.run.plan import plan_run
from lab.run.pool import run_trials
from lab.run.trial import run_trial
from lab.spec.seeds import derive_seed
from lab.spec.trial import Trial

ONE_CALL = str(Path(__file__).with_name("one_call.py"))

_DIGEST = """
import hashlib, json, sys
from lab.run.pool import run_trials
from lab.spec.trial import Trial
trials = [Trial(**record) for record in json.loads(sys.argv[1])]
results = dict(run_trials(trials, jobs=int(sys.argv[2])))
for position in range(len(trials)):
    result = results[position]
    print(hashlib.sha256(result.events.encode()).hexdigest(), hashlib.sha256(result.pcapng).hexdigest())
"""


def _trials(topology: str = "two_homes", **changes) -> list[Trial]:
    plan = plan_run(ONE_CALL, seed=7, repeat=2)
    kept = [replace(trial, topology=topology, capture=True, **changes) for trial in plan.trials]
    if topology != "two_homes":
        kept = [replace(trial, parameters={}) for trial in kept if trial.parameters == kept[0].parameters]
    return kept


def _digests(trials: list[Trial], *, jobs: int, hash_seed: int) -> list[str]:
    records = [
        {
            "scenario": t.scenario, "topology": t.topology, "parameters": dict(t.parameters),
            "repeat": t.repeat, "run_seed": t.run_seed, "capture": t.capture,
        }
        for t in trials
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _DIGEST, json.dumps(records), str(jobs)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("topology", ["two_homes", "multihomed"])
def test_events_and_captures_are_the_same_bytes_in_any_process(topology):
    """Other processes, other hash seeds, one job or two: nothing of it reaches the events or the capture.

    Calls over TURN/TLS are left out of the comparison of captures alone: OpenSSL's bytes are not seeded.
    """
    trials = _trials(topology)
    here = [
        f"{hashlib.sha256(r.events.encode()).hexdigest()} {hashlib.sha256(r.pcapng).hexdigest()}"
        for r in map(run_trial, trials)
    ]
    assert _digests(trials, jobs=1, hash_seed=0) == here
    assert _digests(trials, jobs=2, hash_seed=12345) == here


def test_another_seed_gives_other_events():
    trial = _trials()[0]
    assert run_trial(trial).events != run_trial(replace(trial, run_seed=8)).events


def test_repetitions_differ_although_they_share_the_run_seed():
    first, second = _trials()[:2]
    assert first.cell == second.cell
    assert run_trial(first).events.replace(first.key, "") != run_trial(second).events.replace(second.key, "")


def test_adding_a_cell_leaves_the_other_cells_as_they_were():
    """A trial's key is made of its content, never of its position in the plan."""
    small = plan_run(
        "nat_matrix", seed=7, repeat=1, overrides={"alice_nat": ["symmetric"], "bob_nat": ["none"]}
    )
    large = plan_run("nat_matrix", seed=7, repeat=1)
    assert small.trials[0] in large.trials
    assert len({trial.key for trial in large.trials}) == len(large.trials)


def test_a_result_does_not_depend_on_what_ran_before_it():
    first, *_, last = _trials()
    alone = run_trial(last).events
    run_trial(first)
    assert run_trial(last).events == alone


def test_results_come_back_for_every_trial_from_any_number_of_processes():
    trials = _trials()
    one, two = (dict(run_trials(trials, jobs=jobs)) for jobs in (1, 2))
    assert {p: r.events for p, r in one.items()} == {p: r.events for p, r in two.items()}
    assert sorted(one) == list(range(len(trials)))


def test_every_stream_has_its_own_seed():
    names = [
        (1, "t", "alice", "ice"),
        (1, "t", "alice", "ports"),
        (1, "t", "bob", "ice"),
        (2, "t", "alice", "ice"),
    ]
    seeds = {derive_seed(*name) for name in names}
    assert len(seeds) == len(names)
    # Names are joined unambiguously: a longer entity cannot pass for another purpose.
    assert derive_seed(1, "t", "ab", "c") != derive_seed(1, "t", "a", "bc")


def test_a_scenario_that_was_edited_runs_as_it_now_is(tmp_path):
    """A long-lived process (a test session, say) does not keep what a file said before."""
    file = tmp_path / "edited.py"
    found = []
    for number, packets in enumerate((3, 4)):
        file.write_text(
            "from lab.spec.command import MediaPlan\n"
            'TOPOLOGY = "two_homes"\n\n'
            "async def scenario(lab):\n"
            f'    await lab.call("alice", "bob", media=MediaPlan(packets={packets}))\n'
        )
        os.utime(file, ns=(number, number))
        (call,) = run_trial(plan_run(str(file), seed=1).trials[0]).calls
        found.append(call.caller.sent)
    assert found == [3, 4]


def test_faults_of_every_kind_are_the_same_in_any_process():
    """What is held of a paused program, and what dies with a killed one, has an order of its own, too."""
    path = str(Path(__file__).with_name("every_fault.yaml"))
    (trial,) = [replace(trial, capture=True) for trial in plan_run(path, seed=7).trials]
    result = run_trial(trial)
    assert not result.invalid
    digest = (
        f"{hashlib.sha256(result.events.encode()).hexdigest()} {hashlib.sha256(result.pcapng).hexdigest()}"
    )
    for seed in (0, 4711):
        assert _digests([trial], jobs=1, hash_seed=seed) == [digest]

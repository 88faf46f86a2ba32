"""How far apart the two sides may start their checks: no promise of a scenario hangs on a millisecond."""

import re
from functools import partial
from pathlib import Path

import pytest

from lab.measure.metrics import measure
from lab.measure.verdict import Outcome, TrialSamples, judge_run
from lab.measure.verdict_text import format_verdict
from lab.run.plan import plan_run
from lab.run.possible import possible_reach
from lab.run.trial import run_trial
from lab.spec.command import CandidatePolicy
from lab.spec.event import Event, PathClass

SCENARIOS = Path(__file__).parents[2] / "scenarios"
OFFSET = re.compile(r"start_offset: (-\d+)ms")
ANSWER_TRAVELS = 0.030
BOX_TO_BOX = 0.020
"""Seconds from one home's box to the other's, in two_homes."""


@pytest.mark.parametrize("later", [-0.025, -0.019, -0.005, 0.005, 0.019, 0.025])
def test_two_port_restricted_boxes_are_punched_when_both_start_within_a_packets_travel_time(play, later):
    """Some more, and the first check comes to a closed filter, and the relay answers before the next one."""

    async def call(lab):
        await lab.call("alice", "bob", start_offset=f"{later - ANSWER_TRAVELS}s")

    both_direct = abs(later) < BOX_TO_BOX
    assert (play("two_homes", call).call.path is not PathClass.RELAY) is both_direct


def test_without_a_relay_the_same_two_boxes_are_punched_however_far_apart_the_sides_start(play):
    """The dropped check is repeated: the path is there, and only one that answers sooner beats it."""

    async def call(lab):
        await lab.call("alice", "bob", start_offset="300ms", policy=CandidatePolicy(candidates="no-relay"))

    assert play("two_homes", call).call.path.is_direct


def verdicts_of(path):
    plan = plan_run(path, seed=1, repeat=1)
    requests = sorted({expectation.request for expectation in plan.expectations})
    samples = []
    for trial in plan.trials:
        result = run_trial(trial)
        events = [Event.from_json(line)[1] for line in result.events.splitlines()]
        measured = measure(events, requests, partial(possible_reach, trial))
        samples.append(TrialSamples(cell=dict(trial.cell), samples=measured, invalid=result.invalid))
    return judge_run(plan.expectations, samples, run_seed=1)


@pytest.mark.parametrize("shift", [-5, 5])
@pytest.mark.parametrize("name", ["double_nat", "hairpin", "stun_alone", "two_phones"])
def test_what_a_scenario_promises_holds_when_a_side_starts_some_milliseconds_off(name, shift, tmp_path):
    """As jitter on the way of the answer would have it."""
    text = (SCENARIOS / f"{name}.yaml").read_text()
    shifted = tmp_path / f"{name}.yaml"
    shifted.write_text(OFFSET.sub(lambda found: f"start_offset: {int(found[1]) + shift}ms", text))
    assert shifted.read_text() != text
    wrong = [v for v in verdicts_of(str(shifted)) if v.outcome is not Outcome.PASS]
    assert not wrong, "\n".join(map(format_verdict, wrong))

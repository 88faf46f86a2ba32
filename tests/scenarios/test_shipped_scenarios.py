"""Every scenario that ships holds: what it says must hold is measured and judged here."""

from functools import partial
from pathlib import Path

import pytest

from lab.measure.metrics import measure
from lab.measure.verdict import Outcome, TrialSamples, judge_run
from lab.measure.verdict_text import format_verdict
from lab.run.plan import plan_run
from lab.run.possible import possible_reach
from lab.run.trial import run_trial
from lab.spec.event import Event
from lab.spec.scenario_file import parse_scenario

SCENARIOS = [
    path
    for path in sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
    if "sim" in parse_scenario(path.read_bytes(), path).spec.worlds
]


def samples_of(trial, plan):
    """Return what a trial contributes; what a population draws makes no cell of its own."""
    result = run_trial(trial)
    events = [Event.from_json(line)[1] for line in result.events.splitlines()]
    requests = {expectation.request for expectation in plan.expectations}
    cell = {name: value for name, value in trial.cell.items() if name not in plan.population}
    samples = measure(events, requests, partial(possible_reach, trial))
    return TrialSamples(cell=cell, samples=samples, invalid=result.invalid)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_a_shipped_scenario_promises_holds(path, record_property):
    """Which rows of the requirements it shows, the scenario itself says."""
    plan = plan_run(str(path), seed=1, repeat=1)
    if plan.population:
        plan = plan_run(str(path), seed=1, repeat=100)
    verdicts = judge_run(plan.expectations, [samples_of(trial, plan) for trial in plan.trials], run_seed=1)
    assert len({str(v.expectation) for v in verdicts}) == len({str(e) for e in plan.expectations})
    wrong = [format_verdict(verdict) for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    assert not wrong, "\n".join(wrong)
    for row in parse_scenario(path.read_bytes(), path).spec.requirements:
        record_property("requirement", row)

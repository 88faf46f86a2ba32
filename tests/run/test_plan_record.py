"""What a manifest holds of a plan is the plan: read back, it runs the same trials and judges them alike."""

import datetime as dt
from pathlib import Path

import pytest

from lab.results.manifest import make_manifest, plan_hash
from lab.results.run_directory import RunDirectory
from lab.results.stored_run import read_run
from lab.run.plan import Captured, plan_run
from lab.run.plan_record import keep_inputs, plan_record, stored_plan
from lab.run.trial import run_trial
from lab.spec.scenario_file import parse_scenario

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("[a-z]*.*"))


def kept(plan, folder):
    """Write what `run` writes before its first trial; return the plan that it runs, and the directory."""
    started = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    run = RunDirectory.create(folder, scenario=plan.name, plan_hash=plan_hash(plan.trials), started=started)
    plan, inputs = keep_inputs(plan, run)
    run.write_manifest(
        make_manifest(
            scenario=plan.path,
            trials=plan.trials,
            started=started,
            argv=[],
            boxes=[],
            world=plan.world,
            asked=plan_record(plan),
            inputs=inputs,
        )
    )
    run.close()
    return plan, run.path


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_every_shipped_scenario_is_planned_the_same_from_its_manifest(tmp_path, path):
    worlds = parse_scenario(path.read_bytes(), path).spec.worlds if path.suffix == ".yaml" else ("sim",)
    plan, folder = kept(plan_run(str(path), seed=11, repeat=2, world=worlds[0]), tmp_path)
    again = stored_plan(read_run(folder))
    assert again.trials == plan.trials
    assert again.expectations == plan.expectations
    assert again.not_judged == plan.not_judged
    assert plan_record(again) == plan_record(plan)


@pytest.mark.parametrize("captured", Captured)
def test_so_is_one_that_was_narrowed_and_captured(tmp_path, captured):
    narrow = {"alice_nat": ["symmetric"], "bob_nat": ["none", "cgn"]}
    plan = plan_run("nat_matrix", seed=3, repeat=1, overrides=narrow).capturing(captured)
    assert plan.not_judged, "or the test shows less than it says"
    plan, folder = kept(plan, tmp_path)
    again = stored_plan(read_run(folder))
    assert again.trials == plan.trials
    assert again.not_judged == plan.not_judged
    assert again.captured is captured


def test_a_trial_from_the_copies_is_the_trial_from_the_files(tmp_path, monkeypatch):
    original = plan_run("nat_matrix", seed=3, repeat=1)
    _, folder = kept(original, tmp_path)
    monkeypatch.chdir(tmp_path)
    again = stored_plan(read_run(folder))
    assert again.trials[17].key == original.trials[17].key
    assert run_trial(again.trials[17]).events == run_trial(original.trials[17]).events
    assert sorted(path.name for path in (folder / "inputs").rglob("*.*")) == [
        "nat_matrix.yaml",
        "two_homes.py",
    ]

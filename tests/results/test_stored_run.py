"""A run directory read back: found by name, refused when damaged or of another version."""

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.results.finding import find_run
from lab.results.manifest import make_manifest
from lab.results.run_directory import RunDirectory
from lab.results.selection import choose_trial
from lab.results.stored_run import open_run
from lab.run.plan import plan_run
from lab.run.trial import run_trial

SCENARIO = str(Path(__file__).parents[1] / "report" / "offset_call.py")
SETTINGS = {"alice_nat": ["full-cone", "symmetric", "udp-blocked"], "bob_nat": ["symmetric", "udp-blocked"]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the directory of a run of six cells, twice each, of which the last trial was not finished."""
    plan = plan_run(SCENARIO, seed=3, repeat=2, overrides=SETTINGS)
    started = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    base = tmp_path_factory.mktemp("results")
    run = RunDirectory.create(base, scenario=plan.name, plan_hash="0123abcd" * 8, started=started)
    run.write_manifest(
        make_manifest(scenario=plan.path, trials=plan.trials, started=started, argv=[], boxes=[])
    )
    for position, trial in enumerate(plan.trials[:-1]):
        run.write_trial(position, trial.key, run_trial(trial).events)
    return run.path


@pytest.fixture
def own(kept, tmp_path):
    """Return a copy that a test may damage."""
    return shutil.copytree(kept, tmp_path / kept.name)


def change_manifest(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))


def test_a_run_is_found_by_path_by_the_beginning_of_its_name_and_as_the_latest(kept):
    for name in (str(kept), "20260102", kept.name, "latest"):
        assert find_run(name, kept.parent) == kept


def test_latest_is_the_one_started_last(kept, tmp_path):
    for name in ("20260102T000000Z-a-01234567", "20260103T000000Z-b-01234567", "baselines"):
        (tmp_path / name).mkdir()
    assert find_run("latest", tmp_path).name == "20260103T000000Z-b-01234567"


def test_of_two_runs_of_one_second_the_later_one_is_the_latest(tmp_path):
    for name, started in (("b", "2026-01-02T00:00:00.100000"), ("a", "2026-01-02T00:00:00.700000")):
        path = tmp_path / f"20260102T000000Z-{name}-01234567"
        path.mkdir()
        (path / "manifest.json").write_text(json.dumps({"started": started}))
    (tmp_path / "20260102T000000Z-c-01234567").mkdir()
    assert find_run("latest", tmp_path).name == "20260102T000000Z-a-01234567"


def test_an_unknown_and_an_ambiguous_name_are_told_with_the_names_there_are(tmp_path):
    for name in ("20260102T000000Z-a-01234567", "20260102T000000Z-b-01234567"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=r"2 runs begin so: .*-a-.*-b-"):
        find_run("20260102", tmp_path)
    with pytest.raises(UsageError, match=r'"latest"(.|\n)*-a-'):
        find_run("20250102T000000Z-a-01234567", tmp_path)
    with pytest.raises(UsageError, match="no run under"):
        find_run("latest", tmp_path / "empty")


@pytest.mark.parametrize(
    ("content", "because"),
    [
        ("{", "damaged"),
        ("[]", "not an object"),
        ('{"schema": 1', "damaged"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(own, content, because):
    (own / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match=because):
        open_run(own)


@pytest.mark.parametrize(
    "changes",
    [{"trials": None}, {"trials": [{}]}, {"trials": ["x"]}, {"seed": "one"}],
    ids=["none", "empty", "text", "seed"],
)
def test_a_manifest_that_lacks_something_is_damaged(own, changes):
    change_manifest(own, **changes)
    with pytest.raises(UsageError, match=r"manifest\.json: damaged"):
        open_run(own)


def test_a_directory_without_manifest_is_no_run(tmp_path):
    with pytest.raises(UsageError, match="not a run directory"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"schema": 0}, "manifest schema 0; this is"),
        ({"schema": 99}, "manifest schema 99; this is"),
        ({"callpath": "0.0.0"}, "callpath 0.0.0; this is"),
        ({"libraries": {"aioice": "0.1"}}, "aioice 0.1; this is"),
        ({"world": "emu"}, "world emu; this is sim\n  only what ran in virtual time"),
        ({"libraries": 3}, "aioice None; this is"),
    ],
    ids=["older", "newer", "callpath", "aioice", "world", "no-libraries"],
)
def test_a_run_of_other_versions_is_refused_with_both(own, changes, because):
    change_manifest(own, **changes)
    with pytest.raises(UsageError, match=because):
        open_run(own)


def test_a_trial_is_chosen_by_key_by_cell_and_by_call(kept):
    run = open_run(kept)
    trial = run.trials[3]
    assert choose_trial(run, trial.key[:6]) == (trial, "")
    assert choose_trial(run, f"{trial.key}/call-1") == (trial, "call-1")
    first_repetition = run.trials[2]
    assert choose_trial(run, trial.cell_text) == (first_repetition, "")
    assert choose_trial(run, f"{trial.cell_text}/call-1") == (first_repetition, "call-1")


def test_by_default_the_first_relayed_trial_is_meant(kept):
    run = open_run(kept)
    chosen, call = choose_trial(run, "")
    before = run.trials[: chosen.position]
    assert {c.path.value for c in run.calls_in(chosen)} == {"relay"}
    assert before
    assert not any(c.path.value in {"relay", "none"} for trial in before for c in run.calls_in(trial))
    assert call == ""


def test_a_trial_without_a_path_is_meant_before_any_relayed_one(own):
    run = open_run(own)
    silent = run.trials[-2]
    lines = run.events_of(silent).splitlines(keepends=True)
    run.shard(silent).write_text("".join(line for line in lines if '"ice.connected"' not in line))
    assert choose_trial(run, "") == (silent, "")


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("alice_nat=symetric,bob_nat=symmetric", "never is 'symetric'\n  did you mean \"symmetric\""),
        ("alice=symmetric", "no parameter 'alice'\n  did you mean \"alice_nat\""),
        ("alice_nat=symmetric", "2 cells fit(.|\n)*add bob_nat=, one of symmetric, udp-blocked"),
        ("alice_nat=,bob_nat", "not NAME=VALUE(.|\n)*not NAME=VALUE"),
        ("call-9", 'no such call(.|\n)*did you mean "call-1"'),
        ("alice_nat=symmetric,bob_nat=symmetric/call-9", "no such call"),
        ("ffffffffffffffff/call-1", "no trial has a key"),
    ],
)
def test_what_fits_nothing_or_too_much_is_told_with_what_would_do(kept, text, because):
    with pytest.raises(UsageError, match=because):
        choose_trial(open_run(kept), text)


def test_a_trial_that_was_not_finished_has_no_events(kept):
    run = open_run(kept)
    with pytest.raises(UsageError, match="the run ended before it"):
        run.events_of(run.trials[-1])


def test_a_shard_that_is_no_event_is_damaged(own):
    run = open_run(own)
    run.shard(run.trials[0]).write_text('{"type":"call.started"\n')
    with pytest.raises(UsageError, match="damaged"):
        run.calls_in(run.trials[0])


def test_a_run_without_a_finished_trial_has_none_to_tell_of(own):
    run = open_run(own)
    for shard in (own / "trials").iterdir():
        shard.unlink()
    with pytest.raises(UsageError, match="no trial of this run was finished"):
        choose_trial(run, "")

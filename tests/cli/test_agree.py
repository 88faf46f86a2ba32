"""`callpath agree` on stored runs: which it takes, what it ends with. tests/emu has both worlds."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lab.cli.main import run_command_line
from lab.emu.doctor import Diagnosis

SCENARIO = """
callpath: 1
name: calls
topology: two_homes
vary:
  alice_nat: [full-cone, symmetric]
  bob_nat: [port-restricted]
repeat: 2
calls: {from: alice, to: bob, start_offset: -30ms}
expect:
  - {metric: ice.connected, rate: "== 100%", why: there is a relay}
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a directory with a run, and the same as if the kernel had come to exactly that."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("scenarios").mkdir()
        Path("scenarios/calls.yaml").write_text(SCENARIO)
        assert run_command_line(["run", "calls", "--jobs", "1"]) == 0
    (made,) = (folder / "results").glob("20*")
    made.rename(folder / "sim")
    shutil.copytree(folder / "sim", folder / "kernel")
    manifest = json.loads((folder / "kernel/manifest.json").read_text())
    (folder / "kernel/manifest.json").write_text(json.dumps(manifest | {"world": "emu", "nat_plane": "nft"}))
    return folder


@pytest.fixture
def here(kept, tmp_path, callpath):
    """Return a copy of that directory, which is the working directory."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return tmp_path


def change_table(column, value, *, nat="symmetric"):
    """Let the kernel's calls from behind a NAT have another value."""
    file = "kernel/trials.parquet"
    frame = pq.read_table(file).to_pandas()
    frame.loc[frame["alice_nat"] == nat, column] = value
    frame.to_parquet(file)


def agree(callpath, *options):
    return callpath("agree", "./sim", "./kernel", *options)


def test_runs_that_came_to_the_same_agree(here, callpath):
    done = agree(callpath)
    assert (done.code, done.err) == (0, "")
    assert "kernel  kernel/   NAT plane nft" in done.out
    assert "all 2 cells agree: possible, validated and selected classes" in done.out
    assert "cell by cell +0 to +0 ms" in done.out


def test_the_runs_may_be_named_in_either_order(here, callpath):
    assert callpath("agree", "./kernel", "./sim").out == agree(callpath).out


@pytest.mark.parametrize(("column", "value"), [("path", "host"), ("validated", "none"), ("possible", "none")])
def test_a_class_that_differs_without_a_known_cause_ends_with_1(column, value, here, callpath):
    change_table(column, value)
    done = agree(callpath)
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if line.startswith("alice_nat=")]
    assert line.startswith("alice_nat=symmetric  ")
    assert f"→ {value} 2" in line
    assert "1 of 2 cells agree; 1 disagree" in done.out


def test_times_differ_and_nothing_is_made_of_it(here, callpath):
    change_table("setup_time", 7.0)
    done = agree(callpath, "--times")
    assert done.code == 0
    assert "set-up times in ms, virtual time and kernel:" in done.out
    assert " 7000 " in done.out


def test_an_invalid_trial_ends_with_3(here, callpath):
    change_table("invalid", "the machine stalled")
    done = agree(callpath)
    assert done.code == 3
    assert "alice_nat=symmetric  2 of 2 trials invalid in the kernel" in done.out


def test_the_document_has_every_cell_with_its_times(here, callpath):
    change_table("path", "host")
    done = agree(callpath, "--json")
    found = json.loads(done.out)
    assert done.code == 1
    assert (found["sim"], found["emu"], found["outcome"]) == ("sim", "kernel", "disagree")
    assert [(c["outcome"], len(c["setup_times"])) for c in found["cells"]] == [("agree", 1), ("disagree", 1)]
    (one,) = found["cells"][1]["disagreements"]
    assert (one["about"], one["kernel"], one["explained_by"]) == ("selected", {"host": 2}, "")


# Refused


def test_two_runs_of_one_world_are_refused(here, callpath):
    done = callpath("agree", "./sim", "./sim")
    assert done.code == 2
    assert "runs of sim and sim" in done.err
    assert "callpath compare takes any two runs" in done.err


def test_options_of_a_scenario_are_refused_with_stored_runs(here, callpath):
    done = agree(callpath, "--repeat", "2", "--set", "alice_nat=none")
    assert done.code == 2
    assert "--repeat: says how a scenario is run" in done.err
    assert "--set: says how a scenario is run" in done.err


def test_what_the_environment_says_of_runs_is_no_matter_to_stored_ones(here, callpath, monkeypatch):
    monkeypatch.setenv("CALLPATH_REPEAT", "5")
    assert agree(callpath).code == 0


@pytest.mark.parametrize("file", ["manifest.json", "trials.parquet", "result.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_run_is_named(file, content, here, callpath):
    Path("kernel", file).write_text(content)
    done = agree(callpath)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_run_of_another_scenario_is_refused(here, callpath):
    text = SCENARIO.replace("name: calls", "name: meetings").replace("[full-cone, symmetric]", "[cgn]")
    Path("scenarios/meetings.yaml").write_text(text)
    assert callpath("run", "meetings", "--jobs", "1").code == 0
    done = callpath("agree", "latest", "./kernel")
    assert done.code == 2
    assert "calls" in done.err
    assert "meetings" in done.err


def test_a_run_whose_events_were_changed_is_refused(here, callpath):
    events = Path("kernel/events.jsonl")
    events.write_bytes(events.read_bytes()[:-700])
    done = agree(callpath)
    assert done.code == 2
    assert "kernel" in done.err


def test_a_machine_without_the_kernel_world_is_told_before_anything_is_run(here, callpath, monkeypatch):
    class NotReady:
        """A machine that has nothing."""

        ready = False
        missing = ()

    assert {"ready", "missing"} <= set(dir(Diagnosis))
    monkeypatch.setattr("lab.run.worlds.examine", NotReady)
    done = callpath("agree", "calls")
    assert done.code == 4
    assert "cannot run the kernel world" in done.err
    assert not list(Path("results").glob("*"))


def test_a_scenario_that_is_none_is_refused(here, callpath, monkeypatch):
    monkeypatch.setattr("lab.cli.agree.KERNEL", "sim")  # the machine is no matter to this
    done = callpath("agree", "cals")
    assert done.code == 2
    assert "cals" in done.err

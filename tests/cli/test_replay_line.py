"""The command that runs one trial again: pasted into a shell it gives the same events, byte for byte."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli.main import run_command_line
from lab.run.plan import plan_run
from lab.run.replay_line import replay_line, scenario_argument
from lab.run.trial import run_trial

ODD = {
    "name": ["it's", 'a "b"', "$HOME `id` \\", "a,b", "5", "", " x ", "--trial", "é\n"],
    "number": [5, 5.5, True, None, [1, 2], {"a": {"b": 1}, "c": 2}],
}
SETTINGS = f"""
TOPOLOGY = "two_homes"
VARY = {ODD!r}

async def scenario(lab):
    await lab.call("alice", "bob")
"""
POPULATION = """\
callpath: 1
topology: two_homes
population: {alice_nat: {port-restricted: 1, symmetric: 1, cgn: 1}}
parameters: {bob_nat: "symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}"}
repeat: 5
calls: {from: alice, to: bob}
"""


def events_of_the_only_run(results):
    (run,) = results.iterdir()
    return (run / "events.jsonl").read_bytes()


def paste(callpath, line, results):
    """Return the events of what a pasted line runs."""
    program, *arguments = shlex.split(line)
    assert program == "callpath"
    done = callpath(*arguments, "--results", results)
    assert done.code == 0, done.err
    return events_of_the_only_run(results)


def assert_same(callpath, trial, results):
    assert paste(callpath, replay_line(trial), results) == run_trial(trial).events.encode(), replay_line(
        trial
    )


def test_a_cell_and_a_repetition_of_a_scenario_that_ships(callpath, tmp_path):
    nats = ["symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}", "cgn"]
    plan = plan_run("nat_matrix", seed=7, repeat=3, overrides={"alice_nat": nats, "bob_nat": nats})
    trial = plan.trials[5]
    assert trial.repeat == 2
    line = replay_line(trial)
    assert line.startswith("callpath run nat_matrix --seed 7 ")
    assert "--set 'bob_nat=symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}'" in line or (
        "--set 'alice_nat=symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}'" in line
    )
    assert_same(callpath, trial, tmp_path / "again")


def test_a_member_of_a_population_is_given_and_not_drawn_again(callpath, tmp_path):
    (tmp_path / "mix.yaml").write_text(POPULATION)
    trials = plan_run("./mix.yaml", seed=-3).trials
    assert len({trial.parameters["alice_nat"] for trial in trials}) > 1
    for trial in trials[::2]:
        assert_same(callpath, trial, tmp_path / trial.key)


@pytest.mark.parametrize("name", ODD)
def test_values_of_any_type_with_any_sign_in_them(callpath, tmp_path, name):
    (tmp_path / "odd one's.py").write_text(SETTINGS)
    for number in range(len(ODD[name])):
        values = {other: list(values[:1]) for other, values in ODD.items()} | {name: [ODD[name][number]]}
        (trial,) = plan_run("./odd one's.py", seed=1, overrides=values).trials
        assert_same(callpath, trial, tmp_path / trial.key)


def test_it_is_right_for_a_real_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd one's.py").write_text(SETTINGS)
    values = {"name": ['$HOME `id` \\ it\'s "q"'], "number": [{"a": {"b": 1}, "c": 2}]}
    (trial,) = plan_run("./odd one's.py", seed=1, overrides=values).trials
    callpath = f'callpath() {{ {shlex.quote(sys.executable)} -m lab.cli "$@"; }}'
    subprocess.run(["sh", "-c", f"{callpath}; {replay_line(trial)}"], check=True, capture_output=True)
    assert events_of_the_only_run(tmp_path / "results") == run_trial(trial).events.encode()


def test_a_scenario_is_named_so_that_it_is_found_again(callpath, tmp_path):
    own = tmp_path / "scenarios" / "nat_matrix.yaml"
    own.parent.mkdir()
    own.write_text(POPULATION)
    shipped = Path(__file__).parents[2] / "scenarios" / "nat_matrix.yaml"
    assert scenario_argument(str(own)) == "nat_matrix"
    assert scenario_argument(str(shipped)) == str(shipped), "a file of the user's hides it"
    (tmp_path / "mine.yaml").write_text(POPULATION)
    assert scenario_argument(str(tmp_path / "mine.yaml")) == "./mine.yaml"


# --trial


def test_one_trial_of_a_plan(callpath, tmp_path):
    trials = plan_run("nat_matrix", seed=1, repeat=2, overrides={"alice_nat": ["none"]}).trials
    wanted = trials[3]
    done = callpath(
        "run", "nat_matrix", "--repeat", "2", "--set", "alice_nat=none", "--trial", wanted.key[:8]
    )
    assert done.code == 0
    assert "1 trials in" in done.out
    assert events_of_the_only_run(tmp_path / "results") == run_trial(wanted).events.encode()


def test_what_is_expected_of_other_cells_is_not_judged(callpath):
    trial = plan_run("nat_matrix", seed=1, repeat=1).trials[0]
    done = callpath("run", "nat_matrix", "--repeat", "1", "--trial", trial.key)
    assert done.code == 0
    assert "expectations are about cells that --set or --trial left out" in done.out


def test_a_key_of_no_trial_selects_nothing(callpath):
    done = callpath("run", "nat_matrix", "--repeat", "1", "--trial", "nothex", "--trial", "zz")
    assert done.code == 5
    assert "--trial nothex: none of the" in done.err
    assert "--trial zz: none of the" in done.err


def test_the_beginning_of_several_keys_is_refused(callpath):
    trials = plan_run("nat_matrix", seed=1, repeat=1).trials
    first = [trial.key[0] for trial in trials]
    common = next(digit for digit in first if first.count(digit) > 1)
    done = callpath("run", "nat_matrix", "--repeat", "1", "--trial", common)
    assert done.code == 2
    assert "trials have keys that begin so" in done.err


def test_a_changed_plan_is_told_not_run():
    assert run_command_line(["run", "nat_matrix", "--set", "alice_nat=cgn", "--trial", "000000000000"]) == 5

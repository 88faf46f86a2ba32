"""`callpath compare`: what changed from one stored run to another, and what is not compared."""

import json
import shutil
from pathlib import Path

import pytest

from lab.cli.main import run_command_line

SCENARIO = """
callpath: 1
name: {name}
topology: {topology}
vary:
  alice_nat: [{alice}]
  bob_nat: [port-restricted, symmetric]
parameters: {{alice_delay: {delay}}}
repeat: {repeat}
calls: {{from: alice, to: bob, start_offset: -30ms}}
expect:
  - {{metric: ice.connected, rate: "== 100%", why: there is a relay}}
  - {{metric: ice.setup_time, p50: "< 450ms", when: {{bob_nat: port-restricted}}, why: people wait}}
"""


def write_scenario(
    name="calls", *, delay="10ms", repeat=1, alice="full-cone, symmetric", topology="two_homes"
):
    """Write a scenario below the working directory."""
    Path("scenarios").mkdir(exist_ok=True)
    text = SCENARIO.format(name=name, delay=delay, repeat=repeat, alice=alice, topology=topology)
    Path("scenarios", f"{name}.yaml").write_text(text)


def add_run(name, scenario="calls", *arguments):
    """Run a scenario and put the run where ``name`` says."""
    code = run_command_line(["run", scenario, "--jobs", "1", "--results", f"{name}-results", *arguments])
    (made,) = Path(f"{name}-results").glob("20*")
    made.rename(name)
    return code


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a directory with runs: before, again, another seed, a far Alice, and another scenario."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_scenario()
        assert add_run("before") == 0
        assert add_run("again") == 0
        assert add_run("seeded", "calls", "--seed", "2") == 0
        assert add_run("wider", "calls", "--set", "alice_nat=full-cone,cgn") == 0
        write_scenario(delay="90ms")
        assert add_run("far") == 1
        write_scenario("meetings")
        assert add_run("other", "meetings") == 0
        write_scenario("disjoint", alice="cgn, restricted")
        assert add_run("disjoint", "disjoint") == 0
    return folder


@pytest.fixture
def here(kept, tmp_path, callpath):
    """Return a copy of that directory, which is the working directory."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return tmp_path


def compare(callpath, one, other, *options):
    return callpath("compare", f"./{one}", f"./{other}", *options)


def document(callpath, one, other, *options):
    return json.loads(compare(callpath, one, other, "--json", *options).out)


@pytest.mark.parametrize("run", ["before", "again"])
def test_of_equal_runs_nothing_is_told(run, here, callpath):
    done = compare(callpath, "before", run)
    assert done.code == 0
    assert done.out.splitlines() == [
        "4 cells compared by counts: the same trials with the same seed",
        "",
        "nothing changed",
    ]
    found = document(callpath, "before", run)
    assert (found["outcome"], found["compared"]) == ("unchanged", 4)
    assert not any(found[key] for key in ("changed", "in_doubt", "cells", "verdicts", "settings", "only_now"))


def test_another_seed_is_told_as_a_setting_and_chance_is_not_told_as_a_change(here, callpath):
    done = compare(callpath, "before", "seeded")
    assert done.code == 0
    assert "  seed: 1 → 2\n" in done.out
    assert "Newcombe" in done.out
    assert "changed," not in done.out


def test_a_parameter_and_the_verdicts_that_it_flips_are_told(here, callpath):
    done = compare(callpath, "before", "far")
    assert done.code == 0, "to say what must not change is for a baseline"
    assert "  alice_delay: 10ms → 90ms\n" in done.out
    assert (
        "  ice.setup_time p50 < 450ms  [alice_nat=full-cone,bob_nat=port-restricted]  pass → fail"
        "  (other numbers were drawn: it may be chance)\n"
    ) in done.out
    flips = document(callpath, "before", "far")["verdicts"]
    assert {flip["cell"]["alice_nat"] for flip in flips} == {"full-cone", "symmetric"}


def test_set_up_times_of_the_same_draws_are_told_as_they_moved(here, callpath):
    """The same parameters, another topology behind their names: here a relay further away."""
    shipped = Path(__file__).parents[2] / "topologies" / "two_homes.py"
    Path("topologies").mkdir()
    for name, delay in (("near", "5ms"), ("off", "6ms")):
        text = shipped.read_text().replace('relay_delay: str = "5ms"', f'relay_delay: str = "{delay}"')
        Path("topologies/two_homes.py").write_text(text)
        write_scenario()
        assert add_run(name) == 0
    assert "nothing changed" in compare(callpath, "before", "near").out
    done = compare(callpath, "near", "off")
    assert "set-up times:\n  alice_nat=full-cone,bob_nat=port-restricted\n      p50  " in done.out
    assert "n = 1) → " in done.out
    found = document(callpath, "near", "off")
    assert len(found["cells"]) == 4
    assert all(move["after"] > move["before"] for cell in found["cells"] for move in cell["setup_times"])


def test_cells_of_one_side_are_listed_and_shared_ones_compared(here, callpath):
    done = compare(callpath, "before", "wider")
    assert "only before, 2 cells:\n  alice_nat=symmetric,bob_nat=port-restricted\n" in done.out
    assert "only now, 2 cells:\n  alice_nat=cgn,bob_nat=port-restricted\n" in done.out
    assert "NAT models: full-cone, port-restricted, symmetric → cgn, full-cone, port-restricted" in done.out
    assert "2 cells compared by counts" in done.out


def test_a_nat_with_other_settings_is_told_by_the_setting(here, callpath):
    manifest = json.loads(Path("again/manifest.json").read_text())
    for box in manifest["nat_boxes"]:
        if box["model"]["name"] == "symmetric":
            box["model"]["lifetimes"]["udp"] = 30.0
    Path("again/manifest.json").write_text(json.dumps(manifest | {"callpath": "0.0.9"}))
    done = compare(callpath, "before", "again")
    assert done.code == 0, "a run of another version is compared; only a replay needs the same"
    assert "  NAT symmetric: lifetimes.udp: 300.0 → 30.0\n" in done.out
    assert "  callpath: " in done.out


# Refused


def test_different_scenarios_are_refused_with_both_names_and_compared_anyway(here, callpath):
    done = compare(callpath, "before", "other")
    assert done.code == 2
    assert "calls and meetings: the runs are of different scenarios" in done.err
    assert "4 of 4 and 4 cells have the same values: --anyway compares them" in done.err
    done = compare(callpath, "before", "other", "--anyway")
    assert done.code == 0
    assert "  scenario: calls → meetings\n" in done.out


def test_runs_without_a_cell_in_common_are_refused_even_then(here, callpath):
    for options in ((), ("--anyway",)):
        done = compare(callpath, "before", "disjoint", *options)
        assert done.code == 2
        assert "calls and disjoint" in done.err
        assert "no cell is in both runs (alice_nat, bob_nat varies)" in done.err


@pytest.mark.parametrize("file", ["manifest.json", "trials.parquet", "result.json"])
@pytest.mark.parametrize("content", [None, "", "[]", "{}", "\x00" * 9])
def test_a_damaged_run_is_named_on_either_side(file, content, here, callpath):
    if content is None:
        Path("again", file).unlink()
    else:
        Path("again", file).write_text(content)
    for sides in (("before", "again"), ("again", "before")):
        done = compare(callpath, *sides)
        assert done.code == 2
        assert f"again/{file}" in done.err
        assert "Traceback" not in done.err


def test_an_older_run_is_named_with_its_schema(here, callpath):
    manifest = json.loads(Path("again/manifest.json").read_text())
    Path("again/manifest.json").write_text(json.dumps(manifest | {"schema": 1}))
    done = compare(callpath, "before", "again")
    assert (done.code, "again/manifest.json: written with manifest schema 1" in done.err) == (2, True)


def test_a_run_that_was_killed_is_told_to_be_finished_first(here, callpath):
    Path("again/trials.parquet").unlink()
    done = compare(callpath, "before", "again")
    assert (done.code, "callpath resume" in done.err) == (2, True)


def test_rows_of_trials_that_the_manifest_does_not_have_are_damage(here, callpath):
    shutil.copy("disjoint/trials.parquet", "again/trials.parquet")
    done = compare(callpath, "before", "again")
    assert done.code == 2
    assert "is none of the manifest's" in done.err

"""`callpath check`, `ls`, `schema`, and `run` of a scenario in YAML."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MINE = """\
callpath: 1
description: A call of my own.
topology: two_homes
vary: {alice_nat: [none, symmetric]}
population: {bob_nat: {full-cone: 3, cgn: 1}}
repeat: 4
calls: {from: alice, to: bob}
expect:
  - {metric: ice.connected, rate: "== 100%"}
  - metric: path.direct
    rate: "== 100%"
    when: {alice_nat: none}
    why: nothing is in the way
    severity: warning
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "scenarios").mkdir()
    path = tmp_path / "scenarios" / "mine.yaml"
    path.write_text(MINE)
    return path


def test_check_says_what_would_run_and_runs_nothing(callpath, mine, tmp_path):
    done = callpath("check", "mine")
    assert done.code == 0, done.err
    first, cells, *rest = done.out.splitlines()
    assert first == "mine: 8 trials on two_homes"
    assert "network" in cells
    assert rest == [
        "  alice_nat: none, symmetric",
        "  bob_nat: drawn from full-cone, cgn",
        "  must hold: ice.connected rate == 100%",
        "  should hold, else a warning: path.direct rate == 100% where alice_nat is none",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["scenarios"]


def test_check_takes_the_same_options_as_run(callpath, mine):
    done = callpath("check", "mine", "--repeat", "2", "--set", "alice_nat=cgn,none,pf")
    assert done.out.startswith("mine: 6 trials on two_homes\n")
    done = callpath("check", "mine", "--set", "alice_nat=cgn")
    assert done.out.endswith(
        "  not judged with these values: path.direct rate == 100% where alice_nat is none\n"
    )


def test_check_tells_a_value_that_a_topology_refuses_in_combination_only(callpath, mine):
    mine.write_text(
        "callpath: 1\ntopology: cgn\ncalls: {from: alice, to: bob}\n"
        'vary: {one_carrier: [false, true], bob_cgn: ["", cgn]}\n'
    )
    done = callpath("check", "mine")
    assert done.code == 2
    assert "one_carrier puts Bob behind alice_cgn" in done.err


def test_check_tells_every_mistake_with_its_line(callpath, mine):
    mine.write_text(MINE.replace("repeat", "repaet").replace("to: bob", "to: bbo"))
    done = callpath("check", "mine")
    assert done.code == 2
    assert done.out == ""
    caret = "    6 | repaet: 4\n      | ^^^^^^\n"
    assert f"scenarios/mine.yaml:6:1: unknown key 'repaet'\n{caret}  did you mean \"repeat\"?" in done.err
    assert "scenarios/mine.yaml:7:26: no endpoint 'bbo' in two_homes" in done.err


def test_a_scenario_in_yaml_is_run_with_drawn_parameters_in_its_table(callpath, mine, tmp_path):
    done = callpath("run", "mine", "--jobs", "1")
    assert done.code == 0, done.err
    (run,) = (tmp_path / "results").iterdir()
    trials = json.loads((run / "manifest.json").read_text())["trials"]
    assert len(trials) == 8
    assert {trial["parameters"]["bob_nat"] for trial in trials} <= {"full-cone", "cgn"}


def test_ls_lists_what_there_is_with_what_it_says_of_itself(callpath, mine):
    done = callpath("ls")
    assert done.code == 0
    assert "scenarios:\n" in done.out
    for words in ("mine ", "A call of my own.", "nat_matrix ", "two_homes ", "port-restricted "):
        assert words in done.out


def test_ls_of_one_kind(callpath):
    done = callpath("ls", "topologies")
    assert done.out.startswith("topologies:\n")
    assert "scenarios:" not in done.out


def test_ls_names_a_file_that_cannot_be_read_and_lists_the_others(callpath, mine):
    mine.write_text("[broken")
    done = callpath("ls", "scenarios")
    assert done.code == 0
    assert "(cannot be read:" in done.out
    assert "nat_matrix" in done.out


def test_schema_prints_what_is_committed(callpath):
    done = callpath("schema")
    assert done.code == 0
    assert done.out == (ROOT / "docs" / "schema" / "scenario.schema.json").read_text()

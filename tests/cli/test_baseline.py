"""`callpath baseline set` and `check`: what is kept, what is told as changed, and what cannot be told."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli.main import run_command_line

SCENARIO = """
callpath: 1
name: pairs
topology: topologies/pairs.py
vary:
  alice_nat: [full-cone, symmetric]
  bob_nat: [port-restricted, symmetric]
repeat: {repeat}
calls: {{from: alice, to: bob, start_offset: -30ms}}
expect:
  - {{metric: ice.connected, rate: "== 100%", why: there is a relay}}
  - {{metric: ice.setup_time, p50: "< 300ms", when: {{alice_nat: full-cone}}, why: people wait}}
"""
ROOT = Path(__file__).parents[2]
TOPOLOGY = (ROOT / "topologies" / "two_homes.py").read_text(encoding="utf-8")
CELLS = [
    f"alice_nat={a},bob_nat={b}" for a in ("full-cone", "symmetric") for b in ("port-restricted", "symmetric")
]


def write_scenario(folder=".", *, repeat=2, topology=TOPOLOGY, name="pairs"):
    """Write the scenario and its topology below a folder."""
    for kind in ("scenarios", "topologies"):
        Path(folder, kind).mkdir(parents=True, exist_ok=True)
    text = SCENARIO.format(repeat=repeat).replace("name: pairs", f"name: {name}")
    Path(folder, "scenarios", f"{name}.yaml").write_text(text)
    Path(folder, "topologies", "pairs.py").write_text(topology)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return a directory with the scenario, a run of it with seed 5, and the baseline of that run."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_scenario()
        assert run_command_line(["run", "pairs", "--seed", "5", "--jobs", "1"]) == 0
        assert run_command_line(["baseline", "set", "latest"]) == 0
    return folder


@pytest.fixture
def here(kept, tmp_path, callpath):
    """Return a copy of that directory, which is the working directory."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return tmp_path


def baseline_file(folder=".", name="pairs"):
    return Path(folder, "results", "baselines", name, "baseline.json")


def changed_in(done):
    return [line.strip() for line in done.out.splitlines() if line.strip() in CELLS]


def slower(**delays):
    """Return the topology with other delays than the scenario's trials say."""
    text = TOPOLOGY
    for side, delay in delays.items():
        text = text.replace(f'{side}_delay: str = "10ms"', f'{side}_delay: str = "{delay}"')
    return text


# Unchanged


def test_a_scenario_is_run_as_its_baseline_was_and_nothing_changed(here, callpath):
    """One command, without its seed: what CI calls."""
    done = callpath("baseline", "check", "pairs", "--exact", "--jobs", "1")
    assert (done.code, done.out.splitlines()[-1]) == (0, "unchanged"), done.out + done.err
    assert "4 cells compared by counts: the same trials with the same seed" in done.out
    assert "every event is the same in 8 trials" in done.out
    assert "trials in" in done.err
    assert "trials in" not in done.out
    newest = max((here / "results").glob("20*"), key=lambda path: path.stat().st_mtime)
    manifest = json.loads((newest / "manifest.json").read_text())
    assert (manifest["seed"], len(manifest["trials"])) == (5, 8)


def test_another_process_with_other_hashes_and_several_workers_comes_to_the_same_events(here):
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lab.cli", "baseline", "check", "pairs", "--exact", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every event is the same in 8 trials" in done.stdout


def test_values_in_place_of_the_scenarios_own_are_part_of_the_baseline(here, callpath):
    narrow = ("--set", "alice_nat=cgn", "--set", "relay_delay=7ms", "--repeat", "1")
    assert callpath("run", "pairs", *narrow).code == 0
    assert callpath("baseline", "set", "latest", "narrow").code == 0
    assert json.loads(baseline_file(name="narrow").read_text())["set"] == {
        "alice_nat": ["cgn"],
        "relay_delay": ["7ms"],
    }
    done = callpath("baseline", "check", "pairs", "narrow", "--exact")
    assert done.code == 0, done.out + done.err
    assert "2 cells" in done.out


def test_equal_runs_make_equal_files(here, callpath):
    before = {path.name: path.read_bytes() for path in baseline_file().parent.iterdir()}
    assert callpath("run", "pairs", "--seed", "5").code == 0
    assert callpath("baseline", "set", "latest").code == 0
    assert {path.name: path.read_bytes() for path in baseline_file().parent.iterdir()} == before


def test_without_events_it_is_smaller_and_still_says_which_trial_differs(here, callpath):
    assert callpath("baseline", "set", "latest", "--without-events").code == 0
    assert [path.name for path in baseline_file().parent.iterdir()] == ["baseline.json"]
    assert callpath("baseline", "check", "pairs", "--exact").code == 0
    write_scenario(topology=slower(alice="11ms"))
    done = callpath("baseline", "check", "pairs", "--exact")
    assert done.code == 1
    assert "events differ in 8 of 8 trials" in done.out
    assert "of no trial that differs has the baseline the events" in done.out


# Changed


def test_a_cell_whose_path_changed_is_told_and_no_other(here, callpath):
    """Bob's symmetric NAT becomes a full cone: with that a punched hole is possible again."""
    nat = 'nat="full-cone" if bob_nat == "symmetric" else bob_nat'
    write_scenario(topology=TOPOLOGY.replace("nat=bob_nat", nat))
    done = callpath("baseline", "check", "pairs")
    assert done.code == 1
    assert done.out.splitlines()[-1] == "changed"
    assert changed_in(done) == [
        "alice_nat=full-cone,bob_nat=symmetric",
        "alice_nat=symmetric,bob_nat=symmetric",
    ]
    assert "possible  relay 2 → direct 2" in done.out
    assert "NAT models: full-cone, port-restricted, symmetric" not in done.out
    document = json.loads(callpath("baseline", "check", "latest", "--exact", "--json").out)
    assert document["outcome"] == "changed"
    assert len(document["exact"]["differing"]) == 4, "where the other NAT stands"
    assert document["exact"]["first"]["cell"] == {"alice_nat": "full-cone", "bob_nat": "symmetric"}
    assert [tuple(cell.values()) for cell in document["changed"]] == [
        ("full-cone", "symmetric"),
        ("symmetric", "symmetric"),
    ]


def test_the_first_event_that_differs_is_shown_with_time_and_both_sides(here, callpath):
    before = json.loads(baseline_file().read_text())["trials"][0]
    write_scenario(topology=slower(bob="25ms"))
    done = callpath("baseline", "check", "pairs", "--exact")
    assert done.code == 1
    newest = max((here / "results").glob("20*"), key=lambda path: path.stat().st_mtime)
    runs = [path for path in (here / "results").glob("20*") if path != newest]
    sides = [
        [line for line in (run / "events.jsonl").read_text().splitlines() if before["key"] in line]
        for run in (runs[0], newest)
    ]
    number = next(n for n, (old, new) in enumerate(zip(*sides, strict=False)) if old != new)
    assert f"trial {before['key']}" in done.out
    assert f"first event that differs: number {number + 1}, at " in done.out
    old, new = (json.loads(side[number]) for side in sides)
    shown = done.out.splitlines()
    assert any(line.startswith(f"  - {old['t']:g} s"[:8]) and old["type"] in line for line in shown)
    assert any(line.startswith("  + ") and new["type"] in line for line in shown)
    document = json.loads(callpath("baseline", "check", "latest", "--exact", "--json").out)
    assert document["exact"]["first"]["index"] == number
    assert document["exact"]["first"]["baseline"] == sides[0][number]
    assert document["exact"]["first"]["now"] == sides[1][number]


def test_times_that_moved_are_told_and_do_not_count_unless_a_verdict_flips(here, callpath):
    write_scenario(topology=slower(alice="10500us"))
    done = callpath("baseline", "check", "pairs")
    assert done.code == 0
    assert "set-up times moved in 4 cells" in done.out
    write_scenario(topology=slower(alice="90ms"))
    done = callpath("baseline", "check", "pairs")
    assert (done.code, changed_in(done)) == (1, [])
    assert "ice.setup_time p50 < 300ms  [alice_nat=full-cone,bob_nat=symmetric]  pass → fail" in done.out


def test_a_new_cell_is_told_and_is_no_change(here, callpath):
    text = Path("scenarios/pairs.yaml").read_text()
    Path("scenarios/pairs.yaml").write_text(
        text.replace("[full-cone, symmetric]", "[full-cone, symmetric, cgn]")
    )
    done = callpath("baseline", "check", "pairs", "--exact")
    assert done.code == 0, done.out
    assert "only now, 2 cells" in done.out
    assert "4 trials now: not in the baseline" in done.out


# What cannot be told


def test_a_run_that_was_interrupted_is_inconclusive_and_makes_no_baseline(here, callpath, monkeypatch):
    from lab.run import pool  # noqa: PLC0415 - what it imports is slow, and only this test needs it

    calls, run_trial = [], pool.run_trial

    def until_the_sixth(trial, **options):
        calls.append(trial)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return run_trial(trial, **options)

    monkeypatch.setattr(pool, "run_trial", until_the_sixth)
    assert callpath("run", "pairs", "--seed", "5", "--jobs", "1").code == 130
    done = callpath("baseline", "check", "latest", "--exact")
    assert (done.code, done.out.splitlines()[-1]) == (3, "inconclusive")
    assert "1 of 2 trials is missing (now)" in done.out
    assert "3 trials of the baseline: no events now" in done.out
    done = callpath("baseline", "set", "latest")
    assert done.code == 2
    assert "3 of 8 trials were not finished" in done.err
    assert "callpath resume" in done.err


def test_a_run_with_an_invalid_trial_makes_no_baseline(here, callpath):
    text = Path("scenarios/pairs.yaml").read_text()
    Path("scenarios/pairs.yaml").write_text(f"{text}event_budget: 30\n")
    assert callpath("run", "pairs", "--jobs", "1").code == 3
    done = callpath("baseline", "set", "latest", "short")
    assert done.code == 2
    assert "8 trials are invalid" in done.err


def test_another_seed_is_compared_by_shares_and_the_text_says_so(here, callpath):
    assert callpath("run", "pairs", "--seed", "6").code == 0
    done = callpath("baseline", "check", "latest")
    assert done.code == 0, done.out
    assert "seed: 5 → 6" in done.out
    assert "Newcombe's" in done.out
    done = callpath("baseline", "check", "latest", "--exact")
    assert done.code == 2
    assert "seed 6, and baseline pairs has seed 5" in done.err
    assert "--seed 5" in done.err


def test_cells_that_are_missing_leave_it_inconclusive(here, callpath):
    assert callpath("run", "pairs", "--seed", "5", "--set", "alice_nat=symmetric").code == 0
    done = callpath("baseline", "check", "latest")
    assert done.code == 3
    assert "only before, 2 cells" in done.out


def test_a_population_whose_mix_changed_is_told_beyond_chance(here, callpath):
    """Its repetitions meet other NATs, so no trial is the same; the shares are, or are not."""
    text = SCENARIO.format(repeat=70).partition("expect:")[0].replace("pairs", "mix", 1)
    start, end = text.index("vary:"), text.index("repeat:")
    for name, symmetric in (("mix", 10), ("alike", 11), ("worse", 80)):
        mix = f"{{symmetric: {symmetric}, full-cone: 60}}"
        population = f"population: {{alice_nat: {mix}, bob_nat: {mix}}}\n"
        Path("scenarios/mix.yaml").write_text(text[:start] + population + text[end:])
        assert callpath("run", "mix", "--results", name).code == 0
        assert callpath("baseline", "set", "latest", "--results", name).code == 0
    codes = {}
    for name in ("alike", "worse"):
        (run,) = Path(name).glob("20*")
        done = callpath("baseline", "check", f"./{run}", "--results", "mix")
        codes[name] = done.code
        assert "1 cell compared by shares" in done.out
    assert codes == {"alike": 0, "worse": 1}
    assert "possible  direct" in done.out
    assert "                relay " in done.out


def test_fewer_repetitions_are_not_every_event_of_the_baseline(here, callpath):
    """No share differs, and yet half of what is to be the same event by event is not there."""
    assert callpath("run", "pairs", "--seed", "5", "--repeat", "1").code == 0
    assert callpath("baseline", "check", "latest").code == 0
    done = callpath("baseline", "check", "latest", "--exact")
    assert (done.code, "4 trials of the baseline: no events now" in done.out) == (3, True)
    assert "every event is the same in 4 trials" in done.out


def test_a_baseline_of_the_kernel_world_is_checked_there(here, callpath, monkeypatch):
    from lab.errors import HostNotReady  # noqa: PLC0415 - as above
    from lab.run import worlds  # noqa: PLC0415

    def only_virtual_time(world):
        if world != "sim":
            raise HostNotReady(f"no {world} here")

    monkeypatch.setattr(worlds, "require_world", only_virtual_time)
    text = baseline_file().read_text()
    assert '"world": "sim"' in text
    baseline_file().write_text(text.replace('"world": "sim"', '"world": "emu"'))
    done = callpath("baseline", "check", "pairs")
    assert (done.code, "no emu here" in done.err) == (4, True)
    done = callpath("baseline", "check", "latest")
    assert done.code == 0, "a run of virtual time is compared with it, as a sample"
    assert "world: emu → sim" in done.out
    assert "compared by shares" in done.out


# Wrong names


def test_what_is_neither_a_run_nor_a_scenario_is_told_with_both_lists(here, callpath):
    done = callpath("baseline", "check", "pears")
    assert done.code == 2
    assert 'did you mean "pairs"?' in done.err
    assert "neither a run nor a scenario" in done.err


def test_a_baseline_that_is_not_there_is_told_with_those_that_are(here, callpath):
    done = callpath("baseline", "check", "latest", "pears")
    assert done.code == 2
    assert 'did you mean "pairs"?' in done.err
    shutil.rmtree("results/baselines")
    done = callpath("baseline", "check", "latest")
    assert "callpath baseline set RUN makes one" in done.err


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".hidden", "", " ", "x" * 101, "a\nb"])
def test_a_name_that_would_lead_elsewhere_is_refused(name, here, callpath):
    before = sorted(Path().rglob("*"))
    done = callpath("baseline", "set", "latest", name)
    if name:
        assert done.code == 2
        assert "is no name of a baseline" in done.err
    else:
        assert done.code == 0, "the scenario's own"
    assert sorted(Path().rglob("*")) == before


def test_a_run_of_another_scenario_is_refused_with_both_names(here, callpath):
    write_scenario(name="others")
    assert callpath("run", "others", "--seed", "5", "--jobs", "1").code == 0
    done = callpath("baseline", "check", "latest", "pairs")
    assert done.code == 2
    assert "pairs and others: the runs are of different scenarios" in done.err
    done = callpath("baseline", "set", "latest", "pairs")
    assert done.code == 2
    assert "is a baseline of scenario pairs, and this run is of others" in done.err


def test_a_scenario_that_changed_since_its_run_makes_no_baseline(here, callpath):
    assert callpath("run", "pairs").code == 0
    text = Path("scenarios/pairs.yaml").read_text()
    Path("scenarios/pairs.yaml").write_text(
        text.replace("topology:", "parameters: {relay_delay: 9ms}\ntopology:")
    )
    done = callpath("baseline", "set", "latest")
    assert done.code == 2
    assert "does not plan the trials of this run" in done.err


# Damage


@pytest.mark.parametrize(
    ("content", "because"),
    [
        ("", "damaged"),
        ("[]", "damaged: not an object"),
        ("{}", "damaged: no baseline schema"),
        ('{"schema": 0}', "an older callpath wrote it"),
        ('{"schema": 2}', "a newer callpath wrote it"),
        ('{"schema": 1}', "damaged: KeyError: 'facts'"),
        ("[" * 100_000, "damaged"),
        ('{"schema": 1, "cells": "x"}', "damaged"),
        (
            '{"schema": 1, "scenario": "x", "facts": {"world": "moon"}}',
            "damaged: ValueError: 'moon' is no world",
        ),
        ("\x00", "damaged"),
    ],
)
def test_a_damaged_baseline_is_told_by_its_file(content, because, here, callpath):
    baseline_file().write_text(content)
    done = callpath("baseline", "check", "latest")
    assert done.code == 2
    assert because in done.err
    assert "baseline.json" in done.err


def test_events_that_do_not_belong_to_the_baseline_are_refused_where_they_are_needed(here, callpath):
    write_scenario(topology=slower(alice="11ms"))
    assert callpath("run", "pairs", "--seed", "5", "--jobs", "1").code == 0
    events = baseline_file().with_name("events.jsonl.gz")
    content = events.read_bytes()
    for damaged in (content[:-20], content[:100] + b"xxxx" + content[104:], b"", gzip.compress(b"{}\n" * 9)):
        events.write_bytes(damaged)
        done = callpath("baseline", "check", "latest", "--exact")
        assert (done.code, "not the file that the baseline was written with" in done.err) == (2, True)
        assert callpath("baseline", "check", "latest").code == 0
    events.unlink()
    done = callpath("baseline", "check", "latest", "--exact")
    assert (done.code, "no such file" in done.err) == (2, True)


@pytest.mark.parametrize("file", ["manifest.json", "trials.parquet", "result.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"PAR1" * 3])
def test_a_damaged_run_is_told_by_its_file(file, content, here, callpath):
    (run,) = (here / "results").glob("20*")
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_bytes(content)
    for command in (("baseline", "check"), ("baseline", "set")):
        done = callpath(*command, str(run))
        assert done.code == 2
        assert file in done.err


def test_a_run_of_an_older_schema_is_told_so(here, callpath):
    (run,) = (here / "results").glob("20*")
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"schema": 1}))
    done = callpath("baseline", "check", run.name)
    assert done.code == 2
    assert "written with manifest schema 1" in done.err

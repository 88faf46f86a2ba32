"""`callpath run`: what its options and its environment change, and what a run leaves that a fault ended."""

import errno
import importlib
import json
import re
import shlex

import pytest

MINE = """\
callpath: 1
topology: two_homes
vary: {alice_nat: [none, symmetric], bob_nat: [symmetric]}
population: {relay_delay: {5ms: 1, 30ms: 1}}
repeat: 3
calls: {from: alice, to: bob}
expect:
  - {metric: ice.connected, rate: "== 100%"}
  - {metric: path.direct, rate: "== 100%", when: {alice_nat: none}}
"""


@pytest.fixture
def run(callpath, tmp_path):
    """Run a scenario of six trials, with options."""
    (tmp_path / "mine.yaml").write_text(MINE)
    return lambda *options: callpath("run", "./mine.yaml", *options)


def test_a_dry_run_says_what_would_run_and_leaves_nothing(run, callpath, tmp_path):
    done = run("--dry-run")
    assert done.code == 0
    assert done.err == ""
    assert done.out == callpath("check", "./mine.yaml").out
    assert done.out.startswith("mine: 6 trials on two_homes\n  2 cells, ")
    assert "  relay_delay: drawn from 5ms, 30ms\n" in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_dry_run_as_json_has_the_key_of_every_trial(run, tmp_path):
    plan = json.loads(run("--dry-run", "--json", "--repeat", "2").out)
    assert (plan["cells"], plan["population"], len(plan["trials"])) == (2, ["relay_delay"], 4)
    assert plan["expect"][1] == "path.direct rate == 100% where alice_nat is none"
    key = plan["trials"][3]["key"]
    one = json.loads(run("--trial", key, "--repeat", "2", "--json").out)
    assert one["done"] == 1
    assert key in (next((tmp_path / "results").iterdir()) / "events.jsonl").read_text()


def test_a_dry_run_tells_a_value_that_a_topology_refuses(run):
    done = run("--dry-run", "--set", "alice_nat=symetric")
    assert done.code == 2
    assert "no NAT preset 'symetric'" in done.err


def test_with_json_standard_output_is_one_document_and_words_are_on_standard_error(run, tmp_path):
    done = run("--json")
    assert done.code == 0
    result = json.loads(done.out)
    (folder,) = (tmp_path / "results").iterdir()
    stored = json.loads((folder / "result.json").read_text())
    assert result == {"run": f"results/{folder.name}", **stored}
    assert (result["ok"], result["outcome"], len(result["verdicts"])) == (True, "pass", 3)
    assert "3 of 3 verdicts: pass" in done.err
    assert "6 trials in" in done.err


def test_a_world_that_cannot_run_trials_is_the_hosts_fault_and_leaves_nothing(run, tmp_path, monkeypatch):
    """As where the kernel makes no namespaces for this user."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "unshare").write_text("#!/bin/sh\necho 'unshare failed: not permitted' >&2\nexit 1\n")
    (tmp_path / "bin" / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    for options in (["--world", "emu"], []):
        done = run(*options)
        assert done.code == 4
        assert "--world sim" in done.err
        assert "unshare failed: not permitted" in done.err
        monkeypatch.setenv("CALLPATH_WORLD", "emu")
    assert not (tmp_path / "results").exists()
    assert run("--world", "sim").code == 0, "an option counts before the environment"


def test_the_environment_gives_what_no_option_does(run, tmp_path, monkeypatch):
    for name, value in {"SEED": "9", "REPEAT": "2", "JOBS": "1", "RESULTS": str(tmp_path / "own")}.items():
        monkeypatch.setenv(f"CALLPATH_{name}", value)
    assert run().code == 0
    (folder,) = (tmp_path / "own").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["seed"], len(manifest["trials"])) == (9, 4)
    monkeypatch.setenv("CALLPATH_REPEAT", "many")
    done = run()
    assert done.code == 2
    assert re.search(r"'--repeat' \(env var: 'CALLPATH_REPEAT'\): 'many' is not a valid integer", done.err)


def test_a_run_in_which_nothing_was_measured_is_inconclusive(callpath, tmp_path):
    (tmp_path / "idle.py").write_text('TOPOLOGY = "two_homes"\n\nasync def scenario(lab):\n    pass\n')
    done = callpath("run", "./idle.py", "--json")
    assert done.code == 3
    result = json.loads(done.out)
    assert (result["ok"], result["outcome"]) == (False, "inconclusive")
    assert result["reason"] == "nothing was measured: no call was made, and nothing is expected"
    assert "1 trials, inconclusive: nothing was measured" in callpath("resume", "latest").out
    assert callpath("resume", "latest").code == 3


def failing(monkeypatch, name, error, *, after=0):
    """Let a function fail from its call number ``after`` on."""
    module, _, attribute = name.rpartition(".")
    calls = []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) > after:
            raise error
        return original(*arguments, **options)

    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        owner = getattr(importlib.import_module(module.rpartition(".")[0]), module.rpartition(".")[2])
    original = getattr(owner, attribute)
    monkeypatch.setattr(owner, attribute, fail)


@pytest.mark.parametrize(
    ("place", "error", "after", "code", "reason"),
    [
        (
            "lab.results.stored_events.EventsPlace.copy_to",
            OSError(errno.ENOSPC, "No space left on device"),
            0,
            4,
            "events.jsonl: cannot be written (No space left on device)",
        ),
        ("lab.run.pool.run_trial", ZeroDivisionError("x"), 2, 70, "internal error: ZeroDivisionError: x"),
        ("lab.results.table.table_of", MemoryError(), 0, 70, "internal error: MemoryError: "),
        ("lab.report.plots.plot_matrix", KeyError("path"), 0, 70, "internal error: KeyError: 'path'"),
        (
            "lab.results.run_directory.RunDirectory.write_trial",
            OSError(errno.ENOSPC, "No space left on device"),
            3,
            4,
            "No space left on device",
        ),
    ],
)
def test_a_run_that_a_fault_ended_keeps_what_it_had_says_why_and_is_resumed(
    run, callpath, monkeypatch, tmp_path, place, error, after, code, reason
):
    (tmp_path / "mine.yaml").write_text(MINE + "matrix: [alice_nat, bob_nat]\n")
    with monkeypatch.context() as patched:
        failing(patched, place, error, after=after)
        done = callpath("run", "./mine.yaml", "--jobs", "1")
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    (folder,) = (tmp_path / "results").iterdir()
    assert f"callpath resume results/{folder.name} goes on with it\n" in done.err
    result = json.loads((folder / "result.json").read_text())
    assert result["ok"] is False
    assert reason in result["reason"]
    assert result["done"] == (after or 6)
    shown = callpath("show", "latest")
    assert shown.code == 0
    assert reason in shown.out
    resumed = callpath("resume", "latest")
    assert resumed.code == 0, resumed.err
    assert "6 trials, " in resumed.out
    assert json.loads((folder / "result.json").read_text())["ok"] is True


def test_the_line_that_goes_on_with_a_run_can_be_pasted_whatever_its_path(run, callpath, monkeypatch):
    with monkeypatch.context() as patched:
        failing(patched, "lab.run.pool.run_trial", ZeroDivisionError("x"), after=1)
        done = run("--jobs", "1", "--results", "my results")
    (line,) = re.findall(r"; (callpath resume .*) goes on with it$", done.err, re.MULTILINE)
    assert callpath(*shlex.split(line)[1:]).code == 0


def test_a_scenario_that_raises_in_a_later_trial_keeps_those_before_and_is_not_to_be_resumed(
    callpath, tmp_path
):
    (tmp_path / "mine.py").write_text(
        'TOPOLOGY = "two_homes"\nVARY = {"mine": [1, 2, 3]}\n\nasync def scenario(lab):\n'
        '    await lab.call("alice", "bob")\n    1 / (3 - lab.parameters["mine"])\n'
    )
    done = callpath("run", "./mine.py", "--jobs", "1")
    assert done.code == 2
    assert "mine.py:6: ZeroDivisionError: division by zero" in done.err
    (folder,) = (tmp_path / "results").iterdir()
    assert f"2 of 3 trials are kept; in results/{folder.name}/\n" in done.err
    again = callpath("resume", "latest")
    assert again.code == 2
    assert "mine.py:6: ZeroDivisionError" in again.err
    assert len(list(folder.glob("trials/*.jsonl"))) == 2

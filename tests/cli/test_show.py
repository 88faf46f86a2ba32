"""`callpath show RUN`: what a run holds, in whatever state; each damage with its file, never a traceback."""

import json
import re
import shutil
from pathlib import Path

import pytest

from lab.cli.main import run_command_line

SCENARIO = """\
callpath: 1
topology: two_homes
vary: {alice_nat: [none, symmetric], bob_nat: [full-cone, symmetric]}
matrix: [alice_nat, bob_nat]
calls: {from: alice, to: bob}
expect:
  - {metric: ice.connected, rate: "== 100%"}
  - {metric: relay.share, rate: "== 0%", why: relays cost}
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the directory of a finished run of four trials, one of which breaks a promise."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "mine.yaml").write_text(SCENARIO)
    assert run_command_line(["run", str(folder / "mine.yaml"), "--results", str(folder / "results")]) == 1
    (run,) = (folder / "results").iterdir()
    return run


@pytest.fixture
def run(kept, tmp_path):
    """Return a copy that a test may damage, in the directory of results."""
    return shutil.copytree(kept, tmp_path / "results" / kept.name)


def test_a_finished_run_is_told_with_its_verdicts_its_matrix_and_its_files(callpath, run):
    done = callpath("show", "latest")
    assert (done.code, done.err) == (0, "")
    head = done.out.splitlines()[:7]
    assert head[0].startswith("mine: ")
    assert head[0].endswith("mine.yaml on two_homes")
    assert head[1] == f"  run      results/{run.name}/"
    assert re.fullmatch(r"  started  \d{4}-\d\d-\d\d \S+ UTC, ended \d{4}-\d\d-\d\d \S+ UTC", head[2])
    assert re.fullmatch(r"  with     callpath \S+, world sim, seed 1", head[3])
    assert head[4:] == ["  trials   4 of 4 done", "  state    finished", "  outcome  fail"]
    assert re.search(r"^ 2 symmetric .*▲ R", done.out, re.MULTILINE), "the matrix"
    assert "FAIL  relay.share rate == 0%  [alice_nat=symmetric bob_nat=symmetric]" in done.out
    assert "why: relays cost" in done.out
    assert "7 of 8 verdicts: pass" in done.out
    assert re.search(r"^  events\.jsonl +\d+ KiB  every event of every trial$", done.out, re.MULTILINE)
    assert "resume" not in done.out


def test_as_json_it_is_one_document(callpath, run):
    told = json.loads(callpath("show", "latest", "--json").out)
    assert {key: told[key] for key in ("name", "world", "seed", "trials", "done", "missing", "state")} == {
        "name": "mine", "world": "sim", "seed": 1, "trials": 4, "done": 4, "missing": 0, "state": "finished",
    }  # fmt: skip
    assert (told["ok"], told["outcome"], len(told["verdicts"])) == (False, "fail", 8)
    assert told["files"]["manifest.json"] == (run / "manifest.json").stat().st_size
    assert told["problems"] == []


def test_a_run_is_named_by_path_by_the_beginning_of_its_name_and_as_the_latest(callpath, run, tmp_path):
    shown = callpath("show", "latest").out
    for name in (run.name, run.name[:15], f"results/{run.name}", f"results/{run.name}/"):
        assert callpath("show", name).out == shown
    assert callpath("show", str(run)).code == 0
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.copytree(run, tmp_path / "elsewhere" / "any-name")
    assert callpath("show", str(moved)).code == 0
    assert callpath("show", "latest", "--results", "elsewhere").code == 2


def test_a_name_that_a_topology_has_is_the_topology_and_a_path_says_which(callpath, run, tmp_path):
    topology = (
        "from mininet.topo import Topo\n\n\nclass Mine(Topo):\n    def build(self):\n"
        '        self.addHost("alice", role="endpoint")\n        self.addHost("bob", role="endpoint")\n'
        '        self.addLink("alice", "bob", label="cable")\n'
    )
    (tmp_path / "topologies").mkdir()
    for name in (run.name[:8], "latest"):
        (tmp_path / "topologies" / f"{name}.py").write_text(topology)
    assert callpath("show", run.name[:8]).out.startswith(f"topology {run.name[:8]}")
    assert callpath("show", run.name[:9]).out.startswith("mine: ")
    assert callpath("show", "latest").out.startswith("mine: ")
    assert callpath("show", "topologies/latest.py").out.startswith("topology latest")


def test_a_name_that_is_nothings_is_told_as_what_it_was_meant_to_be(callpath, run):
    for name, because in (
        ("20250101", "no run of that name under results/"),
        ("two_hoems", "no topology 'two_hoems'"),
        ("no/such/run", "'no/such/run' is neither a run's directory nor a topology's file"),
    ):
        done = callpath("show", name)
        assert (done.code, done.out) == (2, "")
        assert because in done.err


@pytest.mark.parametrize("option", [["--set", "alice_nat=none"], ["--json"]])
def test_an_option_that_is_not_for_what_is_shown_is_refused(callpath, run, option):
    done = callpath("show", "latest" if "--set" in option else "two_homes", *option)
    assert done.code == 2
    assert f"{option[0]} is for" in done.err


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_end(run: Path) -> None:
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(lines[:-1]))


@pytest.mark.parametrize(
    ("damage", "because"),
    [
        (lambda run: (run / "result.json").unlink(), "result.json: no such file"),
        (lambda run: cut(run / "result.json"), "result.json: damaged: "),
        (lambda run: (run / "result.json").write_text("[]"), "result.json: damaged: not an object"),
        (lambda run: (run / "result.json").write_bytes(b"\xff\xfe"), "result.json: damaged: "),
        (
            lambda run: change(run / "result.json", verdicts=[{}]),
            'result.json: damaged: no "verdicts[0].metric"',
        ),
        (
            lambda run: change(run / "result.json", outcome="good"),
            'result.json: damaged: "outcome" holds "good"',
        ),
        (lambda run: change(run / "result.json", schema=9), "result schema 9; this is 1\n  a newer callpath"),
        (
            lambda run: change(run / "result.json", schema=0),
            "result schema 0; this is 1\n  an older callpath",
        ),
        (lambda run: change(run / "result.json", schema="1"), "result.json: damaged: no result schema"),
        (lambda run: cut(run / "trials.parquet"), "trials.parquet: damaged: "),
        (lambda run: (run / "trials.parquet").write_bytes(b""), "trials.parquet: damaged: "),
        (lambda run: (run / "trials.parquet").unlink(), "trials.parquet: no such file"),
        (lambda run: (run / "events.jsonl").unlink(), "the events of 4 of 4 trials are gone"),
        (lambda run: (run / "events.jsonl").write_bytes(b""), "the events of 4 of 4 trials are gone"),
        (lambda run: cut(run / "events.jsonl"), "have no end"),
        (without_end, "events.jsonl: damaged: the events of trial"),
    ],
)
def test_what_is_damaged_is_named_and_the_rest_is_shown(callpath, run, damage, because):
    damage(run)
    done = callpath("show", "latest")
    assert done.code == 2
    assert f"callpath: results/{run.name}/" in done.err
    assert because in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) < 24
    assert done.out.startswith("mine: ")
    problems = json.loads(callpath("show", "latest", "--json").out)["problems"]
    assert any(because in problem for problem in problems)


@pytest.mark.parametrize(
    ("damage", "because"),
    [
        (lambda run: (run / "manifest.json").unlink(), "manifest.json: no such file"),
        (lambda run: cut(run / "manifest.json"), "manifest.json: damaged: "),
        (lambda run: (run / "manifest.json").write_text("3"), "manifest.json: damaged: not an object"),
        (lambda run: change(run / "manifest.json", trials=3), 'manifest.json: damaged: "trials" holds 3'),
        (lambda run: change(run / "manifest.json", schema=1), "schema 1; this is 2\n  an older callpath"),
        (lambda run: change(run / "manifest.json", schema=9), "schema 9; this is 2\n  a newer callpath"),
    ],
)
def test_without_its_manifest_nothing_can_be_said_of_a_run(callpath, run, damage, because):
    damage(run)
    done = callpath("show", f"results/{run.name}")
    assert (done.code, done.out) == (2, "")
    assert because in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("changes", [{"callpath": "0.0.1"}, {"world": "emu"}, {"libraries": {"aioice": "9"}}])
def test_what_cannot_be_run_again_here_can_be_looked_at(callpath, run, changes):
    change(run / "manifest.json", **changes)
    assert callpath("show", "latest").code == 0
    # A run of the kernel is resumed there, and explained and drawn from what was captured.
    for command in ["replay"] if "world" in changes else ["explain", "ladder", "resume"]:
        done = callpath(command, "latest")
        assert done.code == 2
        assert "this is" in done.err


@pytest.mark.parametrize(
    "changes",
    [
        {"matrix": ["alice_nat"]},
        {"matrix": "alice_nat"},
        {"matrix": ["no", "such"]},
        {"topology": None, "name": 3, "started": 5},
    ],
)
def test_a_manifest_that_was_edited_is_shown_as_far_as_it_goes(callpath, run, changes):
    change(run / "manifest.json", **changes)
    done = callpath("show", "latest")
    assert done.code in {0, 2}
    assert "Traceback" not in done.err
    assert "outcome  fail" in done.out

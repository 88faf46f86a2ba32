"""A stored run that is not as it was written: every command says so, and resume mends it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from lab.cli.main import run_command_line
from lab.results.run_directory import RunDirectory

SCENARIO = """\
callpath: 1
topology: two_homes
vary: {alice_nat: [none, symmetric, full-cone], bob_nat: [full-cone, symmetric]}
calls: {from: alice, to: bob}
expect:
  - {metric: ice.connected, rate: "== 100%"}
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Return the directory of a finished run of six trials, without a matrix."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "mine.yaml").write_text(SCENARIO)
    assert run_command_line(["run", str(folder / "mine.yaml"), "--results", str(folder / "results")]) == 0
    (run,) = (folder / "results").iterdir()
    return run


@pytest.fixture
def run(kept, tmp_path):
    """Return a copy that a test may damage, in the directory of results, beside a whole one."""
    shutil.copytree(kept, tmp_path / "whole")
    return shutil.copytree(kept, tmp_path / "results" / kept.name)


def keys(run: Path) -> list[str]:
    return [trial["key"] for trial in json.loads((run / "manifest.json").read_text())["trials"]]


def rewrite(run: Path, change) -> None:
    """Write the events again, each line as ``change(number, line)`` gives it."""
    lines = (run / "events.jsonl").read_text().splitlines(keepends=True)
    (run / "events.jsonl").write_text("".join(change(number, line) for number, line in enumerate(lines)))


def cut_end(run: Path) -> None:
    content = (run / "events.jsonl").read_bytes()
    (run / "events.jsonl").write_bytes(content[:-700])


def change_table(run: Path) -> None:
    pd.read_parquet(run / "trials.parquet").iloc[:-1].to_parquet(run / "trials.parquet")


ALL_GONE = "events.jsonl: the events of 6 of 6 trials are gone"

# What is done to the run, and what is said of it.
DAMAGE = {
    "events cut": (cut_end, "have no end"),
    "events empty": (lambda run: (run / "events.jsonl").write_bytes(b""), ALL_GONE),
    "events gone": (lambda run: (run / "events.jsonl").unlink(), ALL_GONE),
    "events garbage": (
        lambda run: (run / "events.jsonl").write_bytes(b"\xff\0garbage\n" * 99),
        ALL_GONE,
    ),
    "events with a line less": (
        lambda run: rewrite(run, lambda number, line: "" if number == 3 else line),
        "are not those that it had",
    ),
    "events with a line more": (
        lambda run: rewrite(run, lambda number, line: line * 2 if number == 3 else line),
        "are not those that it had",
    ),
    "an event edited": (
        lambda run: rewrite(run, lambda number, line: line.replace('"t":', '"t":1') if number == 3 else line),
        "are not those that it had",
    ),
    "events with a tail": (
        lambda run: (run / "events.jsonl").write_bytes((run / "events.jsonl").read_bytes() + b"of nobody"),
        "damaged: 9 bytes are of no trial",
    ),
    "events with a head": (
        lambda run: rewrite(run, lambda number, line: "x\n" + line if number == 0 else line),
        "damaged: 2 bytes are of no trial",
    ),
    "table with a row less": (change_table, "trials.parquet: damaged: it has no row of trial"),
    "table cut": (lambda run: (run / "trials.parquet").write_bytes(b"PAR1"), "trials.parquet: damaged"),
    "table gone": (
        lambda run: (run / "trials.parquet").unlink(),
        "trials.parquet: no such file: it is gone since the run was finished",
    ),
    "result gone": (
        lambda run: (run / "result.json").unlink(),
        "result.json: no such file: it is gone since the run was finished",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "because"), DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_shown_refused_and_mended(callpath, run, kept, damage, because):
    damage(run)
    shown = callpath("show", "latest")
    assert shown.code == 2
    for command in (
        ("show", "latest"),
        ("baseline", "set", "latest"),
        ("compare", "latest", "whole"),
        ("compare", "whole", "latest"),
        ("report", "latest"),
    ):
        done = callpath(*command)
        assert done.code == 2, command
        assert because in done.err
        assert "Traceback" not in done.err
        assert "before it was finished" not in done.err
    assert not (run.parent / "baselines").exists()
    resumed = callpath("resume", "latest")
    assert resumed.code == 0, resumed.err
    assert "is finished, nothing is left to run" not in resumed.out
    for name in ("events.jsonl", "trials.parquet"):
        assert (run / name).read_bytes() == (kept / name).read_bytes()
    was, now = (json.loads((path / "result.json").read_text()) for path in (kept, run))
    assert {**was, "ended": ""} == {**now, "ended": ""}
    assert (callpath("show", "latest").code, callpath("resume", "latest").code) == (0, 0)
    assert callpath("baseline", "set", "latest").code == 0


@pytest.mark.parametrize("damage", ["events cut", "events gone", "an event edited"])
def test_a_report_of_a_damaged_run_says_so_before_anything_else(callpath, run, damage):
    DAMAGE[damage][0](run)
    assert callpath("report", "latest", "-o", "page.html").code == 2
    page = Path("page.html").read_text()
    before_the_verdict = page.partition('id="verdict"')[0]
    assert "This run is damaged" in before_the_verdict
    assert "callpath resume " in before_the_verdict
    assert DAMAGE[damage][1].split(": ")[-1] in before_the_verdict


def test_the_report_of_a_whole_run_has_no_word_of_damage(callpath, run):
    assert callpath("report", "latest").code == 0
    assert "damaged" not in (run / "report.html").read_text()


def test_a_report_names_ten_of_many_damages_and_counts_the_others(callpath, tmp_path):
    done = callpath("run", "nat_matrix", "--repeat", "1", "--set", "bob_nat=symmetric,none")
    (run,) = (tmp_path / "results").iterdir()
    rewrite(run, lambda _, line: line.replace('"t":', '"t":1'))
    assert callpath("report", "latest", "-o", "page.html").code == 2, done.err
    count = len(keys(run))
    assert count > 10
    assert f"<li>and {count - 10} more</li>" in Path("page.html").read_text()


def test_a_trial_whose_events_were_changed_is_named_and_run_again_alone(callpath, run):
    rewrite(run, lambda number, line: "" if number == 3 else line)
    told = json.loads(callpath("show", "latest", "--json").out)
    assert (told["done"], told["missing"], len(told["damaged"])) == (5, 0, 1)
    assert keys(run)[0] in told["problems"][0]
    resumed = callpath("resume", "latest")
    assert "5 of 6 trials are there, 1 are damaged and run again, none is missing" in resumed.err
    assert "6 trials, 1 of them now" in resumed.out


def test_a_mending_that_was_interrupted_still_knows_what_was_not_mended(callpath, run, kept, monkeypatch):
    first, last = keys(run)[0], keys(run)[-1]
    rewrite(run, lambda _, line: line.replace('"t":', '"t":1') if first in line or last in line else line)
    write = RunDirectory.write_trial

    def write_one(self, position, *rest, **named):
        if position > 0:
            raise OSError(28, "No space left on device")
        write(self, position, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr("lab.results.run_directory.RunDirectory.write_trial", write_one)
        assert callpath("resume", "latest", "--jobs", "1").code != 0
    told = json.loads(callpath("show", "latest", "--json").out)
    assert (told["done"], len(told["damaged"])) == (5, 1)
    assert any(last in problem for problem in told["problems"])
    assert callpath("resume", "latest").code == 0
    assert (run / "events.jsonl").read_bytes() == (kept / "events.jsonl").read_bytes()


def test_a_result_of_before_there_were_hashes_is_read_as_it_is(callpath, run):
    file = run / "result.json"
    result = json.loads(file.read_text())
    assert list(result.pop("events_sha256")) == keys(run)
    file.write_text(json.dumps(result))
    assert (callpath("show", "latest").code, callpath("baseline", "set", "latest").code) == (0, 0)
    rewrite(run, lambda number, line: "" if number == 3 else line)
    assert callpath("show", "latest").code == 0


@pytest.mark.parametrize("change", ["gone", "edited"])
def test_copies_of_the_inputs_that_are_gone_or_edited_are_named(callpath, run, change):
    if change == "gone":
        shutil.rmtree(run / "inputs")
    else:
        (run / "inputs" / "scenarios" / "mine.yaml").write_text("callpath: 1\n")
    done = callpath("show", "latest")
    assert done.code == 2
    where = f"results/{run.name}/inputs/scenarios/mine.yaml"
    assert f"{where}: {'cannot be read' if change == 'gone' else 'not the file'}" in done.err


def test_a_run_that_was_cut_short_is_not_damaged_by_what_it_does_not_have_yet(callpath, run):
    (run / "trials").mkdir()
    content = (run / "events.jsonl").read_bytes()
    first = keys(run)[0]
    of_first = b"".join(line for line in content.splitlines(keepends=True) if first.encode() in line)
    (run / "trials" / f"000000-{first}.jsonl").write_bytes(of_first)
    for name in ("events.jsonl", "trials.parquet", "result.json"):
        (run / name).unlink()
    done = callpath("show", "latest")
    assert (done.code, done.err) == (0, "")
    assert "1 of 6 done, 5 missing" in done.out


def edit(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda r: r["verdicts"][2].update(interval=[1]), '"verdicts[2].interval" holds [1]'),
        (lambda r: r["verdicts"][0].update(interval=3), '"verdicts[0].interval" holds 3'),
        (lambda r: r["verdicts"][0].update(when=[]), '"verdicts[0].when" holds []'),
        (
            lambda r: r["verdicts"][0].update(evidence={}),
            '"verdicts[0].evidence" holds what callpath does not',
        ),
        (lambda r: r["verdicts"][0].pop("n"), 'no "verdicts[0].n"'),
        (lambda r: r.update(events_sha256=["x"]), '"events_sha256" holds ["x"]'),
        (lambda r: r.update(invalid="x" * 999), '"invalid" holds "xxx'),
    ],
)
def test_a_result_of_other_types_is_told_by_its_key_and_written_anew(callpath, run, kept, change, because):
    edit(run / "result.json", change)
    for command in (("show", "latest"), ("report", "latest"), ("compare", "latest", "whole")):
        done = callpath(*command)
        assert done.code == 2
        assert f"result.json: damaged: {because}" in done.err
        assert "callpath resume" in done.err
        assert "writes it anew" in done.err
        assert "Error" not in done.err
        assert len(done.err) < 1500
    assert callpath("resume", "latest").code == 0
    was, now = (json.loads((path / "result.json").read_text()) for path in (kept, run))
    assert {**was, "ended": ""} == {**now, "ended": ""}


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda m: m.update(seed="one"), '"seed" holds "one"\n  expected a whole number'),
        (lambda m: m["trials"][4].update(deadline="soon"), '"trials[4].deadline" holds "soon"'),
        (lambda m: m["trials"][1].pop("key"), 'no "trials[1].key"'),
        (lambda m: m.update(nat_boxes=3), '"nat_boxes" holds 3\n  expected a list of objects'),
        (lambda m: m.update(libraries=None), '"libraries" holds null'),
        (lambda m: m.update(inputs=[1]), '"inputs" holds [1]'),
        (lambda m: m.update(started=5), '"started" holds 5'),
    ],
)
def test_a_manifest_of_other_types_is_told_by_its_key(callpath, run, change, because):
    edit(run / "manifest.json", change)
    where = str(run.relative_to(Path.cwd()))
    for command in ("show", "report", "compare", "baseline"):
        before = ("set",) if command == "baseline" else ()
        done = callpath(command, *before, where, *(("whole",) if command == "compare" else ()))
        assert done.code == 2
        assert f"manifest.json: damaged: {because}" in done.err
        assert "Error" not in done.err
    resumed = callpath("resume", where)
    assert resumed.code == 2
    assert "Error" not in resumed.err

"""A run is killed at any instant: it can be read, and `callpath resume` finishes it all the same."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.results.run_directory import RunDirectory

pytestmark = pytest.mark.real_time

ROOT = Path(__file__).parents[2]
SCENARIO = """\
callpath: 1
topology: two_homes
vary: {alice_nat: [none, full-cone, symmetric], bob_nat: [restricted, symmetric]}
population: {relay_delay: {5ms: 3, 30ms: 1}}
repeat: 5
calls: {from: alice, to: bob, media: {packets: 3}}
expect:
  - {metric: ice.connected, rate: ">= 95%", confidence: 95%}
  - {metric: ice.setup_time, p95: "< 300ms", when: {alice_nat: [none, symmetric]}, why: people hang up}
  - {metric: media.delay, max: "< 1s"}
  - {metric: nat.mappings, mean: ">= 1"}
"""
TRIALS = 30


@pytest.fixture(scope="module")
def start():
    """Start a command in a process of its own; returns its id, which is its process group's, too."""
    script = Path(__file__).with_name("fork_server.py")
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(script)], **streams) as server:

        def start_one(folder: Path, *arguments: str) -> int:
            server.stdin.write(json.dumps([arguments, str(folder)]) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield start_one
        server.stdin.close()


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenario") / "mine.yaml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture(scope="module")
def undisturbed(start, scenario, tmp_path_factory):
    """Return the directory of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    wait_until(lambda: not is_running(process), process := start(folder, "run", str(scenario)))
    return only_run(folder)


def is_running(process: int) -> bool:
    """Return whether a process is there; its parent waits for none, so that what has ended is gone."""
    return Path(f"/proc/{process}").exists()


def wait_until(condition, process: int) -> None:
    """Wait for a condition, looking often; or until the process has ended by itself."""
    end = time.monotonic() + 60  # noqa: TID251 - a real process is watched
    while not condition() and is_running(process):
        assert time.monotonic() < end  # noqa: TID251


def only_run(folder: Path) -> Path:
    (run,) = (folder / "results").iterdir()
    return run


def outcome(run: Path) -> dict[str, object]:
    """Return everything of a run that does not say when it was."""
    result = json.loads((run / "result.json").read_text())
    del result["ended"]
    return {
        "files": sorted(path.relative_to(run).as_posix() for path in run.rglob("*")),
        "result": result,
        "events": (run / "events.jsonl").read_bytes(),
        "table": (run / "trials.parquet").read_bytes(),
        "trials": json.loads((run / "manifest.json").read_text())["trials"],
    }


def instants() -> Iterator[tuple[str, int, float]]:
    """Yield (what to wait for, how many of it, seconds to wait then), the same at every run of the test."""
    generator = random.Random(20)
    for _ in range(14):
        yield "trials/*.jsonl", generator.randrange(TRIALS), generator.uniform(0, 0.004)
    yield "", 1, generator.uniform(0, 0.02)  # perhaps before there is a manifest
    for name in ("trials/*.jsonl", "events.jsonl*", "trials.parquet*", "result.json*", "result.json"):
        yield name, TRIALS if "*.jsonl" in name else 1, generator.uniform(0, 0.004)


@pytest.mark.parametrize(("pattern", "count", "seconds"), list(instants()), ids=range(20))
def test_a_run_that_was_killed_is_shown_and_resumed_to_what_it_would_have_come_to(
    callpath, start, scenario, undisturbed, tmp_path, pattern, count, seconds
):
    jobs = "2" if count % 5 == 1 else "1"
    process = start(tmp_path, "run", str(scenario), "--jobs", jobs)
    wait_until(lambda: len(list(tmp_path.glob(f"results/*/{pattern}"))) >= count, process)
    time.sleep(seconds)  # noqa: TID251
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: False, process)
    run = only_run(tmp_path)
    if not (run / "manifest.json").exists():
        for command in ("show", "resume"):
            assert "whose run ended before it began" in callpath(command, run).err
        return
    there = len(list(run.glob("trials/*.jsonl"))) if (run / "trials").exists() else TRIALS
    shown = callpath("show", "latest", "--json")
    assert shown.code == 0, shown.err
    told = json.loads(shown.out)
    assert (told["done"], told["missing"], told["damaged"]) == (there, TRIALS - there, [])
    assert told["state"].startswith("cut short: killed") or (run / "result.json").exists()
    assert callpath("show", "latest").code == 0
    resumed = callpath("resume", "latest", "--jobs", "1")
    assert resumed.code == 1, resumed.err
    assert outcome(run) == outcome(undisturbed)


def test_workers_end_with_a_run_that_was_killed(start, scenario, tmp_path):
    process = start(tmp_path, "run", str(scenario), "--jobs", "2", "--repeat", "1000")
    wait_until(lambda: bool(list(tmp_path.glob("results/*/trials/*.jsonl"))), process)
    workers = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    assert len(workers) == 2
    os.kill(process, signal.SIGKILL)
    for worker in workers:
        wait_until(lambda: not is_at_work(worker), worker)  # noqa: B023 - called within the turn


def is_at_work(process: int) -> bool:
    """Return whether a process still runs; where nobody waits for it, what has ended stays listed."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_that_still_goes_on_is_shown_as_that_and_not_resumed(callpath, start, scenario, tmp_path):
    process = start(tmp_path, "run", str(scenario), "--jobs", "1", "--repeat", "1000")
    wait_until(lambda: bool(list(tmp_path.glob("results/*/trials/*.jsonl"))), process)
    try:
        shown = callpath("show", "latest")
        assert (shown.code, shown.err) == (0, "")
        assert f"state    still running, process {process}\n" in shown.out
        assert "callpath resume" not in shown.out
        resumed = callpath("resume", "latest")
        assert resumed.code == 2
        assert f"is in use: process {process} is still running it" in resumed.err
        assert "Traceback" not in resumed.err
    finally:
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: False, process)


@pytest.fixture
def cut_short(callpath, monkeypatch, tmp_path):
    """Return the directory of a run that was interrupted after four of its eight trials."""
    (tmp_path / "topologies").mkdir()
    shutil.copy(ROOT / "topologies" / "two_homes.py", tmp_path / "topologies" / "mine.py")
    (tmp_path / "mine.yaml").write_text(INTERRUPTED)
    monkeypatch.setattr("lab.results.run_directory.RunDirectory.write_trial", interrupting_after(4))
    assert callpath("run", "./mine.yaml", "--jobs", "1", "--seed", "7").code == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    return only_run(tmp_path)


INTERRUPTED = """\
callpath: 1
topology: mine
vary: {alice_nat: [none, symmetric], bob_nat: [full-cone, symmetric]}
repeat: 2
matrix: [alice_nat, bob_nat]
calls: {from: alice, to: bob}
expect: [{metric: ice.connected, rate: "== 100%"}]
"""


def interrupting_after(count: int):
    write = RunDirectory.write_trial

    def write_and_count(self, position, *rest):
        write(self, position, *rest)
        if position == count - 1:
            signal.raise_signal(signal.SIGINT)

    return write_and_count


def test_what_an_interrupted_run_had_is_kept_shown_and_continued(callpath, cut_short):
    shown = callpath("show", "latest")
    assert shown.code == 0
    for words in (
        "trials   4 of 8 done, 4 missing\n",
        "state    cut short: interrupted\n",
        "outcome  pass, of 4 trials\n",
        " 1 none ",
        "2 of 2 verdicts: pass",
        f"callpath resume {cut_short.relative_to(Path.cwd())} finishes it",
    ):
        assert words in shown.out
    result = json.loads((cut_short / "result.json").read_text())
    assert (result["ok"], result["reason"], result["done"]) == (False, "interrupted", 4)
    resumed = callpath("resume", str(cut_short))
    assert resumed.code == 0
    assert resumed.err == "4 of 8 trials are there, 4 to run\n"
    assert " 1 none " in resumed.out, "the matrix"
    assert "8 trials, 4 of them now, in" in resumed.out
    result = json.loads((cut_short / "result.json").read_text())
    assert (result["ok"], result["reason"], result["done"]) == (True, "", 8)
    assert (cut_short / "paths.svg").exists()


@pytest.mark.parametrize("change", ["edited", "gone"])
def test_a_run_is_finished_as_it_was_begun_whatever_became_of_scenario_and_topology(
    callpath, cut_short, tmp_path, change
):
    files = [tmp_path / "mine.yaml", tmp_path / "topologies" / "mine.py"]
    kept = [file.read_text() for file in files]
    for file in files:
        if change == "gone":
            file.unlink()
        else:
            file.write_text(file.read_text().replace("symmetric", "udp-blocked").replace("20ms", "70ms"))
    assert callpath("resume", "latest").code == 0
    for file, text in zip(files, kept, strict=True):
        file.write_text(text)
    assert callpath("run", "./mine.yaml", "--seed", "7", "--results", tmp_path / "again").code == 0
    (again,) = (tmp_path / "again").iterdir()
    assert outcome(cut_short) == outcome(again)


def test_a_finished_run_is_not_run_again_and_exits_as_it_came_out(callpath, tmp_path, cut_short):
    callpath("resume", "latest")
    before = {path: path.stat().st_mtime_ns for path in cut_short.rglob("*")}
    again = callpath("resume", "latest")
    assert again.code == 0
    assert "is finished, nothing is left to run: 8 trials, pass" in again.out
    assert {path: path.stat().st_mtime_ns for path in cut_short.rglob("*")} == before
    (tmp_path / "no.yaml").write_text(INTERRUPTED.replace("== 100%", "== 0%"))
    assert callpath("run", "./no.yaml").code == 1
    again = callpath("resume", "latest", "--json")
    assert again.code == 1
    assert json.loads(again.out)["outcome"] == "fail"


def test_a_trial_without_its_end_is_shown_as_damaged_and_run_again(callpath, cut_short, tmp_path):
    shard = sorted((cut_short / "trials").iterdir())[2]
    shard.write_bytes(shard.read_bytes()[:-5])
    shown = callpath("show", "latest")
    assert shown.code == 2
    assert f"{shard.relative_to(Path.cwd())}: damaged: the events of trial" in shown.err
    assert "3 of 8 done, 4 missing, 1 damaged" in shown.out
    resumed = callpath("resume", "latest")
    assert resumed.code == 0
    assert "3 of 8 trials are there, 1 are damaged and run again, 4 to run" in resumed.err
    assert callpath("show", "latest").code == 0


def test_events_that_are_damaged_after_the_end_are_run_again_alone(callpath, cut_short, tmp_path):
    callpath("resume", "latest")
    whole = (cut_short / "events.jsonl").read_bytes()
    (cut_short / "events.jsonl").write_bytes(whole[: len(whole) * 2 // 3])
    shown = callpath("show", "latest")
    assert shown.code == 2
    assert "events.jsonl: damaged: the events of trial" in shown.err
    assert "of 8 trials are gone" in shown.err
    assert callpath("resume", "latest").code == 0
    assert (cut_short / "events.jsonl").read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda run: (run / "inputs" / "scenarios" / "mine.yaml").write_text("x: 1"), "edited by hand"),
        (lambda run: (run / "inputs" / "topologies" / "mine.py").unlink(), "mine.py: cannot be read"),
        (lambda run: edit(run, expect=[{"metric": "ice.connected"}]), "does not hold the whole plan"),
        (lambda run: edit(run, matrix=["alice_nat"]), "does not hold the whole plan"),
        (lambda run: edit(run, inputs={}), "keeps no copy of its scenario"),
        (lambda run: edit(run, vary=3), "does not hold the whole plan"),
        (lambda run: edit(run, trials=[]), "holds no trial"),
        (lambda run: edit(run, callpath="0.0.1"), "written with callpath 0.0.1"),
        (lambda run: edit(run, schema=1), "schema 1; this is 2\n  an older callpath wrote it"),
        (lambda run: edit(run, schema=9), "schema 9; this is 2\n  a newer callpath wrote it"),
    ],
)
def test_what_cannot_be_resumed_is_told_and_left_as_it_is(callpath, cut_short, change, because):
    change(cut_short)
    before = sorted(cut_short.rglob("*"))
    done = callpath("resume", "latest")
    assert done.code == 2
    assert because in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) < 24
    assert sorted(cut_short.rglob("*")) == before


def edit(run: Path, **changes: object) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | changes))


def test_an_interrupt_while_earlier_trials_are_read_leaves_what_is_told_of_them(
    callpath, cut_short, monkeypatch
):
    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)

    before = (cut_short / "result.json").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("lab.run.pool.read_trial", interrupted)
        done = callpath("resume", "latest", "--jobs", "1")
    assert done.code == 130
    assert "interrupted; 4 of 8 trials are kept; callpath resume" in done.err
    assert (cut_short / "result.json").read_bytes() == before
    assert callpath("resume", "latest").code == 0


def test_an_interrupt_while_the_last_files_are_written_is_one_that_can_be_resumed(
    callpath, cut_short, monkeypatch
):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("lab.results.run_directory.RunDirectory.remove_shards", interrupted)
        done = callpath("resume", "latest", "--jobs", "1")
    assert done.code == 130
    assert "interrupted; 8 of 8 trials are kept; callpath resume" in done.err
    assert callpath("resume", "latest").code == 0
    assert not (cut_short / "trials").exists()


def test_a_run_interrupted_before_its_first_trial_leaves_nothing(callpath, monkeypatch, tmp_path, scenario):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.run.pool.run_trial", interrupted)
    done = callpath("run", str(scenario), "--jobs", "1")
    assert done.code == 130
    assert "nothing is kept" in done.err
    assert list((tmp_path / "results").iterdir()) == []


def test_a_resumed_run_may_be_killed_as_often_as_it_likes(callpath, start, scenario, undisturbed, tmp_path):
    generator = random.Random(6)
    process = start(tmp_path, "run", str(scenario), "--jobs", "1")
    for there in (4, 9, 15, 22, 28):
        wait_until(lambda: len(list(tmp_path.glob("results/*/trials/*.jsonl"))) >= there, process)  # noqa: B023
        time.sleep(generator.uniform(0, 0.003))  # noqa: TID251
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: False, process)
        process = start(tmp_path, "resume", "latest", "--jobs", generator.choice("12"))
    wait_until(lambda: False, process)
    assert callpath("resume", "latest").code == 1
    assert outcome(only_run(tmp_path)) == outcome(undisturbed)


def test_of_two_that_resume_one_run_at_once_one_is_refused(start, scenario, undisturbed, tmp_path):
    process = start(tmp_path, "run", str(scenario), "--jobs", "1")
    wait_until(lambda: len(list(tmp_path.glob("results/*/trials/*.jsonl"))) >= 3, process)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: False, process)
    (tmp_path / "log").unlink()
    for process in [start(tmp_path, "resume", "latest", "--jobs", "1") for _ in range(2)]:
        wait_until(lambda: False, process)
    said = (tmp_path / "log").read_text()
    assert said.count("is in use: process ") + said.count("is finished, nothing is left to run") == 1
    assert outcome(only_run(tmp_path)) == outcome(undisturbed)

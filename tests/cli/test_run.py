"""`callpath run`: what it prints, what it keeps, and that an interrupt loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from lab.results.stored_run import read_run
from lab.spec.event import Event, EventType

SMALL = (
    "nat_matrix",
    "--set",
    "alice_nat=none,symmetric",
    "--set",
    "bob_nat=restricted,symmetric",
    "--repeat",
    "2",
)


def only_run(folder: Path) -> Path:
    (run,) = (folder / "results").iterdir()
    return run


def test_the_matrix_says_by_letter_and_symbol_which_path_each_pair_takes(callpath):
    done = callpath("run", *SMALL)
    assert done.code == 0
    lines = done.out.splitlines()
    (row,) = (line for line in lines if line.startswith(" 2 symmetric"))
    assert "◐ P" in row
    assert "▲ R" in row
    assert "ms" in row
    assert any("▲ R relay" in line for line in lines), "the legend"
    assert "8 trials in" in lines[-1]


def test_a_run_keeps_manifest_events_table_and_both_pictures(callpath, tmp_path):
    assert callpath("run", *SMALL, "--seed", "5").code == 0
    run = only_run(tmp_path)
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["seed"] == 5
    assert manifest["libraries"]["aioice"]
    models = {box["model"]["name"]: box for box in manifest["nat_boxes"]}
    assert models["symmetric"]["model"]["reply_reuse"] == "separate-flows", "the semantics, with every result"
    assert "address-and-port-dependent" in models["symmetric"]["probed"]["mapping"]
    assert len(manifest["trials"]) == 8
    result = json.loads((run / "result.json").read_text())
    assert (result["ok"], result["done"], result["invalid"]) == (True, 8, [])
    for picture in ("paths", "setup_time"):
        assert (run / f"{picture}.svg").read_text().lstrip().startswith("<?xml")
        assert (run / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_events_of_a_finished_run_are_in_one_file_in_trial_order_and_nowhere_else(callpath, tmp_path):
    callpath("run", *SMALL)
    run = only_run(tmp_path)
    keys = [trial["key"] for trial in json.loads((run / "manifest.json").read_text())["trials"]]
    assert not (run / "trials").exists()
    events = [Event.from_json(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(trial for trial, _ in events)) == keys
    assert sum(event.type is EventType.TRIAL_ENDED for _, event in events) == 8
    stored = read_run(run)
    assert "".join(map(stored.events_of, stored.trials)) == (run / "events.jsonl").read_text()


def test_the_table_has_one_row_a_call_with_selected_and_possible_path(callpath, tmp_path):
    callpath("run", *SMALL)
    table = pd.read_parquet(only_run(tmp_path) / "trials.parquet")
    assert len(table) == 8
    relayed = table[(table.alice_nat == "symmetric") & (table.bob_nat == "symmetric")]
    assert set(relayed.path) == {"relay"}
    assert set(relayed.possible) == {"relay"}
    assert (table.setup_time > 0).all()
    assert (table.media_received == table.media_sent).all()


def test_the_same_seed_gives_the_same_events_and_pictures_to_the_byte(callpath, tmp_path):
    for jobs in ("1", "2"):
        assert callpath("run", *SMALL, "--jobs", jobs, "--results", tmp_path / "results" / jobs).code == 0
    first, second = (next((tmp_path / "results" / jobs).iterdir()) for jobs in ("1", "2"))
    for name in ("events.jsonl", "paths.svg", "paths.png", "setup_time.svg", "setup_time.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_run_never_overwrites_another(callpath, tmp_path):
    for _ in range(3):
        assert callpath("run", *SMALL).code == 0
    assert len(list((tmp_path / "results").iterdir())) == 3


def test_captures_are_kept_on_request(callpath, tmp_path):
    assert callpath("run", *SMALL, "--capture", "all").code == 0
    captures = sorted((only_run(tmp_path) / "pcap").iterdir())
    assert len(captures) == 8
    assert captures[0].read_bytes()[:4] == bytes.fromhex("0a0d0d0a"), "a pcapng section header"


def test_a_trial_that_uses_up_its_budget_is_invalid_and_the_run_inconclusive(callpath, tmp_path):
    (tmp_path / "greedy.py").write_text(
        'TOPOLOGY = "two_homes"\nEVENT_BUDGET = 300\n\n'
        'async def scenario(lab):\n    await lab.call("alice", "bob")\n'
    )
    done = callpath("run", "./greedy.py")
    assert done.code == 3
    assert "budget of 300 events" in done.err
    assert json.loads((only_run(tmp_path) / "result.json").read_text())["ok"] is False


@pytest.mark.real_time
def test_an_interrupt_keeps_what_was_done(tmp_path):
    """Ctrl-C goes to the whole process group, workers and all, as from a terminal."""
    started = subprocess.Popen(
        [sys.executable, "-m", "lab.cli", "run", "nat_matrix", "--repeat", "200", "--jobs", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    shards = tmp_path / "results"
    for _ in range(1200):  # a minute at most
        if len(list(shards.glob("*/trials/*.jsonl"))) >= 20:
            break
        time.sleep(0.05)  # noqa: TID251 - a real process is watched
    os.killpg(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert "Traceback" not in err
    assert "trials are kept" in err
    result = json.loads((only_run(tmp_path) / "result.json").read_text())
    assert 20 <= result["done"] < 20_000
    assert result["ok"] is False, "a run that was cut short is no success"
    assert len(list(only_run(tmp_path).glob("trials/*.jsonl"))) == result["done"]
    assert (only_run(tmp_path) / "trials.parquet").exists()


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys; from lab.cli.main import run_command_line; run_command_line(['--help']);"
        "print(sorted({'pandas', 'matplotlib', 'scipy', 'pydantic', 'aioice', 'mininet'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

"""What a run that fails leaves and says: the worst trials, what they did otherwise, their captures."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab.cli import failures
from lab.run.plan import plan_run
from lab.run.trial import run_trial

SCENARIO = """\
callpath: 1
topology: two_homes
vary: {alice_nat: [full-cone, symmetric], bob_nat: [symmetric]}
repeat: 3
calls: {from: alice, to: bob, start_offset: -30ms}
expect:
  - {metric: relay.share, rate: "== 0%", why: relays cost}
  - {metric: ice.setup_time, p95: "< 1ms", severity: warning}
  - {metric: ice.connected, rate: "== 100%"}
"""


@pytest.fixture
def run(callpath, tmp_path):
    """Run the scenario with further options; return what it said and its directory."""
    (tmp_path / "mine.yaml").write_text(SCENARIO)

    def run_it(*options):
        results = tmp_path / "results" / str(len(list((tmp_path / "results").glob("*"))))
        done = callpath("run", "./mine.yaml", "--results", results, *options)
        (path,) = results.iterdir()
        return done, path

    return run_it


def names(path, folder):
    return sorted(file.name for file in (path / folder).glob("*"))


def test_the_worst_trials_of_what_fails_are_captured_and_drawn(run):
    done, path = run()
    assert done.code == 1
    plan = plan_run("./mine.yaml", seed=1)
    captured = names(path, "pcap")
    assert captured
    assert {f"{n:06d}-{trial.key}.pcapng" for n, trial in enumerate(plan.trials)} >= set(captured)
    assert names(path, "ladders") == [name.replace(".pcapng", ".txt") for name in captured]
    text = (path / "ladders" / names(path, "ladders")[-1]).read_text()
    assert "✗" in text
    assert "alice_nat=symmetric" in text.splitlines()[0]


def test_it_says_which_trials_where_the_worst_departs_and_how_to_run_it_again(run, callpath):
    done, path = run()
    lines = done.out.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("FAIL  relay.share"))
    told = lines[begin : lines.index("", begin)]
    assert "3 of 3 trials break it, worst first: " in told[3]
    assert "(alice_nat=full-cone), which holds, at alice, seconds into call-1:" in told[4]
    assert [line.split()[0] for line in told[5:8]] == ["both", "there", "here"]
    assert told[8].lstrip().startswith("first packet dropped here and not there: #")
    assert told[9].endswith(".pcapng")
    assert (path / "ladders" / told[10].rpartition("/")[2]).exists()
    again = callpath(*told[-1].split()[1:], "--results", path / "again")
    assert again.code == 1
    (run_again,) = (path / "again").iterdir()
    events = (run_again / "events.jsonl").read_text()
    key = told[-1].split()[-1]
    (trial,) = [trial for trial in plan_run("./mine.yaml", seed=1).trials if trial.key == key]
    assert events == run_trial(trial).events


def test_what_fails_comes_before_what_warns(run):
    done, _ = run()
    assert done.out.index("FAIL  relay.share") < done.out.index("WARN  ice.setup_time")
    assert "3 of 6 verdicts: pass, 1 failed, 2 warned" in done.out


def test_the_result_names_the_worst_trials_of_what_is_no_pass(run):
    _, path = run()
    verdicts = json.loads((path / "result.json").read_text())["verdicts"]
    assert [("evidence" in verdict) for verdict in verdicts] == [v["outcome"] != "pass" for v in verdicts]
    (failed,) = [
        verdict for verdict in verdicts if verdict["outcome"] == "fail" and verdict["severity"] == "error"
    ]
    evidence = failed["evidence"]
    assert (evidence["trials"], evidence["breaking"], len(evidence["worst"])) == (3, 3, 3)
    assert evidence["replay"].endswith(f"--trial {evidence['worst'][0]['key']}")


def test_a_stored_run_is_shown_with_the_same_story(run, callpath):
    done, path = run()
    shown = callpath("show", path).out
    begin, end = done.out.index("FAIL  relay.share"), done.out.index("      its capture: ")
    assert done.out[begin:end] in shown
    again = [line for line in done.out.splitlines() if line.startswith("        callpath run ")]
    assert all(line in shown for line in again)
    assert "      its capture: " not in shown, "the directory may have been moved"


def test_junit_has_the_words_of_the_console(run):
    done, path = run()
    root = ET.parse(path / "junit.xml").getroot()  # noqa: S314 - our own file
    (failure,) = root.iter("failure")
    assert failure.text in done.out
    assert len(list(root.iter("system-out"))) == 2
    assert len(list(root.iter("testcase"))) == 7
    times = {case.get("name"): float(case.get("time")) for case in root.iter("testcase")}
    assert times["every trial ran and may be judged"] == pytest.approx(
        times["relay.share rate == 0%  [alice_nat=full-cone]"]
        + times["relay.share rate == 0%  [alice_nat=symmetric]"],
        abs=0.002,
    )


def test_without_captures_no_trial_is_run_again(run):
    done, path = run("--capture", "none")
    assert done.code == 1
    assert names(path, "pcap") == names(path, "ladders") == []
    assert "trials break it, worst first" in done.out
    assert "first departs" not in done.out
    assert "callpath run ./mine.yaml --seed 1" in done.out


def test_all_captures_and_the_same_words(run):
    (failing, some), (every, path) = run(), run("--capture", "all")
    assert len(names(path, "pcap")) == 6
    assert names(path, "ladders") == names(some, "ladders")
    for name in names(some, "pcap"):
        assert (some / "pcap" / name).read_bytes() == (path / "pcap" / name).read_bytes()
    assert (
        failing.out.replace(str(some), "").split("trials in")[0]
        == every.out.replace(str(path), "").split("trials in")[0]
    )


def test_a_run_that_passes_leaves_none(callpath, tmp_path):
    assert callpath("run", "nat_matrix", "--set", "alice_nat=none", "--set", "bob_nat=none").code == 0
    (path,) = (tmp_path / "results").iterdir()
    assert names(path, "pcap") == names(path, "ladders") == []


def test_a_long_trial_is_not_run_again_unasked(run, monkeypatch):
    monkeypatch.setattr(failures, "MOST_PACKETS", 60)
    done, path = run()
    assert names(path, "pcap") == []
    assert "not run again unasked: it has" in done.out
    assert f"callpath replay {path}" in done.out


def test_a_trial_that_does_not_repeat_is_told_loudly_and_never_passes_for_evidence(run, monkeypatch):
    """As where a scenario's program depends on more than the seed."""

    def run_otherwise(trial, capture=None):
        return run_trial(replace(trial, run_seed=trial.run_seed + 1), capture)

    monkeypatch.setattr("lab.run.replay.run_trial", run_otherwise)
    done, path = run()
    assert done.code == 1
    assert "NOT REPEATABLE: trial" in done.err
    assert "first event that differs" in done.err
    assert "first event that differs" in done.out, "with the verdict, too"
    assert "inconclusive: run again, trials came out otherwise than they are stored" in done.out
    assert names(path, "pcap") == []
    result = json.loads((path / "result.json").read_text())
    assert result["ok"] is False
    assert "came out otherwise" in result["reason"]
    suite = ET.parse(path / "junit.xml").getroot()[0]  # noqa: S314 - our own file
    assert suite.get("errors") == "1"


def test_the_page_about_it_shows_what_is_printed(callpath, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "reading-a-call.md").read_text(encoding="utf-8")
    (scenario,) = re.findall(r"<!-- file: scenarios/direct.yaml -->\n```yaml\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"```text\n(FAIL  .*?)```", page, re.DOTALL)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "direct.yaml").write_text(scenario)
    done = callpath("run", "direct")
    assert shown in done.out
    (line,) = [line.strip() for line in done.out.splitlines() if line.startswith("        callpath run")]
    assert f"$ {line}\n" in page
    assert "of trial a348d76701a8 the same is to be said as above" in done.out


@pytest.mark.system("tshark")
def test_tshark_reads_every_capture_with_the_reasons_of_its_drops(run):
    _, path = run()
    for name in names(path, "pcap"):
        command = ["tshark", "-n", "-r", path / "pcap" / name, "-T", "fields", "-e", "frame.comment"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "dropped at alice-nat: filter: " in shown or "dropped at bob-nat: filter: " in shown

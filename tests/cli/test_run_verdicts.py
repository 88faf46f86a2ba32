"""`callpath run` answers: does the promise hold? With value, interval and n, and an exit code to build on."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

SCENARIO = """\
callpath: 1
topology: two_homes
vary: {{alice_nat: [full-cone, symmetric], bob_nat: [symmetric]}}
repeat: 4
{more}
calls: {{from: alice, to: bob, start_offset: -30ms}}
expect:
  - {{metric: {metric}, {statistic}, {rest}}}
"""


MIX = """\
callpath: 1
topology: two_homes
parameters: {{alice_nat: symmetric}}
population: {{bob_nat: {{full-cone: 3, symmetric: 1}}}}
repeat: 40
calls: {{from: alice, to: bob, start_offset: -30ms}}
expect:
  - {{metric: relay.share, rate: "<= {bound}", severity: warning, why: the relays are sized for it}}
"""


@pytest.fixture
def run(callpath, tmp_path):
    def run_expecting(metric, statistic, rest="why: because", more=""):
        text = SCENARIO.format(metric=metric, statistic=statistic, rest=rest, more=more)
        (tmp_path / "mine.yaml").write_text(text)
        done = callpath("run", "./mine.yaml")
        (folder,) = Path(tmp_path, "results").iterdir()
        return done, json.loads((folder / "result.json").read_text())

    return run_expecting


def test_a_promise_that_holds_is_a_pass_and_exit_0(run):
    done, result = run("ice.connected", 'rate: "== 100%"')
    assert done.code == 0
    assert "2 of 2 verdicts: pass" in done.out
    assert (result["ok"], result["outcome"]) == (True, "pass")


def test_a_promise_that_does_not_hold_is_exit_1_and_told_with_value_interval_and_n_in_its_cell_alone(run):
    done, result = run("relay.share", 'rate: "== 0%"', "why: direct paths are cheaper")
    assert done.code == 1
    assert "FAIL  relay.share rate == 0%  [alice_nat=symmetric]" in done.out
    assert "found 100 %" in done.out
    assert "n = 4" in done.out
    assert "why: direct paths are cheaper" in done.out
    assert "1 of 2 verdicts: pass" in done.out
    assert (result["ok"], result["outcome"]) == (False, "fail")
    failed = [verdict for verdict in result["verdicts"] if verdict["outcome"] == "fail"]
    assert [(v["cell"], v["value"], v["n"]) for v in failed] == [({"alice_nat": "symmetric"}, 1.0, 4)]


def test_a_warning_is_told_and_fails_nothing(run):
    done, result = run("relay.share", 'rate: "== 0%"', "severity: warning")
    assert done.code == 0
    assert "WARN  relay.share" in done.out
    assert result["ok"] is True


@pytest.mark.requirement("Z1-12")
@pytest.mark.parametrize(("bound", "alarmed"), [("60%", False), ("5%", True)])
def test_the_share_of_calls_on_the_relay_is_stated_and_beyond_its_bound_an_alarm_is_raised(
    callpath, tmp_path, bound, alarmed
):
    """Alice's calls need the relay where they meet a symmetric NAT: about a quarter of them."""
    (tmp_path / "mix.yaml").write_text(MIX.format(bound=bound))
    done = callpath("run", "./mix.yaml")
    (folder,) = Path(tmp_path, "results").iterdir()
    (verdict,) = json.loads((folder / "result.json").read_text())["verdicts"]
    rows = pq.read_table(folder / "trials.parquet").to_pylist()
    assert verdict["n"] == len(rows) == 40
    assert verdict["value"] == sum(row["path"] == "relay" for row in rows) / 40
    assert 0.05 < verdict["value"] < 0.6
    alarm, stated = f"WARN  relay.share rate <= {bound}", f"found {100 * verdict['value']:.3g} %"
    assert (alarm in done.out, stated in done.out) == (alarmed, alarmed)
    assert done.code == 0


def test_a_warning_that_nobody_can_judge_is_told_and_changes_no_exit_code(run):
    done, result = run("consent.detection_time", 'p95: "< 1s"', "severity: warning")
    assert done.code == 0
    assert "????  consent.detection_time p95 < 1s  [alice_nat=full-cone]  (only a warning)" in done.out
    assert "0 of 2 verdicts: pass, 2 inconclusive" in done.out
    assert (result["ok"], result["outcome"]) == (True, "pass")


def test_an_error_beside_warnings_decides_the_exit_code(run):
    both = '}\n  - {metric: ice.connected, rate: "== 0%", severity: warning'
    done, _ = run("relay.share", 'rate: "== 0%"', "why: because" + both)
    assert done.code == 1
    assert done.out.index("FAIL  ") < done.out.index("WARN  ")
    assert "1 of 4 verdicts: pass, 1 failed, 2 warned" in done.out


def test_an_expectation_that_nothing_was_measured_for_is_inconclusive_never_a_pass(run):
    done, result = run("consent.detection_time", 'p95: "< 1s"')
    assert done.code == 3
    assert result["outcome"] == "inconclusive"
    assert "0 of 2 verdicts: pass" in done.out


def test_what_is_expected_of_cells_that_were_not_asked_for_is_set_aside(callpath):
    done = callpath(
        "run", "nat_matrix", "--set", "alice_nat=none", "--set", "bob_nat=symmetric", "--repeat", "1"
    )
    assert done.code == 0
    assert "4 expectations are about cells that --set or --trial left out" in done.out


def test_few_samples_cannot_bound_a_share_with_confidence(run):
    done, _ = run("ice.connected", 'rate: ">= 95%"', "confidence: 95%")
    assert done.code == 3
    assert "n = 4" in done.out


def test_a_reader_that_leaves_is_told_apart_from_a_promise_that_failed():
    """Click ends a command with 1 where its output has no reader; here 1 is a failed expectation."""
    listing = subprocess.Popen([sys.executable, "-m", "lab.cli", "ls"], stdout=subprocess.PIPE)
    listing.stdout.close()
    assert listing.wait(timeout=60) == 141

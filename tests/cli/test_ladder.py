"""`callpath ladder`: on a stored run, by replay, and only where the replay is what was stored."""

import json
from pathlib import Path

import pytest

RUN = (str(Path(__file__).parents[1] / "report" / "offset_call.py"),)
CELL = "alice_nat=symmetric,bob_nat=port-restricted"


@pytest.fixture
def stored(callpath, tmp_path):
    """Return the directory of a small run under ./results."""
    assert callpath("run", *RUN, "--repeat", "1").code == 0
    (run,) = (tmp_path / "results").iterdir()
    return run


def test_the_default_is_the_relayed_trial_of_the_latest_run(callpath, stored):
    done = callpath("ladder", "latest")
    assert done.code == 0
    assert CELL in done.out.splitlines()[0]
    assert "─✗" in done.out
    assert "dropped at bob-nat: filter: " in done.out


def test_the_same_ladder_by_path_by_cell_and_by_key(callpath, stored):
    key = callpath("ladder", "latest").out.split()[1]
    ladders = {
        callpath("ladder", *arguments, "--only", "stun,turn").out
        for arguments in (("latest",), (str(stored), CELL), (stored.name[:12], key[:5]))
    }
    assert len(ladders) == 1


def test_a_call_alone_and_one_kind_of_packet(callpath, stored):
    done = callpath("ladder", "latest", "call-1", "--only", "media")
    assert done.code == 0
    assert "×5" in done.out
    assert "TCP" not in done.out


def test_the_width_is_kept(callpath, stored):
    done = callpath("ladder", "latest", "--width", "80")
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (("yesterday",), "no run of that name"),
        (("latest", "alice_nat=symetric"), 'did you mean "symmetric"?'),
        (("latest", "--only", "stum"), 'did you mean "stun"?'),
        (("latest", "--width", "45"), "61 or more"),
    ],
)
def test_bad_usage_is_told_and_ends_with_2(callpath, stored, arguments, because):
    done = callpath("ladder", *arguments)
    assert done.code == 2
    assert because in done.err
    assert done.out == ""


def test_a_run_is_drawn_as_it_was_whatever_became_of_its_scenario(callpath, tmp_path):
    scenario = tmp_path / "mine.py"
    text = 'TOPOLOGY = "two_homes"\n\nasync def scenario(lab):\n    await lab.call("alice", "bob")\n'
    scenario.write_text(text)
    assert callpath("run", "./mine.py").code == 0
    drawn = callpath("ladder", "latest").out
    changed = text.replace('"bob")', '"bob", start_offset="200ms")')
    scenario.write_text(changed)
    assert callpath("ladder", "latest").out == drawn
    scenario.unlink()
    assert callpath("ladder", "latest").out == drawn
    (copy,) = tmp_path.glob("results/*/inputs/scenarios/mine.py")
    copy.write_text(changed)
    done = callpath("ladder", "latest")
    assert done.code == 3
    assert "run again is not what was stored" in done.err


def test_a_trial_that_was_edited_is_refused(callpath, stored):
    manifest = json.loads((stored / "manifest.json").read_text())
    for trial in manifest["trials"]:
        trial["parameters"]["bob_nat"] = "cgn"
    (stored / "manifest.json").write_text(json.dumps(manifest))
    done = callpath("ladder", "latest")
    assert done.code == 2
    assert "edited by hand?" in done.err


def test_a_run_of_another_version_is_refused(callpath, stored):
    manifest = json.loads((stored / "manifest.json").read_text()) | {"callpath": "0.0.0"}
    (stored / "manifest.json").write_text(json.dumps(manifest))
    done = callpath("ladder", "latest")
    assert done.code == 2
    assert "a replay would not be the same" in done.err


def test_a_picture_is_written_where_asked_and_nothing_is_printed(callpath, stored, tmp_path):
    done = callpath("ladder", "latest", "--only", "stun", "--svg", tmp_path / "call.svg")
    assert (done.code, done.out) == (0, "")
    assert (tmp_path / "call.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert callpath("ladder", "latest", "--svg", tmp_path / "no" / "call.svg").code == 4

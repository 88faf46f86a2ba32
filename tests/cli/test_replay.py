"""`callpath replay`: a stored trial again, the same to the byte, with its capture."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.spec.find import load_topology

SMALL = ("nat_matrix", "--set", "alice_nat=symmetric", "--set", "bob_nat=restricted", "--repeat", "2")


@pytest.fixture
def stored(callpath, tmp_path):
    """Return the directory of a small run under ./results, with captures of all trials."""
    assert callpath("run", *SMALL, "--capture", "all").code == 0
    (run,) = (tmp_path / "results").iterdir()
    return run


def test_a_capture_by_replay_is_the_capture_of_the_run(callpath, stored):
    for capture in sorted((stored / "pcap").iterdir()):
        key = capture.stem.partition("-")[2]
        done = callpath("replay", "latest", key, "-o", f"{key}.pcapng")
        assert (done.code, done.out) == (0, "")
        assert f"trial {key}" in done.err
        assert "byte for byte as it is stored" in done.err
        assert Path(f"{key}.pcapng").read_bytes() == capture.read_bytes()


def test_without_an_output_it_only_says_that_it_is_the_same(callpath, stored):
    done = callpath("replay", stored, "alice_nat=symmetric")
    assert (done.code, done.out) == (0, "")
    assert "repetition 1" in done.err


@pytest.mark.system("tshark")
def test_a_capture_of_one_node_on_standard_output_is_read_by_tshark(callpath, stored):
    command = [sys.executable, "-m", "lab.cli", "replay", str(stored), "-o", "-", "--node", "alice"]
    made = subprocess.run(command, capture_output=True, check=True)
    reader = ["tshark", "-n", "-r", "-", "-T", "fields", "-e", "frame.interface_name"]
    shown = subprocess.run(reader, input=made.stdout, capture_output=True, check=True).stdout.decode()
    assert {line.partition(":")[0] for line in shown.split()} == {"alice"}


@pytest.mark.parametrize(
    ("arguments", "code", "because"),
    [
        (("latest", "--node", "alcie", "-o", "x.pcapng"), 2, 'did you mean "alice"?'),
        (("latest", "ffffffffffff"), 2, "no trial has a key that begins so"),
        (("yesterday",), 2, "no run of that name"),
        (("latest", "-o", "no/such/x.pcapng"), 4, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told(callpath, stored, arguments, code, because):
    done = callpath("replay", *arguments)
    assert done.code == code
    assert because in done.err
    assert not Path("x.pcapng").exists()


def test_a_trial_that_is_not_what_was_stored_ends_with_3_and_writes_nothing(callpath, stored):
    events = stored / "events.jsonl"
    events.write_text(events.read_text().replace('"seconds":0.', '"seconds":7.', 1))
    trial = json.loads((stored / "manifest.json").read_text())["trials"][0]["key"]
    done = callpath("replay", "latest", trial, "-o", "x.pcapng")
    assert done.code == 3
    assert "data.seconds: 7." in done.err
    assert not Path("x.pcapng").exists()


def test_every_node_of_the_network_can_be_named(callpath, stored):
    for node in load_topology("two_homes", {}).nodes:
        assert callpath("replay", "latest", "--node", node, "-o", "x.pcapng").code == 0

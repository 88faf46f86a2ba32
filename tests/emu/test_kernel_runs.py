"""`callpath run --world emu`: planned, probed, run, judged and stored as a run in virtual time is."""

import json
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user

import lab
from lab.cli.main import run_command_line
from lab.cli.options import NAT_PLANES
from lab.emu.certify import certify_on_kernel
from lab.emu.nat_planes import NAT_PLANES as PLANES_OF_THE_WORLD
from lab.results.run_directory import RunDirectory
from lab.run.certification import certify_boxes
from lab.run.plan import plan_run
from lab.run.replay_line import replay_line
from lab.spec.find import load_topology
from nat_models import load_preset

TOPOLOGY = """\
from mininet.topo import Topo


class Homes(Topo):
    def build(self, alice_nat="port-restricted", bob_nat="port-restricted", delay="0ms") -> None:
        self.addHost("internet", role="router")
        for name, nat in (("alice", alice_nat), ("bob", bob_nat)):
            self.addHost(name, role="endpoint")
            self.addHost(f"{name}-nat", role="nat", nat=nat, uplink="internet")
            self.addLink(name, f"{name}-nat", label=f"{name}-home")
            self.addLink(f"{name}-nat", "internet", label=f"{name}-access", impair={"delay": delay})
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server)


topos = {"homes": Homes}
"""
SCENARIO = """\
callpath: 1
topology: homes
parameters: {delay: 0ms}
vary: {alice_nat: [full-cone, symmetric], bob_nat: [symmetric]}
calls: {from: alice, to: bob, media: {packets: 2}}
expect:
  - {metric: ice.connected, rate: "== 100%"}
  - {metric: relay.share, rate: "== 100%", when: {alice_nat: symmetric}, why: neither filter admits the other}
"""

CONNECTED = 'expect: [{metric: ice.connected, rate: "== 100%"}]\n'

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A directory of the user's own, with a topology and a scenario; results go there."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_files(directory):
    for folder, name, text in (("topologies", "homes.py", TOPOLOGY), ("scenarios", "pairs.yaml", SCENARIO)):
        (directory / folder).mkdir()
        (directory / folder / name).write_text(text)


def only_run(workspace):
    (folder,) = (workspace / "results").iterdir()
    return folder


def read_json(path):
    return json.loads(path.read_text())


def test_a_scenario_runs_on_the_kernel_and_its_verdicts_hold(workspace, capsys):
    assert run_command_line(["run", "pairs", "--world", "emu", "--jobs", "2"]) == 0
    assert "2 NAT models probed: as claimed" in capsys.readouterr().err
    folder = only_run(workspace)
    manifest, result = read_json(folder / "manifest.json"), read_json(folder / "result.json")
    assert (manifest["world"], manifest["nat_plane"]) == ("emu", "auto")
    boxes = [(box["model"]["name"], box["plane"]) for box in manifest["nat_boxes"]]
    assert boxes == [("full-cone", "nft"), ("symmetric", "nft")]
    assert (result["ok"], result["outcome"], result["done"]) == (True, "pass", 2)
    lines = (folder / "events.jsonl").read_text().splitlines()
    ended = [json.loads(line) for line in lines if '"trial.ended"' in line]
    assert [event["data"]["reason"] for event in ended] == ["scenario done"] * 2


def test_a_run_on_the_kernel_that_was_cut_short_is_finished_there_and_keeps_its_trials(
    workspace, capsys, monkeypatch
):
    write = RunDirectory.write_trial

    def write_and_interrupt(*arguments):
        write(*arguments)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "write_trial", write_and_interrupt)
        assert run_command_line(["run", "pairs", "--world", "emu", "--jobs", "1"]) == 130
    folder = only_run(workspace)
    (shard,) = (folder / "trials").iterdir()
    kept = shard.read_bytes()
    assert run_command_line(["resume", "latest"]) == 0
    assert "1 of 2 trials are there, 1 to run" in capsys.readouterr().err
    assert (folder / "events.jsonl").read_bytes().startswith(kept)
    result = read_json(folder / "result.json")
    assert (result["ok"], result["done"], len(result["verdicts"])) == (True, 2, 3)


def test_a_run_on_the_kernel_is_not_run_again_as_it_was(workspace, capsys):
    assert run_command_line(["run", "pairs", "--world", "emu", "--set", "alice_nat=full-cone"]) == 0
    assert run_command_line(["replay", "latest"]) == 2
    assert "only what ran in virtual time can be replayed" in capsys.readouterr().err
    assert run_command_line(["explain", "latest"]) == 0
    told = capsys.readouterr().out
    assert "selected\n" in told
    assert "not known: its packets were not captured" in told
    assert run_command_line(["ladder", "latest", "call-1"]) == 2
    said = capsys.readouterr().err
    assert "were not captured" in said
    assert "callpath run --world emu --capture all" in said


@pytest.mark.parametrize("plane", ["nft", "engine"])
def test_the_boxes_are_probed_in_the_world_of_the_run_by_their_plane(plane):
    boxes = [(load_preset("port-restricted"), 1), (load_preset("symmetric"), 1)]
    for certificate in certify_on_kernel(boxes, nat_plane=plane):
        assert certificate.problems == ()
        assert certificate.found


def test_a_box_that_is_not_what_it_claims_stops_the_run(monkeypatch, workspace, capsys):
    claimed = load_preset("full-cone")

    def swapped(boxes, *, nat_plane):
        """Build another box in place of the one that is claimed."""
        made = certify_on_kernel([(load_preset("symmetric"), 1)], nat_plane=nat_plane)[0]
        return [replace(made, model=claimed, problems=compare_with(claimed, made))]

    def compare_with(model, made):
        return tuple(f"{model.name} is not what was found" for _ in made.found)[:1]

    monkeypatch.setattr("lab.run.certification.certify_on_kernel", swapped)
    assert run_command_line(["run", "pairs", "--world", "emu"]) == 3
    assert "NAT boxes are not what they claim" in capsys.readouterr().err
    assert not (workspace / "results").exists()


def test_each_box_is_on_the_first_plane_that_can_be_its_model(workspace, capsys):
    """In one network Linux itself is beside the engine, in another beside rules."""
    text = SCENARIO.replace("[full-cone, symmetric]", "[linux-masquerade]")
    text = text.replace("[symmetric]", "[cgn, symmetric]")
    (workspace / "scenarios" / "pairs.yaml").write_text(text.partition("expect:")[0] + CONNECTED)
    assert run_command_line(["run", "pairs", "--world", "emu", "--jobs", "1"]) == 0, capsys.readouterr().err
    boxes = read_json(only_run(workspace) / "manifest.json")["nat_boxes"]
    assert {box["model"]["name"]: box["plane"] for box in boxes} == {
        "linux-masquerade": "kernel",
        "cgn": "engine",
        "symmetric": "nft",
    }


def test_a_plane_that_cannot_be_a_model_is_refused_with_one_that_can(workspace, capsys):
    assert run_command_line(["run", "pairs", "--world", "emu", "--nat-plane", "kernel"]) == 2
    error = capsys.readouterr().err
    assert "the kernel plane cannot do" in error
    assert "use --nat-plane nft" in error
    assert not (workspace / "results").exists()


def test_a_scenario_says_what_is_different_on_the_kernel(workspace):
    own = SCENARIO.replace("delay: 0ms", "delay: 10ms") + "emu: {set: {delay: 0ms}}\n"
    (workspace / "scenarios" / "own.yaml").write_text(own)
    on_kernel, simulated = plan_run("own", seed=1, world="emu", nat_plane="nft"), plan_run("own", seed=1)
    assert {trial.parameters["delay"] for trial in on_kernel.trials} == {"0ms"}
    assert {trial.parameters["delay"] for trial in simulated.trials} == {"10ms"}


def test_a_scenario_for_virtual_time_alone_is_refused_with_its_reason(workspace, capsys):
    only = SCENARIO + "worlds: [sim]\nworlds_reason: it lasts a day\n"
    (workspace / "scenarios" / "only.yaml").write_text(only)
    assert run_command_line(["run", "only", "--world", "emu"]) == 2
    assert "runs in sim only: it lasts a day" in capsys.readouterr().err


def test_captures_are_taken_as_trials_run_and_those_of_failing_ones_are_kept(workspace, capsys):
    wrong = SCENARIO.replace("when: {alice_nat: symmetric}", "when: {alice_nat: full-cone}")
    (workspace / "scenarios" / "wrong.yaml").write_text(wrong)
    assert run_command_line(["run", "wrong", "--world", "emu", "--jobs", "1", "--capture", "failing"]) == 1
    said = capsys.readouterr()
    folder = only_run(workspace)
    (capture,) = (folder / "pcap").iterdir()
    assert capture.name.startswith("000000-"), "the trial of the full cone"
    assert f"its capture: pcap/{capture.name}" in said.out + said.err
    assert capture.read_bytes()[:4] == b"\n\r\r\n"
    assert run_command_line(["ladder", "latest", "alice_nat=full-cone,bob_nat=symmetric"]) == 0
    ladder = capsys.readouterr().out
    assert ladder.splitlines()[1].split() == ["alice", "alice-nat", "relay", "rendezvous", "bob-nat", "bob"]
    assert "offer of alice to bob" in ladder
    assert "Binding request" in ladder
    assert run_command_line(["explain", "latest", "alice_nat=full-cone,bob_nat=symmetric"]) == 0
    explained = capsys.readouterr().out
    assert re.search(
        r"bob-nat dropped 1 check of alice from [\d.:]+: it went no further; [\d.:]+ had sent to others",
        explained,
    )
    assert "internet has no route to 192.168.1." in explained
    assert run_command_line(["ladder", "latest", "alice_nat=symmetric,bob_nat=symmetric"]) == 2
    assert "were not captured" in capsys.readouterr().err


def test_the_line_that_runs_a_trial_again_names_its_world(workspace):
    trial = plan_run("pairs", seed=1, world="emu", nat_plane="engine").trials[0]
    assert "--world emu --nat-plane engine" in replay_line(trial)
    assert "--world" not in replay_line(plan_run("pairs", seed=1).trials[0])


def test_a_trial_has_one_key_in_both_worlds(workspace):
    plans = plan_run("pairs", seed=1), plan_run("pairs", seed=1, world="emu", nat_plane="nft")
    keys = [[trial.key for trial in plan.trials] for plan in plans]
    assert keys[0] == keys[1]


def test_the_command_line_knows_every_plane():
    assert sorted(NAT_PLANES) == sorted(PLANES_OF_THE_WORLD)
    assert NAT_PLANES[0] == PLANES_OF_THE_WORLD[0]


def test_virtual_time_and_kernel_probe_the_same_boxes():
    networks = [load_topology("two_homes", {"alice_nat": "symmetric"})]
    there = certify_boxes(networks, world="emu", nat_plane="nft")
    here = certify_boxes(networks)
    assert [c.model for c in there] == [c.model for c in here]


@pytest.mark.timeout(600)
def test_an_ordinary_user_runs_the_matrix_of_nats():
    """Three by three of the shipped scenario; a trial that a busy machine has stalled is told."""
    nats = "full-cone,port-restricted,symmetric"
    words = ["run", "nat_matrix", "--world", "emu", "--repeat", "1", "--jobs", "2"]
    axes = ["--set", f"alice_nat={nats}", "--set", f"bob_nat={nats}"]
    command, environment = as_ordinary_user([sys.executable, "-m", "lab.cli", *words, *axes])
    environment["PYTHONPATH"] = str(Path(lab.__file__).parents[1])
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to other users
        Path(directory).chmod(0o777)
        done = subprocess.run(
            command, env=environment, cwd=directory, capture_output=True, text=True, check=False
        )
        result = read_json(only_run(Path(directory)) / "result.json")
    said = done.stdout + done.stderr
    assert "3 NAT models probed: as claimed" in said
    assert result["done"] == 9
    assert [verdict for verdict in result["verdicts"] if verdict["outcome"] == "fail"] == [], said
    assert done.returncode == (3 if result["invalid"] else 0), said
    assert all("the machine stalled" in line for line in result["invalid"])

"""What the kernel world cannot do is told with a remedy and the right exit code, and leaves nothing."""

import os
from pathlib import Path

import pytest
from plain_topologies import pair, public_network
from test_kernel_runs import SCENARIO, TOPOLOGY, write_files

from lab.cli.main import run_command_line
from lab.emu.kernel_network import KernelNetwork
from lab.emu.lab import emulate
from lab.emu.leftovers import find_leftovers
from lab.errors import HostNotReady

RUN = ["run", "pairs", "--world", "emu", "--jobs", "1", "--set", "alice_nat=full-cone"]

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A directory with a topology and a scenario, and one before all others on the path."""
    write_files(tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path


def stand_in(workspace, program, script):
    """Put a program of that name before the machine's."""
    place = workspace / "bin" / program
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


def assert_refused(capsys, code, *words, command=RUN):
    """Run, and find an exit code and these words, in order; nothing of it is left."""
    assert run_command_line(command) == code
    said = capsys.readouterr().err
    for word in words:
        assert word in said
        said = said.partition(word)[2]
    assert "Traceback" not in said
    assert [one for one in find_leftovers() if one.maker_number == os.getpid()] == []
    assert list(Path().glob("results/*")) == []


def test_a_user_who_may_make_no_namespaces_is_told_so(workspace, capsys):
    stand_in(workspace, "unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    words = (
        "cannot run the kernel world; it lacks",
        "Operation not permitted",
        "`callpath doctor` says what to do",
    )
    assert_refused(capsys, 4, *words)


def test_a_program_that_is_missing_is_named(workspace, capsys, monkeypatch):
    for place in (*Path("/usr/bin").iterdir(), *Path("/usr/sbin").iterdir()):
        if place.name != "nft" and not (workspace / "bin" / place.name).exists():
            (workspace / "bin" / place.name).symlink_to(place)
    monkeypatch.setenv("PATH", str(workspace / "bin"))
    for module in ("lab.emu.doctor", "lab.emu.outer.namespace"):
        monkeypatch.setattr(f"{module}.ADMINISTRATORS_PATH", str(workspace / "bin"))
    assert_refused(capsys, 4, "it lacks", "nft: not found", "`callpath doctor` says what to do")


def test_a_kernel_that_refuses_a_feature_is_quoted(workspace, capsys):
    stand_in(workspace, "nft", "echo 'Error: Could not process rule: Operation not supported' >&2; exit 1")
    assert_refused(capsys, 4, "it lacks", "nft NAT: nft: Error: Could not process rule", "`callpath doctor`")


def test_namespaces_that_cannot_be_made_while_it_runs_are_told(workspace, capsys):
    stand_in(workspace, "mnexec", "exit 1")
    assert_refused(capsys, 4, "mnexec made no network namespace", "`callpath doctor` says what is missing")


def test_a_kernel_without_ipv6_cannot_build_what_has_it(monkeypatch, tmp_path):
    monkeypatch.setattr("lab.emu.kernel_network.PLACE", tmp_path)
    with pytest.raises(HostNotReady, match=r"public has IPv6 addresses, and this kernel has no IPv6"):
        KernelNetwork(public_network(ipv6=True))


def test_a_relay_that_ends_at_once_ends_the_run_with_its_words(workspace, capsys):
    stand_in(workspace, "turnserver", "echo cannot bind anything; exit 7")
    words = "coturn ended with exit status 7; it said last", "cannot bind anything"
    assert_refused(capsys, 4, *words, command=[*RUN, "--relay", "coturn"])


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('impair={"delay": delay}', 'impair={"loss": "120%"}', ("120%", "100%")),
        ('impair={"delay": delay}', 'impair={"delay": "-1ms"}', ("-1ms",)),
        ('label=f"{name}-access"', 'label=f"{name}-access", subnet="198.51.100.0/24"', ("198.51.100.0/24",)),
    ],
    ids=["more than all is lost", "a packet arrives before it is sent", "two links with the same addresses"],
)
def test_a_network_that_cannot_be_is_refused_before_anything_is_built(
    workspace, capsys, before, after, words
):
    assert before in TOPOLOGY
    (workspace / "topologies" / "homes.py").write_text(TOPOLOGY.replace(before, after))
    assert_refused(capsys, 2, *words)


def test_a_plane_that_cannot_be_a_model_is_refused_with_those_that_can(workspace, capsys):
    text = SCENARIO.replace("bob_nat: [symmetric]", 'bob_nat: ["cgn{hairpinning: none}"]')
    (workspace / "scenarios" / "pairs.yaml").write_text(text)
    assert_refused(
        capsys, 2, "the nft plane cannot do", "use --nat-plane engine", command=[*RUN, "--nat-plane", "nft"]
    )


def test_wires_that_were_killed_are_told_and_end_the_trial():
    async def scenario(lab):
        kill = ["sh", "-c", "kill -9 $(grep -lx wires /proc/[0-9]*/comm | cut -d/ -f3)"]
        await lab._agent.ask("run", node="alice", command=kill)
        lab.impair("alice", delay="20ms")
        await lab.sleep("30s")

    with pytest.raises(HostNotReady, match="the links' wires have ended"):
        emulate(pair(alice={"delay": "1ms"}), scenario, {}, run_seed=1, trial_key="t", deadline=60.0)

"""coturn as the relay: a server that nobody here wrote, under the lab's own calls."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from mininet.topo import Topo
from ordinary_user import as_ordinary_user
from own_processes import our_processes, process_name
from plain_topologies import homes_network, public_network
from test_kernel_runs import only_run, read_json, write_files

import lab as package
from lab.cli.main import run_command_line
from lab.emu.lab import emulate
from lab.emu.programs.program_ends import LAST_LINES
from lab.emu.servers.coturn import Coturn, coturn_version
from lab.errors import HostNotReady
from lab.measure.calls import calls_of
from lab.run.plan import plan_run
from lab.run.relay_choice import with_relays
from lab.run.replay_line import replay_line
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.network import Interface
from lab.spec.plan import plan_network
from lab.spec.roles import TURN_TCP_PORT, TURN_TLS_PORT, addresses_of

SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 90.0}

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "turnserver"),
    pytest.mark.usefixtures("untouched_machine"),
]


def play(network, scenario):
    return emulate(with_relays(network, "coturn"), scenario, {}, **SETTINGS)


def one_call(*transports):
    async def scenario(lab):
        await lab.call("alice", "bob", policy=CandidatePolicy(turn_transports=transports or ("udp",)))
        await lab.hang_up("call-1")
        seen.update(our_coturns())
        await lab.sleep("500ms")  # in which coturn tells of the connection's end

    seen = set()
    return scenario, seen


def our_coturns():
    """Return the processes that run coturn below this one."""
    return our_processes("turnserver")


def test_two_symmetric_boxes_leave_coturn_over_udp_and_nothing_of_it_afterwards():
    scenario, seen = one_call("udp")
    played = play(homes_network("symmetric", "symmetric"), scenario)
    (call,) = calls_of(played.events)
    assert call.path is PathClass.RELAY
    assert "Coturn-" in played.outputs["relay"]
    assert "CHANNEL_BIND processed, success" in played.outputs["relay"]
    assert len(seen) == 1
    assert our_coturns() == set()


@pytest.mark.parametrize("bob", ["port-restricted", "udp-blocked"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_where_udp_is_blocked_on_one_or_both_sides_coturn_is_reached_by_stream(bob, transport):
    played = play(homes_network("udp-blocked", bob), one_call(transport)[0])
    (call,) = calls_of(played.events)
    assert call.path is PathClass.RELAY
    port, kind = {"tcp": (TURN_TCP_PORT, "TCP"), "tls": (TURN_TLS_PORT, "TLS/TCP")}[transport]
    closed = rf"user <callpath> .* local 192\.0\.2\.10:{port}, .* reason: {kind}"
    assert re.search(closed, played.outputs["relay"])


def test_with_two_addresses_coturn_answers_behaviour_discovery():
    async def scenario(lab):
        here = lab.network.nodes["alice"]
        command = ["turnutils_natdiscovery", "-m", "-L", addresses_of(here)[0], relay]
        said.append(await lab._agent.ask("run", node="alice", command=command))

    said, network = [], homes_network("symmetric", "full-cone")
    relay = addresses_of(network.nodes["relay"])[0]
    play(network, scenario)
    assert "Address and Port Dependent Mapping" in said[0]


def test_coturn_that_is_killed_by_somebody_is_an_event_with_its_last_words():
    async def scenario(lab):
        await lab.call("alice", "bob", media=MediaPlan(packets=2))
        (process,) = our_coturns()
        os.kill(process, signal.SIGKILL)
        await lab.sleep("300ms")

    events = play(public_network(), scenario).events
    (failed,) = [e for e in events if e.type is EventType.ROLE_FAILED]
    assert failed.node == "relay"
    assert "coturn was ended by SIGKILL; it said last" in failed.data["error"]
    assert len(failed.data["error"].splitlines()) == LAST_LINES + 1


def test_coturn_is_killed_paused_and_started_anew_as_any_program_is():
    async def scenario(lab):
        first = our_coturns()
        lab.pause("relay")
        await lab.sleep("200ms")
        states.append({_state(process) for process in first})
        lab.resume("relay")
        lab.kill("relay")
        await lab.sleep("200ms")
        assert our_coturns() == set()
        lab.restart("relay")
        await lab.sleep("2s")
        assert our_coturns().isdisjoint(first)
        policy = CandidatePolicy(candidates="relay-only")
        assert (await lab.call("alice", "bob", policy=policy)).connected

    states = []
    told = [e.type for e in play(public_network(), scenario).events if e.type.value.startswith("role.")]
    assert states == [{"T"}]
    assert told == [
        EventType.ROLE_PAUSED,
        EventType.ROLE_RESUMED,
        EventType.ROLE_KILLED,
        EventType.ROLE_RESTARTED,
    ]


def _state(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def test_coturn_that_ends_at_once_ends_the_run_with_what_it_said(tmp_path, monkeypatch):
    stand_in = tmp_path / "turnserver"
    stand_in.write_text("#!/bin/sh\necho cannot bind anything\nexit 7\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(HostNotReady, match=r"coturn ended with exit status 7; it said last\n  cannot bind"):
        play(public_network(), one_call()[0])


def test_coturn_that_never_answers_is_told_with_the_places_where_it_is_silent(tmp_path, monkeypatch):
    stand_in = tmp_path / "turnserver"
    stand_in.write_text("#!/bin/sh\nexec sleep 60\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("lab.emu.servers.server_program.START_SECONDS", 0.3)
    monkeypatch.setattr("lab.emu.servers.coturn._FILES", tmp_path / "files")
    nobody = Interface(node="relay", link="lo", addresses=("127.98.76.54/8",))
    node = replace(public_network().nodes["relay"], interfaces=(nobody,))
    monkeypatch.setattr("lab.emu.servers.coturn.vanishing_routes", lambda *_: [])
    with pytest.raises(
        HostNotReady, match=r"has not answered in 0.3 s on udp 127.98.76.54:3478, tcp .*, tls "
    ):
        asyncio.run(Coturn(node, public_network()).run())


class OneSwitch(Topo):
    """Two homes and their servers on one public segment, which no router leaves."""

    def build(self) -> None:
        self.addSwitch("s1", dpid="1", subnet="203.0.113.0/24")
        for name in ("alice", "bob"):
            self.addHost(name, role="endpoint")
            self.addHost(f"{name}-nat", role="nat", nat="symmetric", uplink="s1")
            self.addLink(name, f"{name}-nat", label=f"{name}-home")
            self.addLink(f"{name}-nat", "s1", label=f"{name}-access")
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "s1", label=server)


def test_addresses_to_which_the_relays_host_has_no_route_do_not_end_coturns_sessions():
    """Callers' private addresses are peers too; coturn would close the session of who names one."""
    network = plan_network(OneSwitch(), "one switch")
    assert all(route.destination.prefixlen for route in network.nodes["relay"].routes)
    played = play(network, one_call("udp")[0])
    (call,) = calls_of(played.events)
    assert call.path is PathClass.RELAY
    assert "unreachable" not in played.outputs["relay"]


def test_coturn_relays_between_ipv6_addresses():
    async def scenario(lab):
        await lab.call("alice", "bob", policy=CandidatePolicy(candidates="relay-only"))

    played = play(public_network(ipv6=True), scenario)
    (call,) = calls_of(played.events)
    assert call.path is PathClass.RELAY
    assert "Relay address to use: 2001:db8:" in played.outputs["relay"]


def test_coturn_ends_with_a_run_that_is_killed(tmp_path):
    write_files(tmp_path)
    with (tmp_path / "said").open("w+") as said:
        run = _run_with_coturn(tmp_path, said)
        try:
            started = _eventually(lambda: _serving() or run.poll() is not None)
            assert isinstance(started, set), f"exit {run.poll()}: {(tmp_path / 'said').read_text()}"
        finally:
            run.kill()
            run.wait()
    assert _eventually(lambda: not {process for process in started if process_name(process) == "turnserver"})


def _run_with_coturn(directory, said):
    words = ["run", "pairs", "--world", "emu", "--relay", "coturn", "--jobs", "1"]
    return subprocess.Popen(
        [sys.executable, "-m", "lab.cli", *words], cwd=directory, stdout=subprocess.DEVNULL, stderr=said,
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])},
    )  # fmt: skip


def _serving():
    """Return those of our coturns that serve: one that is asked for its version is gone in a moment."""
    return {process for process in our_coturns() if b"turnserver.conf" in _command_line(process)}


def _command_line(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _eventually(condition):
    """Return what comes true of a condition, or what it was after as long as a busy machine may need."""
    end = time.monotonic() + 100
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_a_run_with_coturn_says_so_and_which_version(tmp_path, monkeypatch, capsys):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["run", "pairs", "--world", "emu", "--relay", "coturn", "--set", "alice_nat=symmetric"]
    assert run_command_line(words) == 0
    manifest = read_json(only_run(tmp_path) / "manifest.json")
    assert (manifest["relay"], manifest["programs"]) == ("coturn", {"coturn": coturn_version()})
    assert run_command_line(["show", "latest"]) == 0
    assert f"coturn {coturn_version()}" in capsys.readouterr().out
    trial = plan_run("pairs", seed=1, world="emu", nat_plane="nft", relay="coturn").trials[0]
    assert "--relay coturn" in replay_line(trial)


def test_an_ordinary_user_runs_coturn():
    words = ["-m", "lab.cli", "run", "pairs", "--world", "emu", "--relay", "coturn", "--jobs", "1"]
    command, environment = as_ordinary_user([sys.executable, *words, "--set", "alice_nat=symmetric"])
    environment["PYTHONPATH"] = str(Path(package.__file__).parents[1])
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to other users
        write_files(Path(directory))
        Path(directory).chmod(0o777)
        done = subprocess.run(
            command, env=environment, cwd=directory, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 verdicts: pass" in done.stdout + done.stderr
    assert our_coturns() == set()

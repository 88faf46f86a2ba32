"""A standing lab: started by Compose, used by runs; nothing of it leaves the machine or is left on it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mininet.topo import Topo
from test_containers import callpath
from test_engine import eventually

from lab.cli.main import run_command_line
from lab.emu.containers.engine import Engine
from lab.emu.standing.cables import boxes_of, cables_of, impaired_at
from lab.emu.standing.compose import NODE, PART, STANDING
from lab.emu.system_calls import inside_network
from lab.errors import UsageError
from lab.spec.find import load_topology
from lab.spec.plan import plan_network

ROOT = Path(__file__).parents[2]
PROJECT = "callpath-test-of-compose"
OUTSIDE = "198.51.100.77"
"""An address that no topology here uses: what is sent there leaves the lab, if anything does."""


# The file


def test_the_committed_compose_file_is_the_one_of_the_shipped_topology(capsys):
    assert run_command_line(["compose", "standing_lab"]) == 0
    assert capsys.readouterr().out == (ROOT / "docker-compose.yml").read_text()


def test_what_is_set_becomes_the_default_of_its_variable(capsys):
    assert run_command_line(["compose", "standing_lab", "--set", "alice_nat=symmetric"]) == 0
    assert 'ALICE_NAT: "${ALICE_NAT:-symmetric}"' in capsys.readouterr().out


@pytest.mark.system("docker-compose")
@pytest.mark.parametrize("topology", ["two_homes", "cgn", "one_lan", "dual_stack"])
def test_compose_reads_the_file_of_any_topology(topology, capsys, tmp_path):
    assert run_command_line(["compose", topology]) == 0
    (tmp_path / "docker-compose.yml").write_text(capsys.readouterr().out)
    done = subprocess.run(
        ["docker-compose", "config", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Cables


def test_links_that_meet_at_a_switch_are_one_cable_and_every_other_is_its_own():
    network = load_topology("standing_lab", {})
    cables = cables_of(network)
    assert cables["alice-access"] == cables["bob-access"] == cables["relay"]
    assert set(cables["relay"].boxes) == {"alice-nat", "bob-nat", "relay", "rendezvous"}
    assert cables["alice-home"].boxes == ("alice", "alice-nat")
    assert len({cable.number for cable in cables.values()}) == 3


def test_each_impaired_link_is_carried_out_by_one_box_on_it():
    network = load_topology("two_homes", {})
    chosen = impaired_at(network)
    assert sorted(label for labels in chosen.values() for label in labels) == [
        "alice-access", "bob-access", "relay", "rendezvous",
    ]  # fmt: skip
    for box, labels in chosen.items():
        assert all(box in {network.links[label].a, network.links[label].b} for label in labels)


def test_homes_with_the_same_addresses_have_boxes_with_different_ones():
    network = load_topology("two_homes", {"same_subnet": True})
    assert network.nodes["alice"].interfaces[0].addresses == network.nodes["bob"].interfaces[0].addresses
    assert len(set(boxes_of(network).values())) == 7


class Impaired(Topo):
    """An impaired link where no box is."""

    def build(self) -> None:
        for name in ("s1", "s2"):
            self.addSwitch(name, dpid=name[1])
        self.addLink("s1", "s2", label="trunk", impair={"delay": "10ms"})
        for name, role, switch in (("alice", "endpoint", "s1"), ("rendezvous", "rendezvous", "s2")):
            self.addHost(name, role=role)
            self.addLink(name, switch, label=name)


def test_switches_are_joined_to_one_cable_and_an_impaired_link_between_them_is_refused():
    network = plan_network(Impaired(), "impaired")
    assert set(cables_of(network)["alice"].boxes) == {"alice", "rendezvous"}
    with pytest.raises(UsageError, match="link trunk: an impaired link between two switches"):
        impaired_at(network)


# A lab that stands


def compose(*words, **environment):
    return subprocess.run(
        ["docker-compose", "-p", PROJECT, *words], cwd=ROOT, env={**os.environ, **environment}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip


@contextlib.contextmanager
def uplink(engine):
    """Yield a function that returns what has left by the way out of the engine's machine so far.

    An engine of one's own has no way out: it is given one, with a default route.
    """
    namespace = f"/proc/{engine._daemon}/ns/net"
    if Path(namespace).readlink() == Path("/proc/self/ns/net").readlink():
        device = json.loads(subprocess.check_output(["ip", "-j", "route", "get", OUTSIDE]))[0]["dev"]
    else:
        device = "beyond"
        commands = [
            "link add uplink type veth peer name beyond", "link set uplink up", "link set beyond up",
            "address add 198.18.200.2/30 dev uplink",
            "neighbour add 198.18.200.1 lladdr 02:00:00:00:00:01 dev uplink",
            "route add default via 198.18.200.1 dev uplink",
        ]  # fmt: skip
        with inside_network(namespace):
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    with inside_network(namespace):
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    packets.bind((device, 0x0800))
    packets.settimeout(0.2)
    seen = []

    def left():
        with contextlib.suppress(TimeoutError):
            while True:
                seen.append(packets.recv(65_535))
        return [frame for frame in seen if socket.inet_ntoa(frame[30:34]) == OUTSIDE or b"callpath" in frame]

    with packets:
        yield left
    if device == "beyond":
        with inside_network(namespace):
            subprocess.run(["ip", "link", "delete", "uplink"], check=True)


def left_of_the_project(engine):
    wanted = {"label": f"com.docker.compose.project={PROJECT}"}
    client = engine.client
    volumes = client.volumes(filters=wanted)["Volumes"] or []
    return [*client.containers(all=True, filters=wanted), *client.networks(filters=wanted), *volumes]


SEND_OUT = (
    f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'callpath', ('{OUTSIDE}', 9))"
)


@pytest.mark.engine
@pytest.mark.system("docker-compose", "mmdebstrap", "unshare", "ip", "mnexec", "nft", "conntrack")
@pytest.mark.timeout(600)
def test_a_standing_lab_serves_runs_lets_nothing_out_and_is_taken_down_whole(tmp_path):
    subprocess.run(
        [sys.executable, str(ROOT / "tools" / "images.py"), "all"], check=True, capture_output=True
    )
    with Engine() as engine, uplink(engine) as left:
        try:
            compose("up", "-d", ALICE_NAT="symmetric", ALICE_DELAY="60ms")
            run = callpath(tmp_path, "run", str(ROOT / "scenarios" / "smoke.yaml"), "--attach", "compose")
            said, _ = run.communicate()
            assert run.returncode == 0, said
            check_events(tmp_path)
            assert eventually(lambda: health_of(engine, "relay") == health_of(engine, "alice") == "healthy")
            for box in ("alice-box", "relay-box"):
                compose("exec", "-T", box, "python3", "-c", SEND_OUT)
            refused = callpath(
                tmp_path, "run", str(ROOT / "scenarios" / "smoke.yaml"), "--attach", "compose", "--set",
                "alice_nat=none",
            )  # fmt: skip
            said, _ = refused.communicate()
            assert refused.returncode == 2
            assert "the lab was started with 'symmetric'" in said
            assert left() == []
        finally:
            compose("down")
        assert left_of_the_project(engine) == []
        with inside_network(f"/proc/{engine._daemon}/ns/net"):
            subprocess.run([sys.executable, "-c", SEND_OUT], check=True)
        assert len(left()) == 1, "or the sniffer is blind"
        nobody = callpath(tmp_path, "run", str(ROOT / "scenarios" / "smoke.yaml"), "--attach", "compose")
        said, _ = nobody.communicate()
        assert nobody.returncode == 4
        assert "no standing lab of standing_lab runs" in said
        assert engine.client.containers(all=True, filters={"label": STANDING}) == []


def health_of(engine, node):
    wanted = {"label": [f"{NODE}={node}", f"{PART}=program"]}
    (container,) = engine.client.containers(filters=wanted)
    return engine.client.inspect_container(container["Id"])["State"]["Health"]["Status"]


def check_events(directory):
    """The call was relayed, as a symmetric box leaves it, and what came from Alice took her line's delay."""
    (run,) = directory.glob("results/*smoke*")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    (selected, *_) = [e for e in events if e["type"] == "ice.selected" and e["node"] == "alice"]
    assert "relay" in {selected["data"]["local"]["type"], selected["data"]["remote"]["type"]}
    delays = [e["data"]["delay"] for e in events if e["type"] == "media.received" and e["node"] == "bob"]
    assert 0.06 < sorted(delays)[len(delays) // 2] < 0.5
    assert json.loads((run / "manifest.json").read_text())["attach"] == "compose"

"""Shipped scenarios on the kernel as they are: every timer at its real length, and the planes by turns."""

import json
from pathlib import Path

import pytest

from lab.cli.main import run_command_line
from lab.emu.lab import emulate
from lab.measure.calls import calls_of
from lab.run.relay_choice import with_relays
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.find import load_topology

pytestmark = [
    pytest.mark.slow,
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "turnserver"),
    pytest.mark.usefixtures("untouched_machine"),
    pytest.mark.timeout(1200),
]

SHIPPED = [
    ("double_nat", "nft", "lab"),
    ("hairpin", "engine", "lab"),
    ("moved_phone", "engine", "lab"),
    ("nat_reboot", "nft", "coturn"),
    ("relay_restart", "nft", "coturn"),
    ("stun_alone", "nft", "lab"),
    ("two_phones", "engine", "coturn"),
    ("two_phones_one_port", "engine", "lab"),
    ("udp_blocked", "nft", "coturn"),
]


def run(directory, monkeypatch, *words):
    """Run a scenario once a cell; return (exit code, result)."""
    monkeypatch.chdir(directory)
    code = run_command_line(["run", *words, "--world", "emu", "--repeat", "1", "--jobs", "2"])
    (folder,) = Path("results").iterdir()
    return code, json.loads((folder / "result.json").read_text())


def assert_holds(code, result):
    """Every verdict passes; trials that the machine has stalled are told, and show nothing."""
    wrong = [verdict for verdict in result["verdicts"] if verdict["outcome"] == "fail"]
    assert wrong == []
    assert code == (3 if result["invalid"] else 0)
    assert len(result["invalid"]) < result["done"]


@pytest.mark.parametrize(("scenario", "plane", "relay"), SHIPPED)
def test_what_a_shipped_scenario_expects_holds_on_the_kernel(tmp_path, monkeypatch, scenario, plane, relay):
    assert_holds(*run(tmp_path, monkeypatch, scenario, "--nat-plane", plane, "--relay", relay))


@pytest.mark.parametrize(
    ("plane", "nats"),
    [
        ("engine", "port-restricted,symmetric,cgn,port-preserving-symmetric"),
        ("kernel", "none,linux-masquerade,linux-masquerade-random"),
        ("nft", "restricted,symmetric-address-restricted,udp-blocked"),
    ],
)
def test_the_matrix_of_nats_holds_on_every_plane(tmp_path, monkeypatch, plane, nats):
    axes = ("--set", f"alice_nat={nats}", "--set", f"bob_nat={nats}")
    assert_holds(*run(tmp_path, monkeypatch, "nat_matrix", "--nat-plane", plane, *axes))


def test_a_call_by_coturn_outlives_its_permissions_channels_and_allocation():
    """RFC 8656: 300 s, 600 s and 600 s. aioice renews the latter two after 500 s, and the first with them."""
    media = MediaPlan(packets=5)

    async def scenario(lab):
        policy = CandidatePolicy(candidates="relay-only")
        await lab.call("alice", "bob", policy=policy, media=media, hold="310s")
        await lab.send_media("call-1", media)
        await lab.sleep("310s")
        await lab.send_media("call-1", media)

    network = with_relays(load_topology("two_homes", {}), "coturn")
    events = emulate(network, scenario, {}, run_seed=1, trial_key="t", deadline=900.0).events
    (call,) = calls_of(events)
    assert call.path is PathClass.RELAY
    assert [side.received for side in call.sides] == [15, 15]
    assert not [event for event in events if event.type is EventType.ICE_CONSENT_LOST]

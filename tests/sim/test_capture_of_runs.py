"""Captures of whole trials, read by tshark: nothing malformed, every drop with its reason.

tshark guesses protocols by port and content, and the lab's ports are drawn from a range that some protocols
are registered in; so everything is switched off that no role speaks.
"""

import os
import subprocess
from collections import Counter

import pytest

from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType
from lab.spec.find import load_topology

SPOKEN = {
    "frame",
    "raw",
    "ip",
    "ipv6",
    "ipv6.fraghdr",
    "udp",
    "tcp",
    "icmp",
    "icmpv6",
    "stun",
    "dns",
    "tls",
    "data",
}
CERTIFICATES = {"ber", "x509ce", "x509if", "x509sat", "x509af", "pkcs-1", "pkix1explicit", "pkix1implicit"}
CHECKSUMS = [part for name in ("ip", "udp", "tcp") for part in ("-o", f"{name}.check_checksum:TRUE")]
BAD_CHECKSUM = " || ".join(f"{name}.checksum.status == 0" for name in ("ip", "udp", "tcp", "icmp", "icmpv6"))
WARNING, ERROR = 0x600000, 0x800000

RELAYED = {
    transport: CandidatePolicy(candidates="relay-only", turn_transports=(transport,))
    for transport in ("udp", "tcp", "tls")
}
RUNS = {
    "relayed over UDP": ("two_homes", {}, RELAYED["udp"]),
    "relayed over TCP": ("two_homes", {}, RELAYED["tcp"]),
    "relayed over TLS": ("two_homes", {}, RELAYED["tls"]),
    "direct": ("two_homes", {"alice_nat": "full-cone", "bob_nat": "full-cone"}, None),
    "by name": ("two_homes", {"with_dns": True}, None),
    "dual stack": ("dual_stack", {}, None),
    "carrier-grade NAT": ("cgn", {"alice_cgn": "symmetric", "bob_nat": "symmetric"}, None),
    "firewalled": ("firewalled_office", {}, None),
    "loss": ("two_homes", {"alice_loss": "10%", "bob_loss": "10%"}, None),
    "small MTU": ("two_homes", {"alice_nat": "full-cone", "bob_nat": "full-cone"}, None),
}
LARGE = MediaPlan(size=1_000)


def run(name):
    """Return (events, capture) of a call that is set up, sends large datagrams and is hung up."""
    topology, parameters, policy = RUNS[name]
    spec = load_topology(topology, parameters)
    capture = Capture(spec)

    async def scenario(lab):
        if name == "small MTU":
            lab.impair("alice-access", mtu="576B", delay="10ms")
        await lab.call("alice", "bob", policy=policy, name="call", media=LARGE)
        await lab.hang_up("call")
        await lab.sleep("5s")

    events, invalid = simulate(
        spec, scenario, {}, run_seed=1, trial_key="t", deadline=600, event_budget=10**6, capture=capture
    )
    assert invalid == ""
    assert EventType.ICE_CONNECTED in {event.type for event in events}
    return events, capture


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    """Return a directory of settings in which tshark knows what the roles speak, and nothing else."""
    directory = tmp_path_factory.mktemp("wireshark")
    listed = subprocess.run(["tshark", "-G", "protocols"], capture_output=True, text=True, check=True).stdout
    known = {line.split("\t")[2] for line in listed.splitlines()}
    silent = sorted(n for n in known - SPOKEN - CERTIFICATES if not n.startswith("_ws"))
    (directory / "disabled_protos").write_text("".join(f"{name}\n" for name in silent))
    return directory


@pytest.fixture
def tshark(configuration, tmp_path):
    def read(data: bytes, *arguments: str) -> list[str]:
        path = tmp_path / "run.pcapng"
        path.write_bytes(data)
        done = subprocess.run(
            ["tshark", "-n", "-r", path, *CHECKSUMS, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "WIRESHARK_CONFIG_DIR": str(configuration)},
        )
        return done.stdout.splitlines()

    return read


@pytest.mark.system("tshark")
@pytest.mark.parametrize("name", RUNS)
def test_every_packet_of_a_run_is_read_and_none_is_malformed(tshark, name):
    events, capture = run(name)
    data = capture.to_pcapng()
    assert tshark(data, "-Y", f"_ws.malformed || {BAD_CHECKSUM}") == []
    comments = tshark(data, "-T", "fields", "-e", "frame.comment")
    assert len(comments) == len(capture)
    told = "\n".join(comments)
    # What the relay sends to an address of its own crosses no interface.
    captured = {record.packet.packet_id for record in capture._records}
    dropped = [event for event in events if event.type is EventType.PACKET_DROPPED]
    drops = [str(e.data["reason"]) for e in dropped if (e.packet_id or e.cause_id) in captured]
    assert [reason for reason in drops if reason not in told] == []
    assert told.count("dropped ") - sum(reason.count("dropped ") for reason in drops) == len(drops)


@pytest.mark.system("tshark")
@pytest.mark.parametrize("name", RUNS)
def test_what_one_host_sees_is_a_sound_conversation(tshark, name):
    """Unimpaired there is nothing even to warn of: no gap, no retransmission, no unanswered query."""
    _, capture = run(name)
    worst = ERROR if name in {"loss", "small MTU"} else WARNING
    for host in ("alice", "bob", "relay", "rendezvous"):
        shown = tshark(capture.to_pcapng([host]), "-Y", f"_ws.expert.severity >= {worst}")
        assert shown == [], host


@pytest.mark.system("tshark")
@pytest.mark.parametrize(
    ("name", "protocols"),
    [
        ("relayed over UDP", {"raw:ip:udp:stun", "raw:ip:tcp"}),
        ("relayed over TLS", {"raw:ip:tcp:tls"}),
        ("by name", {"raw:ip:udp:dns", "raw:ip:udp:stun"}),
        ("dual stack", {"raw:ipv6:udp:stun", "raw:ip:udp:stun"}),
        ("small MTU", {"raw:ip:udp:stun", "raw:ip:data", "raw:ip:icmp:ip:udp"}),
    ],
)
def test_it_finds_the_protocols_that_were_spoken(tshark, name, protocols):
    _, capture = run(name)
    found = Counter(tshark(capture.to_pcapng(["alice", "relay"]), "-T", "fields", "-e", "frame.protocols"))
    seen = {line.removeprefix("pkt_comment:") for line in found}
    assert {one for one in protocols if not any(line.startswith(one) for line in seen)} == set(), seen


@pytest.mark.system("tshark")
def test_tcp_on_the_relay_is_turn(tshark):
    """RFC 8656 §2.1: the same messages, framed by their own length."""
    _, capture = run("relayed over TCP")
    shown = tshark(
        capture.to_pcapng(["relay"]),
        "-d",
        "tcp.port==443,stun",
        "-Y",
        "stun",
        "-T",
        "fields",
        "-e",
        "stun.type",
    )
    types = Counter(",".join(shown).split(","))
    assert {"0x0003", "0x0113", "0x0103"} <= set(types), "an allocation: asked, challenged, granted"

"""SIP software that nobody here wrote, behind NATs: baresip and SIPp, by way of Kamailio and coturn."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from mininet.topo import Topo
from ordinary_user import as_ordinary_user, place_for_everyone

from lab.emu.lab import emulate
from lab.errors import HostNotReady
from lab.measure.calls import calls_of
from lab.measure.metrics import measure
from lab.run.plan import distinct_networks, plan_run
from lab.run.program_choice import check_programs, with_programs
from lab.run.relay_choice import with_relays
from lab.spec.event import EventType, PathClass
from lab.spec.expectation import Request
from lab.spec.plan import plan_network
from lab.spec.program import Program

SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 120.0}

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system(
        "unshare", "ip", "mnexec", "nft", "conntrack", "kamailio", "baresip", "sipp", "turnserver"
    ),
]

PHONE = Program(adapter="baresip")
LOAD, FEW = 2000, 20
NATS = {
    "alice": "port-restricted",
    "bob": "port-restricted",
    "carol": "symmetric",
    "dave": "symmetric",
    "crowd": "eim-apdf",
    "few": "symmetric",
}
PROGRAMS = {
    **dict.fromkeys(("alice", "bob", "carol", "dave"), PHONE),
    "crowd": Program(adapter="sipp", options={"calls": LOAD, "rate": 200}),
    "few": Program(adapter="sipp", options={"calls": FEW, "rate": FEW, "through": "proxy"}),
    "pbx": Program(adapter="sipp", options={"through": "proxy"}),
}


class Phones(Topo):
    """Everybody at home behind a box of their own, but for an exchange and the servers."""

    def build(self, nats: dict[str, str], proxy: bool = True) -> None:
        self.addHost("internet", role="router")
        for name, nat in nats.items():
            self.addHost(name, role="endpoint")
            self.addHost(f"{name}-nat", role="nat", nat=nat, uplink="internet")
            self.addLink(name, f"{name}-nat", label=f"{name}-home")
            # Who is called begins its checks before who calls, and so ends them first.
            impair = {"delay": "10ms"} if name in {"alice", "bob"} else {}
            self.addLink(f"{name}-nat", "internet", label=f"{name}-access", impair=impair)
        servers = {"pbx": "endpoint", "relay": "relay", "registrar": "sip_proxy"}
        for name, role in servers.items():
            if proxy or role != "sip_proxy":
                self.addHost(name, role=role)
                self.addLink(name, "internet", label=name)


def phones_network(nats, **options):
    return plan_network(Phones(nats=nats, **options), "phones")


ATTEMPTS = 3
"""Where the machine stalls a trial is invalid, and a caller that ends its checks before the callee does makes
baresip send to the relay."""
RTP_COUNTERS = """\
table inet count {
  counter direct_in { }
  counter direct_out { }
  counter relayed_in { }
  counter relayed_out { }
  chain in { type filter hook input priority 0;
    meta l4proto udp @th,64,8 0x80 @th,72,8 & 0x7f == 0 counter name direct_in
    udp sport 3478 @th,64,8 & 0xf0 == 0x40 @th,96,8 0x80 @th,104,8 & 0x7f == 0 counter name relayed_in
  }
  chain out { type filter hook output priority 0;
    meta l4proto udp @th,64,8 0x80 @th,72,8 & 0x7f == 0 counter name direct_out
    udp dport 3478 @th,64,8 & 0xf0 == 0x40 @th,96,8 0x80 @th,104,8 & 0x7f == 0 counter name relayed_out
  }
}
"""
"""What netfilter knows of media: RTP of PCMU (RFC 3550 §5.1), as it is or in ChannelData (RFC 8656 §12.4)."""


WAYS = ("direct", "relayed")


async def count_rtp(lab, node):
    await lab._agent.ask("run", node=node, command=["nft", "-f", "-"], given=RTP_COUNTERS)


async def counted(lab, node):
    listed = json.loads(await lab._agent.ask("run", node=node, command=["nft", "-j", "list", "counters"]))
    counters = [item["counter"] for item in listed["nftables"] if "counter" in item]
    return {counter["name"]: counter["packets"] for counter in counters}


@pytest.fixture(scope="module")
def played():
    """One run of it all: calls and loads at the same time, then calls to somebody who is not registered."""

    async def scenario(lab):
        phones = ("alice", "bob", "carol", "dave")
        for phone in phones:
            await count_rtp(lab, phone)
        held = {"timeout": "60s", "hold": "3s"}
        await asyncio.gather(
            lab.call("alice", "bob", name="direct", **held),
            lab.call("carol", "dave", name="relayed", **held),
            lab.call("crowd", "pbx", name="load"),
            lab.call("few", "pbx", name="by the proxy"),
        )
        for phone in phones:
            earlier[phone] = await counted(lab, phone)
        await lab.sleep("2s")
        for phone in phones:
            packets[phone] = await counted(lab, phone)
        await asyncio.gather(*(lab.hang_up(call) for call in ("direct", "relayed")))
        await asyncio.gather(
            lab.call("alice", "crowd", name="to nobody"),
            lab.call("few", "crowd", name="to nobody, often"),
        )

    earlier, packets = {}, {}
    network = with_programs(with_relays(phones_network(NATS), "coturn"), PROGRAMS)
    for _ in range(ATTEMPTS):
        emulated = emulate(network, scenario, {}, **SETTINGS)
        direct = next(call for call in calls_of(emulated.events) if call.call == "direct")
        stalled = "stalled" in str(emulated.events[-1].data["reason"])
        if direct.path is not PathClass.RELAY and not stalled:
            break
    return emulated, packets, earlier


def events_of(played, type_, call=None):
    return [e for e in played[0].events if e.type is type_ and call in {None, e.call}]


def call_of(played, name):
    (call,) = [call for call in calls_of(played[0].events) if call.call == name]
    return call


def metric(played, name):
    request = Request(name)
    return measure(played[0].events, [request])[request]


def test_the_trial_ran_to_its_end_and_no_program_failed(played):
    assert events_of(played, EventType.TRIAL_ENDED)[0].data["reason"] == "scenario done"
    assert events_of(played, EventType.ROLE_FAILED) == []


def test_phones_behind_every_kind_of_box_are_registered_before_anybody_calls(played):
    registered = events_of(played, EventType.SIP_REGISTERED)
    assert {e.node for e in registered} == {"alice", "bob", "carol", "dave", "few", "pbx"}
    assert max(e.time for e in registered) < min(e.time for e in events_of(played, EventType.COMMAND))
    assert {e.node for e in registered if 0 < e.data["seconds"] < 10} == {e.node for e in registered}


@pytest.mark.requirement("Z1-6")
def test_behind_port_restricted_boxes_media_goes_from_box_to_box(played):
    call = call_of(played, "direct")
    assert call.path is PathClass.SERVER_REFLEXIVE
    assert (call.caller.node, call.callee.node) == ("alice", "bob")
    assert call.media_both_ways


@pytest.mark.requirement("Z0-14", "Z1-5")
def test_behind_symmetric_boxes_media_goes_by_the_relay(played):
    call = call_of(played, "relayed")
    assert call.path is PathClass.RELAY
    assert (call.caller.node, call.callee.node) == ("carol", "dave")
    assert call.media_both_ways
    assert "CHANNEL_BIND processed, success" in played[0].outputs["relay"]


@pytest.mark.parametrize(
    ("phone", "way"), [("alice", "direct"), ("bob", "direct"), ("carol", "relayed"), ("dave", "relayed")]
)
def test_netfilter_has_counted_the_media_of_both_directions_where_ice_says_it_goes(played, phone, way):
    """In two seconds of the call; before both have selected a pair, media may have gone by another one."""
    packets, earlier = played[1][phone], played[2][phone]
    for direction in ("in", "out"):
        went = {name: packets[f"{name}_{direction}"] - earlier[f"{name}_{direction}"] for name in WAYS}
        assert went.pop(way) > 50
        assert set(went.values()) == {0}


@pytest.mark.parametrize("phone", ["alice", "bob", "carol", "dave"])
def test_what_baresip_says_of_its_media_is_what_netfilter_counted(played, phone):
    """The counters were read a moment before the calls ended."""
    told = {
        e.data["direction"]: e.data["packets"]
        for e in events_of(played, EventType.MEDIA_RTP)
        if e.node == phone
    }
    packets = played[1][phone]
    for direction, suffix in (("sent", "out"), ("received", "in")):
        seen = packets[f"direct_{suffix}"] + packets[f"relayed_{suffix}"]
        assert seen <= told[direction] <= seen + 100


def test_calls_are_hung_up_by_both_and_completed_once(played):
    for name in ("direct", "relayed"):
        assert [e.data["reason"] for e in events_of(played, EventType.CALL_ENDED, name)] == ["hung up"] * 2
        assert [e.count for e in events_of(played, EventType.SIP_COMPLETED, name)] == [1]


def test_two_thousand_calls_through_one_mapping_do_not_fail(played):
    answered = events_of(played, EventType.SIP_ANSWERED, "load")
    assert sum(e.count for e in events_of(played, EventType.SIP_COMPLETED, "load")) == LOAD
    assert sum(e.count for e in answered) == LOAD
    assert events_of(played, EventType.SIP_FAILED, "load") == []
    (ended,) = events_of(played, EventType.CALL_ENDED, "load")
    assert ended.data["reason"] == "2000 calls: 2000 completed, 0 failed"
    progress = [e.data["calls"] for e in events_of(played, EventType.PROGRAM_REPORTED, "load")]
    assert progress == sorted(progress)
    assert len(progress) >= LOAD / 200


def test_a_load_goes_through_the_proxy_to_an_exchange_that_has_registered(played):
    assert events_of(played, EventType.SIP_FAILED, "by the proxy") == []
    assert sum(e.count for e in events_of(played, EventType.SIP_COMPLETED, "by the proxy")) == FEW


def test_calls_to_somebody_who_is_not_registered_fail_and_say_why(played):
    (refused,) = events_of(played, EventType.SIP_FAILED, "to nobody")
    assert refused.data["reason"] == "404 Not Found"
    often = events_of(played, EventType.SIP_FAILED, "to nobody, often")
    assert {e.data["reason"]: e.count for e in often} == {"UnexpectedMessage": FEW}
    assert "nobody is registered as sip:crowd@" in played[0].outputs["registrar"]


def test_metrics_weigh_what_sipp_counted(played):
    assert [sample.value for sample in metric(played, "sip.calls")] == [2 + LOAD + FEW + 1 + FEW]
    assert [sample.value for sample in metric(played, "sip.failed")] == [1 + FEW]
    assert sum(sample.weight for sample in metric(played, "sip.setup_time")) == 2 + LOAD + FEW
    assert len(metric(played, "sip.registration_time")) == 6


def test_a_phone_that_cannot_register_ends_the_run_when_its_time_is_over():
    network = phones_network({"alice": "udp-blocked"})
    waiting = replace(PHONE, ready_within=3.0)
    with pytest.raises(HostNotReady, match="alice: baresip has not said in 3 s that it is ready") as refused:
        emulate(
            with_programs(network, {"alice": waiting, "pbx": PROGRAMS["crowd"]}), _nothing, {}, **SETTINGS
        )
    assert "no answer to REGISTER from 198." in str(refused.value)


def test_a_phone_without_a_proxy_says_so():
    network = phones_network({"alice": "full-cone"}, proxy=False)
    with pytest.raises(HostNotReady, match="no node of the network has role 'sip_proxy'"):
        emulate(with_programs(network, {"alice": PHONE, "pbx": PROGRAMS["crowd"]}), _nothing, {}, **SETTINGS)


@pytest.mark.parametrize(("scenario", "package"), [("sip_call", "baresip-core"), ("sip_load", "sip-tester")])
def test_a_program_that_is_not_installed_is_named_with_its_package(monkeypatch, tmp_path, scenario, package):
    networks = list(distinct_networks(plan_run(scenario, seed=1, world="emu", nat_plane="nft").trials))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostNotReady, match=f"apt-get install {package}"):
        check_programs(networks)


@pytest.mark.parametrize(
    ("adapter", "words"), [("baresip", "Address already in use"), ("sipp", "Unable to bind")]
)
def test_a_port_that_is_taken_ends_the_run_with_what_the_program_says_of_it(adapter, words):
    """Another program is there first, so it is started anew."""

    async def scenario(lab):
        lab.kill("pbx")
        await lab._agent.ask("run", node="pbx", command=["sh", "-c", OTHER_PROGRAM])
        lab.restart("pbx")
        await lab.sleep("30s")

    programs = {"pbx": Program(adapter=adapter), "alice": PROGRAMS["crowd"]}
    with pytest.raises(HostNotReady, match=words):
        emulate(with_programs(phones_network({"alice": "full-cone"}), programs), scenario, {}, **SETTINGS)


OTHER_PROGRAM = """\
python3 -c 'import socket, time
sockets = [socket.socket(type=kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
for each in sockets: each.bind(("0.0.0.0", 5060))
time.sleep(60)' >/dev/null 2>&1 &
sleep 1
"""


async def _nothing(_lab):
    pass


@pytest.mark.slow
@pytest.mark.system("setpriv")
def test_an_ordinary_user_calls_by_sip(tmp_path):
    """Kamailio and baresip ask for nothing that a user's own namespaces do not give them."""
    place = place_for_everyone(tmp_path)
    one_cell = ["--set", "alice_nat=port-restricted", "--set", "bob_nat=symmetric"]
    command, environment = as_ordinary_user(
        [sys.executable, "-m", "lab.cli", "run", "sip_call", "--world", "emu", *one_cell]
    )
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300, cwd=place
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SIP calls: 1 completed, 0 failed" in done.stdout


def test_a_load_in_a_lab_that_stays_open_is_told_by_its_sip_calls(tmp_path):
    callpath = [sys.executable, "-m", "lab.cli"]
    load = ["--program", "alice=sipp{calls: 20, rate: 10}", "--program", "pbx=sipp"]
    done = subprocess.run(
        [*callpath, "up", "sip_homes", "--world", "emu", *load, "--", *callpath, "call", "alice", "pbx"],
        env={**os.environ, "CALLPATH_RUNTIME_DIR": str(tmp_path / "run")}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "call-1: SIP calls: 20 completed, 0 failed; INVITE to 200: p50 " in done.stdout

"""Whole trials on the kernel: the same scenario as in virtual time, the same events, and every way to end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user
from plain_topologies import homes_network, moving_network, public_network

import lab as package
from lab.emu.lab import emulate
from lab.emu.messages import encode_object
from lab.errors import HostNotReady, UsageError
from lab.measure.calls import calls_of
from lab.measure.trial_end import SCENARIO_DONE, why_invalid
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy, HangUp, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.impairment import Impairment

SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 60.0}

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]


async def one_call(lab):
    await lab.call("alice", "bob")
    await lab.hang_up("call-1")


def play(network, scenario=one_call, **changes):
    return emulate(network, scenario, {}, **{**SETTINGS, **changes}).events


def kinds(events):
    """Return what happened where, without how often."""
    return {(event.node, event.type) for event in events}


@pytest.mark.parametrize(
    "network",
    [public_network(), public_network(dns=True), public_network(ipv6=True), homes_network()],
    ids=["public", "public with DNS", "public with IPv6", "homes"],
)
def test_what_happens_is_what_happens_in_virtual_time(network):
    """The boxes' own events are those of the model's engine; netfilter tells none."""
    simulated, _ = simulate(network, one_call, {}, event_budget=100_000, **SETTINGS)
    happened = play(network)
    own = {EventType.NAT_MAPPING_CREATED, EventType.NAT_MAPPING_EXPIRED, EventType.PACKET_DROPPED}
    seen, expected = ({k for k in kinds(events) if k[1] not in own} for events in (happened, simulated))
    assert seen == expected
    (call,), (other,) = calls_of(happened), calls_of(simulated)
    assert call.connected
    assert other.connected


def test_events_are_in_order_of_time_and_end_with_the_trials_end():
    events = play(public_network())
    times = [event.time for event in events]
    assert times == sorted(times)
    assert events[0].type is EventType.TRIAL_STARTED
    assert why_invalid(events) == ""
    assert events[-1].data["reason"] == SCENARIO_DONE
    assert events[-1].data["packets"] > 20


@pytest.mark.parametrize(
    ("alice", "bob"), [("full-cone", "symmetric"), ("port-restricted", "port-restricted")]
)
def test_boxes_that_allow_it_are_traversed(alice, bob):
    async def scenario(lab):
        await lab.call("alice", "bob", policy=CandidatePolicy(candidates="no-relay"))

    (call,) = calls_of(play(homes_network(alice, bob), scenario))
    assert call.connected
    assert call.path in {PathClass.PEER_REFLEXIVE, PathClass.SERVER_REFLEXIVE}


@pytest.mark.parametrize(("alice", "bob"), [("symmetric", "symmetric"), ("udp-blocked", "port-restricted")])
def test_boxes_that_do_not_allow_it_leave_the_relay(alice, bob):
    (call,) = calls_of(play(homes_network(alice, bob)))
    assert call.path is PathClass.RELAY


def test_a_cut_link_carries_nothing_and_a_healed_one_does_again():
    async def scenario(lab):
        await lab.call("alice", "bob", media=MediaPlan(packets=2))
        for act in (lab.cut, lab.cut, lab.heal, lab.heal):
            act("alice")
            await lab.send_media("call-1", MediaPlan(packets=3))

    events = play(public_network(), scenario)
    changes = [e.time for e in events if e.type is EventType.LINK_CHANGED]
    arrivals = [e.time for e in events if e.type is EventType.MEDIA_RECEIVED]
    in_spans = [
        sum(begin < time <= end for time in arrivals)
        for begin, end in zip([0, *changes], [*changes, float("inf")], strict=True)
    ]
    assert in_spans == [4, 0, 0, 6, 6]


def test_a_rebooted_box_has_forgotten_every_mapping():
    async def scenario(lab):
        await lab.call("alice", "bob", media=MediaPlan(packets=2))
        lab.cut("alice-access")  # so that nothing from inside makes a mapping anew
        lab.reboot_nat("alice-nat")
        await lab.sleep("300ms")
        tracked = await lab._agent.ask("run", node="alice-nat", command=["conntrack", "-L", "-p", "udp"])
        seen.append(tracked)

    seen = []
    events = play(homes_network(), scenario)
    assert (("alice-nat", EventType.NAT_REBOOTED)) in kinds(events)
    assert [line for line in seen[0].splitlines() if "ASSURED" in line] == []


def test_the_mtu_of_a_link_can_be_changed_while_it_runs():
    async def scenario(lab):
        lab.impair("alice", mtu="1000B")
        await lab.sleep("200ms")
        seen.append(
            await lab._agent.ask("run", node="alice", command=["ip", "link", "show", "dev", "alice-eth0"])
        )

    seen = []
    play(public_network(), scenario)
    assert "mtu 1000" in seen[0]


def test_a_plain_wire_cannot_be_made_to_delay_while_it_runs():
    async def scenario(lab):
        lab.impair("alice", delay="20ms")
        await lab.sleep("10s")

    with pytest.raises(UsageError, match=r"link alice was built as a plain wire"):
        play(public_network(), scenario)


def test_a_trial_that_runs_past_its_deadline_is_invalid():
    async def scenario(lab):
        await lab.call("alice", "bob")
        await lab.sleep("1h")

    events = play(public_network(), scenario, deadline=5.0)
    assert why_invalid(events) == "the trial did not end by its deadline of 5 s"


def test_what_a_scenario_raises_is_raised():
    async def scenario(lab):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(public_network(), scenario)


def test_a_callers_program_that_is_killed_is_an_event_and_its_next_call_fails():
    async def scenario(lab):
        await lab.call("alice", "bob", media=MediaPlan(packets=2))
        kill = ["sh", "-c", "kill -9 $(grep -lx role-alice /proc/[0-9]*/comm | cut -d/ -f3)"]
        await lab._agent.ask("run", node="bob", command=kill)
        await lab.sleep("300ms")
        assert not (await lab.call("alice", "bob", timeout="5s")).connected

    events = play(public_network(), scenario)
    failed = [e.data["error"] for e in events if e.type is EventType.ROLE_FAILED and e.node == "alice"]
    assert failed == ["the program was ended by SIGKILL", "dial: the program has ended"]


def test_a_program_that_is_killed_on_purpose_is_no_failure_and_may_be_started_anew():
    async def scenario(lab):
        await lab.call("alice", "bob", media=MediaPlan(packets=2))
        lab.kill("alice")
        with pytest.raises(UsageError, match="is dead already"):
            lab.kill("alice")
        await lab.sleep("200ms")
        lab.restart("alice")
        lab.restart("relay")
        await lab.sleep("1s")
        assert (await lab.call("alice", "bob", media=MediaPlan(packets=2))).connected

    events = play(public_network(), scenario)
    told = [(e.node, e.type) for e in events if e.type.value.startswith("role.")]
    assert told == [
        ("alice", EventType.ROLE_KILLED),
        ("alice", EventType.ROLE_RESTARTED),
        ("relay", EventType.ROLE_KILLED),
        ("relay", EventType.ROLE_RESTARTED),
    ]


def test_a_paused_program_answers_when_it_goes_on():
    async def scenario(lab):
        lab.pause("bob")
        ringing = asyncio.ensure_future(lab.call("alice", "bob", media=MediaPlan(packets=2)))
        await lab.sleep("500ms")
        resumed.append(lab.now)
        lab.resume("bob")
        assert (await ringing).connected

    resumed = []
    events = play(public_network(), scenario)
    heard = [e.time for e in events if e.node == "bob" and e.type is EventType.SIGNAL_RECEIVED]
    assert min(heard) > resumed[0]


def test_an_endpoint_that_moves_has_the_address_of_its_new_place_and_no_other():
    async def scenario(lab):
        before.append(await addresses(lab))
        await lab.move("alice", "mobile", gap="100ms")
        await lab.sleep("200ms")
        after.append(await addresses(lab))
        routes.append(await lab._agent.ask("run", node="alice", command=["ip", "route", "get", "192.0.2.10"]))

    async def addresses(lab):
        return await lab._agent.ask("run", node="alice", command=["ip", "-br", "-4", "address", "show", "up"])

    before, after, routes = [], [], []
    network = moving_network()
    wifi, mobile = (i.addresses[0] for i in network.nodes["alice"].interfaces)
    events = play(network, scenario)
    assert wifi in before[0]
    assert mobile not in before[0]
    assert mobile in after[0]
    assert wifi not in after[0]
    assert "alice-eth1" in routes[0]
    told = {e.type: e for e in events}
    assert told[EventType.HOST_DETACHED].data == {"links": ["wifi"], "addresses": [wifi.split("/")[0]]}
    assert told[EventType.HOST_ATTACHED].data == {"link": "mobile", "addresses": [mobile.split("/")[0]]}


def test_of_a_plain_wire_no_packets_can_be_chosen_to_be_lost():
    async def scenario(lab):
        lab.drop("alice", nth=3)
        await lab.sleep("10s")

    with pytest.raises(UsageError, match=r"link alice was built as a plain wire"):
        play(public_network(), scenario)


def test_a_server_takes_no_commands():
    async def scenario(lab):
        lab.command("relay", HangUp(call="c"))

    with pytest.raises(UsageError, match="relay takes no commands"):
        play(public_network(), scenario)


def test_what_the_kernel_refuses_in_passing_ends_the_trial_with_its_words():
    async def scenario(lab):
        lab._tell("impair", link="alice", impairments=encode_object({"alice": Impairment(mtu=10)}))
        await lab.sleep("10s")

    with pytest.raises(HostNotReady, match=r"ip link set dev alice-eth0 mtu 10: .*mtu"):
        play(public_network(), scenario)


def test_a_killed_namespace_ends_the_trial():
    async def scenario(lab):
        await lab._agent.ask("run", node="bob", command=["sh", "-c", "kill -9 $PPID"])

    with pytest.raises(HostNotReady, match=r"namespace .* ended"):
        play(public_network(), scenario)


def test_lots_are_those_of_virtual_time():
    async def scenario(lab):
        drawn.append(lab.random("arrivals").random())

    drawn = []
    network = public_network()
    simulate(network, scenario, {}, event_budget=100_000, **SETTINGS)
    play(network, scenario)
    assert drawn[0] == drawn[1]


PROGRAM = """\
import sys; sys.path[:0] = ["tests/emu"]
from test_emulated_trials import *
async def scenario(lab):
    record = await lab.call("alice", "bob")
    print(record.path.value, flush=True)
    if "wait" in sys.argv:
        await lab.sleep("1h")
play(homes_network("symmetric", "symmetric"), scenario)
"""


def test_an_ordinary_user_calls_through_two_boxes():
    command, environment = as_ordinary_user([sys.executable, "-c", PROGRAM])
    root = Path(package.__file__).parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["relay"], done.stderr


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_nothing(signal_):
    root = Path(package.__file__).parents[1]
    marked = {**os.environ, "CALLPATH_TEST_MARK": str(os.getpid())}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "wait"], env=marked, cwd=root, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "relay\n"
        assert len(marked_processes()) > 8
        process.send_signal(signal_)
        process.wait(20)
    asyncio.run(asyncio.wait_for(_until(lambda: not marked_processes()), 10))


async def _until(condition):
    while not condition():  # noqa: ASYNC110 - /proc tells nobody
        await asyncio.sleep(0.02)


def marked_processes():
    mark, found = f"CALLPATH_TEST_MARK={os.getpid()}".encode(), []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes().split(b"\0"):
                found.append(environment.parent.name)
        except OSError:
            continue
    return found

"""Chromium calls Chromium through NATs and coturn: the browser's own statistics against the prediction."""

import pytest

from lab.emu.lab import emulate
from lab.measure.calls import calls_of
from lab.measure.predict import Reach
from lab.measure.predict.from_network import predict_call
from lab.run.program_choice import with_programs
from lab.run.relay_choice import with_relays
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.find import load_topology
from lab.spec.program import Program

SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 200.0}
NATS = {"nats": "port-restricted,symmetric,udp-blocked,full-cone"}
BROWSER = Program(adapter="chromium", ready_within=90.0)
LIBJUICE = Program(adapter="node-datachannel")
STRANGER = Program(adapter="chromium", options={"trust": False, "audio": False}, ready_within=90.0)
KILL_BROWSER = """
for process in $(grep -l -- --user-data-dir=/run/callpath-programs/a2/ /proc/[0-9]*/cmdline); do
    grep -q -- --type= "$process" || kill -9 "$(basename "$(dirname "$process")")"
done 2>/dev/null
true
"""
TCP, TLS = (CandidatePolicy(turn_transports=(transport,)) for transport in ("tcp", "tls"))
RTP_A_SECOND = 50
"""Opus in packets of 20 ms, without discontinuous transmission."""

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.adapter("chromium", "node-datachannel"),
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "turnserver"),
    pytest.mark.usefixtures("untouched_machine"),
]


async def calls_and_one_that_fails(lab):
    """Call between equal NATs, out of a home that no UDP leaves, by TCP and by TLS, and another stack."""
    for name, caller, callee, policy in (
        ("port-restricted", "a1", "b1", CandidatePolicy()),
        ("symmetric", "a2", "b2", CandidatePolicy(turn_transports=("udp",))),
        ("udp-blocked by tcp", "a3", "b1", TCP),
        ("udp-blocked by tls", "a3", "b1", TLS),
        ("to libjuice", "a1", "b4", CandidatePolicy()),
        ("from libjuice", "b4", "a1", CandidatePolicy()),
    ):
        await lab.call(caller, callee, name=name, policy=policy, media=MediaPlan(packets=20), hold="1s")
        await lab.hang_up(name)
    await lab.call("b3", "a1", name="without trust", policy=TLS, timeout="5s")
    await lab.hang_up("without trust")
    lab.kill("b1")
    lab.restart("b1")
    for number in range(60):  # it is called in vain until it is registered again
        if (await lab.call("a1", "b1", name=f"restarted {number}", timeout="5s")).connected:
            break
        await lab.sleep("1s")
    await lab._agent.ask("run", node="a2", command=["sh", "-c", KILL_BROWSER])
    await lab.call("a2", "b2", name="crashed", timeout="60s")
    while not any(event.type is EventType.ROLE_FAILED for event in lab.events):
        await lab.sleep("50ms")


@pytest.fixture(scope="module")
def network():
    """Two homes behind each of four NATs."""
    return load_topology("every_nat", NATS)


@pytest.fixture(scope="module")
def played(network):
    """What comes of those calls; b3 does not trust the lab's authority."""
    programs = {**dict.fromkeys(["a1", "b1", "a2", "b2", "a3"], BROWSER), "b3": STRANGER, "b4": LIBJUICE}
    on_coturn = with_programs(with_relays(network, "coturn"), programs)
    return emulate(on_coturn, calls_and_one_that_fails, {}, **SETTINGS)


@pytest.fixture(scope="module")
def calls(played):
    """The calls by name."""
    return {call.call: call for call in calls_of(played.events)}


def events_of(played, call, type_, node=""):
    return [e for e in played.events if e.call == call and e.type is type_ and node in {"", e.node}]


def relay_protocol(played, call, node):
    """Return over which transport a node's selected relay was reached."""
    return events_of(played, call, EventType.ICE_SELECTED, node)[-1].data["local"].get("relay_protocol")


@pytest.mark.requirement("Z0-8", "Z0-9")
def test_through_port_restricted_boxes_browsers_talk_directly_as_predicted(calls, network):
    call = calls["port-restricted"]
    assert call.path is PathClass.SERVER_REFLEXIVE
    prediction = predict_call(network, "a1", "b1")
    assert prediction.reach is Reach.DIRECT
    assert (call.callee.remote_type, call.caller.remote_type) in prediction.possible


@pytest.mark.requirement("Z0-14", "Z4-6")
def test_through_symmetric_boxes_browsers_take_coturn_over_udp_as_predicted(calls, network, played):
    assert calls["symmetric"].path is PathClass.RELAY
    assert predict_call(network, "a2", "b2").reach is Reach.RELAY
    protocols = {relay_protocol(played, "symmetric", node) for node in ("a2", "b2")}
    assert protocols & {"udp"}


@pytest.mark.requirement("Z4-17")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_out_of_a_home_without_udp_a_browser_reaches_coturn_by(transport, calls, network, played):
    name = f"udp-blocked by {transport}"
    call = calls[name]
    assert call.path is PathClass.RELAY
    assert predict_call(network, "a3", "b1").reach is Reach.RELAY
    assert call.caller.local_type == "relay"
    assert relay_protocol(played, name, "a3") == transport


def test_a_browser_that_does_not_trust_the_authority_has_no_relay_over_tls(calls, played):
    call = calls["without trust"]
    assert not call.connected
    assert "relay" not in call.caller.candidate_types
    errors = events_of(played, "without trust", EventType.ICE_CANDIDATE_ERROR, "b3")
    assert any(e.data["url"].startswith("turns:") for e in errors)


@pytest.mark.parametrize("name", ["to libjuice", "from libjuice"])
def test_two_ice_stacks_that_nobody_here_wrote_agree_on_a_direct_path(name, calls):
    call = calls[name]
    assert call.path is PathClass.SERVER_REFLEXIVE
    assert (call.caller.received, call.callee.received) == (20, 20)


def test_a_browser_is_killed_and_restarted_as_any_program(calls):
    attempts = [call for name, call in calls.items() if name.startswith("restarted ")]
    assert attempts[-1].connected


def test_a_browser_that_crashes_is_an_event_and_its_calls_are_over(calls, played):
    assert not calls["crashed"].connected
    first = next(e for e in played.events if e.type is EventType.ROLE_FAILED)
    assert (first.node, first.data["program"]) == ("a2", "chromium")
    assert "chromium ended with exit status 1; it said last" in first.data["error"]
    assert "Chromium has ended" in first.data["error"]


CONNECTED = ["port-restricted", "symmetric", "udp-blocked by tcp", "udp-blocked by tls"]


@pytest.mark.parametrize("name", CONNECTED)
def test_data_goes_both_ways_and_no_rtp_is_lost(name, calls, played):
    call = calls[name]
    assert (call.caller.received, call.callee.received) == (20, 20)
    assert 0.018 < min(call.caller.delays + call.callee.delays) < 0.1  # the page's clock has its own grain
    reports = [event.data for event in events_of(played, name, EventType.MEDIA_RTP)]
    received = [data for data in reports if data["direction"] == "received"]
    assert [data["lost"] for data in received] == [0, 0]
    assert min(data["packets"] for data in reports) > RTP_A_SECOND

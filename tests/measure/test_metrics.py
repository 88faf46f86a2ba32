"""Metrics: on hand-written events, where the right answer can be seen, and on calls in virtual time."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from lab.errors import UsageError
from lab.measure.metrics import _METRICS, Sample, measure
from lab.measure.predict import Reach
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import Event, EventType
from lab.spec.expectation import Request
from lab.spec.metric_catalogue import CATALOGUE, MetricKind

_spec = importlib.util.spec_from_file_location(
    "scenarios_conftest", Path(__file__).parents[1] / "scenarios" / "conftest.py"
)
_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
play = _conftest.play

NO_RELAY = CandidatePolicy(candidates="no-relay")


def values(events, metric, within=None, possible=None):
    request = Request(metric, within)
    return [sample.value for sample in measure(events, [request], possible)[request]]


def weights(events, metric):
    return [sample.weight for sample in measure(events, [Request(metric)])[Request(metric)]]


def happened(time, type_, node="", call="", count=1, **data):
    return Event(time=time, type=EventType(type_), node=node, call=call, count=count, data=data)


def a_call(name="c", start=0.0, types=("host", "srflx"), count=1, connects=True):
    """Alice calls bob: half a second of gathering, connected after 1.0 s (alice) and 1.2 s (bob)."""
    own, peers = types
    events = []
    for node, begins, connects_at in (("alice", 0.0, 1.0), ("bob", 0.1, 1.2)):
        events += [
            happened(start + begins, "call.started", node, name, count=count, caller="alice", callee="bob"),
            happened(start + begins + 0.5, "ice.gathered", node, name, types=["host"], seconds=0.5),
            happened(start + 0.7, "ice.checking", node, name, controlling=node == "alice", pairs=1),
        ]
        if not connects:
            events += [
                happened(start + connects_at, "ice.validated", node, name, pairs=[]),
                happened(start + connects_at, "ice.failed", node, name, reason="no pair"),
            ]
            continue
        events += [
            happened(start + connects_at, "ice.validated", node, name, pairs=[[own, peers]]),
            happened(
                start + connects_at,
                "ice.selected",
                node,
                name,
                local={"type": own, "address": "a"},
                remote={"type": peers, "address": "b"},
            ),
            happened(start + connects_at, "ice.connected", node, name, seconds=1.0),
        ]
    return sorted(events, key=lambda event: event.time)


def media(sent_at, lost=(), delay=0.02, sender="alice", first=0):
    """Media from one side, one packet a time in ``sent_at``; those at the positions ``lost`` never arrive."""
    receiver = {"alice": "bob", "bob": "alice"}[sender]
    events = []
    for position, time in enumerate(sent_at):
        sequence = first + position
        events.append(happened(time, "media.sent", sender, "c", sequence=sequence, bytes=172))
        if position not in lost:
            events.append(
                happened(
                    time + delay, "media.received", receiver, "c", sequence=sequence, bytes=172, delay=delay
                )
            )
    return events


def in_order(*parts):
    return sorted((event for part in parts for event in part), key=lambda event: event.time)


def test_every_metric_of_the_catalogue_is_computed_and_no_other():
    assert list(_METRICS) == list(CATALOGUE)


@pytest.mark.parametrize("metric", CATALOGUE, ids=list(CATALOGUE))
def test_a_trial_in_which_nothing_happened_has_no_calls_and_counts_nothing(metric):
    expected = [0.0] if CATALOGUE[metric].kind is MetricKind.COUNT else []
    assert values([], metric, possible=lambda *_: Reach.DIRECT) == expected


# Setting up


def test_a_connected_call():
    events = a_call()
    assert values(events, "ice.connected") == [1]
    assert values(events, "ice.setup_time") == [1.2]
    assert values(events, "ice.gathering_time") == [0.5, 0.5]
    assert values(events, "ice.checking_time") == pytest.approx([0.3, 0.5])


def test_a_call_that_fails_has_no_setup_time_and_no_path():
    events = a_call(connects=False)
    assert values(events, "ice.connected") == [0]
    for metric in ("ice.setup_time", "ice.checking_time", "relay.share", "path.direct", "calls.lost"):
        assert values(events, metric) == []
    assert values(events, "direct.validated") == [0]


def test_a_call_that_never_reached_the_other_side_did_not_connect():
    events = [happened(0.0, "call.started", "alice", "c", caller="alice", callee="bob")]
    assert values(events, "ice.connected") == [0]
    assert values(events, "direct.validated") == []


def test_calls_that_are_signalling_alone_are_no_calls_to_what_is_measured_of_paths_and_media():
    """SIPp makes SIP calls without media: there is nothing that ICE could have failed at."""
    load = [
        happened(0.0, "call.started", "alice", "load", caller="alice", callee="pbx", signalling_only=True),
        happened(3.0, "sip.answered", "alice", "load", count=8, seconds=0.03),
        happened(4.0, "sip.completed", "alice", "load", count=8),
        happened(4.0, "sip.failed", "alice", "load", count=2, reason="MaxUDPRetrans"),
        happened(4.0, "call.ended", "alice", "load", reason="10 calls"),
    ]
    events, anybody = in_order(load, a_call()), lambda *_: Reach.DIRECT
    for metric in CATALOGUE:
        of_sip = metric.startswith("sip.")
        expected = values(events if of_sip else a_call(), metric, possible=anybody)
        assert values(events, metric, possible=anybody) == expected
        assert of_sip or values(load, metric, possible=anybody) in ([], [0.0])
    assert values(load, "ice.connected") == []
    assert (values(load, "sip.calls"), values(load, "sip.failed")) == ([10], [2])


def test_within_counts_from_the_start_of_the_call():
    events = a_call(start=100.0)
    assert values(events, "ice.connected", within=1.1) == [0]
    assert values(events, "ice.connected", within=1.2) == [1]
    assert values(events, "ice.setup_time", within=1.1) == []
    assert values(events, "ice.gathering_time", within=0.55) == [0.5]
    assert values(events, "relay.share", within=1.1) == []


@pytest.mark.parametrize(
    ("types", "true_of"),
    [
        (("host", "host"), {"path.host", "path.direct"}),
        (("host", "srflx"), {"path.server_reflexive", "path.direct"}),
        (("host", "prflx"), {"path.peer_reflexive", "path.direct"}),
        (("relay", "prflx"), {"relay.share"}),
        (("host", "relay"), {"relay.share"}),
    ],
)
def test_each_connected_call_has_one_class_of_path(types, true_of):
    classes = ["path.host", "path.server_reflexive", "path.peer_reflexive", "path.direct", "relay.share"]
    events = a_call(types=types)
    assert {metric for metric in classes if values(events, metric) == [1]} == true_of
    assert {metric for metric in classes if values(events, metric) == [0]} == set(classes) - true_of


@pytest.mark.parametrize(
    ("reach", "types", "possible", "missed"),
    [
        (Reach.DIRECT, ("host", "relay"), [1], [1]),
        (Reach.DIRECT, ("host", "srflx"), [1], [0]),
        (Reach.RELAY, ("host", "relay"), [0], [0]),
    ],
)
def test_direct_is_missed_where_the_relay_was_taken_without_need(reach, types, possible, missed):
    asked = []

    def predicted(caller, callee):
        asked.append((caller, callee))
        return reach

    events = a_call(types=types)
    assert values(events, "direct.possible", possible=predicted) == possible
    assert values(events, "direct.missed", possible=predicted) == missed
    assert set(asked) == {("alice", "bob")}
    assert values(events, "direct.missed") == []


def test_direct_is_validated_by_a_check_even_where_the_relay_was_selected():
    events = a_call(types=("host", "relay"))
    assert values(events, "direct.validated") == [0]
    (told,) = [e for e in events if e.type is EventType.ICE_VALIDATED and e.node == "bob"]
    told.data["pairs"].append(["host", "prflx"])
    assert values(events, "direct.validated") == [1]


def test_an_event_of_many_calls_weighs_as_many():
    events = [*a_call("few"), *a_call("many", types=("host", "relay"), count=40)]
    assert measure(events, [Request("relay.share")])[Request("relay.share")] == (
        Sample(0.0, 1, "few"),
        Sample(1.0, 40, "many"),
    )
    assert weights(events, "ice.setup_time") == [1, 40]


# Media

EVERY_20_MS = [2.0 + 0.02 * number for number in range(10)]


def test_media_that_all_arrives():
    events = in_order(a_call(), media(EVERY_20_MS), media(EVERY_20_MS, sender="bob", delay=0.03))
    assert values(events, "media.both_ways") == [1]
    assert values(events, "media.loss") == [0, 0]
    assert values(events, "media.gap") == [0, 0]
    assert sorted(values(events, "media.delay")) == [0.02, 0.03]
    assert weights(events, "media.delay") == [10, 10]


def test_media_one_way_only():
    events = in_order(a_call(), media(EVERY_20_MS), media(EVERY_20_MS, sender="bob", lost=range(10)))
    assert values(events, "media.both_ways") == [0]
    assert values(events, "media.loss") == [0, 1]


def test_a_call_in_which_one_side_is_silent_says_nothing_of_both_ways():
    assert values(in_order(a_call(), media(EVERY_20_MS)), "media.both_ways") == []


@pytest.mark.parametrize(
    ("lost", "gap", "loss"),
    [
        ({4}, 0.04, 0.1),  # from the arrival of 3 to that of 5
        ({3, 4, 5}, 0.08, 0.3),
        ({3, 6, 7}, 0.06, 0.3),  # the longest run counts
        ({0, 1}, 0.06, 0.2),  # from the first sent to the arrival of 2, 20 ms after it was sent
        ({8, 9}, 0.02, 0.2),  # from the arrival of 7 to the last sent
        (set(range(10)), 0.18, 1.0),
    ],
    ids=["one", "three", "two runs", "the first", "the last", "all"],
)
def test_a_gap_is_the_silence_that_losses_made(lost, gap, loss):
    events = in_order(a_call(), media(EVERY_20_MS, lost=lost))
    assert values(events, "media.gap") == pytest.approx([gap])
    assert values(events, "media.loss") == pytest.approx([loss])


def test_a_pause_of_the_sender_is_no_gap():
    events = in_order(a_call(), media([2.0, 2.02, 9.0, 9.02]))
    assert values(events, "media.gap") == [0]


@pytest.mark.parametrize(
    ("lost", "outage"),
    [
        (set(), 0.02),  # every packet is waited for from the arrival before it
        ({4}, 0.04),
        ({3, 4, 5}, 0.08),
        ({0, 1}, 0.06),  # from the first that was sent
        ({8, 9}, 0.02),  # from the arrival of 7, to the last that was sent
        (set(range(10)), 0.18),
    ],
    ids=["none", "one", "three", "the first", "the last", "all"],
)
def test_an_outage_is_how_long_media_was_waited_for(lost, outage):
    events = in_order(a_call(), media(EVERY_20_MS, lost=lost))
    assert values(events, "media.outage") == pytest.approx([outage])


def test_media_that_comes_late_is_an_outage_though_nothing_is_lost():
    """Three packets wait somewhere and arrive together, three seconds after the one before them."""
    late = [
        happened(5.02, "media.received", "bob", "c", sequence=n, bytes=172, delay=5.02 - EVERY_20_MS[n])
        for n in (3, 4, 5)
    ]
    events = in_order(a_call(), media(EVERY_20_MS[:6], lost={3, 4, 5}), late)
    assert values(events, "media.gap") == [0]
    assert values(events, "media.outage") == pytest.approx([5.02 - (EVERY_20_MS[2] + 0.02)])


def test_neither_a_pause_of_the_sender_nor_what_was_overtaken_is_an_outage():
    events = in_order(a_call(), media([2.0, 2.02, 9.0, 9.02]))
    assert values(events, "media.outage") == pytest.approx([0.02])
    overtaken = happened(2.5, "media.received", "bob", "c", sequence=4, bytes=172, delay=0.42)
    events = in_order(a_call(), media(EVERY_20_MS, lost={4}), [overtaken])
    assert values(events, "media.outage") == pytest.approx([0.04])


def test_a_duplicate_is_not_a_second_arrival_but_has_a_delay():
    twice = happened(2.5, "media.received", "bob", "c", sequence=3, bytes=172, delay=0.44)
    events = in_order(a_call(), media(EVERY_20_MS, lost={4}), [twice])
    assert values(events, "media.loss") == [0.1]
    assert values(events, "media.gap") == pytest.approx([0.04])
    assert sorted(values(events, "media.delay")) == [0.02, 0.44]


def test_delays_are_weighted_by_what_each_event_stands_for():
    arrivals = [
        happened(2.0 + n, "media.received", "bob", "c", count=4, sequence=n, bytes=172, delay=0.02)
        for n in (0, 1)
    ]
    assert weights(in_order(a_call(), media([1.9, 2.9], lost={0, 1}), arrivals), "media.delay") == [8]


def test_loss_is_weighted_by_what_each_event_stands_for():
    events = in_order(a_call(), media([2.0, 2.02], lost={1}))
    events = [
        happened(e.time, "media.sent", e.node, "c", count=9, **e.data)
        if e.type is EventType.MEDIA_SENT and e.data["sequence"] == 0
        else e
        for e in events
    ]
    assert values(events, "media.loss") == [0.1]


# Faults


def a_fault(time=10.0, **settings):
    return [happened(time, "link.changed", link="access", settings=settings or "cut")]


def test_within_counts_from_the_fault_for_what_an_established_call_may_suffer():
    before, after = media([5.0, 5.02], lost={0}), media([10.0, 10.5, 11.0, 20.0], lost={1, 2}, first=2)
    events = in_order(a_call(), a_fault(), before, after)
    assert values(events, "media.loss") == [0.5]
    assert values(events, "media.loss", within=1.0) == pytest.approx([2 / 3])
    assert values(events, "media.loss", within=15.0) == [0.5]
    assert values(events, "media.gap", within=15.0) == pytest.approx([20.02 - 10.02])
    assert weights(events, "media.delay") == [3]
    assert values(events, "media.delay", within=0.4) == [0.02]


@pytest.mark.parametrize("time", [0.5, 30.0])
def test_a_call_that_was_not_up_when_the_fault_came_has_no_window(time):
    """Set up after the fault began, or hung up before it."""
    hung_up = [happened(25.0, "call.ended", node, "c", reason="hung up") for node in ("alice", "bob")]
    events = in_order(a_call(), a_fault(time), media(EVERY_20_MS), hung_up)
    assert values(events, "media.loss") == [0]
    assert values(events, "media.loss", within=60.0) == []
    assert values(events, "calls.lost", within=60.0) == []


def test_links_that_are_set_before_the_call_and_cuts_that_heal_are_no_faults():
    healed = [happened(1.5, "link.changed", link="access", settings="healed")]
    set_up = in_order(a_fault(0.0, delay="10ms"), a_call(start=0.0), healed, media(EVERY_20_MS))
    assert values(set_up, "media.loss", within=60.0) == []
    assert values(in_order(set_up, a_fault(2.09)), "media.loss", within=60.0) == [0]
    assert weights(in_order(set_up, a_fault(2.09)), "media.delay") == [10]
    assert values(in_order(set_up, a_fault(2.3)), "media.loss", within=60.0) == []


@pytest.mark.parametrize(
    ("type_", "node", "data"),
    [
        ("nat.rebooted", "bob-nat", {"mappings": 2}),
        ("nat.flushed", "bob-nat", {"mappings": 2}),
        ("role.killed", "relay", {"program": "relay"}),
        ("role.paused", "bob", {"program": "endpoint"}),
        ("host.detached", "bob", {"links": ["bob-wifi"], "addresses": []}),
    ],
)
def test_what_is_done_to_boxes_programs_and_places_is_a_fault(type_, node, data):
    fault = [happened(10.0, type_, node, **data)]
    assert values(in_order(a_call(), fault), "calls.lost", within=60.0) == [0]
    lost = [happened(35.0, "ice.consent_lost", "alice", "c", since_connected=33.8)]
    assert values(in_order(a_call(), fault, lost), "consent.detection_time") == [25.0]


@pytest.mark.parametrize(("node", "lost"), [("bob", 1), ("relay", 0)])
def test_a_call_is_lost_with_the_program_of_a_side(node, lost):
    killed = [happened(10.0, "role.killed", node, program="any")]
    assert values(in_order(a_call(), killed), "calls.lost") == [lost]
    hung_up = [happened(9.0, "call.ended", side, "c", reason="hung up") for side in ("alice", "bob")]
    assert values(in_order(a_call(), hung_up, killed), "calls.lost") == [0]


def test_a_call_is_lost_when_consent_expires():
    lost = [happened(35.0, "ice.consent_lost", "bob", "c", since_connected=33.8)]
    events = in_order(a_call(), a_fault(), lost)
    for metric in ("consent.lost", "calls.lost"):
        assert values(events, metric) == [1]
        assert values(events, metric, within=20.0) == [0]
        assert values(events, metric, within=25.0) == [1]
    assert values(events, "consent.detection_time") == [25.0]
    assert values(events, "consent.detection_time", within=20.0) == []


@pytest.mark.parametrize("call", ["c", ""])
def test_a_call_is_lost_when_a_program_fails(call):
    failed = happened(20.0, "role.failed", "alice", call, error="KeyError: 'x'", program="endpoint")
    events = in_order(a_call(), [failed])
    assert values(events, "calls.lost") == [1]
    assert values(events, "consent.lost") == [0]
    assert values(events, "roles.failed") == [1]


@pytest.mark.parametrize(
    "failed",
    [
        happened(0.9, "role.failed", "alice", "c", error="before it connected"),
        happened(20.0, "role.failed", "carol", "", error="somebody else's"),
        happened(20.0, "role.failed", "alice", "another", error="another call's"),
        happened(70.0, "role.failed", "alice", "c", error="after it was over"),
        happened(70.0, "ice.consent_lost", "bob", "c", since_connected=68.8),
    ],
    ids=["before", "elsewhere", "another call", "afterwards", "consent afterwards"],
)
def test_what_does_not_concern_an_established_call_does_not_lose_it(failed):
    hung_up = [happened(60.0, "call.ended", "alice", "c", reason="hung up")]
    assert values(in_order(a_call(), [failed], hung_up), "calls.lost") == [0]


def test_loss_of_rtp_is_by_the_receivers_own_count():
    def stream(**data):
        return happened(5.0, "media.rtp", "alice", "c", **data)

    events = [
        *a_call(),
        stream(direction="sent", packets=100),
        stream(direction="received", packets=90, lost=10),
        stream(direction="received", packets=101, lost=-1),
        stream(direction="received", packets=0, lost=0),
        stream(direction="received", packets=50, lost=None),
    ]
    assert values(events, "rtp.loss") == [0.1, 0.0]


def test_counts_are_of_a_trial_and_weighted():
    events = [
        happened(1.0, "turn.allocated", "relay", count=3),
        happened(2.0, "turn.allocated", "relay"),
        happened(2.0, "turn.refused", "relay", code=486),
        happened(3.0, "nat.mapping_created", "nat"),
    ]
    counted = ("turn.allocations", "turn.refusals", "nat.mappings", "packets.dropped")
    assert [values(events, metric) for metric in counted] == [[4], [1], [1], [0]]


# Calls in virtual time


def test_a_simulated_direct_call(play):
    played = play("two_homes", lambda lab: lab.call("alice", "bob", policy=NO_RELAY))
    assert values(played.events, "ice.connected") == [1]
    assert values(played.events, "path.server_reflexive") == [1]
    assert values(played.events, "ice.setup_time") == [played.call.setup_time]
    assert values(played.events, "direct.validated") == [1]
    delays = [*played.call.caller.delays, *played.call.callee.delays]
    assert sorted(values(played.events, "media.delay")) == sorted(set(delays))
    assert sum(weights(played.events, "media.delay")) == len(delays) == 10
    assert min(delays) == 0.020
    assert values(played.events, "media.loss") == [0, 0]
    assert values(played.events, "calls.lost") == [0]
    assert values(played.events, "turn.allocations") == [0]


def test_no_event_of_one_call_weighs_more_than_one(play):
    """Weights are for condensed populations; data that is called ``count`` must not end up as one."""
    assert {event.count for event in play("two_homes").events} == {1}


@pytest.mark.requirement("Z0-14")
def test_a_simulated_call_between_symmetric_nats_is_on_the_relay_and_missed_nothing(play):
    played = play("two_homes", alice_nat="symmetric", bob_nat="symmetric")
    assert values(played.events, "relay.share") == [1]
    assert values(played.events, "turn.allocations") == [2]
    assert values(played.events, "direct.missed", possible=lambda *_: Reach.RELAY) == [0]
    assert values(played.events, "packets.dropped")[0] > 0


def test_a_simulated_cut_makes_a_gap_and_is_noticed_by_consent(play):
    async def cut(lab):
        await lab.call("alice", "bob", policy=NO_RELAY, media=MediaPlan(packets=100), hold="5s")
        lab.cut("bob-access")
        await lab.send_media("call-1", MediaPlan(packets=100))
        await lab.sleep("60s")

    events = play("two_homes", cut).events
    assert values(events, "media.loss") == [0.5, 0.5]
    assert values(events, "media.loss", within=1.0) == [1, 1]
    assert values(events, "calls.lost") == values(events, "consent.lost") == [1]
    assert values(events, "consent.lost", within=5.0) == [0]
    (detected,) = values(events, "consent.detection_time")
    assert 20 < detected < 37  # RFC 7675 §5.1: consent expires after 30 s; aioice checks 4 to 6 s apart


def test_a_simulated_heal_bounds_the_gap(play):
    async def cut_for_a_second(lab):
        await lab.call("alice", "bob", policy=NO_RELAY, media=MediaPlan(packets=1))
        sending = asyncio.ensure_future(lab.send_media("call-1", MediaPlan(packets=200)))
        await lab.sleep("1s")
        lab.cut("bob-access")
        await lab.sleep("1s")
        lab.heal("bob-access")
        await sending

    events = play("two_homes", cut_for_a_second).events
    assert values(events, "calls.lost") == [0]
    for gap in values(events, "media.gap"):
        assert 1.0 <= gap < 1.06


def test_nothing_is_predicted_of_a_call_to_nobody():
    def no_such_host(caller, callee):
        raise UsageError(f"no host {callee!r}")

    assert values(a_call(), "direct.possible", possible=no_such_host) == []
    assert values(a_call(), "direct.missed", possible=no_such_host) == []

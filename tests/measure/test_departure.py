"""Where a failing trial departs from a passing one: by what happened, not by when, or between which ports."""

import random

import pytest

from lab.measure.departure import find_departure
from lab.spec.event import Event, EventType

HOST, SRFLX, RELAY = "host", "srflx", "relay"


def pair(local, remote, port=1000):
    return {
        "local": {"type": local, "address": f"192.0.2.1:{port}"},
        "remote": {"type": remote, "address": f"192.0.2.2:{port}"},
    }


def checked(local, remote, after="SUCCEEDED", port=1000):
    return {**pair(local, remote, port), "before": "IN_PROGRESS", "after": after}


def a_call(*, start=1.0, port=1000, call="call-1"):
    """What two sides report of a call that gets a direct path."""
    steps = [
        (0.0, "alice", EventType.CALL_STARTED, {"caller": "alice", "callee": "bob"}),
        (0.1, "alice", EventType.SIGNAL_SENT, {"kind": "offer", "to": "bob"}),
        (0.2, "bob", EventType.CALL_STARTED, {"caller": "alice", "callee": "bob"}),
        (0.3, "alice", EventType.ICE_CHECKING, {"controlling": True, "pairs": 4}),
        (0.3, "bob", EventType.ICE_CHECKING, {"controlling": False, "pairs": 4}),
        (0.4, "alice", EventType.ICE_CHECK, checked(HOST, SRFLX, "IN_PROGRESS", port)),
        (0.5, "alice", EventType.ICE_CHECK, checked(HOST, SRFLX, port=port)),
        (0.5, "alice", EventType.ICE_SELECTED, pair(HOST, SRFLX, port)),
        (0.6, "bob", EventType.ICE_CHECK, checked(HOST, SRFLX, port=port)),
        (0.6, "bob", EventType.ICE_SELECTED, pair(HOST, SRFLX, port)),
        (0.7, "bob", EventType.MEDIA_RECEIVED, {"sequence": 0, "bytes": 172, "delay": 0.02}),
        (0.8, "bob", EventType.MEDIA_RECEIVED, {"sequence": 1, "bytes": 172, "delay": 0.02}),
        (9.0, "alice", EventType.CALL_ENDED, {"reason": "hung up"}),
    ]
    return [
        Event(time=start + time, type=type_, node=node, call=call, data=data)
        for time, node, type_, data in steps
    ]


def index_of(events, type_, node):
    return next(n for n, event in enumerate(events) if event.type is type_ and event.node == node)


def test_other_times_ports_packets_and_numbers_of_tries_are_no_departure():
    other = a_call(start=7.0, port=2000)
    other.insert(6, other[5])
    assert find_departure(a_call(), [event._replace(packet_id=9) for event in other]) is None


def test_it_is_the_first_step_that_another_one_took_the_place_of():
    failing = a_call()
    at = index_of(failing, EventType.ICE_SELECTED, "alice")
    failing[at - 1] = failing[at - 1]._replace(data=checked(RELAY, SRFLX))
    failing[at] = failing[at]._replace(data=pair(RELAY, SRFLX))
    found = find_departure(a_call(), failing)
    assert (found.call, found.node, found.late) == ("call-1", "alice", None)
    assert found.failing is failing[at - 1]
    assert found.passing.data["local"]["type"] == HOST
    assert found.since.type is EventType.ICE_CHECKING


def test_a_step_that_never_came_is_one():
    failing = [event for event in a_call() if event.node == "alice"]
    found = find_departure(a_call(), failing)
    assert (found.node, found.failing, found.since) == ("bob", None, None)
    assert found.passing.type is EventType.CALL_STARTED


def test_the_earliest_of_several_counts_from_the_start_of_the_call():
    failing = a_call(start=100.0)
    bob = index_of(failing, EventType.ICE_CHECK, "bob")
    del failing[bob : bob + 2]
    alice = index_of(failing, EventType.ICE_CHECK, "alice") + 1
    failing[alice] = failing[alice]._replace(
        time=160.0, type=EventType.ICE_FAILED, data={"reason": "timeout"}
    )
    found = find_departure(a_call(start=1.0), failing)
    assert found.node == "bob", "alice gave up much later"
    assert found.happened == pytest.approx(100.6)


def test_one_call_of_several():
    passing = [*a_call(), *a_call(call="call-2")]
    failing = [*a_call()[:-1], *a_call(call="call-2")[:3]]
    assert find_departure(passing, failing, call="call-2").call == "call-2"
    assert find_departure(passing, failing, call="call-1").passing.type is EventType.CALL_ENDED


def test_what_is_of_no_call_counts_for_every_call():
    reboot = Event(time=1.05, type=EventType.NAT_REBOOTED, node="bob-nat", data={"mappings": 3})
    found = find_departure(a_call(), sorted([*a_call(), reboot], key=lambda event: event.time), call="call-1")
    assert (found.call, found.node, found.failing) == ("", "bob-nat", reboot)


def test_media_are_steps_only_where_asked_for():
    failing = [event for event in a_call() if event.data.get("sequence") != 0]
    assert find_departure(a_call(), failing) is None
    found = find_departure(a_call(), failing, media=True)
    assert (found.passing.data["sequence"], found.failing.data["sequence"]) == (0, 1)


def test_where_all_steps_are_the_same_it_is_the_one_that_took_longest():
    failing = a_call()
    late = index_of(failing, EventType.ICE_SELECTED, "bob") - 1
    failing[late:] = [event._replace(time=event.time + 2.5) for event in failing[late:]]
    found = find_departure(a_call(), failing)
    assert (found.node, found.failing.type) == ("bob", EventType.ICE_CHECK)
    assert found.late == pytest.approx(2.5)
    assert found.since.type is EventType.ICE_CHECKING


def test_who_waits_for_the_other_is_not_late_himself():
    """Alice is late to send what bob gets late: that is alice's step; what the way takes is the way's."""
    failing = a_call()
    got = failing[2]._replace(type=EventType.SIGNAL_RECEIVED, data={"kind": "offer", "sender": "alice"})
    passing = [*failing[:2], got, *failing[3:]]
    late = [passing[0], *(event._replace(time=event.time + 2.0) for event in passing[1:])]
    late[2:] = [event._replace(time=event.time + 0.5) for event in late[2:]]
    found = find_departure(passing, late)
    assert (found.node, found.failing.type, found.late) == (
        "alice",
        EventType.SIGNAL_SENT,
        pytest.approx(2.0),
    )


def test_of_two_that_wait_for_each_other_the_first_is_named():
    failing = a_call()
    failing[1:] = [event._replace(time=event.time + 2.5) for event in failing[1:]]
    found = find_departure(a_call(), failing)
    assert (found.node, found.failing.type) == ("alice", EventType.SIGNAL_SENT)


def test_it_does_not_depend_on_how_the_programs_events_interleave():
    """Of each program in order; between programs any order of the same instant is the same story."""
    failing = a_call()
    at = index_of(failing, EventType.ICE_SELECTED, "alice")
    failing[at] = failing[at]._replace(data=pair(RELAY, SRFLX))
    expected = find_departure(a_call(), failing)
    generator = random.Random(1)
    for _ in range(20):
        lanes = {node: [event for event in failing if event.node == node] for node in ("alice", "bob")}
        order = [event.node for event in failing]
        generator.shuffle(order)
        assert find_departure(a_call(), [lanes[node].pop(0) for node in order]) == expected

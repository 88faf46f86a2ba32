"""A trial that the machine has stalled is told from one that ran as planned, and run again."""

import asyncio
import dataclasses
import json
import os
import re
import signal
import time

import pytest
from own_processes import our_processes
from plain_topologies import pair

from lab.cli.main import run_command_line
from lab.emu.lab import Emulated
from lab.emu.timing.hold_ups import TICK, HoldUps
from lab.emu.timing.lateness import LATE, Lateness
from lab.emu.timing.stalls import HELD_UP, SKEW, why_stalled
from lab.emu.timing.starts import MARGIN, start_plan
from lab.run import worlds
from lab.run.program_choice import with_programs
from lab.run.trial import measured
from lab.spec.event import Event, EventType
from lab.spec.find import load_topology
from lab.spec.impairment import Impairment
from lab.spec.program import Program
from lab.spec.trial import KERNEL, Trial

NONE_LATE = Lateness(carried=1000).as_data()


def call(alice, bob, *more):
    """Return the events of a call whose sides began so many seconds after they were to."""
    began = [("alice", alice), ("bob", bob)]
    return sorted(
        [
            Event(
                time=1.0,
                type=EventType.CALL_STARTED,
                node="alice",
                call="call-1",
                data={"caller": "alice", "callee": "bob"},
            ),
            *(
                Event(
                    time=2.0 + late,
                    type=EventType.ICE_CHECKING,
                    node=node,
                    call="call-1",
                    data={"late": late},
                )
                for node, late in began
            ),
            *more,
        ],
        key=lambda event: event.time,
    )


def link_changed(time, settings):
    return Event(time=time, type=EventType.LINK_CHANGED, data={"link": "alice", "settings": settings})


@pytest.mark.parametrize(
    ("lateness", "valid"),
    [
        ({"carried": 0, "late": 0, "worst": 0.0}, True),
        ({"carried": 1000, "late": 10, "worst": 0.3}, True),
        ({"carried": 1000, "late": 11, "worst": 0.3}, False),
    ],
)
def test_a_trial_with_more_than_one_late_packet_in_a_hundred_is_invalid(lateness, valid):
    why = why_stalled(lateness, [])
    assert (why == "") == valid
    if not valid:
        assert why.startswith("the machine stalled: 11 of 1000 packets were late")
        assert f"{LATE * 1e3:.0f} ms, one by 300 ms" in why


def test_sides_that_begin_apart_from_plan_by_more_than_changes_a_class_are_told():
    assert why_stalled(NONE_LATE, call(0.003, 0.001)) == ""
    assert why_stalled(NONE_LATE, call(0.9, 0.9)) == "", "both late alike: they began as planned"
    assert why_stalled(NONE_LATE, call(0.0, SKEW)) == ""
    why = why_stalled(NONE_LATE, call(0.053, 0.002))
    assert (
        why
        == "the machine stalled: bob 2 ms and alice 53 ms after the moments planned for the checks of call-1"
    )


def test_what_the_scenario_did_meanwhile_is_not_the_machines_doing():
    assert why_stalled(NONE_LATE, call(0.9, 0.0, link_changed(1.5, "cut"))) == ""
    heard_first = [link_changed(1.5, "cut"), *call(0.9, 0.0)]
    assert why_stalled(NONE_LATE, heard_first) == "", "events come as processes tell them"
    assert why_stalled(NONE_LATE, call(0.9, 0.0, link_changed(5.0, "cut"))) != ""


def outcome(held_up, time=3.0, type_=EventType.ICE_CONNECTED):
    return Event(time=time, type=type_, node="bob", call="call-1", data={"seconds": 1.0, "held_up": held_up})


@pytest.mark.parametrize("type_", [EventType.ICE_CONNECTED, EventType.ICE_FAILED])
def test_a_side_that_stood_still_while_its_checks_ran_is_told(type_):
    assert why_stalled(NONE_LATE, call(0.0, 0.0, outcome(HELD_UP, type_=type_))) == ""
    why = why_stalled(NONE_LATE, call(0.0, 0.0, outcome(0.102, type_=type_)))
    assert why == "the machine stalled: bob stood still for 102 ms while the checks of call-1 ran"
    paused = link_changed(2.5, "cut")
    assert why_stalled(NONE_LATE, call(0.0, 0.0, paused, outcome(0.102, type_=type_))) == ""
    assert (
        why_stalled(NONE_LATE, call(0.0, 0.0, outcome(0.102, type_=type_), link_changed(4.0, "cut"))) == why
    )


@pytest.mark.real_time
def test_what_stood_still_is_the_worst_of_the_first_second_and_until_the_end():
    async def held_up(*steps, before=0.0):
        watched = HoldUps(asyncio.get_running_loop())
        if before:
            time.sleep(before)  # noqa: ASYNC251 - this holds the loop up
        watched.begin("call-1")
        for step in steps:
            await asyncio.sleep(2 * TICK)
            time.sleep(step)  # noqa: ASYNC251 - as above
        return watched.end("call-1"), watched.end("call-1"), watched.end("call-2")

    worst, again, other = asyncio.run(held_up(0.05, 0.2, 0.05))
    assert 0.2 - TICK <= worst < 0.25
    assert (again, other) == (0.0, 0.0)
    worst, *_ = asyncio.run(held_up(before=0.3))
    assert worst < 0.1, "before the checks began"
    worst, *_ = asyncio.run(held_up(*[0.0] * 60, 0.5))
    assert worst < 0.1, "after their first second"


@pytest.mark.real_time
def test_a_call_does_not_answer_for_what_stood_still_before_its_checks():
    """Though another call's were watched at that time."""

    async def held_up():
        watched = HoldUps(asyncio.get_running_loop())
        watched.begin("call-1")
        await asyncio.sleep(2 * TICK)
        time.sleep(0.3)  # noqa: ASYNC251 - this holds the loop up
        watched.begin("call-2")
        await asyncio.sleep(2 * TICK)
        return watched.end("call-1"), watched.end("call-2")

    one, other = asyncio.run(held_up())
    assert one >= 0.3 - TICK
    assert other < 0.1


def test_a_side_whose_start_was_not_planned_is_not_judged():
    events = [event._replace(data={}) if event.node == "bob" else event for event in call(0.9, 0.0)]
    assert why_stalled(NONE_LATE, events) == ""


def test_lateness_of_several_processes_adds_up():
    one, other = Lateness(), Lateness()
    for seconds in (0.0, LATE, LATE + 0.001):
        one.note(seconds)
    other.note(0.5)
    assert Lateness.of_all([one.as_data(), other.as_data()]) == Lateness(carried=4, late=2, worst=0.5)
    assert Lateness.of_all([]) == Lateness()


# When the sides are to begin


def links_of(network, **changed):
    links = {label: {o.a: o.forward, o.b: o.backward} for label, o in network.links.items()}
    return {label: changed.get(label.replace("-", "_"), way) for label, way in links.items()}


def test_the_plan_has_the_answers_way_from_callee_to_caller():
    """By the rendezvous, 5 ms away: and each direction of a link has its own delay."""
    network = load_topology("two_homes", {"alice_delay": "22ms", "bob_delay": "23ms"})
    plan = start_plan(network, links_of(network), "alice", "bob", exactly=True)
    assert plan is not None
    assert (plan.travel, plan.margin) == (pytest.approx(0.055), MARGIN)
    slow_up = {"alice-nat": Impairment(delay=0.5), "internet": Impairment(delay=0.1)}
    links = links_of(network, alice_access=slow_up)
    travels = [
        start_plan(network, links, *ends, exactly=False).travel
        for ends in (("alice", "bob"), ("bob", "alice"))
    ]
    assert travels == [pytest.approx(0.133), pytest.approx(0.533)]


@pytest.mark.parametrize("met", [Impairment(loss=0.01), Impairment(loss_block=(1, 4)), Impairment(rate=1e6)])
def test_there_is_no_plan_where_the_answer_may_be_lost_or_queue(met):
    network = pair(alice={"delay": "1ms"})
    assert start_plan(network, links_of(network), "alice", "bob", exactly=True) is not None
    links = links_of(network, alice={"alice": met, "internet": met})
    assert start_plan(network, links, "alice", "bob", exactly=True) is None
    del links["alice"]
    assert start_plan(network, links, "alice", "bob", exactly=True) is None, "cut off"


def test_there_is_no_plan_where_two_ways_lead_to_the_rendezvous():
    network = load_topology("multihomed", {})
    callers = list(network.by_role["endpoint"])
    assert start_plan(network, links_of(network), *callers[:2], exactly=True) is None


def test_a_program_that_nobody_here_wrote_begins_when_it_likes():
    network = pair(alice={"delay": "1ms"})
    theirs = with_programs(network, {"bob": Program(command=("theirs",))})
    assert start_plan(theirs, links_of(theirs), "alice", "bob", exactly=True) is None


# Run again


def trial():
    return Trial(scenario="x.yaml", topology="two_homes", world=KERNEL, nat_plane="nft")


@pytest.fixture
def machine(monkeypatch):
    """Return a list for how the machine stalls each attempt, and one with what the attempts were told."""
    stalls, told = [], []

    def emulate(*_, stalled_before, **__):
        told.append([*stalled_before])
        why = stalls.pop(0)
        before = {"stalled_before": [*stalled_before]} if stalled_before else {}
        started = Event(time=0.0, type=EventType.TRIAL_STARTED, data=before)
        ended = Event(time=1.0, type=EventType.TRIAL_ENDED, data={"reason": why or "scenario done"})
        return Emulated(events=[started, ended], stalled=why)

    monkeypatch.setattr(worlds, "emulate", emulate)
    return stalls, told


def played():
    events = worlds.play_trial(trial(), load_topology("two_homes", {}), None).events
    return measured(trial(), events)


def test_a_trial_that_was_stalled_is_run_again_and_says_so(machine):
    stalls, told = machine
    stalls += ["one", ""]
    found = played()
    assert (found.invalid, found.repeated) == ("", ["one"])
    assert told == [[], ["one"]]


def test_it_is_not_run_again_without_end(machine):
    stalls, told = machine
    stalls += ["one", "two", "three", "four", "five", ""]
    found = played()
    assert (found.invalid, found.repeated) == ("five", ["one", "two", "three", "four"])
    assert len(told) == 1 + worlds.MOST_REPEATED


def test_one_that_ran_as_planned_says_nothing_of_that(machine):
    stalls, told = machine
    stalls += [""]
    assert played().repeated == []
    assert told == [[]]


def test_a_run_tells_which_of_its_trials_were_run_again_and_why(monkeypatch, tmp_path, capsys):
    """Whatever world says so."""

    def play(*arguments):
        found = worlds.play_trial(*arguments)
        first, *others = found.events
        told = first._replace(data={**first.data, "stalled_before": ["one", "two"]})
        return dataclasses.replace(found, events=[told, *others])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lab.run.trial.play_trial", play)
    nats = ("--set", "alice_nat=none", "--set", "bob_nat=none")
    assert run_command_line(["run", "nat_matrix", "--repeat", "1", "--jobs", "1", *nats]) == 0
    assert "1 trial was run again, for the machine had stalled: " in capsys.readouterr().err
    (folder,) = (tmp_path / "results").iterdir()
    (line,) = json.loads((folder / "result.json").read_text())["repeated"]
    assert line.endswith(" alice_nat=none,bob_nat=none: one | two")
    assert run_command_line(["show", "latest"]) == 0
    assert line in capsys.readouterr().out
    assert run_command_line(["show", "latest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repeated"] == [line]


# On the kernel


async def heard_of(lab, type_, node):
    """Wait for an event of a call, as long as a busy machine may need."""
    for _ in range(6000):
        if any(event.type is type_ and event.node == node and event.call for event in lab.events):
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"nothing was heard of {type_} at {node} in 30 s")


async def hold_up(lab, node, until=None):
    """Stop a program for a tenth of a second, or for that long after something was heard of.

    By a signal of which the lab knows nothing.
    """
    (process,) = our_processes(f"role-{node}")
    os.kill(process, signal.SIGSTOP)
    if until is not None:
        await heard_of(lab, *until)
    await asyncio.sleep(0.1)
    os.kill(process, signal.SIGCONT)


def played_with_a_hold_up(node, *, once, until=None):
    """Return what is measured of a call whose first attempt is held up, ``once`` that was heard of."""
    held_up = []

    async def scenario(lab):
        call = asyncio.create_task(lab.call("alice", "bob", start_offset="-200ms"))
        if not held_up:
            await heard_of(lab, *once)
            await hold_up(lab, node, until)
            held_up.append(node)
        assert (await call).connected

    network = pair(alice={"delay": "100ms"}, bob={"delay": "100ms"})
    found = measured(trial(), worlds.play_trial(trial(), network, scenario).events)
    assert held_up == [node]
    return found


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "mnexec")
@pytest.mark.usefixtures("untouched_machine")
def test_a_caller_whom_the_machine_holds_up_is_found_out_and_the_trial_run_again():
    """Once, while the answer is on its way to her."""
    found = played_with_a_hold_up(
        "alice", once=(EventType.SIGNAL_SENT, "alice"), until=(EventType.ICE_CHECKING, "bob")
    )
    assert re.fullmatch(
        r"the machine stalled: .*alice \d{3} ms.* after the moments planned for the checks of call-1(; .*)?",
        found.repeated[0],
    )


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "mnexec")
@pytest.mark.usefixtures("untouched_machine")
def test_a_callee_who_stands_still_while_his_checks_run_is_found_out():
    """For a tenth of a second, of which neither links nor the beginning of the checks tell."""
    found = played_with_a_hold_up("bob", once=(EventType.ICE_CHECKING, "bob"))
    assert re.search(r"bob stood still for \d{2,3} ms while the checks of call-1 ran", found.repeated[0])

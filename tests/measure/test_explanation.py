"""Why a call took its path: what was dropped where, and what a first success left no time for."""

from pathlib import Path

import pytest

from lab.measure.explanation import explain_call
from lab.measure.predict import Reach
from lab.run.plan import plan_run
from lab.run.replay import trace_trial
from lab.spec.event import EventType

SCENARIO = str(Path(__file__).parents[1] / "report" / "offset_call.py")


def explained(scenario: str = SCENARIO, **values):
    overrides = {name: [value] for name, value in values.items()}
    replay = trace_trial(plan_run(scenario, seed=1, repeat=1, overrides=overrides).trials[0])
    (record,) = replay.result.calls
    return explain_call(record, replay.events, replay.trace), replay


@pytest.fixture(scope="module")
def hopeless():
    return explained(alice_nat="symmetric", bob_nat="port-restricted")


@pytest.fixture(scope="module")
def hasty():
    """Return a call whose checks start 200 ms apart: direct was possible, the relay came first."""
    return explained(start_offset=0.2, alice_nat="eim-adf", bob_nat="eim-adf")


def test_each_dropped_check_has_its_place_sender_reason_and_packet(hopeless):
    explanation, _ = hopeless
    (filtered,) = (group for group in explanation.dropped if group.where == "bob-nat")
    assert filtered.sender == "alice"
    assert not filtered.by_relay
    assert filtered.source.startswith("203.0.113.10:")
    assert filtered.reason == f"filter: {filtered.source} never sent to by this mapping"
    assert len(filtered.packets) == 1


def test_every_drop_of_a_check_that_the_events_tell_of_is_in_the_explanation(hopeless):
    explanation, replay = hopeless
    told = {packet for group in explanation.dropped for packet in group.packets}
    checks = {step.packet_id for step in replay.trace.steps if step.is_check}
    dropped = {e.packet_id or e.cause_id for e in replay.events if e.type is EventType.PACKET_DROPPED}
    assert told == dropped & checks
    assert told


def test_a_check_sent_by_a_relay_is_its_clients(hopeless):
    explanation, _ = hopeless
    (group,) = (g for g in explanation.dropped if g.where == "alice-nat" and g.by_relay)
    assert group.sender == "bob"
    assert group.source.startswith("192.0.2.10:")


def test_a_relay_that_was_needed_is_not_called_needless(hopeless):
    explanation, _ = hopeless
    assert explanation.prediction.reach is Reach.RELAY
    assert not explanation.relayed_without_need


def test_a_relay_that_won_by_time_is_told_with_the_direct_pair_that_came_too_late(hasty):
    explanation, _ = hasty
    assert explanation.relayed_without_need
    sides = [explanation.record.caller, explanation.record.callee]
    late = [(side, pair) for side in sides for pair in explanation.beaten(side.node)]
    assert late, "a direct pair had been tried"
    for side, pair in late:
        first = explanation.first_success(side.node)
        assert not first.is_direct
        assert pair.is_direct
        assert pair.remote_type == "srflx", "a private address behind another NAT is no candidate that lost"
        assert pair.started < first.succeeded <= side.connected


def test_pairs_have_the_times_of_the_events(hopeless):
    explanation, replay = hopeless
    succeeded = {
        (e.node, e.time)
        for e in replay.events
        if e.type is EventType.ICE_CHECK and e.data["after"] == "SUCCEEDED"
    }
    assert {(p.node, p.succeeded) for p in explanation.pairs if p.succeeded is not None} == succeeded


def test_checks_of_consent_that_are_lost_later_are_counted_apart(tmp_path):
    scenario = tmp_path / "cut_later.py"
    scenario.write_text(
        'TOPOLOGY = "two_homes"\nVARY = {"alice_nat": [], "bob_nat": []}\n\n'
        "async def scenario(lab):\n"
        '    await lab.call("alice", "bob", start_offset="-30ms")\n'
        '    lab.cut("alice-access")\n'
        '    await lab.sleep("15s")\n'
    )
    explanation, replay = explained(str(scenario), alice_nat="full-cone", bob_nat="full-cone")
    cut = [drop for drop in replay.trace.drops if "is cut" in drop.reason]
    assert len(cut) >= explanation.dropped_later > 0
    assert not any("is cut" in group.reason for group in explanation.dropped)


def test_whoever_calls_the_boxes_are_called_by_the_name_of_their_own_host(tmp_path):
    scenario = tmp_path / "back.py"
    scenario.write_text(
        'TOPOLOGY = "two_homes"\nVARY = {"alice_nat": [], "bob_nat": []}\n\n'
        'async def scenario(lab):\n    await lab.call("bob", "alice")\n'
    )
    explanation, _ = explained(str(scenario), alice_nat="symmetric", bob_nat="port-restricted")
    assert explanation.peers == ("alice", "bob")
    assert any("alice's NAT (symmetric)" in reason for reason in explanation.prediction.blocked.values())

"""Programs killed, paused, restarted in a call, boxes flushed, endpoints moved: what aioice makes of it."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.measure.calls import calls_of
from lab.sim.lab import simulate
from lab.spec.event import EventType, PathClass
from lab.spec.find import load_topology

SYMMETRIC = {"alice_nat": "symmetric", "bob_nat": "symmetric"}


def times(played, type_, node=""):
    return [event.time for event in played.of(type_, node=node)]


def test_a_killed_relay_ends_the_calls_on_it_and_a_restarted_one_takes_new_ones(play):
    async def scenario(lab):
        await lab.call("alice", "bob")
        lab.kill("relay")
        await lab.sleep("60s")
        lab.restart("relay")
        await lab.sleep("10s")
        await lab.call("alice", "bob")

    played = play("two_homes", scenario, **SYMMETRIC)
    first, second = calls_of(played.events)
    assert [first.path, second.path] == [PathClass.RELAY, PathClass.RELAY]
    assert not any(side.consent_lost for side in second.sides)
    (killed,), (restarted,) = (times(played, t) for t in (EventType.ROLE_KILLED, EventType.ROLE_RESTARTED))
    # As soon as RFC 7675 has it, though aioice goes on asking the dead relay to end the allocation.
    assert all(20 < side.consent_lost - killed < 37 for side in first.sides)
    assert restarted - killed == pytest.approx(60)
    assert "no UDP socket on port 3478" in played.drop_reasons("relay")
    forgotten = [e for e in played.of(EventType.TURN_REFUSED, node="relay") if e.time > restarted]
    assert {e.data["code"] for e in forgotten} >= {437}, "the allocations are gone"


def test_a_direct_call_does_not_need_the_relay_that_was_killed(play):
    async def scenario(lab):
        await lab.call("alice", "bob", start_offset="-30ms")
        lab.kill("relay")
        await lab.sleep("90s")

    played = play("two_homes", scenario)
    assert played.call.path is PathClass.SERVER_REFLEXIVE
    assert not played.of(EventType.ICE_CONSENT_LOST)


@pytest.mark.parametrize(("seconds", "lives"), [(10, True), (60, False)])
def test_a_call_outlives_a_relay_that_is_paused_for_less_than_consent_lasts(play, seconds, lives):
    """RFC 7675: 30 s. What waited in the relay's sockets is not lost."""

    async def scenario(lab):
        await lab.call("alice", "bob")
        lab.pause("relay")
        await lab.sleep(f"{seconds}s")
        lab.resume("relay")
        await lab.sleep("90s")

    played = play("two_homes", scenario, **SYMMETRIC)
    assert bool(played.of(EventType.ICE_CONSENT_LOST)) is not lives


def test_when_an_endpoint_is_killed_the_other_finds_out_by_consent(play):
    async def scenario(lab):
        await lab.call("alice", "bob", start_offset="-30ms")
        lab.kill("bob")
        await lab.sleep("60s")
        before = lab.now
        await lab.hang_up("call-1")
        assert lab.now - before < 1, "the dead side is not waited for"

    played = play("two_homes", scenario)
    (lost,) = times(played, EventType.ICE_CONSENT_LOST)
    (killed,) = times(played, EventType.ROLE_KILLED)
    assert 25 < lost - killed < 40
    assert played.drop_reasons("bob") == {
        f"no UDP socket on port {reason.rpartition(' ')[2]}" for reason in played.drop_reasons("bob")
    }
    own = [e for e in played.events if e.node == "bob" and e.time > killed]
    assert {e.type for e in own} == {EventType.PACKET_DROPPED}


def test_a_restarted_endpoint_registers_and_is_called_again(play):
    async def scenario(lab):
        await lab.call("alice", "bob")
        lab.restart("bob")
        await lab.sleep("2s")
        await lab.call("alice", "bob", start_offset="-30ms")

    _, second = calls_of(play("two_homes", scenario).events)
    assert (second.call, second.connected) == ("call-2", True)


def test_a_call_to_an_endpoint_that_is_dead_fails(play):
    async def scenario(lab):
        lab.kill("bob")
        record = await lab.call("alice", "bob")
        assert not record.connected

    played = play("two_homes", scenario)
    assert [e.data["reason"] for e in played.of(EventType.CALL_ENDED)] == ["bob is not registered"]


def test_a_paused_endpoint_answers_late(play):
    async def scenario(lab):
        lab.pause("bob")
        task = asyncio.ensure_future(lab.call("alice", "bob", timeout="60s"))
        await lab.sleep("20s")
        lab.resume("bob")
        assert (await task).connected

    played = play("two_homes", scenario)
    (heard,) = times(played, EventType.SIGNAL_RECEIVED, "bob")
    assert heard > 20


def test_a_flush_is_survived_where_the_same_port_is_given_again(play):
    async def scenario(lab):
        await lab.call("alice", "bob", start_offset="-30ms")
        lab.flush_nat("alice-nat")
        await lab.sleep("90s")

    assert not play("two_homes", scenario).of(EventType.ICE_CONSENT_LOST)
    played = play("two_homes", scenario, alice_nat="symmetric")
    (flushed,) = played.of(EventType.NAT_FLUSHED)
    assert flushed.data["mappings"] > 0
    assert played.of(EventType.ICE_CONSENT_LOST)


def test_what_cannot_be_done_is_refused_by_name(play):
    async def scenario(lab):
        for act, message in (
            (lambda: lab.kill("rely"), "program 'rely' in two_homes\n  did you mean \"relay\"?"),
            (lambda: lab.kill("internet"), "no node with a program 'internet'"),
            (lambda: lab.resume("bob"), "the program of 'bob' is running"),
            (lambda: lab.flush_nat("alice"), "no NAT box 'alice'"),
            (lambda: lab.drop("alice-home", sender="bob"), "'bob' is no end of link 'alice-home'"),
            (lambda: lab.drop("alice-home", nth="evry 2"), "'evry 2' says no packet"),
        ):
            with pytest.raises(UsageError, match=message.replace("?", r"\?")):
                act()
        lab.kill("relay")
        with pytest.raises(UsageError, match="'relay' is dead already"):
            lab.kill("relay")
        with pytest.raises(UsageError, match="'relay' is dead"):
            lab.pause("relay")
        with pytest.raises(UsageError, match="no link of alice 'bob-home'"):
            await lab.move("alice", "bob-home")

    assert not play("two_homes", scenario).invalid


def test_a_moved_phone_is_on_another_network_and_its_call_is_lost(play):
    async def scenario(lab):
        await lab.call("alice", "bob", start_offset="-30ms")
        await lab.move("alice", "alice-mobile", gap="500ms")
        await lab.sleep("60s")

    played = play("handover", scenario)
    left, arrived = played.of(EventType.HOST_DETACHED, EventType.HOST_ATTACHED)
    assert arrived.time - left.time == pytest.approx(0.5)
    first = times(played, EventType.ICE_CONSENT_LOST)[0]
    assert 25 < first - left.time < 40


def watched(network, *, node="", instants=()):
    """Return the events of a lossy call in which a program is stopped and goes on at some instants."""

    async def scenario(lab):
        call = asyncio.ensure_future(lab.call("alice", "bob", hold="20s"))
        for wait in instants:
            await lab.sleep(f"{wait}.137ms")  # between two instants of the others
            lab.pause(node)
            lab.resume(node)
        await call
        await lab.hang_up("call-1")

    parameters = {"alice_loss": "3%", "alice_nat": "symmetric"}
    events, invalid = simulate(
        network, scenario, parameters, run_seed=3, trial_key="x", deadline=900.0, event_budget=10**6
    )
    assert not invalid
    untold = {EventType.ROLE_PAUSED, EventType.ROLE_RESUMED, EventType.TRIAL_ENDED}
    return [event.to_json("") for event in events if event.type not in untold]


@settings(deadline=None, max_examples=20)
@given(
    node=st.sampled_from(["alice", "bob", "relay", "rendezvous"]),
    instants=st.lists(st.integers(0, 400), max_size=40),
)
def test_a_program_that_is_stopped_for_no_time_at_all_does_as_if_it_had_not_been(node, instants):
    """Everything that is held comes back to its place: byte by byte the same events.

    (At an instant at which several programs have something to do, it would come after the others.)
    """
    network = load_topology("two_homes", {"alice_loss": "3%", "alice_nat": "symmetric"})
    assert watched(network, node=node, instants=instants) == watched(network)

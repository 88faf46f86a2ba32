"""The `Lab` handle: links and boxes change under way, and wrong names are refused with a suggestion."""

import pytest

from lab.errors import UsageError
from lab.spec.command import CandidatePolicy, Dial, MediaPlan, decode_command
from lab.spec.event import EventType

NO_RELAY = CandidatePolicy(candidates="no-relay")


def test_an_impairment_changes_the_media_from_then_on_and_reset_takes_it_back(play):
    delays = []

    async def impair_and_reset(lab):
        record = await lab.call("alice", "bob", policy=NO_RELAY)
        delays.append(set(record.caller.delays))
        for change in (lambda: lab.impair("bob-access", delay="100ms"), lambda: lab.reset("bob-access")):
            change()
            seen = len(lab.record("call-1").caller.delays)
            record = await lab.send_media("call-1", MediaPlan(packets=5))
            delays.append(set(record.caller.delays[seen:]))

    play("two_homes", impair_and_reset)
    assert delays == [{0.020}, {0.110}, {0.020}]


def test_nothing_passes_a_cut_link_until_it_is_healed(play):
    async def cut_and_heal(lab):
        await lab.call("alice", "bob", policy=NO_RELAY)
        counts = [lab.record("call-1").caller.received]
        for change in (lab.cut, lab.heal):
            change("bob-access")
            counts.append((await lab.send_media("call-1", MediaPlan(packets=5))).caller.received)
        assert counts == [5, 5, 10]

    played = play("two_homes", cut_and_heal)
    assert any("cut" in reason for reason in played.drop_reasons("bob-access from bob-nat"))


def test_several_calls_run_side_by_side(play):
    async def two_calls(lab):
        first = await lab.call("alice", "bob")
        second = await lab.call("bob", "alice")
        assert first.connected
        assert second.connected
        assert (first.caller.node, second.caller.node) == ("alice", "bob")

    play("two_homes", two_calls)


def test_calling_somebody_who_is_not_registered_ends_the_call_with_the_reason(play):
    async def call_nobody(lab):
        lab.command("alice", Dial(call="call-1", to="nobody"))
        await lab.sleep("1s")

    (ended,) = play("two_homes", call_nobody).of(EventType.CALL_ENDED)
    assert ended.data["reason"] == "nobody is not registered"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda lab: lab.cut("bob-acess"),
            r"no link 'bob-acess' in two_homes\n  did you mean \"bob-access\"\?",
        ),
        (lambda lab: lab.reboot_nat("bob"), r"no NAT box 'bob' in two_homes\n  did you mean \"bob-nat\"\?"),
        (
            lambda lab: lab.impair("bob-access", dealy="5ms"),
            r"unknown option 'dealy'\n  did you mean \"delay\"\?",
        ),
        (lambda lab: lab.impair("bob-access", delay=5), "5 is not a duration"),
        (lambda lab: lab.record("call-9"), "no call 'call-9'"),
    ],
)
def test_wrong_names_and_values_are_refused(play, act, message):
    async def wrong(lab):
        act(lab)

    with pytest.raises(UsageError, match=message):
        play("two_homes", wrong)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda lab: lab.sleep(5), "sleep: 5 is not a duration"),
        (lambda lab: lab.sleep("5"), "sleep: '5' has no unit"),
        (lambda lab: lab.sleep("-5s"), "sleep: '-5s' is negative"),
        (lambda lab: lab.call("alice", "bob", hold=60), "hold: 60 is not a duration"),
        (lambda lab: lab.call("alice", "bob", start_offset=0.03), "start_offset: 0.03 is not a duration"),
        (lambda lab: lab.call("alice", "bob", start_offset="-30"), "start_offset: '30' has no unit"),
        (lambda lab: lab.call("alice", "bob", timeout=10.0), "timeout: 10.0 is not a duration"),
    ],
)
def test_a_duration_needs_its_unit_as_in_a_file(play, act, message):
    """Nothing is begun then: the call's name is still free."""

    async def wrong(lab):
        try:
            await act(lab)
        finally:
            await lab.call("alice", "bob", name="call-1")

    with pytest.raises(UsageError, match=message):
        play("two_homes", wrong)


def test_a_computed_duration_is_written_with_its_unit_and_loses_nothing(play):
    third = 1 / 3

    async def wait(lab):
        began = lab.now
        await lab.sleep(f"{third}s")
        assert lab.now == began + third

    play("two_homes", wait)


def test_every_command_reaches_its_role_encoded(play):
    """Both worlds encode commands; here the events show that the role decoded what was sent."""
    commands = play("two_homes").of(EventType.COMMAND)
    assert [(c.node, c.data["command"]) for c in commands] == [("bob", "answer"), ("alice", "dial")]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"command":"fly"}', b'{"command":"dial","call":"1"}', b"\xff\xfe"]
)
def test_what_is_no_command_is_refused(data):
    with pytest.raises(UsageError):
        decode_command(data)


def test_a_call_needs_a_name_of_its_own_and_another_to_call(play):
    async def same_name_twice(lab):
        await lab.call("alice", "bob", name="visit")
        await lab.hang_up("visit")
        await lab.call("bob", "alice", name="visit")

    with pytest.raises(UsageError, match="there was a call 'visit' already"):
        play("two_homes", same_name_twice)
    with pytest.raises(UsageError, match="'alice' is to call itself"):
        play("two_homes", lambda lab: lab.call("alice", "alice"))

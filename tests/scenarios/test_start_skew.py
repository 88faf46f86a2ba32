"""By how much the sides of a call may miss the moments of their checks and change nothing: virtual time."""

import asyncio

import pytest

from lab.emu.timing.stalls import SKEW
from lab.sim import rebind

PAIRS = [
    ("eim-eif", "eim-eif"),
    ("eim-apdf", "eim-adf"),
    ("adm-eif", "eim-adf"),
    ("adm-adf", "eim-eif"),
    ("apdm-apdf", "eim-adf"),
    ("apdm-adf", "adm-eif"),
    ("eim-apdf", "apdm-eif"),
    ("apdm-apdf", "eim-apdf"),
]
"""Mappings and filters of RFC 4787 that take server-reflexive, peer-reflexive and relayed paths."""

SIDE_TO_SIDE, ANSWER = 57, 67
"""Milliseconds that packets and the answer travel in scenarios/rfc4787_matrix.yaml."""
DELAYS = {"alice_delay": "28ms", "bob_delay": "29ms", "relay_delay": "20ms"}
"""That scenario's."""
BETWEEN_CHECKS = 0.02


def classes(play, later=0, pairs=PAIRS, answer=ANSWER, delays=DELAYS, **more):
    """Return what each pair selects and validates if the caller begins so many milliseconds later."""

    async def call(lab):
        await lab.call("alice", "bob", start_offset=f"{later - answer}ms")

    found = {}
    for alice, bob in pairs:
        record = play("two_homes", call, alice_nat=alice, bob_nat=bob, **delays, **more).call
        found[alice, bob] = record.path, record.validated
    return found


@pytest.mark.requirement("Z0-14")
def test_what_a_trial_on_the_kernel_is_allowed_changes_no_class_and_more_than_the_way_between_the_sides_does(
    play,
):
    together, allowed = classes(play), SKEW * 1e3
    assert allowed < SIDE_TO_SIDE
    assert len({path for path, _ in together.values()}) == 3
    assert classes(play, -allowed) == together
    assert classes(play, allowed) == together
    for late in (-SIDE_TO_SIDE - 5, SIDE_TO_SIDE + 5):
        assert classes(play, late) != together


@pytest.fixture
def pace(monkeypatch):
    """Make every wait between two of aioice's checks longer by so many seconds, as a busy machine does."""
    real, late = asyncio.sleep, [0.0]

    def sleep(seconds, *result):
        return real(seconds + late[0] if seconds == BETWEEN_CHECKS else seconds, *result)

    monkeypatch.setattr(rebind._ASYNCIO, "sleep", sleep)

    def by(seconds):
        late[0] = seconds

    return by


RACING = [("eim-apdf", "adm-eif"), ("eim-apdf", "apdm-eif")]
"""Where the last check of the caller's list, to the callee's relay, opens what the callee then takes."""


@pytest.mark.requirement("Z0-14")
def test_checks_that_each_go_out_late_change_no_class_of_what_both_worlds_are_compared_on(play, pace):
    """By up to 6 ms each, which makes 30 for a list of six."""
    on_time = classes(play, pairs=PAIRS + RACING, reply_reuse="inbound-first")
    for late in (0.003, 0.006):
        pace(late)
        assert classes(play, pairs=PAIRS + RACING, reply_reuse="inbound-first") == on_time


def test_where_an_answer_comes_10_ms_after_the_last_check_late_checks_do(play, pace):
    """Which the sides 45 ms apart make so: 3 ms each are enough for a relay to become a direct path."""
    near = {"alice_delay": "22ms", "bob_delay": "23ms", "relay_delay": "20ms"}
    for late, path in ((0.0, "relay"), (0.002, "relay"), (0.003, "server-reflexive")):
        pace(late)
        found = classes(play, pairs=RACING, answer=55, delays=near, reply_reuse="inbound-first")
        assert {taken for taken, _ in found.values()} == {path}, late

"""By how much the sides of a call may miss the moments of their checks and change nothing: virtual time."""

import asyncio
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lab.emu.timing.hold_ups import TICK
from lab.emu.timing.stalls import HELD_UP, SKEW
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

SCENARIOS = Path(__file__).parents[2] / "scenarios"
BOTH = [YAML(typ="safe").load(SCENARIOS / f"rfc4787_{name}.yaml") for name in ("matrix", "without_relay")]
DELAYS = BOTH[0]["parameters"]
SIDE_TO_SIDE = sum(int(DELAYS[name].removesuffix("ms")) for name in ("alice_delay", "bob_delay"))
ANSWER = -int(BOTH[0]["calls"]["start_offset"].removesuffix("ms"))
"""Milliseconds that packets travel from side to side, and the answer by the rendezvous."""
BETWEEN_CHECKS = 0.02


def classes(play, later=0, pairs=PAIRS, answer=ANSWER, delays=DELAYS, pace=None, **more):
    """Return what each pair selects and validates if the caller begins so many milliseconds later."""

    async def call(lab):
        await lab.call("alice", "bob", start_offset=f"{later - answer}ms")

    found = {}
    for alice, bob in pairs:
        if pace is not None:
            pace.waits = 0
        record = play("two_homes", call, alice_nat=alice, bob_nat=bob, **delays, **more).call
        found[alice, bob] = record.path, record.validated
    return found


def test_both_scenarios_of_all_pairs_have_the_delays_that_are_tried_here():
    assert BOTH[1]["parameters"] == DELAYS
    assert BOTH[1]["calls"]["start_offset"] == BOTH[0]["calls"]["start_offset"]


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


class Pace:
    """How late a busy machine makes the waits between two of aioice's checks.

    All of them ``each`` seconds, and the one with the number ``at`` of a call ``held_up`` seconds more; the
    waits of both sides are counted.
    """

    def __init__(self) -> None:
        self.each, self.held_up, self.at = 0.0, 0.0, 0
        self.waits = 0

    def next_wait(self):
        late = self.each + (self.held_up if self.waits == self.at else 0.0)
        self.waits += 1
        return BETWEEN_CHECKS + late


@pytest.fixture
def pace(monkeypatch):
    """Every wait between two checks is as late as this says."""
    real, pace = asyncio.sleep, Pace()

    def sleep(seconds, *result):
        return real(pace.next_wait() if seconds == BETWEEN_CHECKS else seconds, *result)

    monkeypatch.setattr(rebind._ASYNCIO, "sleep", sleep)
    return pace


RACING = [("eim-apdf", "adm-eif"), ("eim-apdf", "apdm-eif")]
"""Where the last check of the caller's list, to the callee's relay, opens what the callee then takes."""
MORE = {"pairs": [*dict.fromkeys(PAIRS + RACING)], "reply_reuse": "inbound-first"}


@pytest.mark.requirement("Z0-14")
def test_checks_that_each_go_out_late_change_no_class(play, pace):
    """By up to 6 ms each, which makes 30 for a list of six."""
    on_time = classes(play, **MORE)
    for pace.each in (0.003, 0.006):
        assert classes(play, **MORE) == on_time


@pytest.mark.requirement("Z0-14")
@pytest.mark.parametrize("number", range(10))
def test_a_side_that_stands_still_for_as_long_as_a_trial_is_allowed_changes_no_class(play, pace, number):
    """Whichever of the waits of both sides it is that takes longer."""
    on_time = classes(play, **MORE)
    pace.held_up, pace.at = HELD_UP + TICK, number
    assert classes(play, pace=pace, **MORE) == on_time


def test_where_an_answer_comes_10_ms_after_the_last_check_late_checks_do(play, pace):
    """As it is with the sides 45 ms apart: 3 ms each make a direct path of a relay, in two of the pairs."""
    near = {"alice_delay": "22ms", "bob_delay": "23ms", "relay_delay": "20ms"}
    on_time = classes(play, answer=55, delays=near, **MORE)
    for pace.each, expected in ((0.002, set()), (0.003, set(RACING))):
        late = classes(play, answer=55, delays=near, **MORE)
        assert {pair for pair in late if late[pair] != on_time[pair]} == expected
    assert {on_time[pair][0] for pair in RACING} == {"relay"}
    assert {late[pair][0] for pair in RACING} == {"server-reflexive"}

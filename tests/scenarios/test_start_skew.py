"""By how much the sides of a call may miss the moments at which they are to begin: in virtual time."""

import pytest

from lab.emu.timing.stalls import SKEW

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

SIDE_TO_SIDE, ANSWER = 45, 55
"""Milliseconds that packets and the answer travel in scenarios/rfc4787_matrix.yaml."""


def classes(play, later):
    """Return what each pair selects and validates if the caller begins so many milliseconds later."""

    async def call(lab):
        await lab.call("alice", "bob", start_offset=f"{later - ANSWER}ms")

    found = {}
    for alice, bob in PAIRS:
        delays = {"alice_delay": "22ms", "bob_delay": "23ms", "relay_delay": "20ms"}
        record = play("two_homes", call, alice_nat=alice, bob_nat=bob, **delays).call
        found[alice, bob] = record.path, record.validated
    return found


@pytest.mark.requirement("Z0-14")
def test_what_a_trial_on_the_kernel_is_allowed_changes_no_class_and_more_than_the_way_between_the_sides_does(
    play,
):
    together, allowed = classes(play, 0), SKEW * 1e3
    assert allowed < SIDE_TO_SIDE
    assert len({path for path, _ in together.values()}) == 3
    assert classes(play, -allowed) == together
    assert classes(play, allowed) == together
    for late in (-SIDE_TO_SIDE - 5, SIDE_TO_SIDE + 5):
        assert classes(play, late) != together

"""The first event in which two streams differ, and how it is told."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.measure.divergence import first_divergence
from lab.measure.divergence_text import differing_fields, divergence_text
from lab.spec.event import Event, EventType

LINES = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8)


def event(time=0.0, **fields):
    return Event(time=time, type=fields.pop("type", EventType.PACKET_DROPPED), **fields)


STORED = [
    event(0.1, node="alice", call="call-1", type=EventType.CALL_STARTED, data={"caller": "alice"}),
    event(0.25, node="alice-nat", packet_id=17, data={"reason": "filtered", "packet": "x"}),
]
EVENTS = st.builds(
    Event,
    time=st.sampled_from([0.0, 0.5, 1e-10]),
    type=st.sampled_from([EventType.COMMAND, EventType.ICE_FAILED]),
    packet_id=st.sampled_from([0, 1]),
    data=st.sampled_from([{}, {"x": 1}, {"x": True}, {"x": 1.0}]),
)


@settings(deadline=None)
@given(LINES, LINES)
def test_it_is_what_a_search_from_the_beginning_finds(left, right):
    found = first_divergence(left, right)
    places = [n for n in range(max(len(left), len(right))) if left[n : n + 1] != right[n : n + 1]]
    assert (found is None) == (left == right) == (not places)
    if found is not None:
        assert found.index == places[0]
        assert [found.left] == (left[places[0] : places[0] + 1] or [None])
        assert [found.right] == (right[places[0] : places[0] + 1] or [None])
        assert list(found.before) == left[max(0, places[0] - 3) : places[0]]


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=6), st.lists(EVENTS, max_size=6))
def test_events_and_their_stored_lines_part_at_the_same_place(left, right):
    """Events are equal when their bytes in a file are: 1, 1.0 and true differ, 0.1 ns do not."""
    lines = [[item.to_json("abc") for item in side] for side in (left, right)]
    found = [
        first_divergence(one, other) for one, other in itertools.product((left, lines[0]), (right, lines[1]))
    ]
    assert len({None if d is None else d.index for d in found}) == 1


@settings(deadline=None)
@given(LINES, LINES)
def test_sides_can_be_exchanged(left, right):
    one, other = first_divergence(left, right), first_divergence(right, left)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert (one.index, one.left, one.right) == (other.index, other.right, other.left)


def test_nothing_is_read_beyond_the_difference():
    def lines():
        yield from ("a", "b")
        pytest.fail("it read on")

    assert first_divergence(lines(), ["a", "c"]).index == 1


def test_only_what_is_asked_for_is_compared():
    """Another trial's times differ from the start: what happened may be the same all the same."""
    later = [event(item.time + 1, node=item.node, type=item.type) for item in STORED]
    assert first_divergence(STORED, later).index == 0
    assert first_divergence(STORED, later, what=lambda item: (item.node, item.type)) is None


def test_a_difference_is_told_with_what_came_before_and_what_differs():
    now = [
        STORED[0],
        event(0.375, node="alice-nat", packet_id=18, data={"reason": "filtered", "packet": "x"}),
    ]
    assert divergence_text(first_divergence(STORED, now)).splitlines() == [
        "first event that differs: number 2, at 0.25 s (stored) and 0.375 s (now)",
        '    0.1 s         alice       call.started          call-1  {"caller":"alice"}',
        '  - 0.25 s        alice-nat   packet.dropped        packet 17  {"reason":"filtered","packet":"x"}',
        '  + 0.375 s       alice-nat   packet.dropped        packet 18  {"reason":"filtered","packet":"x"}',
        "  time: 0.25 → 0.375",
        "  packet: 17 → 18",
    ]


def test_a_stream_that_ends_early_is_told_so():
    text = divergence_text(first_divergence(STORED, STORED[:1]), left="baseline", right="run")
    assert "number 2, at 0.25 s (baseline)" in text
    assert "  + (no more events)" in text


def test_a_key_that_only_one_side_has_is_named():
    shorter = [STORED[0], event(0.25, node="alice-nat", packet_id=17, data={"reason": "filtered"})]
    fields = differing_fields(first_divergence(STORED, shorter))
    assert fields == {"data.packet": ('"x"', "(absent)")}
    assert ", at 0.25 s\n" in divergence_text(first_divergence(STORED, shorter))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[" * 100_000,
        '{"v":1}',
        '{"v":99,"t":0}',
        "plain text",
        STORED[0].to_json("t").replace("0.1", '"early"'),
        STORED[0].to_json("t").replace('"t":0.1', '"t":null'),
    ],
)
def test_a_line_that_is_no_event_is_compared_and_told_as_text(line):
    found = first_divergence([STORED[0].to_json("t")], [line])
    assert found.index == 0
    assert found.right_time is None
    text = divergence_text(found)
    assert f"  + {line[:50]}" in text
    assert max(map(len, text.splitlines())) < 200


def test_long_data_are_cut_and_what_differs_in_them_is_still_named():
    one, other = (event(data={"text": "y" * 1000, "reason": reason}) for reason in ("filtered", "expired"))
    text = divergence_text(first_divergence([one], [other]))
    assert max(map(len, text.splitlines())) < 200
    assert 'data.reason: "filtered" → "expired"' in text

"""What a verdict rests on, in words that can be read, and commands that can be pasted."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.measure.contribution import Contribution
from lab.measure.decisive_drop import DecisiveDrop
from lab.measure.departure import Departure
from lab.measure.evidence import Evidence, Examination, WeighedTrial
from lab.measure.metrics import Sample
from lab.measure.verdict import TrialSamples, judge_run
from lab.report.evidence_text import _WORDS, evidence_lines, step_text
from lab.spec.event import Event, EventType
from lab.spec.expectation import parse_expectation

AGAIN = "callpath run mine --seed 1 --repeat 1 --trial aaaaaaaaaaaa"


def verdict_of(values, **record):
    expectation = parse_expectation({"metric": "relay.share", "rate": "== 0%", **record}, "expect[0]")
    samples = [
        TrialSamples(cell={}, samples={expectation.request: tuple(Sample(v, 1, "call-1") for v in found)})
        for found in values
    ]
    (verdict,) = judge_run([expectation], samples)
    return verdict


def trial(letter, value, **more):
    contribution = Contribution(position=0, value=value, breaks=bool(value), **more)
    return WeighedTrial(key=letter * 12, repeat=0, contribution=contribution)


def step(time, **data):
    pair = {"local": {"type": data["local"]}, "remote": {"type": data["remote"]}, "after": "SUCCEEDED"}
    return Event(time=time, type=EventType.ICE_CHECK, node="alice", call="call-1", data=pair)


DEPARTURE = Departure(
    call="call-1",
    node="alice",
    passing=step(3.26, local="host", remote="prflx"),
    failing=step(1.37, local="relay", remote="relay"),
    since=Event(time=1.18, type=EventType.ICE_CHECKING, node="alice", call="call-1"),
    passing_start=3.0,
    failing_start=1.0,
)
DROP = DecisiveDrop(
    packet_id=33,
    sender="bob",
    where="alice-nat",
    time=1.22,
    reason="filter: never sent to",
    words="Binding request (ICE check)",
    source="10.0.0.1:1",
    destination="192.0.2.1:2",
)

AT_ALICE = "which holds, at alice, seconds into call-1"
DROP_WORDS = "Binding request (ICE check), 10.0.0.1:1 > 192.0.2.1:2: filter: never sent to"


def test_all_there_is_to_say():
    evidence = Evidence(
        verdict=verdict_of([[1.0], [1.0], [0.0]]),
        worst=[trial("a", 1.0), trial("b", 1.0), trial("c", 0.0)],
        trials=3,
        breaking=2,
        replay=AGAIN,
        examination=Examination(
            compared="c" * 12,
            differs={"nat": "cgn{a: 1, b: 2}", "turn": True},
            departure=DEPARTURE,
            drop=DROP,
            call_started=1.0,
            capture="results/x/pcap/000000-aaaaaaaaaaaa.pcapng",
            ladder="results/x/ladders/000000-aaaaaaaaaaaa.txt",
        ),
    )
    assert evidence_lines(evidence) == [
        "2 of 3 trials break it, worst first: aaaaaaaaaaaa 100 %, bbbbbbbbbbbb 100 %, cccccccccccc 0 %",
        f"first departs from trial {'c' * 12} (nat=cgn{{a: 1, b: 2}}, turn=true), {AT_ALICE}:",
        "  both     0.180 s  began its checks",
        "  there    0.260 s  a check succeeded: host to prflx",
        "  here     0.370 s  a check succeeded: relay to relay",
        f"first packet dropped here and not there: #33 of bob at alice-nat, 0.220 s: {DROP_WORDS}",
        "its capture: results/x/pcap/000000-aaaaaaaaaaaa.pcapng",
        "its ladder:  results/x/ladders/000000-aaaaaaaaaaaa.txt",
        "run the first of them again:",
        f"  {AGAIN}",
    ]


def lines_of(values, worst, *, breaking=0, examination=None, **record):
    return evidence_lines(
        Evidence(
            verdict=verdict_of(values, **record),
            worst=worst,
            trials=len(values),
            breaking=breaking,
            replay=AGAIN,
            examination=examination,
        )
    )


def test_nothing_judged_is_nothing_to_say():
    assert lines_of([], []) == []


def test_a_trial_that_never_came_to_the_step():
    ended = Departure(
        call="", node="", passing=step(2.0, local="host", remote="host"), failing=None, since=None
    )
    lines = lines_of(
        [[1.0]], [trial("a", 1.0)], breaking=1, examination=Examination(compared="b" * 12, departure=ended)
    )
    assert lines == [
        "1 of 1 trial breaks it, worst first: aaaaaaaaaaaa 100 %",
        "first departs from trial bbbbbbbbbbbb, which holds, seconds into the trial:",
        "  there    2.000 s  a check succeeded: host to host",
        "  here              nothing more",
        "run it again:",
        f"  {AGAIN}",
    ]


def test_the_same_steps_later():
    late = Departure(
        call="call-1", node="bob", passing=DEPARTURE.passing, failing=DEPARTURE.failing, since=None, late=2.5
    )
    lines = lines_of(
        [[1.0]], [trial("a", 1.0)], breaking=1, examination=Examination(compared="b" * 12, departure=late)
    )
    same = "the same steps as in trial bbbbbbbbbbbb, which holds"
    assert lines[1] == f"{same}; most is lost at bob, seconds into call-1, 2.5 s:"


def test_invalid_trials_are_told_with_their_reason():
    lines = lines_of(
        [[1.0], []], [trial("a", None, invalid="deadline of 600 s"), trial("b", 1.0)], breaking=1
    )
    assert lines[0] == "trials, invalid ones first: aaaaaaaaaaaa (deadline of 600 s), bbbbbbbbbbbb 100 %"


def test_trials_without_a_sample():
    assert lines_of([[], []], [trial("a", None), trial("b", None)])[0] == (
        "no trial has a sample: aaaaaaaaaaaa, bbbbbbbbbbbb"
    )


def test_trials_that_break_it_only_together():
    lines = lines_of([[0.0], [0.0]], [trial("a", 0.0)], rate="!= 0%")
    assert lines[0] == "2 trials, worst first: aaaaaaaaaaaa 0 % ..."


def test_why_nothing_was_found_out():
    lines = lines_of(
        [[1.0]], [trial("a", 1.0)], breaking=1, examination=Examination(failure="not the same\n  at 3")
    )
    assert lines[1:3] == ["not the same", "  at 3"]


def test_one_that_differs_in_no_step_and_one_without_compare():
    one = [trial("a", 1.0)]
    same = lines_of([[1.0]], one, breaking=1, examination=Examination(compared="b" * 12))
    assert same[1] == "trial bbbbbbbbbbbb, which holds, has the same steps at the same times"
    alone = lines_of([[1.0]], one, breaking=1, examination=Examination(drop=DROP))
    assert alone[1] == "no trial of this run holds, to compare it with"
    assert alone[2].startswith("first packet dropped that matters: #33 of bob at alice-nat, 1.220 s: ")


def test_words_name_only_what_events_have():
    """Every word of a step can be filled from an event without data: nothing raises, whatever is missing."""
    pair = {"local": {"type": "host"}, "remote": {"type": "relay"}}
    for type_ in EventType:
        assert step_text(Event(time=0.0, type=type_, data=pair))
    assert step_text(Event(time=0.0, type=EventType.ICE_GATHERED, data={"types": ["host", "srflx"]})) == (
        "gathered host, srflx"
    )
    assert set(_WORDS) <= set(EventType)


# Read back from a file that somebody damaged

WHOLE = Evidence(
    verdict=verdict_of([[1.0], [0.0]]),
    worst=[trial("a", 1.0), trial("b", None, invalid="deadline")],
    trials=2,
    breaking=1,
    replay=AGAIN,
    examination=Examination(
        compared="b" * 12, differs={"nat": "cgn"}, departure=DEPARTURE, drop=DROP, call_started=1.0
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value, path=()):
    """Return the way to every value within a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in inside for place in places(inner, (*path, key)))]


def changed(document, path, value):
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


def test_what_is_kept_is_read_back():
    kept = Evidence.from_data(WHOLE.verdict, json.loads(json.dumps(WHOLE.as_data())))
    assert evidence_lines(kept) == evidence_lines(WHOLE)
    assert kept.as_data() == WHOLE.as_data()


@settings(deadline=None)
@given(place=st.sampled_from(places(WHOLE.as_data())), value=JSON)
def test_whatever_is_damaged_it_is_refused_or_told_and_nothing_else_is_raised(place, value):
    """The errors are those that a reader of stored results takes for damage."""
    document = changed(WHOLE.as_data(), place, value)
    try:
        read = Evidence.from_data(WHOLE.verdict, document)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return
    assert all(isinstance(line, str) for line in evidence_lines(read))

"""What an external program says: what fits the contract is taken, whatever else is one kind of error."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.measure.calls import calls_of
from lab.spec.event import Event, EventType
from lab.spec.program_lines import (
    REPORTS,
    OutgoingSignal,
    Ready,
    Report,
    Setup,
    parse_line_untrusted,
    setup_line,
    signal_line,
)

TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["ready", "signal", "type", "call", "data", "time", "count", "kind", "to", "sdp"])
TYPES = st.sampled_from([type_.value for type_ in EventType])
PAIR = {"local": {"type": "host", "address": "a"}, "remote": {"type": "relay", "address": "b"}}
LEAST = {
    EventType.CALL_STARTED: {"caller": "a", "callee": "b"},
    EventType.CALL_ENDED: {"reason": "x"},
    EventType.ICE_CANDIDATE: {"side": "local", "type": "host", "address": "a"},
    EventType.ICE_CANDIDATE_ERROR: {"code": 701, "url": "stun:x"},
    EventType.ICE_GATHERED: {"types": ["host"], "seconds": 0.1},
    EventType.ICE_CHECK: {**PAIR, "before": "WAITING", "after": "SUCCEEDED"},
    EventType.ICE_NOMINATED: PAIR,
    EventType.ICE_VALIDATED: {"pairs": [["host", "prflx"]]},
    EventType.ICE_SELECTED: PAIR,
    EventType.ICE_FAILED: {"reason": "x"},
    EventType.MEDIA_SENT: {"sequence": 0, "bytes": 10},
    EventType.MEDIA_RECEIVED: {"sequence": 0, "bytes": 10, "delay": 0.1},
    EventType.MEDIA_RTP: {"direction": "sent", "packets": 3},
    EventType.PROGRAM_REPORTED: {"what": "x"},
    EventType.SIP_REGISTERED: {"seconds": 0.1},
    EventType.SIP_ANSWERED: {"seconds": 0.1},
    EventType.SIP_FAILED: {"reason": "x"},
}


def line(**record):
    return json.dumps(record).encode() + b"\n"


@given(
    st.binary(max_size=200)
    | st.dictionaries(KEYS, JSON | TYPES, max_size=6).map(lambda record: json.dumps(record).encode())
    | st.builds(lambda type_, data: line(type=type_, data=data), TYPES, st.dictionaries(TEXT, JSON))
)
def test_whatever_the_bytes_a_line_is_understood_or_refused_by_one_error(data):
    with contextlib.suppress(WireFormatError):
        assert isinstance(parse_line_untrusted(data), Ready | OutgoingSignal | Report)


def test_a_line_nested_too_deep_is_refused_like_any_other_and_shown_in_short():
    with pytest.raises(WireFormatError) as refused:
        parse_line_untrusted(b"[" * 100_000)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("type_", REPORTS)
def test_an_event_with_the_least_data_that_the_contract_asks_for_can_be_measured(type_):
    said = parse_line_untrusted(line(type=type_.value, call="c", data=LEAST.get(type_, {})))
    assert isinstance(said, Report)
    started = Event(time=0.0, type=EventType.CALL_STARTED, node="a", call="c", data={"callee": "b"})
    calls_of([started, Event(time=1.0, type=said.type, node="a", call="c", data=said.data)])


@pytest.mark.parametrize(("type_", "data"), LEAST.items())
def test_an_event_that_lacks_what_is_measured_is_refused_by_the_missing_key(type_, data):
    for key in data:
        less = {name: value for name, value in data.items() if name != key}
        with pytest.raises(WireFormatError, match=f"{key}: Field required"):
            parse_line_untrusted(line(type=type_.value, call="c", data=less))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"Listening\n", r"not JSON: 'Listening'"),
        (b'{"time": NaN, "type": "ice.failed"}', "not JSON"),
        (line(hello=1), "an object with 'ready', 'signal' or 'type' is expected"),
        (line(ready=False), "ready: Input should be True"),
        (line(signal={"kind": "register", "to": "bob", "call": "c"}), "signal.kind: Input should be 'offer'"),
        (line(type="trial.ended"), "trial.ended is not a program's to report; it reports call.started, "),
        (line(type="ice.dance"), "type: Input should be"),
        (line(type="ice.failed", data={"reason": "x"}, node="bob"), "node: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_the_line(said, words):
    with pytest.raises(WireFormatError, match=words) as refused:
        parse_line_untrusted(said)
    assert said.decode().strip()[:20] in str(refused.value).replace("\\", "")


def test_what_a_program_hears_is_one_line_each_and_json():
    setup = Setup(node="alice", role="endpoint", addresses=("192.0.2.1",))
    assert json.loads(setup_line(setup))["setup"]["node"] == "alice"
    heard = signal_line("offer", "alice", "call-1", "v=0\r\n")
    assert heard.count(b"\n") == 1
    assert json.loads(heard)["signal"] == {
        "kind": "offer",
        "sender": "alice",
        "call": "call-1",
        "sdp": "v=0\r\n",
    }

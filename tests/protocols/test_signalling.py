"""The rendezvous protocol: what goes in comes out, and garbage is one kind of error."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.protocols.signalling import IceDescription, Signal, encode_signal, parse_signal_untrusted

TEXT = st.text(max_size=40)
DESCRIPTIONS = st.builds(
    IceDescription, username_fragment=TEXT, password=TEXT, candidates=st.lists(TEXT, max_size=4).map(tuple)
)
SIGNALS = st.builds(
    Signal,
    kind=st.sampled_from(["register", "registered", "offer", "answer", "candidate", "bye", "unknown"]),
    sender=TEXT,
    to=TEXT,
    call=TEXT,
    ice=st.none() | DESCRIPTIONS,
    sdp=TEXT,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["kind", "sender", "to", "call", "ice", "sdp", "candidates", "username_fragment", "password"]
)


@given(SIGNALS)
def test_a_signal_comes_out_as_it_went_in_and_is_one_line(signal):
    line = encode_signal(signal)
    assert parse_signal_untrusted(line) == signal
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


@given(
    st.binary(max_size=200) | st.dictionaries(KEYS, JSON, max_size=6).map(lambda d: json.dumps(d).encode())
)
def test_whatever_the_bytes_a_signal_is_parsed_or_refused_by_one_error(line):
    with contextlib.suppress(WireFormatError):
        assert isinstance(parse_signal_untrusted(line), Signal)


def test_a_line_nested_too_deep_for_the_parser_is_refused_like_any_other():
    with pytest.raises(WireFormatError):
        parse_signal_untrusted(b"[" * 100_000)

"""Commands to roles: encoded and decoded alike; whatever is not one is refused."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.spec.command import (
    Answer,
    CandidatePolicy,
    Dial,
    HangUp,
    MediaPlan,
    SendMedia,
    decode_command,
    encode_command,
)

TEXT = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
POLICIES = st.builds(
    CandidatePolicy,
    candidates=st.sampled_from(["all", "no-relay", "relay-only"]),
    turn_transports=st.lists(st.sampled_from(["udp", "tcp", "tls"]), max_size=3).map(tuple),
    ipv6=st.booleans(),
)
PLANS = st.builds(
    MediaPlan, packets=st.integers(0, 1000), interval=st.floats(1e-3, 60), size=st.integers(24, 65_000)
)
COMMANDS = st.one_of(
    st.builds(Dial, call=TEXT, to=TEXT, check_delay=st.floats(0, 10), policy=POLICIES, media=PLANS),
    st.builds(Answer, call=TEXT, check_delay=st.floats(0, 10), policy=POLICIES, media=PLANS),
    st.builds(SendMedia, call=TEXT, media=PLANS),
    st.builds(HangUp, call=TEXT),
)


@given(COMMANDS)
def test_a_command_comes_out_as_it_went_in(command):
    assert decode_command(encode_command(command)) == command


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_the_bytes_a_command_is_decoded_or_refused_by_one_error(data):
    with contextlib.suppress(UsageError):
        decode_command(data)

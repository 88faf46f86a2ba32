"""ChannelData and the cutting of streams."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.protocols.channel_data import (
    StreamDeframer,
    encode_channel_data,
    encode_channel_data_padded,
    is_channel_data,
    parse_channel_data_untrusted,
)
from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method

channels = st.integers(0x4000, 0x7FFE)


def stun_message(text):
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12))
    return builder.text(Attribute.SOFTWARE, text).finish(fingerprint=True)


@given(channels, st.binary(max_size=1500))
def test_channel_data_survives_with_and_without_padding(number, payload):
    assert parse_channel_data_untrusted(encode_channel_data(number, payload)) == (number, payload)
    padded = encode_channel_data_padded(number, payload)
    assert len(padded) % 4 == 0
    assert parse_channel_data_untrusted(padded) == (number, payload)


@given(st.binary(max_size=40))
def test_whatever_the_bytes_only_one_error_comes_out(data):
    try:
        number, payload = parse_channel_data_untrusted(data)
    except WireFormatError:
        return
    assert 0x4000 <= number <= 0x7FFE
    assert len(payload) <= len(data) - 4


def test_reserved_channel_numbers_and_short_payloads_are_refused():
    with pytest.raises(WireFormatError, match="no channel number"):
        parse_channel_data_untrusted(bytes.fromhex("7fff0000"))
    with pytest.raises(WireFormatError, match="says 4 bytes"):
        parse_channel_data_untrusted(bytes.fromhex("40000004aabb"))


def test_channel_data_is_told_from_stun_by_its_first_two_bits():
    assert is_channel_data(encode_channel_data(0x4001, b""))
    assert not is_channel_data(stun_message("x"))
    assert not is_channel_data(b"\x40")


@given(
    st.lists(st.one_of(st.text(max_size=20).map(stun_message), st.tuples(channels, st.binary(max_size=50)))),
    st.integers(1, 40),
)
def test_a_stream_is_cut_the_same_way_however_it_arrives(items, step):
    frames = [i if isinstance(i, bytes) else encode_channel_data(*i) for i in items]
    wire = b"".join(i if isinstance(i, bytes) else encode_channel_data_padded(*i) for i in items)
    deframer = StreamDeframer()
    cut = [
        frame for at in range(0, len(wire), step) for frame in deframer.feed_untrusted(wire[at : at + step])
    ]
    assert cut == frames


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_a_stream_of_noise_ends_in_the_one_error_or_in_frames(chunks):
    deframer = StreamDeframer()
    with contextlib.suppress(WireFormatError):
        for chunk in chunks:
            assert all(len(frame) >= 4 for frame in deframer.feed_untrusted(chunk))


def test_a_tls_hello_on_a_plain_port_is_refused_at_once():
    with pytest.raises(WireFormatError, match="neither"):
        StreamDeframer().feed_untrusted(bytes.fromhex("160301020001000001"))
    with pytest.raises(WireFormatError, match="neither"):
        StreamDeframer().feed_untrusted(b"\x80\x00\x00\x00")

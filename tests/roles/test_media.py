"""Media datagrams: RTP-shaped, carrying the time they were sent."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.roles.endpoint.media import MediaPacket, encode_media, parse_media_untrusted


@given(st.integers(0, 0xFFFFFFFF), st.floats(0, 1e6), st.integers(24, 1500))
def test_media_carries_its_number_and_the_time_it_was_sent(sequence, sent, size):
    data = encode_media(sequence, sent, size)
    assert len(data) == size
    assert parse_media_untrusted(data) == MediaPacket(sequence, sent)


@given(st.binary(max_size=64))
def test_whatever_the_bytes_media_is_parsed_or_refused_by_one_error(data):
    with contextlib.suppress(WireFormatError):
        parse_media_untrusted(data)


def test_media_looks_like_rtp_to_who_captures_it():
    """RFC 3550 §5.1: version 2, payload type 0 (PCMU), 160 samples a packet."""
    first, second = encode_media(1, 0.0, 172), encode_media(2, 0.02, 172)
    assert first[0] >> 6 == 2
    assert first[1] & 0x7F == 0
    assert int.from_bytes(second[4:8]) - int.from_bytes(first[4:8]) == 160

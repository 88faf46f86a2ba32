"""Captures of the lab's are read back as they were written; anything else is refused as what it is."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.protocols.pcapng import PcapngWriter
from lab.protocols.pcapng_reading import CapturedPacket, read_capture_untrusted


def written(packets):
    stream = io.BytesIO()
    writer = PcapngWriter(stream)
    writer.write_section("A capture.", hardware="none", system="none")
    names = ["alice:home", "nat:home"]
    for name in names:
        writer.write_interface(name, ["192.0.2.1/24"])
    writer.write_names({})
    for one in packets:
        writer.write_packet(
            names.index(one.interface), one.time, one.data,
            outbound=one.outbound, packet_id=one.packet_id, comments=one.comments,
        )  # fmt: skip
    writer.write_statistics(0, 9.0, received=5, dropped=1)
    return stream.getvalue()


packets = st.builds(
    CapturedPacket,
    time=st.integers(0, 10**6).map(lambda microseconds: microseconds * 1000 / 1e9),
    interface=st.sampled_from(["alice:home", "nat:home"]),
    data=st.binary(min_size=1, max_size=70),
    outbound=st.booleans(),
    packet_id=st.integers(0, 2**40),
    comments=st.lists(st.text(min_size=1, max_size=9), max_size=2).map(tuple),
)


@given(st.lists(packets, max_size=5))
def test_what_was_written_is_read(given_packets):
    assert list(read_capture_untrusted(written(given_packets))) == given_packets


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 400))
def test_damage_is_one_kind_of_error(noise, begin, length):
    whole = written([CapturedPacket(1.0, "alice:home", b"E" * 40, True, 7, ("lost",))] * 2)  # noqa: FBT003
    damaged = whole[:begin] + noise + whole[begin + length :]
    for data in (noise, damaged):
        try:
            for packet in read_capture_untrusted(data):
                assert isinstance(packet, CapturedPacket)
        except WireFormatError:
            continue


@pytest.mark.parametrize("cut", [1, 4, 11, 50])
def test_a_capture_that_is_cut_off_is_refused(cut):
    whole = written([CapturedPacket(1.0, "alice:home", b"E" * 40, True, 7, ())])  # noqa: FBT003
    with pytest.raises(WireFormatError):
        list(read_capture_untrusted(whole[:-cut]))

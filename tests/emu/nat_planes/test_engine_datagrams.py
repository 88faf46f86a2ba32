"""IP packets as bytes: what the engine is told of them, and how they are rewritten without loss."""

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emu.nat_planes.engine.answers import answer_bytes
from lab.emu.nat_planes.engine.checksums import adjusted, checksum, internet_sum
from lab.emu.nat_planes.engine.datagram import packed, parse_datagram_untrusted, pseudo_header
from lab.errors import WireFormatError
from lab.sim.capture.ip import encode_ip
from nat_models.answers import echo_reply, icmp_error, tcp_reset
from nat_models.packet import Fragment, IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

INSIDE, EXTERNAL, REMOTE = ("10.0.0.2", 5000), ("203.0.113.1", 40001), ("198.51.100.7", 3478)
INSIDE_V6, REMOTE_V6 = ("2001:db8::2", 5000), ("2001:db8:1::7", 3478)

PORTS = st.integers(0, 65535)
V4 = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
V6 = st.tuples(st.ip_addresses(v=6, network="2001:db8::/32").map(str), PORTS)
ENDS = st.tuples(V4, V4) | st.tuples(V6, V6)
SEGMENTS = st.builds(
    TcpHeader, st.integers(0, 31).map(TcpFlag), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), PORTS
)


def transport_checksum_is_right(data):
    """Sum what the checksum covers: it must come out as all ones."""
    if data[0] >> 4 == 4:
        header, protocol, source, destination = (data[0] & 15) * 4, data[9], data[12:16], data[16:20]
    else:
        header, protocol, source, destination = 40, data[6], data[8:24], data[24:40]
    body = data[header:]
    pseudo = b"" if protocol == 1 else pseudo_header(source, destination, len(body), protocol)
    return internet_sum(pseudo + body) == 0xFFFF


@given(ENDS, st.binary(max_size=40))
def test_a_datagram_says_who_sent_it_to_whom(ends, payload):
    packet = Packet(IpProtocol.UDP, *ends, payload, ttl=17, dscp=46)
    read = parse_datagram_untrusted(encode_ip(packet) + b"\0" * 7, packet_id=3).packet
    assert (read.source, read.destination, read.payload) == (*ends, payload)
    assert (read.ttl, read.dscp, read.packet_id) == (17, 46, 3)


@given(ENDS, SEGMENTS, st.binary(max_size=40))
def test_a_segment_says_what_it_does(ends, header, payload):
    packet = Packet(IpProtocol.TCP, *ends, payload, tcp=header)
    read = parse_datagram_untrusted(encode_ip(packet)).packet
    assert (read.source, read.destination, read.tcp, read.payload) == (*ends, header, payload)


@given(st.tuples(V4, V4, V4, V4) | st.tuples(V6, V6, V6, V6), st.binary(max_size=41), SEGMENTS)
def test_rewriting_replaces_ends_and_nothing_else_and_keeps_checksums_right(ends, payload, header):
    for packet in (
        Packet(IpProtocol.UDP, *ends[:2], payload),
        Packet(IpProtocol.TCP, *ends[:2], payload, tcp=header),
    ):
        datagram = parse_datagram_untrusted(encode_ip(packet))
        out = datagram.rewritten(datagram.packet.translated(source=ends[2], destination=ends[3]))
        expected = encode_ip(Packet(packet.protocol, *ends[2:], payload, ttl=63, tcp=packet.tcp))
        assert transport_checksum_is_right(out)
        assert internet_sum(out[: datagram.transport]) == 0xFFFF or datagram.version == 6
        assert parse_datagram_untrusted(out).packet.payload == payload
        assert len(out) == len(expected)
        # The one freedom: 0 and all ones are the same sum.
        differing = [i for i, (a, b) in enumerate(zip(out, expected, strict=True)) if a != b]
        assert all(out[i] in {0, 0xFF} and expected[i] in {0, 0xFF} for i in differing)


def test_options_of_ip_and_tcp_stay():
    segment = struct.pack("!HHIIHHHH", 5000, 443, 1, 0, 7 << 12 | 2, 64240, 0, 0) + bytes.fromhex(
        "020405b401030307"
    )
    pseudo = pseudo_header(packed("10.0.0.2"), packed("198.51.100.7"), len(segment), 6)
    segment = segment[:16] + checksum(pseudo + segment).to_bytes(2) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x46, 0, 24 + len(segment), 77, 0x4000, 64, 6, 0)
    header += packed("10.0.0.2") + packed("198.51.100.7") + b"\x94\x04\0\0"
    data = header[:10] + checksum(header).to_bytes(2) + header[12:] + segment
    datagram = parse_datagram_untrusted(data)
    assert datagram.packet.tcp.flags is TcpFlag.SYN
    out = datagram.rewritten(datagram.packet.translated(source=EXTERNAL))
    assert out[20:24] == b"\x94\x04\0\0"
    assert out[44:] == data[44:], "MSS and window scale"
    assert out[4:8] == data[4:8], "identification, don't fragment"
    assert transport_checksum_is_right(out)


def test_no_checksum_stays_none():
    data = bytearray(encode_ip(Packet(IpProtocol.UDP, INSIDE, REMOTE, b"x")))
    data[26:28] = b"\0\0"
    datagram = parse_datagram_untrusted(bytes(data))
    assert datagram.rewritten(datagram.packet.translated(source=EXTERNAL))[26:28] == b"\0\0"


def test_a_checksum_left_to_the_device_is_prepared_for_its_new_addresses():
    data = bytearray(encode_ip(Packet(IpProtocol.UDP, INSIDE, REMOTE, b"abcd")))
    length = len(data) - 20
    data[26:28] = internet_sum(pseudo_header(data[12:16], data[16:20], length, 17)).to_bytes(2)
    datagram = parse_datagram_untrusted(bytes(data))
    out = datagram.rewritten(datagram.packet.translated(source=EXTERNAL), unfinished=True)
    assert int.from_bytes(out[26:28]) == internet_sum(pseudo_header(out[12:16], out[16:20], length, 17))
    # What a device does: the sum over the transport header and what follows, the prepared field included.
    finished = out[:26] + checksum(out[20:]).to_bytes(2) + out[28:]
    assert transport_checksum_is_right(finished)


def test_a_first_fragment_keeps_the_checksum_of_the_whole():
    payload = random.Random(1).randbytes(64)
    whole = encode_ip(Packet(IpProtocol.UDP, INSIDE, REMOTE, payload))
    header = bytearray(whole[:20])
    header[2:4], header[6:8], header[10:12] = (60).to_bytes(2), (0x2000).to_bytes(2), b"\0\0"
    header[10:12] = checksum(bytes(header)).to_bytes(2)
    first = parse_datagram_untrusted(bytes(header) + whole[20:60])
    assert first.packet.fragment == Fragment(0, 0, more=True)
    out = first.rewritten(first.packet.translated(source=EXTERNAL))
    assert transport_checksum_is_right(
        encode_ip(Packet(IpProtocol.UDP, EXTERNAL, REMOTE, b""))[:20] + out[20:] + whole[60:]
    )


def test_a_later_fragment_has_no_ports_to_rewrite():
    packet = Packet(IpProtocol.UDP, INSIDE, REMOTE, b"12345678", fragment=Fragment(9, 16, more=False))
    later = parse_datagram_untrusted(encode_ip(packet))
    assert later.packet.source == (INSIDE[0], 0)
    out = later.rewritten(later.packet.translated(source=(EXTERNAL[0], 0)))
    assert (out[12:16], out[20:]) == (packed(EXTERNAL[0]), b"12345678")


@pytest.mark.parametrize("kind", [IcmpType.ECHO_REQUEST, IcmpType.ECHO_REPLY])
def test_an_echo_keeps_its_data_and_gets_another_identifier(kind):
    packet = Packet(IpProtocol.ICMP, (INSIDE[0], 7), (REMOTE[0], 7), b"the data", icmp=IcmpMessage(kind))
    datagram = parse_datagram_untrusted(encode_ip(packet))
    ends = (
        {"source": (EXTERNAL[0], 999)} if kind is IcmpType.ECHO_REQUEST else {"destination": (INSIDE[0], 999)}
    )
    out = datagram.rewritten(datagram.packet.translated(**ends))
    assert int.from_bytes(out[24:26]) == 999
    assert out[28:] == b"the data"
    assert transport_checksum_is_right(out)


@pytest.mark.parametrize("inside_quotation", [IpProtocol.UDP, IpProtocol.TCP])
def test_an_error_is_rewritten_together_with_what_it_quotes(inside_quotation):
    tcp = TcpHeader(TcpFlag.SYN, 1, 0) if inside_quotation is IpProtocol.TCP else None
    about = Packet(inside_quotation, EXTERNAL, REMOTE, b"what was sent", tcp=tcp)
    error = icmp_error(about, IcmpType.PORT_UNREACHABLE)
    datagram = parse_datagram_untrusted(encode_ip(error))
    quoted = datagram.packet.icmp.quoted
    assert (quoted.source, quoted.destination) == (EXTERNAL, REMOTE)
    onward = datagram.packet.translated(destination=(INSIDE[0], 0))
    onward.icmp = IcmpMessage(IcmpType.PORT_UNREACHABLE, quoted.translated(source=INSIDE))
    out = datagram.rewritten(onward)
    assert transport_checksum_is_right(out)
    assert out[28:] == encode_ip(about.translated(source=INSIDE)), (
        "as the inside host sent it, checksums included"
    )


def test_a_quotation_of_eight_bytes_is_enough():
    error = icmp_error(
        Packet(IpProtocol.TCP, EXTERNAL, REMOTE, tcp=TcpHeader(TcpFlag.ACK, 9, 9)), IcmpType.TIME_EXCEEDED
    )
    data = bytearray(encode_ip(error)[: 20 + 8 + 20 + 8])
    data[2:4], data[10:12] = len(data).to_bytes(2), b"\0\0"
    data[10:12] = checksum(bytes(data[:20])).to_bytes(2)
    read = parse_datagram_untrusted(bytes(data))
    assert read.packet.icmp.quoted.source == EXTERNAL
    assert read.packet.icmp.quoted.tcp.sequence == 9


@pytest.mark.parametrize(
    ("packet", "make"),
    [
        (
            Packet(IpProtocol.UDP, INSIDE, REMOTE, b"x" * 1400),
            lambda p: icmp_error(p, IcmpType.PORT_UNREACHABLE),
        ),
        (
            Packet(IpProtocol.UDP, INSIDE_V6, REMOTE_V6, b"x" * 1400),
            lambda p: icmp_error(p, IcmpType.TIME_EXCEEDED),
        ),
        (Packet(IpProtocol.TCP, INSIDE, REMOTE, tcp=TcpHeader(TcpFlag.SYN, 5, 0)), tcp_reset),
        (Packet(IpProtocol.TCP, INSIDE_V6, REMOTE_V6, tcp=TcpHeader(TcpFlag.ACK, 5, 6)), tcp_reset),
        (
            Packet(
                IpProtocol.ICMP,
                (INSIDE[0], 7),
                (REMOTE[0], 0),
                b"data",
                icmp=IcmpMessage(IcmpType.ECHO_REQUEST),
            ),
            echo_reply,
        ),
    ],
)
def test_answers_of_the_box_are_right_on_the_wire(packet, make):
    cause = parse_datagram_untrusted(encode_ip(packet), packet_id=8)
    answer = make(cause.packet)
    data = answer_bytes(answer, cause)
    assert transport_checksum_is_right(data)
    read = parse_datagram_untrusted(data).packet
    assert (read.source, read.destination) == (answer.source, answer.destination)
    assert read.tcp == answer.tcp or answer.tcp._replace(window=0) == read.tcp
    if answer.icmp is not None and answer.icmp.is_error:
        assert (read.icmp.type, read.icmp.quoted.source) == (answer.icmp.type, packet.source)
        assert len(data) == (1280 if packet.is_ipv6 else 576)
    else:
        assert read.payload == packet.payload


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_an_error(data):
    with contextlib.suppress(WireFormatError):
        parse_datagram_untrusted(data)


@given(ENDS, st.data())
def test_any_damage_is_a_packet_or_an_error_and_can_be_rewritten(ends, draw):
    kind = draw.draw(st.sampled_from(["udp", "tcp", "error"]))
    packet = Packet(IpProtocol.UDP, *ends, b"payload")
    if kind == "tcp":
        packet = Packet(IpProtocol.TCP, *ends, b"payload", tcp=TcpHeader(TcpFlag.ACK, 1, 2))
    elif kind == "error":
        packet = icmp_error(packet, IcmpType.PORT_UNREACHABLE)
    data = bytearray(encode_ip(packet))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    data = data[: draw.draw(st.integers(0, len(data)))]
    if len(data) >= 20 and data[0] >> 4 == 4:
        data[10:12] = b"\0\0"
        data[10:12] = checksum(bytes(data[: (data[0] & 15) * 4])).to_bytes(2)
    try:
        datagram = parse_datagram_untrusted(bytes(data))
    except WireFormatError:
        return
    same = datagram.rewritten(datagram.packet, forwarded=False)
    assert len(same) == len(datagram.data)


@given(
    st.binary(min_size=2, max_size=30), st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8)
)
def test_a_checksum_by_difference_equals_one_by_the_whole(rest, before, after):
    rest = rest[: len(rest) // 2 * 2]
    field = adjusted(checksum(rest + before), before, after)
    assert field % 0xFFFF == checksum(rest + after) % 0xFFFF

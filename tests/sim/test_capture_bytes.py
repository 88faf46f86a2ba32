"""Packets as bytes: lengths, checksums and fields are those the RFCs ask for."""

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.fragmentation import fragment_packet
from lab.sim.capture import encode_ip
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

V4 = ("192.0.2.1", 40_000), ("198.51.100.7", 50_000)
V6 = ("2001:db8::1", 40_000), ("2001:db8:1::7", 50_000)
BOTH = pytest.mark.parametrize("addresses", [V4, V6], ids=["IPv4", "IPv6"])

ports = st.integers(1, 65_535)
payloads = st.binary(max_size=300)


def words(data: bytes) -> int:
    """Return the one's complement sum the slow way, word by word (RFC 1071 §1)."""
    total = 0
    for place in range(0, len(data), 2):
        total += int.from_bytes(data[place : place + 2].ljust(2, b"\0"))
        total = (total & 0xFFFF) + (total >> 16)
    return total


def upper_layer(data: bytes) -> tuple[int, bytes, bytes]:
    """Take an IP packet apart; return (protocol, pseudo-header, payload) after checking the header."""
    if data[0] >> 4 == 4:
        assert data[0] == 0x45
        assert int.from_bytes(data[2:4]) == len(data)
        assert words(data[:20]) == 0xFFFF
        upper = data[20:]
        return data[9], data[12:20] + struct.pack("!BBH", 0, data[9], len(upper)), upper
    assert data[0] >> 4 == 6
    upper = data[40:]
    assert int.from_bytes(data[4:6]) == len(upper)
    return data[6], data[8:40] + struct.pack("!II", len(upper), data[6]), upper


@BOTH
class TestTransport:
    @given(source=ports, destination=ports, payload=payloads)
    def test_udp_has_its_ports_length_and_a_checksum_that_verifies(
        self, addresses, source, destination, payload
    ):
        (host, _), (peer, _) = addresses
        one = Packet(IpProtocol.UDP, (host, source), (peer, destination), payload)
        protocol, pseudo, upper = upper_layer(encode_ip(one))
        assert protocol == 17
        assert struct.unpack("!HHH", upper[:6]) == (source, destination, 8 + len(payload))
        assert upper[8:] == payload
        assert words(pseudo + upper) == 0xFFFF
        assert upper[6:8] != b"\0\0"

    @given(
        payload=payloads,
        flags=st.integers(0, 31),
        sequence=st.integers(0, 2**40),
        acknowledgement=st.integers(0, 2**32 - 1),
        window=st.integers(0, 10**6),
    )
    def test_tcp_has_its_fields_and_a_checksum_that_verifies(
        self, addresses, payload, flags, sequence, acknowledgement, window
    ):
        header = TcpHeader(TcpFlag(flags), sequence, acknowledgement, window)
        protocol, pseudo, upper = upper_layer(
            encode_ip(Packet(IpProtocol.TCP, *addresses, payload, tcp=header))
        )
        assert protocol == 6
        fields = struct.unpack("!HHIIBBH", upper[:16])
        assert fields[:2] == (40_000, 50_000)
        assert fields[2:4] == (sequence % 2**32, acknowledgement)
        assert fields[4:] == (5 << 4, flags, min(window, 65_535))
        assert upper[20:] == payload
        assert words(pseudo + upper) == 0xFFFF

    @given(payload=payloads, identifier=ports)
    @pytest.mark.parametrize("kind", [IcmpType.ECHO_REQUEST, IcmpType.ECHO_REPLY])
    def test_an_echo_carries_its_identifier(self, addresses, kind, payload, identifier):
        (host, _), (peer, _) = addresses
        asked = kind is IcmpType.ECHO_REQUEST
        source, destination = (host, identifier if asked else 0), (peer, 0 if asked else identifier)
        one = Packet(IpProtocol.ICMP, source, destination, payload, icmp=IcmpMessage(kind))
        protocol, pseudo, upper = upper_layer(encode_ip(one))
        assert protocol == (58 if one.is_ipv6 else 1)
        assert int.from_bytes(upper[4:6]) == identifier
        assert words(pseudo + upper if one.is_ipv6 else upper) == 0xFFFF

    def test_the_length_is_the_one_packets_are_charged_with(self, addresses):
        for payload in (b"", b"x", bytes(1_000)):
            udp = Packet(IpProtocol.UDP, *addresses, payload)
            tcp = Packet(IpProtocol.TCP, *addresses, payload, tcp=TcpHeader(TcpFlag.ACK, 0, 0))
            error = Packet(IpProtocol.ICMP, *addresses, icmp=IcmpMessage(IcmpType.TIME_EXCEEDED, udp))
            pieces = fragment_packet(Packet(IpProtocol.UDP, *addresses, payload * 5), 576)
            for one in (udp, tcp, error, *pieces):
                assert len(encode_ip(one)) == one.length


class TestIp:
    def test_ipv4_fields(self):
        one = Packet(IpProtocol.UDP, *V4, b"x", ttl=7, dscp=46, dont_fragment=True, packet_id=0x1_2345)
        data = encode_ip(one)
        assert data[1] == 46 << 2
        assert int.from_bytes(data[4:6]) == 0x2345
        assert int.from_bytes(data[6:8]) == 0x4000
        assert data[8] == 7
        assert data[12:20] == ip_address("192.0.2.1").packed + ip_address("198.51.100.7").packed

    def test_ipv6_fields(self):
        data = encode_ip(Packet(IpProtocol.UDP, *V6, b"x", ttl=7, dscp=46))
        assert int.from_bytes(data[:4]) == 6 << 28 | 46 << 22
        assert data[7] == 7
        assert data[8:40] == ip_address("2001:db8::1").packed + ip_address("2001:db8:1::7").packed

    def test_a_zone_is_not_on_the_wire(self):
        with_zone = Packet(IpProtocol.UDP, ("fe80::1%eth0", 1), ("fe80::2", 2))
        assert encode_ip(with_zone) == encode_ip(Packet(IpProtocol.UDP, ("fe80::1", 1), ("fe80::2", 2)))

    def test_a_computed_udp_checksum_of_zero_is_sent_as_ones(self):
        """Zero would say that there is none. The payload is chosen so that the sum is all ones."""
        sum_without = words(upper_sum(Packet(IpProtocol.UDP, *V4, b"\0\0")))
        payload = (0xFFFF - sum_without).to_bytes(2)
        assert encode_ip(Packet(IpProtocol.UDP, *V4, payload))[26:28] == b"\xff\xff"

    def test_what_ip_cannot_say_is_refused(self):
        encode_ip(Packet(IpProtocol.UDP, *V4, bytes(65_507)))
        with pytest.raises(ValueError, match="longer than IP can say"):
            encode_ip(Packet(IpProtocol.UDP, *V4, bytes(65_508)))


def upper_sum(one: Packet) -> bytes:
    """Return everything UDP's checksum covers, with the checksum field at zero."""
    _, pseudo, upper = upper_layer(encode_ip(one))
    return pseudo + upper[:6] + upper[8:]


@BOTH
class TestFragments:
    @given(size=st.integers(1_400, 5_000), translated=st.booleans())
    def test_put_together_they_are_the_datagram_with_a_checksum_that_verifies(
        self, addresses, size, translated
    ):
        """So it is also when a NAT translated the ports of the first fragment on the way."""
        whole = Packet(IpProtocol.UDP, *addresses, bytes(number % 251 for number in range(size)), packet_id=5)
        source = (addresses[0][0], 1_111) if translated else addresses[0]
        first, *later = fragment_packet(whole, 1_300)
        if translated:
            first = first.translated(source=source)
        header = 48 if whole.is_ipv6 else 20
        joined = b"".join(encode_ip(piece)[header:] for piece in (first, *later))
        assert joined == encode_ip(whole.translated(source=source))[header - 8 * whole.is_ipv6 :]

    def test_offset_and_more_flag_are_in_the_header(self, addresses):
        pieces = fragment_packet(Packet(IpProtocol.UDP, *addresses, bytes(3_000), packet_id=9), 1_300)
        for piece in pieces:
            data = encode_ip(piece)
            if piece.is_ipv6:
                assert data[6] == 44
                assert data[40] == 17
                place, identification = struct.unpack("!HI", data[42:48])
                assert (place & ~7, place & 1) == (piece.fragment.offset, piece.fragment.more)
            else:
                identification, place = struct.unpack("!HH", data[4:8])
                assert ((place & 0x1FFF) * 8, bool(place & 0x2000)) == piece.fragment[1:3]
            assert identification == 9


@BOTH
class TestErrors:
    ABOUT = "the packet they are about"

    @pytest.mark.parametrize(
        ("kind", "codes", "codes6"),
        [
            (IcmpType.NETWORK_UNREACHABLE, (3, 0), (1, 0)),
            (IcmpType.HOST_UNREACHABLE, (3, 1), (1, 3)),
            (IcmpType.PORT_UNREACHABLE, (3, 3), (1, 4)),
            (IcmpType.ADMINISTRATIVELY_PROHIBITED, (3, 13), (1, 1)),
            (IcmpType.FRAGMENTATION_NEEDED, (3, 4), (2, 0)),
            (IcmpType.TIME_EXCEEDED, (11, 0), (3, 0)),
        ],
    )
    def test_an_error_has_its_type_and_code_and_quotes(self, addresses, kind, codes, codes6):
        about = Packet(IpProtocol.UDP, *addresses, b"hello")
        mtu = 1_400 if kind is IcmpType.FRAGMENTATION_NEEDED else 0
        error = Packet(IpProtocol.ICMP, *reversed(addresses), icmp=IcmpMessage(kind, about, mtu))
        _, pseudo, upper = upper_layer(encode_ip(error))
        assert tuple(upper[:2]) == (codes6 if error.is_ipv6 else codes)
        assert int.from_bytes(upper[4:8]) == mtu
        assert upper[8:] == encode_ip(about)
        assert words(pseudo + upper if error.is_ipv6 else upper) == 0xFFFF

    def test_a_long_quotation_is_cut(self, addresses):
        about = Packet(IpProtocol.UDP, *addresses, bytes(1_400))
        error = Packet(
            IpProtocol.ICMP, *reversed(addresses), icmp=IcmpMessage(IcmpType.PORT_UNREACHABLE, about)
        )
        data = encode_ip(error)
        assert len(data) == (1_280 if error.is_ipv6 else 576)
        assert encode_ip(about).startswith(data[48 if error.is_ipv6 else 28 :])

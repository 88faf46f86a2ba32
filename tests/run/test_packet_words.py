"""What a packet is called in a ladder, protocol by protocol; strange bytes are bytes."""

import struct

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.measure.trace import PacketKind
from lab.protocols.channel_data import encode_channel_data
from lab.protocols.signalling import Signal, encode_signal
from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method
from lab.roles.endpoint.media import encode_media
from lab.run.packet_words import words_of
from nat_models.packet import Fragment, IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

ALICE, BOB = ("192.0.2.1", 4000), ("198.51.100.7", 5000)
ID = bytes(range(12))


def udp(payload: bytes, destination=BOB) -> Packet:
    return Packet(IpProtocol.UDP, ALICE, destination, payload)


def tcp(payload: bytes = b"", flags: TcpFlag = TcpFlag.ACK) -> Packet:
    return Packet(IpProtocol.TCP, ALICE, BOB, payload, tcp=TcpHeader(flags, 1, 2))


def check(*, nominating: bool = False) -> bytes:
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, ID).uint32(Attribute.PRIORITY, 1)
    return (builder.add(Attribute.USE_CANDIDATE) if nominating else builder).finish()


def binding_answer() -> bytes:
    builder = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, ID)
    return builder.xor_address(Attribute.XOR_MAPPED_ADDRESS, ALICE).finish()


def send_indication(data: bytes) -> bytes:
    builder = MessageBuilder(Method.SEND, MessageClass.INDICATION, ID)
    return builder.xor_address(Attribute.XOR_PEER_ADDRESS, BOB).add(Attribute.DATA, data).finish()


MEDIA = encode_media(7, 1.5, 60)
STUN, TURN, RTP, TCP = PacketKind.STUN, PacketKind.TURN, PacketKind.MEDIA, PacketKind.TCP


@pytest.mark.parametrize(
    ("packet", "kinds", "words"),
    [
        (udp(check()), (STUN,), "Binding request (ICE check)"),
        (udp(check(nominating=True)), (STUN,), "Binding request (ICE check, nominating)"),
        (udp(binding_answer()), (STUN,), "Binding success: you are 192.0.2.1:4000"),
        (udp(MEDIA), (RTP,), "RTP, 60 bytes"),
        (udp(encode_channel_data(0x4001, MEDIA)), (TURN, RTP), "ChannelData 0x4001: RTP, 60 bytes"),
        (
            udp(encode_channel_data(0x4001, check())),
            (TURN, STUN),
            "ChannelData 0x4001: Binding request (ICE check)",
        ),
        (
            udp(send_indication(MEDIA)),
            (TURN, RTP),
            "Send indication to 198.51.100.7:5000: RTP, 60 bytes",
        ),
        (udp(b"hello"), (PacketKind.UDP,), "UDP, 5 bytes"),
        (udp(b""), (PacketKind.UDP,), "UDP, 0 bytes"),
        (
            udp(dns.message.make_query("relay.test", "A").to_wire(), ("198.51.100.7", 53)),
            (PacketKind.DNS,),
            "DNS query A relay.test.",
        ),
        (udp(b"?", ("198.51.100.7", 53)), (PacketKind.DNS,), "DNS, 1 bytes"),
        (tcp(flags=TcpFlag.SYN), (TCP,), "TCP SYN"),
        (tcp(flags=TcpFlag.SYN | TcpFlag.ACK), (TCP,), "TCP SYN ACK"),
        (
            tcp(encode_signal(Signal(kind="offer", sender="alice", to="bob", call="c"))),
            (TCP,),
            "TCP ACK: offer of alice to bob",
        ),
        (tcp(b"\x16\x03\x01\x00\x05hello"), (TCP,), "TCP ACK: TLS handshake"),
        (tcp(binding_answer()), (TCP, STUN), "TCP ACK: Binding success: you are 192.0.2.1:4000"),
        (tcp(b"hello"), (TCP,), "TCP ACK: 5 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_protocol_has_its_words(packet, kinds, words):
    said = words_of(packet)
    assert (said.kinds, said.words) == (kinds, words)


def test_an_icmp_error_names_the_packet_that_it_is_about():
    quoted = Packet(IpProtocol.UDP, BOB, ALICE, b"x", packet_id=12)
    icmp = IcmpMessage(IcmpType.PORT_UNREACHABLE, quoted)
    said = words_of(Packet(IpProtocol.ICMP, ALICE, BOB, icmp=icmp))
    assert (said.kinds, said.words) == ((PacketKind.ICMP,), "ICMP port unreachable about #12")


def test_a_later_fragment_says_where_it_belongs():
    packet = Packet(IpProtocol.UDP, ALICE, BOB, b"x" * 8, fragment=Fragment(1, 1480, more=False))
    assert words_of(packet).words == "fragment at offset 1480"


def test_only_a_binding_request_with_a_priority_is_a_connectivity_check():
    plain = MessageBuilder(Method.BINDING, MessageClass.REQUEST, ID).finish()
    assert words_of(udp(check())).is_check
    assert words_of(udp(encode_channel_data(0x4000, check()))).is_check
    assert not words_of(udp(plain)).is_check
    assert not words_of(udp(binding_answer())).is_check


def test_transmissions_of_one_thing_are_one_exchange_and_answers_another():
    assert words_of(udp(check())).exchange == words_of(udp(check())).exchange
    assert words_of(udp(check())).exchange != words_of(udp(binding_answer())).exchange
    assert words_of(udp(MEDIA)).exchange == "", "media are never sent again"
    assert words_of(tcp(b"a")).exchange != words_of(tcp(b"ab")).exchange


HEADS = [b"", struct.pack("!HHI", 1, 8, 0x2112A442) + ID, b"\x40\x00\x00\x04", b"\x16\x03", b'{"kind":']


@given(
    st.sampled_from(HEADS), st.binary(max_size=80), st.sampled_from([53, 5000]), st.sampled_from(IpProtocol)
)
def test_whatever_the_bytes_a_packet_has_words_and_a_kind(head, rest, port, protocol):
    header = TcpHeader(TcpFlag.PSH, 1, 2) if protocol is IpProtocol.TCP else None
    icmp = IcmpMessage(IcmpType.ECHO_REQUEST) if protocol is IpProtocol.ICMP else None
    packet = Packet(protocol, ALICE, (BOB[0], port), head + rest, tcp=header, icmp=icmp)
    said = words_of(packet)
    assert said.kinds
    assert said.words
    assert "\n" not in said.words

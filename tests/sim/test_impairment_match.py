"""Which packets a scenario means: protocol, ports, length, and what a STUN message says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.protocols.impairment.match import matcher
from lab.protocols.stun import MessageBuilder
from lab.protocols.stun_types import MessageClass, Method
from lab.spec.packet_drop import STUN_CLASSES, STUN_METHODS, parse_drop
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

HERE, THERE = ("192.0.2.1", 5000), ("203.0.113.1", 3478)
UDP = Packet(IpProtocol.UDP, HERE, THERE, b"media")
TCP = Packet(IpProtocol.TCP, HERE, THERE, tcp=TcpHeader(TcpFlag.SYN, 1, 0))
PING = Packet(IpProtocol.ICMP, ("192.0.2.1", 3478), (THERE[0], 0), icmp=IcmpMessage(IcmpType.ECHO_REQUEST))


def stun(method, message_class):
    return Packet(IpProtocol.UDP, HERE, THERE, MessageBuilder(method, message_class, bytes(12)).finish())


def matches(packet, **match):
    return matcher(parse_drop({"link": "x", "match": match}).match)(packet)


@pytest.mark.parametrize("packet", [UDP, TCP, PING])
def test_what_is_not_given_may_be_anything(packet):
    assert matches(packet)


@pytest.mark.parametrize(("packet", "own"), [(UDP, "udp"), (TCP, "tcp"), (PING, "icmp")])
def test_a_protocol_is_its_own(packet, own):
    assert [name for name in ("udp", "tcp", "icmp") if matches(packet, protocol=name)] == [own]


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ({"port": 3478}, True),
        ({"port": 5000}, True),
        ({"port": 5001}, False),
        ({"source_port": 5000}, True),
        ({"source_port": 3478}, False),
        ({"destination_port": 3478, "source_port": 5000}, True),
        ({"destination_port": 3478, "source_port": 5001}, False),
    ],
)
def test_ports_are_of_either_end_or_of_one(match, meant):
    assert matches(UDP, **match) is matches(TCP, **match) is meant


def test_an_echo_request_has_no_port():
    assert not matches(PING, port=3478)


@pytest.mark.parametrize(("limit", "meant"), [("== 33B", True), (">= 34B", False), ("< 1KiB", True)])
def test_the_length_is_that_of_the_ip_packet(limit, meant):
    assert matches(UDP, size=limit) is meant


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("message_class", MessageClass)
def test_every_message_matches_its_method_and_class_and_no_others(method, message_class):
    """Against the encoder: method and class share one number of the header (RFC 8489 §5)."""
    packet = stun(method, message_class)
    own_method, own_class = method.name.lower().replace("_", "-"), message_class.name.lower()
    assert [name for name in STUN_METHODS if matches(packet, stun_method=name)] == [own_method]
    assert [name for name in STUN_CLASSES if matches(packet, stun_class=name)] == [own_class]
    assert matches(packet, stun_method=own_method, stun_class=own_class)


def test_media_and_streams_are_no_stun():
    assert not matches(UDP, stun_class="request")
    assert not matches(TCP, stun_class="request")


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_either_match_or_do_not(payload):
    assert matches(Packet(IpProtocol.UDP, HERE, THERE, payload), stun_method="binding") in {True, False}

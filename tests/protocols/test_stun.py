"""The STUN codec: round trips, agreement with an independent codec, and bad bytes refused."""

import contextlib
import hmac
import ipaddress

import aioice.stun
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import WireFormatError
from lab.protocols.stun import (
    Attribute,
    MessageBuilder,
    MessageClass,
    Method,
    join_type,
    looks_like_stun,
    parse_message_untrusted,
    split_type,
)
from lab.protocols.stun_auth import opaque_string

ID = bytes(range(12))
KEY = b"0123456789abcdef"

addresses = st.tuples(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), st.integers(0, 65535))
transaction_ids = st.binary(min_size=12, max_size=12)


def same_address(one, other):
    """Text forms of IPv4-mapped IPv6 addresses differ between libraries; the addresses do not."""
    return (ipaddress.ip_address(one[0]), one[1]) == (ipaddress.ip_address(other[0]), other[1])


def build(*, message_class=MessageClass.REQUEST):
    return MessageBuilder(Method.BINDING, message_class, ID)


def read_everything(message):
    """Call every accessor, as a handler might; only WireFormatError may come out."""
    calls = [
        lambda: message.error,
        lambda: message.mapped_address,
        lambda: message.unknown_attributes,
        message.describe,
        lambda: message.verify(KEY),
        lambda: message.required_but_not_in(()),
    ]
    for kind in Attribute:
        readers = ("text", "uint8", "uint16", "uint32", "uint64", "address", "xor_address", "xor_addresses")
        calls.extend(lambda r=reader, k=kind: getattr(message, r)(k) for reader in readers)
    for call in calls:
        with contextlib.suppress(WireFormatError):
            call()


@given(st.integers(0, 0xFFF), st.sampled_from(MessageClass))
def test_method_and_class_are_woven_and_unwoven(method, message_class):
    assert split_type(join_type(method, message_class)) == (method, message_class)


def test_the_type_of_an_allocate_error_is_the_one_of_the_rfc():
    assert join_type(Method.ALLOCATE, MessageClass.ERROR) == 0x0113


@given(addresses, transaction_ids)
def test_addresses_survive_the_way_to_bytes_and_back(address, transaction_id):
    builder = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, transaction_id)
    builder.xor_address(Attribute.XOR_MAPPED_ADDRESS, address).address(Attribute.OTHER_ADDRESS, address)
    message = parse_message_untrusted(builder.finish(fingerprint=True))
    assert same_address(message.xor_address(Attribute.XOR_MAPPED_ADDRESS), address)
    assert same_address(message.address(Attribute.OTHER_ADDRESS), address)


@given(
    addresses,
    transaction_ids,
    st.text(max_size=30),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=40),
)
def test_an_independent_codec_reads_what_we_write(address, transaction_id, text, number, tie_breaker, data):
    builder = MessageBuilder(Method.SEND, MessageClass.INDICATION, transaction_id)
    builder.xor_address(Attribute.XOR_PEER_ADDRESS, address).address(Attribute.MAPPED_ADDRESS, address)
    builder.text(Attribute.USERNAME, text).uint32(Attribute.LIFETIME, number)
    builder.uint64(Attribute.ICE_CONTROLLING, tie_breaker).add(Attribute.DATA, data)
    builder.uint16(Attribute.CHANNEL_NUMBER, number & 0xFFFF).error(438, text)
    theirs = aioice.stun.parse_message(builder.finish(key=KEY, fingerprint=True))
    assert theirs.transaction_id == transaction_id
    assert (theirs.message_method, theirs.message_class) == (
        aioice.stun.Method.SEND,
        aioice.stun.Class.INDICATION,
    )
    assert same_address(theirs.attributes["XOR-PEER-ADDRESS"], address)
    assert same_address(theirs.attributes["MAPPED-ADDRESS"], address)
    assert theirs.attributes["USERNAME"] == text
    assert theirs.attributes["LIFETIME"] == number
    assert theirs.attributes["ICE-CONTROLLING"] == tie_breaker
    assert theirs.attributes["DATA"] == data
    assert theirs.attributes["CHANNEL-NUMBER"] == number & 0xFFFF
    assert theirs.attributes["ERROR-CODE"] == (438, text)
    assert theirs.check_message_integrity(KEY)


@given(addresses, transaction_ids, st.text(max_size=30), st.integers(0, 2**32 - 1), st.binary(max_size=40))
def test_we_read_what_an_independent_codec_writes(address, transaction_id, text, number, nonce):
    theirs = aioice.stun.Message(
        message_method=aioice.stun.Method.ALLOCATE,
        message_class=aioice.stun.Class.ERROR,
        transaction_id=transaction_id,
        attributes={
            "ERROR-CODE": (486, text),
            "REALM": text,
            "NONCE": nonce,
            "LIFETIME": number,
            "XOR-RELAYED-ADDRESS": address,
            "OTHER-ADDRESS": address,
        },
    )
    theirs.add_message_integrity(KEY)
    ours = parse_message_untrusted(bytes(theirs))
    assert (ours.method, ours.message_class) == (Method.ALLOCATE, MessageClass.ERROR)
    assert ours.transaction_id == transaction_id
    assert ours.error == (486, text)
    assert ours.text(Attribute.REALM) == text
    assert ours.get(Attribute.NONCE) == nonce
    assert ours.uint32(Attribute.LIFETIME) == number
    assert same_address(ours.xor_address(Attribute.XOR_RELAYED_ADDRESS), address)
    assert same_address(ours.address(Attribute.OTHER_ADDRESS), address)
    assert ours.verify(KEY)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_only_one_error_comes_out(data):
    try:
        message = parse_message_untrusted(data)
    except WireFormatError:
        return
    read_everything(message)


@given(
    st.integers(0, 0x3FFF),
    st.lists(
        st.tuples(st.one_of(st.sampled_from(Attribute), st.integers(0, 0xFFFF)), st.binary(max_size=40))
    ),
    st.integers(-4, 4),
)
def test_whatever_the_attributes_only_one_error_comes_out(message_type, attributes, trim):
    """Frames that are nearly right reach deeper than noise does."""
    method, message_class = split_type(message_type)
    builder = MessageBuilder(method, message_class, ID)
    for kind, value in attributes:
        builder.add(kind, value)
    data = builder.finish()
    try:
        message = parse_message_untrusted(data[: len(data) + trim] if trim < 0 else data + bytes(trim))
    except WireFormatError:
        return
    read_everything(message)


def test_a_value_longer_than_the_message_is_refused():
    data = bytearray(build().text(Attribute.SOFTWARE, "abcd").finish())
    data[23] = 5
    with pytest.raises(WireFormatError, match="longer than the message"):
        parse_message_untrusted(bytes(data))


def test_an_attribute_of_the_wrong_size_is_refused_when_it_is_read():
    message = parse_message_untrusted(build().add(Attribute.LIFETIME, b"\x00\x01").finish())
    with pytest.raises(WireFormatError, match="2 bytes"):
        message.uint32(Attribute.LIFETIME)


def test_text_that_is_not_utf8_is_refused():
    message = parse_message_untrusted(build().add(Attribute.USERNAME, b"\xff\xfe").finish())
    with pytest.raises(WireFormatError, match="UTF-8"):
        message.text(Attribute.USERNAME)


def test_what_follows_the_signature_is_left_out_but_for_the_fingerprint():
    """An attacker can append attributes behind MESSAGE-INTEGRITY (RFC 8489 §14.5)."""
    signed = build().text(Attribute.USERNAME, "alice").finish(key=KEY)
    forged = signed + bytes.fromhex("00240004ffffffff")
    forged = forged[:2] + (len(forged) - 20).to_bytes(2) + forged[4:]
    message = parse_message_untrusted(forged)
    assert message.uint32(Attribute.PRIORITY) is None
    assert message.verify(KEY)


def test_repeated_attributes_are_read_in_order_and_the_first_one_counts():
    builder = MessageBuilder(Method.CREATE_PERMISSION, MessageClass.REQUEST, ID)
    peers = [("192.0.2.1", 0), ("192.0.2.2", 0), ("192.0.2.3", 9)]
    for peer in peers:
        builder.xor_address(Attribute.XOR_PEER_ADDRESS, peer)
    message = parse_message_untrusted(builder.finish())
    assert message.xor_addresses(Attribute.XOR_PEER_ADDRESS) == peers
    assert message.xor_address(Attribute.XOR_PEER_ADDRESS) == peers[0]


def test_unknown_required_attributes_are_listed_and_optional_ones_are_not():
    message = parse_message_untrusted(build().add(0x7001).add(0xC001).add(0x7000).finish())
    assert message.required_but_not_in({0x7000}) == [0x7001]


@given(st.binary(min_size=1, max_size=64))
def test_sha256_signatures_hold_and_break(key):
    data = build().text(Attribute.USERNAME, "alice").finish(key=key, sha256=True, fingerprint=True)
    message = parse_message_untrusted(data)
    assert message.is_signed_sha256
    assert message.verify(key)
    assert not message.verify(key + b"x")


def test_a_truncated_sha256_signature_still_counts():
    """Down to 16 bytes, in steps of four (RFC 8489 §14.6): the length in the header is then another."""
    whole = build().text(Attribute.USERNAME, "al").finish()
    covered = whole[:2] + (len(whole) - 20 + 4 + 16).to_bytes(2) + whole[4:]
    signature = hmac.digest(KEY, covered, "sha256")[:16]
    data = covered + bytes.fromhex("001c0010") + signature
    assert parse_message_untrusted(data).verify(KEY)


def test_an_unsigned_message_verifies_with_no_key():
    assert not parse_message_untrusted(build().finish()).verify(KEY)


def test_stun_is_told_from_other_protocols_on_one_port():
    assert looks_like_stun(build().finish())
    assert not looks_like_stun(b"\x80" + bytes(30))  # RTP
    assert not looks_like_stun(b"\x16\xfe\xff" + bytes(30))  # DTLS
    assert not looks_like_stun(b"")


def test_a_message_is_named_for_people():
    builder = MessageBuilder(Method.CHANNEL_BIND, MessageClass.ERROR, ID).error(403, "Forbidden")
    assert parse_message_untrusted(builder.finish()).describe() == "ChannelBind error 403 Forbidden"


def test_addresses_that_are_none_cannot_be_written():
    with pytest.raises(ValueError, match="not a transport address"):
        build().xor_address(Attribute.XOR_MAPPED_ADDRESS, ("localhost", 1))
    with pytest.raises(ValueError, match="not a transport address"):
        build().address(Attribute.MAPPED_ADDRESS, ("192.0.2.1", 65536))


def test_credentials_are_prepared_as_opaque_strings():
    """RFC 8265: other spaces become spaces, composed form is canonical; case stays."""
    assert opaque_string("a\u00a0b\u3000c") == "a b c"
    assert opaque_string("e\u0301") == "\u00e9"
    assert opaque_string("AbC") == "AbC"

"""The test vectors of RFC 5769 and RFC 8489: signatures and fingerprints computed by others."""

import pytest

from lab.errors import WireFormatError
from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method, parse_message_untrusted
from lab.protocols.stun_auth import long_term_key, long_term_key_sha256, short_term_key, userhash

pytestmark = pytest.mark.requirement("Z0-1")

SHORT_TERM = "VOkJxbRl1RmTxUk/WvJxBt"

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
SHA256_REQUEST = bytes.fromhex(
    "000100902112a44278ad3433c6ad72c029da412e"
    "001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "001500296f624d61744a6f73324141414366"
    "2f2f3439396b39353464364f4c33346f4c39465354767936347341000000"
    "0014000b6578616d706c652e6f726700"
    "001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)
MATRIX_USER = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"


def test_the_sample_request_is_read():
    """RFC 5769 §2.1, with the padding bytes that are not zero."""
    message = parse_message_untrusted(REQUEST)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.REQUEST)
    assert message.transaction_id.hex() == "b7e7a701bc34d686fa87dfae"
    assert message.text(Attribute.SOFTWARE) == "STUN test client"
    assert message.text(Attribute.USERNAME) == "evtj:h6vY"
    assert message.uint32(Attribute.PRIORITY) == 0x6E0001FF
    assert message.uint64(Attribute.ICE_CONTROLLED) == 0x932FF9B151263B36


@pytest.mark.parametrize(
    ("response", "address"),
    [(IPV4_RESPONSE, "192.0.2.1"), (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677")],
    ids=["IPv4 (§2.2)", "IPv6 (§2.3)"],
)
def test_the_sample_responses_tell_the_mapped_address(response, address):
    message = parse_message_untrusted(response)
    assert message.message_class is MessageClass.SUCCESS
    assert message.mapped_address == (address, 32853)
    assert message.text(Attribute.SOFTWARE) == "test vector"


@pytest.mark.parametrize("vector", [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE])
def test_short_term_signatures_hold_for_the_password_and_no_other(vector):
    message = parse_message_untrusted(vector)
    assert message.verify(short_term_key(SHORT_TERM))
    assert not message.verify(short_term_key(SHORT_TERM + "x"))


@pytest.mark.parametrize("vector", [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE])
def test_one_flipped_bit_breaks_the_fingerprint(vector):
    flipped = bytearray(vector)
    flipped[27] ^= 1
    with pytest.raises(WireFormatError, match="FINGERPRINT"):
        parse_message_untrusted(bytes(flipped))


def test_the_long_term_request_is_read_and_its_signature_holds():
    """RFC 5769 §2.4: the user name is Japanese, the key is MD5 over name, realm and password."""
    key = long_term_key(MATRIX_USER, "example.org", "TheMatrIX")
    assert key.hex() == "e8ca7ad59d5eb0518e312911d2dab2a9"
    message = parse_message_untrusted(LONG_TERM_REQUEST)
    assert message.text(Attribute.USERNAME) == MATRIX_USER
    assert message.text(Attribute.REALM) == "example.org"
    assert message.verify(key)


def test_the_long_term_request_is_written_byte_for_byte():
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, LONG_TERM_REQUEST[8:20])
    builder.text(Attribute.USERNAME, MATRIX_USER)
    builder.text(Attribute.NONCE, "f//499k954d6OL34oL9FSTvy64sA")
    builder.text(Attribute.REALM, "example.org")
    key = long_term_key(MATRIX_USER, "example.org", "TheMatrIX")
    assert builder.finish(key=key) == LONG_TERM_REQUEST


def test_the_sha256_request_is_read_and_its_signature_holds():
    """RFC 8489 Appendix B.1 as erratum 6268 corrects it."""
    message = parse_message_untrusted(SHA256_REQUEST)
    assert message.get(Attribute.USERHASH) == userhash(MATRIX_USER, "example.org")
    assert message.uint16(Attribute.PASSWORD_ALGORITHM) == 2
    assert message.verify(long_term_key_sha256(MATRIX_USER, "example.org", "TheMatrIX"))
    assert not message.verify(long_term_key(MATRIX_USER, "example.org", "TheMatrIX"))


def test_the_sha256_request_is_written_byte_for_byte():
    builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, SHA256_REQUEST[8:20])
    builder.add(Attribute.USERHASH, userhash(MATRIX_USER, "example.org"))
    builder.text(Attribute.NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")
    builder.text(Attribute.REALM, "example.org").uint32(Attribute.PASSWORD_ALGORITHM, 0x0002_0000)
    key = long_term_key_sha256(MATRIX_USER, "example.org", "TheMatrIX")
    assert builder.finish(key=key, sha256=True) == SHA256_REQUEST

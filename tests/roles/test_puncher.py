"""The exhaustive puncher: what it counts as reached, and what it does not."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.protocols.signalling import IceDescription
from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method, parse_message_untrusted
from lab.roles.puncher import PuncherConfig, _Leg, _Punch

PASSWORD = b"bobs-password"
ALICE, BOB, STRANGER = ("192.0.2.1", 1000), ("192.0.2.2", 2000), ("192.0.2.3", 3000)


class Sent(list):
    """A datagram transport that keeps what is sent."""

    def get_extra_info(self, name):
        return ALICE

    def sendto(self, data, target):
        self.append((data, target))


class Drawn:
    """A role context of which only the randomness is asked for."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def random(self, purpose):
        return self._random


def punch_with_bob():
    """Alice's side of one attempt, after the exchange: she has one socket, bob one host candidate."""
    leg, sent = _Leg("host"), Sent()
    leg.connection_made(sent)
    punch = _Punch(PuncherConfig(caller=True), Drawn(), [leg])
    punch.meet(
        IceDescription(
            username_fragment="bobs",
            password=PASSWORD.decode(),
            candidates=("1 1 udp 1 192.0.2.2 2000 typ host", "1 1 udp 1 bob.local 2000 typ host", "nonsense"),
        )
    )
    return punch, leg, sent


def answer_to(request: bytes, mapped, password=PASSWORD) -> bytes:
    transaction = parse_message_untrusted(request).transaction_id
    builder = MessageBuilder(Method.BINDING, MessageClass.SUCCESS, transaction)
    return builder.xor_address(Attribute.XOR_MAPPED_ADDRESS, mapped).finish(key=password)


def test_a_pair_counts_when_the_answer_comes_from_where_the_check_went():
    punch, leg, sent = punch_with_bob()
    punch._check(leg, BOB)
    leg.datagram_received(answer_to(sent[-1][0], ALICE), BOB)
    assert punch.reached == {("host", "host")}


def test_an_answer_from_elsewhere_does_not_count():
    """RFC 8445 §7.2.5.2.1: the addresses of request and answer must mirror each other."""
    punch, leg, sent = punch_with_bob()
    punch._check(leg, BOB)
    leg.datagram_received(answer_to(sent[-1][0], ALICE), STRANGER)
    assert not punch.reached


def test_an_answer_that_bob_did_not_sign_does_not_count():
    punch, leg, sent = punch_with_bob()
    punch._check(leg, BOB)
    leg.datagram_received(answer_to(sent[-1][0], ALICE, b"another"), BOB)
    assert not punch.reached


def test_addresses_that_nobody_signalled_are_peer_reflexive():
    punch, leg, sent = punch_with_bob()
    punch._check(leg, STRANGER)
    leg.datagram_received(answer_to(sent[-1][0], ("203.0.113.9", 9)), STRANGER)
    assert punch.reached == {("prflx", "prflx")}


def test_a_check_of_bobs_is_answered_and_its_source_remembered_a_strangers_is_not():
    punch, leg, sent = punch_with_bob()
    fragment, password = punch._credentials

    def check(username, key):
        builder = MessageBuilder(Method.BINDING, MessageClass.REQUEST, bytes(12))
        return builder.text(Attribute.USERNAME, username).finish(key=key)

    leg.datagram_received(check(f"{fragment}:another", password), STRANGER)
    leg.datagram_received(check(f"{fragment}:bobs", b"wrong"), STRANGER)
    assert not sent
    leg.datagram_received(check(f"{fragment}:bobs", password), STRANGER)
    ((answer, target),) = sent
    assert target == STRANGER
    assert parse_message_untrusted(answer).mapped_address == STRANGER
    assert list(leg.heard) == [STRANGER]


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"\0\1\0\x08\x21\x12\xa4\x42" + tail))
@settings(deadline=None)
def test_no_bytes_disturb_it(data):
    punch, leg, sent = punch_with_bob()
    leg.datagram_received(data, STRANGER)
    assert not sent
    assert not punch.reached

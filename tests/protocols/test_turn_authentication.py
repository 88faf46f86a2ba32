"""The long-term credential mechanism at the server (RFC 8489 §9.2.4): who is let in, who is asked again."""

import pytest

from lab.protocols.stun import Attribute, MessageBuilder, MessageClass, Method, parse_message_untrusted
from lab.protocols.stun_auth import long_term_key_sha256, userhash
from lab.protocols.turn_server import Refused, Transport

UDP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, bytes((17, 0, 0, 0)))


def code(answer):
    return answer.error.code


@pytest.mark.parametrize(
    "user",
    [("alice", "looking-glass"), ("mallory", "wonderland")],
    ids=["wrong password", "unknown user"],
)
def test_wrong_credentials_are_challenged_again_and_noted(bench, user):
    table = bench()
    answer = table.client(user=user).allocate()
    assert code(answer) == 401
    assert answer.text(Attribute.NONCE)
    assert not answer.is_signed
    (refused,) = table.notices
    assert isinstance(refused, Refused)
    assert (refused.method, refused.code) == ("Allocate", 401)


def test_the_first_challenge_is_no_refusal(bench):
    """Every client begins without credentials; a note of each would hide the real ones."""
    table = bench()
    table.client().challenge()
    assert table.notices == []


def test_an_old_nonce_is_stale_and_the_fresh_one_from_the_answer_works(bench):
    """>> Refresh << 438 with a nonce >> Refresh with it << success."""
    table = bench(nonce_lifetime=100.0)
    alice = table.client()
    alice.relay()
    table.advance(99.9)
    assert alice.refresh().message_class is MessageClass.SUCCESS
    table.advance(100.0)
    answer = alice.refresh()
    assert code(answer) == 438
    assert answer.text(Attribute.REALM) == "callpath.test"
    alice.nonce = answer.text(Attribute.NONCE)
    assert alice.refresh().message_class is MessageClass.SUCCESS


def test_a_server_that_changes_its_secret_makes_every_nonce_stale(bench):
    table = bench()
    alice = table.client()
    alice.relay()
    table.server.rotate_nonces()
    assert code(alice.permit(("192.0.2.1", 0))) == 438


def test_a_nonce_is_good_for_one_client_only(bench):
    """A client whose NAT gives it a new port comes with a nonce of the old one."""
    table = bench()
    alice = table.client()
    alice.relay()
    alice.address = ("198.51.100.7", 6000)
    assert code(alice.refresh()) == 438


@pytest.mark.parametrize("nonce", ["", "-", "zz-zz", "ffffffffff-0000000000000000", "\u20ac"])
def test_an_invented_nonce_is_stale(bench, nonce):
    alice = bench().client()
    alice.challenge()
    alice.nonce = nonce
    assert code(alice.refresh()) == 438


@pytest.mark.parametrize("left_out", [Attribute.USERNAME, Attribute.REALM, Attribute.NONCE])
def test_half_of_the_credentials_is_a_bad_request(bench, left_out):
    alice = bench().client()
    alice.challenge()
    builder = MessageBuilder(Method.REFRESH, MessageClass.REQUEST, bytes(12))
    for kind, text in (
        (Attribute.USERNAME, alice.username),
        (Attribute.REALM, alice.realm),
        (Attribute.NONCE, alice.nonce),
    ):
        if kind != left_out:
            builder.text(kind, text)
    assert code(alice.send(builder.finish(key=alice.key))) == 400


def test_another_users_allocation_cannot_be_touched(bench):
    table = bench()
    alice = table.client()
    alice.relay()
    bob = table.client(user=("bob", "builder"))
    bob.realm, bob.nonce = alice.realm, alice.nonce
    assert code(bob.refresh(0)) == 441
    assert table.server.allocations == 1


def test_requests_without_an_allocation_are_mismatches(bench):
    alice = bench().client()
    alice.challenge()
    assert code(alice.refresh()) == 437
    assert code(alice.permit(("192.0.2.1", 0))) == 437
    assert code(alice.bind(0x4000, ("192.0.2.1", 1))) == 437


def test_a_malformed_attribute_is_a_bad_request_not_a_silence(bench):
    alice = bench().client()
    alice.relay()
    assert code(alice.request(Method.REFRESH, (Attribute.LIFETIME, b"\x00"))) == 400


def test_requests_signed_by_sha256_are_answered_by_sha256(bench):
    alice = bench().client()
    alice.challenge()
    builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).add(*UDP_TRANSPORT)
    builder.text(Attribute.USERNAME, "alice").text(Attribute.REALM, alice.realm)
    builder.text(Attribute.NONCE, alice.nonce)
    answer = alice.send(builder.finish(key=alice.key, sha256=True))
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.is_signed_sha256
    assert answer.verify(alice.key)


class TestSecurityFeatures:
    """Nonce cookie, password algorithms and user hashes (RFC 8489 §§9.2, 14.4, 14.11)."""

    ALGORITHMS = bytes.fromhex("0002000000010000")

    @pytest.fixture
    def alice(self, bench):
        alice = bench(security_features=True).client()
        alice.challenge()
        return alice

    def allocate(self, alice, *attributes, key):
        builder = MessageBuilder(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).add(*UDP_TRANSPORT)
        for kind, value in attributes:
            builder.add(kind, value)
        builder.text(Attribute.REALM, alice.realm).text(Attribute.NONCE, alice.nonce)
        return alice.send(builder.finish(key=key, sha256=True))

    def test_are_announced_in_the_challenge(self, alice):
        challenge = alice.challenge()
        assert challenge.text(Attribute.NONCE).startswith("obMatJos2wAAA")
        assert challenge.get(Attribute.PASSWORD_ALGORITHMS) == self.ALGORITHMS

    def test_a_client_without_them_is_served_as_ever(self, alice):
        assert alice.request(Method.ALLOCATE, UDP_TRANSPORT).message_class is MessageClass.SUCCESS

    def test_a_hashed_user_name_and_a_sha256_key_are_accepted(self, alice):
        key = long_term_key_sha256("alice", alice.realm, "wonderland")
        answer = self.allocate(
            alice,
            (Attribute.USERHASH, userhash("alice", alice.realm)),
            (Attribute.PASSWORD_ALGORITHMS, self.ALGORITHMS),
            (Attribute.PASSWORD_ALGORITHM, bytes.fromhex("00020000")),
            key=key,
        )
        assert answer.message_class is MessageClass.SUCCESS
        assert answer.verify(key)

    def test_an_unknown_hash_is_unauthorized(self, alice):
        answer = self.allocate(alice, (Attribute.USERHASH, bytes(32)), key=alice.key)
        assert code(answer) == 401

    @pytest.mark.parametrize(
        "attributes",
        [
            [(Attribute.PASSWORD_ALGORITHM, bytes.fromhex("00020000"))],
            [(Attribute.PASSWORD_ALGORITHMS, ALGORITHMS)],
            [
                (Attribute.PASSWORD_ALGORITHM, bytes.fromhex("00010000")),
                (Attribute.PASSWORD_ALGORITHMS, bytes.fromhex("00010000")),
            ],
        ],
        ids=["choice without the list", "list without a choice", "a list somebody shortened"],
    )
    def test_a_bid_down_on_the_way_is_noticed(self, alice, attributes):
        answer = self.allocate(alice, (Attribute.USERNAME, b"alice"), *attributes, key=alice.key)
        assert code(answer) == 400


def test_a_binding_request_needs_no_credentials(bench):
    table = bench()
    for transport in Transport:
        answer = table.client(transport=transport).request(Method.BINDING)
        assert answer.mapped_address == ("198.51.100.7", 5000)


def test_signed_answers_survive_the_codec_round_trip(bench):
    alice = bench().client()
    answer = alice.allocate()
    assert parse_message_untrusted(answer.raw).verify(alice.key)
    assert not answer.verify(b"another key")

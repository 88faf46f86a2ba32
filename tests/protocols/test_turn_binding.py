"""Binding requests and NAT behaviour discovery at the server (RFC 8489, RFC 5780)."""

import pytest

from lab.protocols.stun import Attribute, Method
from lab.protocols.turn_server import RelayConfig, Transport

A1, A2 = "203.0.113.1", "203.0.113.2"
CHANGE_BOTH, CHANGE_IP, CHANGE_PORT = ((Attribute.CHANGE_REQUEST, bytes((0, 0, 0, f))) for f in (6, 4, 2))


@pytest.fixture
def prober(bench):
    """Make a client of a server with two addresses."""
    return bench(addresses=(A1, A2)).client()


def test_the_answer_tells_the_address_seen_and_the_other_address(prober):
    answer = prober.request(Method.BINDING)
    assert answer.xor_address(Attribute.XOR_MAPPED_ADDRESS) == prober.address
    assert answer.address(Attribute.RESPONSE_ORIGIN) == (A1, 3478)
    assert answer.address(Attribute.OTHER_ADDRESS) == (A2, 3479)


@pytest.mark.parametrize(
    ("change", "origin"), [(CHANGE_BOTH, (A2, 3479)), (CHANGE_IP, (A2, 3478)), (CHANGE_PORT, (A1, 3479))]
)
def test_the_answer_comes_from_where_it_was_asked_to(prober, change, origin):
    answer = prober.request(Method.BINDING, change)
    assert answer.address(Attribute.RESPONSE_ORIGIN) == origin
    assert prober.bench.answers[-1].server == origin


def test_from_every_corner_the_other_one_is_the_opposite(prober):
    for server, other in (((A1, 3478), (A2, 3479)), ((A2, 3479), (A1, 3478)), ((A1, 3479), (A2, 3478))):
        prober.server = server
        assert prober.request(Method.BINDING).address(Attribute.OTHER_ADDRESS) == other


def test_the_answer_goes_to_the_port_it_was_asked_to(prober):
    prober.request(Method.BINDING, (Attribute.RESPONSE_PORT, bytes((0x1F, 0x90, 0, 0))))
    assert prober.bench.answers[-1].client == (prober.address[0], 8080)


def test_padding_is_answered_by_as_much(prober):
    answer = prober.request(Method.BINDING, (Attribute.PADDING, bytes(1500)))
    assert answer.get(Attribute.PADDING) == bytes(1500)


def test_padding_to_another_port_is_refused(prober):
    """It would let a stranger aim large datagrams at somebody else's port (RFC 5780 §7.6)."""
    answer = prober.request(
        Method.BINDING, (Attribute.PADDING, bytes(100)), (Attribute.RESPONSE_PORT, bytes((0, 80, 0, 0)))
    )
    assert answer.error.code == 400


def test_a_server_with_one_address_says_that_it_cannot(bench):
    client = bench().client()
    assert Attribute.OTHER_ADDRESS not in client.request(Method.BINDING)
    answer = client.request(Method.BINDING, CHANGE_BOTH)
    assert answer.error.code == 420
    assert answer.unknown_attributes == [Attribute.CHANGE_REQUEST]


def test_discovery_is_not_for_streams(bench):
    client = bench(addresses=(A1, A2)).client(transport=Transport.TCP)
    assert Attribute.OTHER_ADDRESS not in client.request(Method.BINDING)
    assert client.request(Method.BINDING, CHANGE_PORT).error.code == 420
    port = (Attribute.RESPONSE_PORT, bytes((0, 80, 0, 0)))
    assert client.request(Method.BINDING, port).error.code == 420


def test_each_family_has_its_own_pair_of_addresses():
    config = RelayConfig(addresses=(A1, "2001:db8::1", A2))
    assert config.other_address((A1, 3478)) == (A2, 3479)
    assert config.other_address(("2001:db8::1", 3478)) is None
    assert config.other_address((A1, 443)) is None


def test_an_ice_check_is_answered_like_any_binding_request(prober):
    """Somebody checks against the server's own address: unknown attributes of ICE are no reason to refuse."""
    answer = prober.request(Method.BINDING, (Attribute.PRIORITY, bytes(4)), (Attribute.USE_CANDIDATE, b""))
    assert answer.mapped_address == prober.address

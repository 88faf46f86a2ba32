"""Allocate and Refresh (RFC 8656 §§7-8): what is given, what is refused, and with which number."""

import pytest

from lab.errors import UsageError
from lab.protocols.stun import Attribute, MessageClass, Method, parse_message_untrusted
from lab.protocols.turn_server import Allocated, Ended, Expired, RelayConfig, Transport

UDP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, bytes((17, 0, 0, 0)))
IPV6 = bytes((2, 0, 0, 0))


def code(answer):
    return answer.error.code


def test_an_allocation_is_given_after_a_challenge(bench):
    """>> Allocate << 401 >> Allocate, signed << relayed address, lifetime, mapped address, signed."""
    table = bench()
    alice = table.client()
    challenge = alice.challenge()
    assert code(challenge) == 401
    assert challenge.text(Attribute.REALM) == "callpath.test"
    assert not challenge.is_signed
    answer = alice.request(Method.ALLOCATE, UDP_TRANSPORT)
    assert answer.message_class is MessageClass.SUCCESS
    address, port = answer.xor_address(Attribute.XOR_RELAYED_ADDRESS)
    assert address == "203.0.113.1"
    assert 49152 <= port <= 65535
    assert answer.uint32(Attribute.LIFETIME) == 600
    assert answer.xor_address(Attribute.XOR_MAPPED_ADDRESS) == alice.address
    assert answer.verify(alice.key)
    assert table.open_ports == {(address, port)}
    assert [type(n) for n in table.notices] == [Allocated]


def test_a_retransmitted_request_gets_the_same_answer_and_no_second_port(bench):
    table = bench()
    alice = table.client()
    answer = alice.allocate()
    again = alice.send(alice.last_request)
    assert again.raw == answer.raw
    assert len(table.open_ports) == 1


def test_another_allocate_from_the_same_client_is_a_mismatch(bench):
    alice = bench().client()
    alice.relay()
    assert code(alice.request(Method.ALLOCATE, UDP_TRANSPORT)) == 437


def test_tcp_and_udp_from_one_address_are_two_clients(bench):
    table = bench()
    table.client().relay()
    assert table.client(transport=Transport.TCP).relay()
    assert table.server.allocations == 2


def test_a_clients_port_does_not_depend_on_who_else_asked_before(bench):
    """So one client's fault moves nobody else's ports, and two who ask at one moment have no order."""
    addresses = [(f"198.51.100.{host}", 5000) for host in (7, 8, 9)]

    def relayed(order):
        table, ports = bench(), {}
        for address in order:
            table.random.seed(address[0])  # each client's own transaction ids
            ports[address] = table.client(address).relay()
        return ports

    assert relayed(addresses) == relayed(addresses[::-1])
    assert relayed(addresses[:1]).items() <= relayed(addresses).items()
    assert len(set(relayed(addresses).values())) == 3


def test_a_client_that_comes_again_gets_another_port(bench):
    alice = bench().client()
    first = alice.relay()
    alice.refresh(0)
    assert alice.relay() != first


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([], 400),
        ([(Attribute.REQUESTED_TRANSPORT, bytes((6, 0, 0, 0)))], 442),
        ([(Attribute.REQUESTED_TRANSPORT, b"")], 400),
        ([UDP_TRANSPORT, (Attribute.REQUESTED_ADDRESS_FAMILY, IPV6)], 440),
        ([UDP_TRANSPORT, (Attribute.REQUESTED_ADDRESS_FAMILY, bytes((9, 0, 0, 0)))], 440),
        ([UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(8))], 508),
        ([UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(8)), (Attribute.EVEN_PORT, b"\x00")], 400),
        ([UDP_TRANSPORT, (Attribute.ADDITIONAL_ADDRESS_FAMILY, bytes((1, 0, 0, 0)))], 400),
        (
            [
                UDP_TRANSPORT,
                (Attribute.ADDITIONAL_ADDRESS_FAMILY, IPV6),
                (Attribute.REQUESTED_ADDRESS_FAMILY, IPV6),
            ],
            400,
        ),
        ([UDP_TRANSPORT, (Attribute.ADDITIONAL_ADDRESS_FAMILY, IPV6), (Attribute.EVEN_PORT, b"\x80")], 400),
    ],
    ids=[
        "no transport",
        "TCP relay",
        "empty transport",
        "IPv6 on an IPv4 server",
        "unknown family",
        "unknown token",
        "token with parity",
        "IPv4 in addition",
        "requested and additional family",
        "reserved port with two families",
    ],
)
def test_what_cannot_be_had_is_refused_with_its_number(bench, attributes, expected):
    alice = bench().client()
    alice.challenge()
    answer = alice.request(Method.ALLOCATE, *attributes)
    assert code(answer) == expected
    assert answer.verify(alice.key), "an authenticated client is refused under its own key"


def test_unknown_required_attributes_are_listed(bench):
    """DONT-FRAGMENT is one of them: nobody can set DF for one datagram from a portable program."""
    alice = bench().client()
    alice.challenge()
    answer = alice.request(Method.ALLOCATE, UDP_TRANSPORT, (Attribute.DONT_FRAGMENT, b""), (0x7FFF, b""))
    assert code(answer) == 420
    assert answer.unknown_attributes == [Attribute.DONT_FRAGMENT, 0x7FFF]


def test_each_user_has_a_quota(bench):
    table = bench(allocations_per_user=2)
    for port in (1, 2):
        table.client(("198.51.100.7", port)).relay()
    assert code(table.client(("198.51.100.7", 3)).allocate()) == 486
    assert table.client(("198.51.100.7", 4), user=("bob", "builder")).relay()


def test_a_deleted_allocation_no_longer_counts(bench):
    table = bench(allocations_per_user=1)
    first = table.client()
    first.relay()
    first.refresh(0)
    assert table.client(("198.51.100.7", 2)).relay()


def test_a_full_server_is_out_of_capacity(bench):
    table = bench(max_allocations=1)
    table.client().relay()
    assert code(table.client(("198.51.100.8", 1)).allocate()) == 508


def test_without_a_free_port_there_is_no_capacity_until_one_is_freed(bench):
    table = bench(relay_ports=(50000, 50000))
    first = table.client()
    assert first.relay() == ("203.0.113.1", 50000)
    second = table.client(("198.51.100.8", 1))
    assert code(second.allocate()) == 508
    first.refresh(0)
    assert second.relay() == ("203.0.113.1", 50000)


def test_a_port_that_another_program_holds_is_replaced(bench):
    table = bench(relay_ports=(50000, 50001))
    table.unbindable = {("203.0.113.1", 50000)}
    assert table.client().relay() == ("203.0.113.1", 50001)


def test_when_no_port_can_be_bound_the_client_is_told(bench):
    table = bench()
    table.unbindable = "all"
    assert code(table.client().allocate()) == 508
    assert table.server.allocations == 0


def test_a_retransmission_while_the_port_is_being_opened_is_absorbed(bench):
    table = bench()
    alice = table.client()
    alice.challenge()
    request = alice.encode(Method.ALLOCATE, UDP_TRANSPORT)
    arguments = (Transport.UDP, alice.address, alice.server, 0.0)
    (opening,) = table.server.receive(request, *arguments)
    assert table.server.receive(request, *arguments) == []
    answers = table.server.relay_port_opened(opening.relayed, 0.1)
    assert [type(a).__name__ for a in answers] == ["Allocated", "SendToClient"]


def test_a_client_that_leaves_while_its_port_is_being_opened_leaves_nothing_behind(bench):
    table = bench()
    alice = table.client(transport=Transport.TCP)
    alice.challenge()
    request = alice.encode(Method.ALLOCATE, UDP_TRANSPORT)
    (opening,) = table.server.receive(request, Transport.TCP, alice.address, alice.server, 0.0)
    assert table.server.client_gone(Transport.TCP, alice.address, alice.server, 0.1) == []
    (close,) = table.server.relay_port_opened(opening.relayed, 0.2)
    assert close.relayed == opening.relayed
    assert table.server.allocations == 0


def test_an_even_port_and_the_one_above_it_can_be_had(bench):
    """RTP and RTCP on neighbouring ports: EVEN-PORT with the R bit, then the token (RFC 8656 §7.2)."""
    table = bench()
    answer = table.client().allocate((Attribute.EVEN_PORT, b"\x80"))
    address, port = answer.xor_address(Attribute.XOR_RELAYED_ADDRESS)
    assert port % 2 == 0
    token = (Attribute.RESERVATION_TOKEN, answer.get(Attribute.RESERVATION_TOKEN))
    assert table.open_ports == {(address, port), (address, port + 1)}
    assert table.client(("198.51.100.7", 5001)).relay(token) == (address, port + 1)
    assert code(table.client(("198.51.100.7", 5002)).allocate(token)) == 508


def test_a_reserved_port_is_closed_when_nobody_comes_for_it(bench):
    table = bench()
    answer = table.client().allocate((Attribute.EVEN_PORT, b"\x80"))
    token = (Attribute.RESERVATION_TOKEN, answer.get(Attribute.RESERVATION_TOKEN))
    table.advance(29.9)
    assert len(table.open_ports) == 2
    table.advance(30.0)
    assert table.open_ports == {answer.xor_address(Attribute.XOR_RELAYED_ADDRESS)}
    assert code(table.client(("198.51.100.7", 5001)).allocate(token)) == 508


def test_an_ipv6_relayed_address_is_given_where_it_is_asked_for(bench):
    table = bench(addresses=("203.0.113.1", "2001:db8::1"))
    address, _ = table.client().relay((Attribute.REQUESTED_ADDRESS_FAMILY, IPV6))
    assert address == "2001:db8::1"


def test_both_families_can_be_had_at_once(bench):
    table = bench(addresses=("203.0.113.1", "2001:db8::1"))
    answer = table.client().allocate((Attribute.ADDITIONAL_ADDRESS_FAMILY, IPV6))
    relayed = answer.xor_addresses(Attribute.XOR_RELAYED_ADDRESS)
    assert [address for address, _ in relayed] == ["203.0.113.1", "2001:db8::1"]
    assert table.open_ports == set(relayed)


def test_a_server_without_ipv6_gives_ipv4_and_says_so(bench):
    answer = bench().client().allocate((Attribute.ADDITIONAL_ADDRESS_FAMILY, IPV6))
    assert len(answer.xor_addresses(Attribute.XOR_RELAYED_ADDRESS)) == 1
    assert answer.get(Attribute.ADDRESS_ERROR_CODE)[:4] == bytes((2, 0, 4, 40))


@pytest.mark.parametrize(
    ("wanted", "given"), [(None, 600), (1, 600), (777, 777), (3600, 3600), (99999, 3600)]
)
def test_the_lifetime_is_kept_between_the_default_and_the_maximum(bench, wanted, given):
    wish = [] if wanted is None else [(Attribute.LIFETIME, wanted.to_bytes(4))]
    alice = bench().client()
    assert alice.allocate(*wish).uint32(Attribute.LIFETIME) == given
    assert alice.refresh(wanted).uint32(Attribute.LIFETIME) == given


def test_an_allocation_ends_when_it_is_not_refreshed(bench):
    table = bench()
    alice = table.client()
    alice.relay()
    table.advance(599.9)
    assert table.server.allocations == 1
    table.advance(600.0)
    assert (table.server.allocations, table.open_ports) == (0, set())
    expired = table.notices[-1]
    assert isinstance(expired, Expired)
    assert (expired.what, expired.why) == (Ended.ALLOCATION, "its lifetime ran out unrefreshed")
    assert code(alice.refresh()) == 437


def test_refreshing_moves_the_end_and_may_bring_it_nearer(bench):
    table = bench()
    alice = table.client()
    alice.relay((Attribute.LIFETIME, (3600).to_bytes(4)))
    table.advance(100)
    alice.refresh(600)
    table.advance(699.9)
    assert table.server.allocations == 1
    alice.refresh()
    table.advance(1299.8)
    assert table.server.allocations == 1
    table.advance(1299.9)
    assert table.server.allocations == 0


def test_a_refresh_to_zero_deletes(bench):
    table = bench()
    alice = table.client()
    alice.relay()
    assert alice.refresh(0).uint32(Attribute.LIFETIME) == 0
    assert (table.server.allocations, table.open_ports) == (0, set())
    assert code(alice.refresh(0)) == 437
    assert alice.relay(), "the same client may allocate anew"


def test_a_server_that_is_woken_late_has_not_forgotten_the_time(bench):
    """Nobody calls wake(): the next message finds the allocation gone all the same."""
    table = bench()
    alice = table.client()
    alice.relay()
    table.now = 700.0
    assert code(alice.refresh()) == 437


def test_a_closed_connection_ends_its_allocation(bench):
    table = bench()
    alice = table.client(transport=Transport.TLS)
    alice.relay()
    table.perform(table.server.client_gone(Transport.TLS, alice.address, alice.server, 1.0))
    assert (table.server.allocations, table.open_ports) == (0, set())
    assert table.notices[-1].why == "the client's connection closed"


def test_a_server_may_send_its_clients_elsewhere(bench):
    answer = bench(alternate_server=("203.0.113.9", 3478)).client().allocate()
    assert code(answer) == 300
    assert answer.address(Attribute.ALTERNATE_SERVER) == ("203.0.113.9", 3478)


def test_a_server_without_authentication_gives_at_once(bench):
    table = bench(require_auth=False)
    answer = table.client().request(Method.ALLOCATE, UDP_TRANSPORT)
    assert answer.message_class is MessageClass.SUCCESS
    assert not answer.is_signed


def test_answers_carry_a_fingerprint_when_the_request_did(bench):
    alice = bench().client()
    with_one = alice.send(alice.encode(Method.BINDING, fingerprint=True))
    without = alice.send(alice.encode(Method.BINDING))
    assert (Attribute.FINGERPRINT in with_one, Attribute.FINGERPRINT in without) == (True, False)


def test_responses_and_unknown_methods_are_not_answered(bench):
    alice = bench().client()
    alice.challenge()
    assert alice.request(0x00A) is None
    answer = alice.request(Method.BINDING)
    assert alice.send(answer.raw) is None


def test_noise_is_ignored_on_udp_and_ends_a_stream(bench):
    table = bench()
    table.client().send(b"")
    table.client().send(b"\x00\x01noise")
    assert table.closed_clients == []
    on_tcp = table.client(transport=Transport.TCP)
    on_tcp.send(b"\x00\x01noise")
    assert table.closed_clients == [on_tcp.address]


def test_the_same_seed_gives_the_same_ports_and_nonces(bench):
    first, second = bench().client(), bench().client()
    assert first.allocate().raw == second.allocate().raw


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"addresses": ()}, "needs an address"),
        ({"addresses": ("relay.example",)}, "no IP address"),
        ({"addresses": ("10.0.0.0/8",)}, "no IP address"),
        ({"relay_ports": (60000, 50000)}, "no range of ports"),
        ({"default_lifetime": 4000}, "default_lifetime"),
        ({"permission_lifetime": 0}, "more than 0 s"),
        ({"denied_peers": ("10.0.0.0/99",)}, "no prefix"),
    ],
)
def test_settings_that_make_no_server_are_refused_in_words(settings, words):
    with pytest.raises(UsageError, match=words):
        RelayConfig(**{"addresses": ("203.0.113.1",), **settings})


def test_the_answer_of_the_server_is_readable_by_an_independent_codec(bench):
    import aioice.stun  # noqa: PLC0415 - only this test needs it

    alice = bench().client()
    theirs = aioice.stun.parse_message(alice.allocate().raw)
    assert theirs.check_message_integrity(alice.key)
    ours = parse_message_untrusted(bytes(theirs))
    assert theirs.attributes["XOR-RELAYED-ADDRESS"] == ours.xor_address(Attribute.XOR_RELAYED_ADDRESS)

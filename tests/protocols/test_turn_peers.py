"""Permissions, channels and the data they let through (RFC 8656 §§9-12), in both refresh modes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.channel_data import LAST_CHANNEL, encode_channel_data, parse_channel_data_untrusted
from lab.protocols.stun import Attribute, MessageClass, Method, parse_message_untrusted
from lab.protocols.turn_server import (
    Dropped,
    Ended,
    Expired,
    PermissionKey,
    PermissionRefresh,
    Transport,
)

PEER = ("192.0.2.1", 7000)
OTHER_PORT = ("192.0.2.1", 7001)
STRANGER = ("192.0.2.99", 7000)
FRAME = {Attribute.MESSAGE_INTEGRITY, Attribute.MESSAGE_INTEGRITY_SHA256, Attribute.FINGERPRINT}
CONTENTS = [kind for kind in Attribute if kind not in FRAME]


def code(answer):
    return answer.error.code


def ok(answer):
    return answer.message_class is MessageClass.SUCCESS


@pytest.fixture
def relayed_call(bench):
    """Make (bench, client with an allocation, relayed address)."""

    def make(client=None, **settings):
        table = bench(**settings)
        alice = table.client(**(client or {}))
        return table, alice, alice.relay()

    return make


def ended(table):
    return [(n.what, n.peer) for n in table.notices if isinstance(n, Expired)]


def test_a_peer_without_permission_is_dropped_with_the_reason(relayed_call):
    table, _, relayed = relayed_call()
    assert table.from_peer(relayed, PEER, b"hello") is None
    assert table.notices[-1] == Dropped(PEER, relayed, "no permission for this peer")


def test_a_permission_lets_data_in_as_an_indication_from_any_port_of_the_peer(relayed_call):
    table, alice, relayed = relayed_call()
    assert ok(alice.permit(PEER))
    for peer in (PEER, OTHER_PORT):
        message = parse_message_untrusted(table.from_peer(relayed, peer, b"hello"))
        assert (message.method, message.message_class) == (Method.DATA, MessageClass.INDICATION)
        assert message.xor_address(Attribute.XOR_PEER_ADDRESS) == peer
        assert message.get(Attribute.DATA) == b"hello"
    assert table.from_peer(relayed, STRANGER, b"hello") is None


def test_keyed_by_address_and_port_the_peers_other_ports_are_shut_out(relayed_call):
    """The fault of some servers: behind a symmetric NAT the peer comes from a port nobody could permit."""
    table, alice, relayed = relayed_call(permission_key=PermissionKey.IP_PORT)
    alice.permit(PEER)
    assert table.from_peer(relayed, PEER, b"hello") is not None
    assert table.from_peer(relayed, OTHER_PORT, b"hello") is None


def test_one_request_permits_several_peers_or_none(relayed_call):
    table, alice, relayed = relayed_call(denied_peers=("192.0.2.99/32",))
    assert code(alice.permit(PEER, STRANGER)) == 403
    assert table.from_peer(relayed, PEER, b"x") is None
    assert ok(alice.permit(PEER, ("192.0.2.2", 0)))
    assert table.from_peer(relayed, ("192.0.2.2", 9), b"x") is not None


def test_a_send_indication_goes_out_only_with_permission(relayed_call):
    table, alice, relayed = relayed_call()
    alice.send_data(PEER, b"early")
    assert table.to_peers == []
    assert table.notices[-1].reason == "no permission for this peer"
    alice.permit(PEER)
    alice.send_data(PEER, b"hello")
    assert table.to_peers == [(relayed, PEER, b"hello")]


def test_a_send_indication_with_unknown_wishes_or_missing_parts_is_dropped(relayed_call):
    table, alice, _ = relayed_call()
    alice.permit(PEER)
    alice.send_data(PEER, b"x", (Attribute.DONT_FRAGMENT, b""))
    alice.send(alice.encode(Method.SEND))
    assert table.to_peers == []


def test_a_channel_carries_data_both_ways_with_four_bytes_of_header(relayed_call):
    table, alice, relayed = relayed_call()
    assert ok(alice.bind(0x4001, PEER))
    alice.send_channel(0x4001, b"hello")
    assert table.to_peers == [(relayed, PEER, b"hello")]
    assert table.from_peer(relayed, PEER, b"and back") == encode_channel_data(0x4001, b"and back")


def test_only_the_bound_port_comes_by_channel_the_peers_others_by_indication(relayed_call):
    table, alice, relayed = relayed_call()
    alice.bind(0x4001, PEER)
    assert parse_message_untrusted(table.from_peer(relayed, OTHER_PORT, b"x")).method == Method.DATA


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_on_a_stream_channel_data_is_padded(relayed_call, transport):
    table, alice, relayed = relayed_call(client={"transport": transport})
    alice.bind(0x4001, PEER)
    data = table.from_peer(relayed, PEER, b"12345")
    assert len(data) == 12
    assert parse_channel_data_untrusted(data) == (0x4001, b"12345")
    alice.send_channel(0x4001, b"12345")
    assert table.to_peers[-1] == (relayed, PEER, b"12345")


def test_data_on_an_unbound_channel_is_dropped(relayed_call):
    table, alice, _ = relayed_call()
    alice.send_channel(0x4001, b"x")
    assert table.to_peers == []
    assert "0x4001 is not bound" in table.notices[-1].reason


def test_an_impossible_channel_does_not_end_a_stream(relayed_call):
    table, alice, _ = relayed_call(client={"transport": Transport.TCP})
    alice.send(bytes.fromhex("7fff0000"))
    assert table.closed_clients == []


def test_a_number_means_one_peer_and_a_peer_has_one_number(relayed_call):
    _, alice, _ = relayed_call()
    assert ok(alice.bind(0x4001, PEER))
    assert ok(alice.bind(0x4001, PEER))
    assert code(alice.bind(0x4001, STRANGER)) == 400
    assert code(alice.bind(0x4002, PEER)) == 400
    assert ok(alice.bind(0x4002, OTHER_PORT))


@pytest.mark.parametrize("number", [0, 0x3FFF, 0x7FFF, 0xFFFF])
def test_numbers_outside_the_range_are_refused(relayed_call, number):
    _, alice, _ = relayed_call()
    assert code(alice.bind(number, PEER)) == 400


def test_clients_of_the_older_rfc_may_use_its_whole_range_unless_held_to_the_newer(relayed_call):
    _, alice, _ = relayed_call()
    assert ok(alice.bind(0x7FFE, PEER))
    _, strict, _ = relayed_call(last_channel=LAST_CHANNEL)
    assert code(strict.bind(0x5000, PEER)) == 400
    assert ok(strict.bind(0x4FFF, PEER))


def test_requests_without_their_peer_are_bad(relayed_call):
    _, alice, _ = relayed_call()
    assert code(alice.with_peers(Method.CREATE_PERMISSION)) == 400
    assert code(alice.with_peers(Method.CHANNEL_BIND, number=0x4001)) == 400
    assert code(alice.with_peers(Method.CHANNEL_BIND, PEER)) == 400


def test_denied_peers_are_forbidden_but_for_those_allowed(relayed_call):
    _, alice, _ = relayed_call(denied_peers=("10.0.0.0/8", "::1/128"), allowed_peers=("10.1.0.0/16",))
    assert code(alice.permit(("10.2.0.1", 0))) == 403
    assert code(alice.bind(0x4000, ("10.2.0.1", 5))) == 403
    assert ok(alice.permit(("10.1.0.1", 0)))
    assert ok(alice.permit(PEER))


def test_peers_of_the_other_family_are_refused(relayed_call):
    _, alice, _ = relayed_call()
    assert code(alice.permit(("2001:db8::5", 0))) == 443
    assert code(alice.bind(0x4000, ("2001:db8::5", 5))) == 443


def test_a_dual_allocation_sends_from_the_address_of_the_peers_family(bench):
    table = bench(addresses=("203.0.113.1", "2001:db8::1"))
    alice = table.client()
    alice.allocate((Attribute.ADDITIONAL_ADDRESS_FAMILY, bytes((2, 0, 0, 0))))
    alice.bind(0x4000, PEER)
    alice.bind(0x4001, ("2001:db8::5", 5))
    alice.send_channel(0x4000, b"four")
    alice.send_channel(0x4001, b"six")
    assert [relayed[0] for relayed, _, _ in table.to_peers] == ["203.0.113.1", "2001:db8::1"]


def test_one_family_of_a_dual_allocation_can_be_deleted(bench):
    """A Refresh to zero that names a family leaves the other one as it was (RFC 8656 §8)."""
    table = bench(addresses=("203.0.113.1", "2001:db8::1"))
    alice = table.client()
    alice.allocate((Attribute.ADDITIONAL_ADDRESS_FAMILY, bytes((2, 0, 0, 0))))
    alice.bind(0x4000, PEER)
    alice.bind(0x4001, ("2001:db8::5", 5))
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, bytes((2, 0, 0, 0)))
    assert ok(alice.request(Method.REFRESH, (Attribute.LIFETIME, bytes(4)), family))
    assert [address for address, _ in table.open_ports] == ["203.0.113.1"]
    alice.send_channel(0x4001, b"gone")
    alice.send_channel(0x4000, b"there")
    assert [data for _, _, data in table.to_peers] == [b"there"]
    assert code(alice.permit(("2001:db8::5", 0))) == 443
    assert code(alice.request(Method.REFRESH, family)) == 443
    assert ok(alice.refresh(0))
    assert table.open_ports == set()


def test_permissions_can_be_limited(relayed_call):
    _, alice, _ = relayed_call(permissions_per_allocation=1)
    assert ok(alice.permit(PEER))
    assert ok(alice.permit(OTHER_PORT)), "the same address is the same permission"
    assert code(alice.permit(STRANGER)) == 508
    assert code(alice.bind(0x4000, STRANGER)) == 508


class TestTime:
    """What lives 300 s, what 600 s, and what difference the two readings of ChannelBind make."""

    @pytest.mark.parametrize("mode", PermissionRefresh)
    def test_a_created_permission_lives_300_seconds_in_either_mode(self, relayed_call, mode):
        table, alice, relayed = relayed_call(permission_refresh=mode)
        alice.permit(PEER)
        table.advance(299.9)
        assert table.from_peer(relayed, PEER, b"x") is not None
        table.advance(300.0)
        assert table.from_peer(relayed, PEER, b"x") is None
        assert ended(table) == [(Ended.PERMISSION, (PEER[0], 0))]

    def test_it_is_refreshed_by_creating_it_again(self, relayed_call):
        table, alice, relayed = relayed_call()
        alice.permit(PEER)
        table.advance(299)
        alice.permit(OTHER_PORT)
        table.advance(598.9)
        assert table.from_peer(relayed, PEER, b"x") is not None
        table.advance(599)
        assert table.from_peer(relayed, PEER, b"x") is None

    def test_data_does_not_refresh_it(self, relayed_call):
        table, alice, relayed = relayed_call()
        alice.permit(PEER)
        table.advance(200)
        alice.send_data(PEER, b"x")
        table.from_peer(relayed, PEER, b"x")
        table.advance(300)
        assert table.from_peer(relayed, PEER, b"x") is None

    def test_to_the_letter_a_channel_goes_deaf_at_300_seconds_yet_still_speaks(self, relayed_call):
        table, alice, relayed = relayed_call(permission_refresh=PermissionRefresh.RFC8656)
        alice.bind(0x4001, PEER)
        table.advance(300.0)
        assert table.from_peer(relayed, PEER, b"x") is None
        assert ended(table) == [(Ended.PERMISSION, (PEER[0], 0))]
        assert "dropped from now on" in table.notices[-2].why
        alice.send_channel(0x4001, b"still out")
        assert table.to_peers == [(relayed, PEER, b"still out")]

    def test_as_coturn_does_it_the_permission_lives_as_long_as_the_channel(self, relayed_call):
        table, alice, relayed = relayed_call(permission_refresh=PermissionRefresh.COTURN)
        alice.bind(0x4001, PEER)
        table.advance(599.9)
        assert table.from_peer(relayed, PEER, b"x") is not None
        alice.refresh()
        table.advance(600.0)
        assert table.from_peer(relayed, PEER, b"x") is None
        assert sorted(ended(table)) == [(Ended.CHANNEL, PEER), (Ended.PERMISSION, (PEER[0], 0))]

    @pytest.mark.parametrize("mode", PermissionRefresh)
    def test_rebinding_every_500_seconds_suffices_only_for_coturn(self, relayed_call, mode):
        """What aioice does: it rebinds channels every 500 s and never asks for a permission."""
        table, alice, relayed = relayed_call(permission_refresh=mode)
        heard = []
        for second in range(0, 3600, 100):
            table.advance(second)
            if second % 500 == 0:
                assert ok(alice.bind(0x4001, PEER))
                alice.refresh()
            heard.append(table.from_peer(relayed, PEER, b"x") is not None)
        if mode is PermissionRefresh.COTURN:
            assert all(heard)
        else:
            assert heard[:6] == [True, True, True, False, False, True]

    def test_creating_a_permission_does_not_shorten_what_a_channel_gave(self, relayed_call):
        table, alice, relayed = relayed_call()
        alice.bind(0x4001, PEER)
        alice.permit(PEER)
        table.advance(500)
        assert table.from_peer(relayed, PEER, b"x") is not None

    def test_a_channel_ends_at_600_seconds_and_data_on_it_is_dropped(self, relayed_call):
        table, alice, _ = relayed_call(default_lifetime=3600)
        alice.bind(0x4001, PEER)
        table.advance(599.9)
        alice.send_channel(0x4001, b"last")
        table.advance(600)
        alice.send_channel(0x4001, b"late")
        assert [data for _, _, data in table.to_peers] == [b"last"]
        assert (Ended.CHANNEL, PEER) in ended(table)

    def test_an_ended_channels_number_and_peer_stay_tied_for_five_minutes(self, relayed_call):
        """A client that gives the number to another peer at once is refused (RFC 8656 §12)."""
        table, alice, _ = relayed_call(default_lifetime=3600)
        alice.bind(0x4001, PEER)
        table.advance(899.9)
        assert code(alice.bind(0x4001, STRANGER)) == 400
        assert code(alice.bind(0x4002, PEER)) == 400
        table.advance(900)
        assert ok(alice.bind(0x4001, STRANGER))
        assert ok(alice.bind(0x4002, PEER))

    def test_the_same_pair_may_be_bound_again_during_the_five_minutes(self, relayed_call):
        table, alice, relayed = relayed_call(default_lifetime=3600)
        alice.bind(0x4001, PEER)
        table.advance(700)
        assert ok(alice.bind(0x4001, PEER))
        table.advance(1299.9)
        assert table.from_peer(relayed, PEER, b"x") == encode_channel_data(0x4001, b"x")
        table.advance(1300)
        assert code(alice.bind(0x4001, STRANGER)) == 400

    def test_without_cooldown_a_number_is_free_at_once(self, relayed_call):
        table, alice, _ = relayed_call(default_lifetime=3600, channel_cooldown=0.0)
        alice.bind(0x4001, PEER)
        table.advance(600)
        assert ok(alice.bind(0x4001, STRANGER))

    def test_what_hung_on_an_allocation_ends_silently_with_it(self, relayed_call):
        table, alice, _ = relayed_call()
        alice.bind(0x4001, PEER)
        alice.refresh(0)
        table.advance(5000)
        assert ended(table) == [(Ended.ALLOCATION, None)]
        assert table.server.next_wake() is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("permit"), st.integers(1, 3)),
            st.tuples(st.just("bind"), st.integers(1, 3)),
            st.tuples(st.just("wait"), st.integers(1, 400)),
        ),
        max_size=12,
    ),
    st.sampled_from(PermissionRefresh),
)
def test_data_comes_in_exactly_while_a_permission_lives(bench, steps, mode):
    """A model of one line a rule, against the server, over any order of requests."""
    table = bench(permission_refresh=mode, default_lifetime=3600)
    alice = table.client()
    relayed = alice.relay()
    until = {}
    for what, number in steps:
        peer = f"192.0.2.{number}"
        if what == "wait":
            table.advance(table.now + number)
            alice.refresh()
        elif what == "permit":
            assert ok(alice.permit((peer, 0)))
            until[peer] = max(until.get(peer, 0), table.now + 300)
        else:
            answer = alice.bind(0x4000 + number, (peer, 7000))
            assert ok(answer)
            lifetime = 600 if mode is PermissionRefresh.COTURN else 300
            until[peer] = max(until.get(peer, 0), table.now + lifetime)
        for last in range(1, 4):
            ip = f"192.0.2.{last}"
            heard = table.from_peer(relayed, (ip, 7000), b"x") is not None
            assert heard == (until.get(ip, 0) > table.now)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Method),
            st.lists(st.tuples(st.sampled_from(CONTENTS), st.binary(max_size=20)), max_size=4),
        ),
        max_size=8,
    )
)
def test_whatever_an_authenticated_client_asks_it_gets_an_answer_and_the_server_lives(bench, requests):
    table = bench(addresses=("203.0.113.1", "2001:db8::1"))
    alice = table.client()
    alice.relay()
    for method, attributes in requests:
        answer = alice.request(method, *attributes)
        assert (answer is None) == (method in {Method.SEND, Method.DATA}), "those are no requests"
    table.advance(10_000)
    assert (table.server.allocations, table.open_ports) == (0, set())


@given(st.binary(max_size=120), st.sampled_from(Transport))
def test_whatever_a_client_sends_the_server_lives(bench, data, transport):
    table = bench()
    table.client(transport=transport).send(data)
    assert table.server.allocations == 0

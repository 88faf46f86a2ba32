"""Flows kept apart: a remote that comes in beside the flow it has is seen under another port."""

import pytest

from nat_models import Side, model_for
from nat_models.packet import IpProtocol, Packet
from nat_models.separate_flows import PORT_CLASSES

HOST = ("10.0.0.2", 5000)
STUN = ("198.51.100.1", 3478)
PEER = ("198.51.100.7", 6000)
PEER_OTHER_PORT = ("198.51.100.7", 6001)


def come_in(box, remote, external):
    """Return (inside endpoint, source that it sees) of a packet from outside; None if it was dropped."""
    box.into(remote, external)
    if not box.last.packets or box.last.reason:
        return None
    packet = box.last.packets[0].packet
    return packet.destination, packet.source


def go_out(box, remote):
    """Return (source, destination) outside of a packet from the host."""
    box.out(HOST, remote)
    packet = box.last.packets[0].packet
    return packet.source, packet.destination


@pytest.fixture
def apart(bench):
    """A box whose host has a flow to PEER by one mapping, and PEER coming in by that to STUN."""

    def build(mapping="apdm", filtering="eif", **axes):
        box = bench(model_for(mapping, filtering, reply_reuse="separate-flows", **axes))
        known, own = box.out(HOST, STUN), box.out(HOST, PEER)
        receiver, seen = come_in(box, PEER, known)
        assert receiver == HOST
        return box, known, own, seen

    return build


@pytest.mark.parametrize("mapping", ["adm", "apdm"])
def test_a_remote_that_comes_in_beside_its_flow_is_seen_under_another_port_of_its_address(apart, mapping):
    _, _, _, seen = apart(mapping)
    assert seen[0] == PEER[0]
    assert seen[1] != PEER[1]


@pytest.mark.parametrize("mapping", ["adm", "apdm"])
def test_an_answer_to_that_port_leaves_by_the_mapping_it_came_in_by_and_arrives_at_the_true_one(
    apart, mapping
):
    box, known, _, seen = apart(mapping)
    assert go_out(box, seen) == (known, PEER)


def test_both_flows_live_side_by_side(apart):
    box, known, own, seen = apart()
    for _ in range(2):
        assert go_out(box, PEER) == (own, PEER)
        assert come_in(box, PEER, own) == (HOST, PEER)
        assert come_in(box, PEER, known) == (HOST, seen)
        assert go_out(box, seen) == (known, PEER)


def test_a_remote_that_comes_in_first_is_seen_as_it_is_and_answered_by_that_mapping_ever_after(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="separate-flows"))
    known = box.out(HOST, STUN)
    assert come_in(box, PEER, known) == (HOST, PEER)
    assert go_out(box, PEER) == (known, PEER)
    assert come_in(box, PEER, known) == (HOST, PEER)


def test_what_comes_in_by_a_second_mapping_is_the_second_flow_whichever_side_began_the_first(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="separate-flows"))
    first, second = box.out(HOST, STUN), box.out(HOST, ("198.51.100.2", 3478))
    assert come_in(box, PEER, first) == (HOST, PEER)
    assert come_in(box, PEER, second)[1] != PEER
    assert go_out(box, PEER) == (first, PEER)


@pytest.mark.parametrize(
    ("port", "ports"),
    [(53, PORT_CLASSES[0]), (511, PORT_CLASSES[0]), (512, PORT_CLASSES[1]), (1023, PORT_CLASSES[1])],
)
def test_low_ports_stay_low(bench, port, ports):
    box = bench(model_for("apdm", "eif"))
    low = (PEER[0], port)
    known = box.out(HOST, STUN)
    box.out(HOST, low)
    assert ports[0] <= come_in(box, low, known)[1][1] <= ports[1]


def test_every_flow_of_one_address_gets_a_port_of_its_own(bench):
    box = bench(model_for("apdm", "eif"))
    known = [box.out(HOST, ("198.51.100.1", 3000 + number)) for number in range(40)]
    box.out(HOST, PEER)
    seen = [come_in(box, PEER, external)[1] for external in known]
    assert len({*seen, PEER}) == 41
    assert [go_out(box, address) for address in seen] == [(external, PEER) for external in known]


def test_the_same_seed_draws_the_same_port_and_another_seed_another_one(bench):
    drawn = []
    for seed in (1, 1, 2):
        box = bench(model_for("apdm", "eif"), seed=seed)
        known = box.out(HOST, STUN)
        box.out(HOST, PEER)
        drawn.append(come_in(box, PEER, known)[1])
    assert drawn[0] == drawn[1] != drawn[2]


class TestLifetimes:
    """Each flow has a timer of its own, which both directions refresh; mappings may live longer."""

    def test_a_flow_by_a_mapping_that_lives_on_ends_by_its_own_timer(self, bench):
        box = bench(model_for("adm", "eif", lifetimes={"udp": "60s"}))
        known = box.out(HOST, STUN)
        own = box.out(HOST, PEER)
        for _ in range(3):
            box.wait(25)
            assert box.out(HOST, PEER_OTHER_PORT) == own
            box.out(HOST, STUN)
        assert come_in(box, PEER, known) == (HOST, PEER), "first: the flow that the host began is past"
        assert go_out(box, PEER) == (known, PEER)

    def test_packets_from_outside_keep_a_flow_where_they_do_not_keep_a_mapping(self, bench):
        box = bench(model_for("adm", "eif", lifetimes={"udp": "60s", "udp_refresh": "outbound"}))
        known = box.out(HOST, STUN)
        own = box.out(HOST, PEER)
        for _ in range(3):
            box.wait(25)
            assert box.out(HOST, PEER_OTHER_PORT) == own
            box.out(HOST, STUN)
            assert come_in(box, PEER, own) == (HOST, PEER)
        assert come_in(box, PEER, known)[1] != PEER

    def test_an_unanswered_flow_ends_sooner(self, bench):
        lifetimes = {"udp": "120s", "udp_unreplied": "30s", "udp_stream_after": "2s", "udp_refresh": "both"}
        for answered, stays in ((False, False), (True, True)):
            box = bench(model_for("adm", "eif", lifetimes=lifetimes))
            known, own = box.out(HOST, STUN), box.out(HOST, PEER)
            if answered:
                come_in(box, PEER, own)
            box.wait(3)
            box.out(HOST, PEER)
            for _ in range(2):
                box.wait(20)
                box.out(HOST, PEER_OTHER_PORT)
                box.out(HOST, STUN)
            assert (come_in(box, PEER, known)[1] != PEER) is stays

    @pytest.mark.parametrize("how", ["reboot", "flush"])
    def test_a_reboot_and_a_flush_end_all_flows(self, apart, how):
        box, _, _, seen = apart()
        getattr(box.nat, how)(box.now)
        known = box.out(HOST, STUN)
        assert come_in(box, PEER, known) == (HOST, PEER)
        source, destination = go_out(box, seen)
        assert (source != known, destination) == (True, seen), "nobody is there; the box does not know"

    def test_nothing_is_left_of_flows_whose_mappings_have_ended(self, apart):
        box, _, _, _ = apart()
        box.wait(301)
        box.nat.wake(box.now)
        separate = box.nat._ipv4.udp.table.separate
        assert (separate.inside, separate.outside) == ({}, {})

    def test_flows_that_have_ended_are_forgotten_while_their_mapping_lives(self, bench):
        box = bench(model_for("adm", "eif", lifetimes={"udp": "60s"}))
        for number in range(50):
            box.out(HOST, (PEER[0], 7000 + number))
        for _ in range(6):
            box.wait(30)
            box.nat.wake(box.now)
            box.out(HOST, PEER)
        separate = box.nat._ipv4.udp.table.separate
        assert [*separate.outside] == [(box.last.packets[0].packet.source, PEER)]


class TestErrors:
    """ICMP errors quote what their receiver sent or had (RFC 5508 §4)."""

    def test_an_error_about_an_answer_to_a_drawn_port_quotes_the_drawn_port_inside(self, apart):
        box, known, _, seen = apart()
        box.out(HOST, seen)
        sent = box.last.packets[0].packet
        assert (sent.source, sent.destination) == (known, PEER)
        (emission,) = box.error(PEER[0], known[0], sent, Side.OUTSIDE).packets
        quoted = emission.packet.icmp.quoted
        assert (quoted.source, quoted.destination) == (HOST, seen)
        assert emission.packet.destination == (HOST[0], 0)

    def test_an_error_about_a_packet_to_the_true_port_quotes_the_true_one(self, apart):
        box, _, own, _ = apart()
        box.out(HOST, PEER)
        (emission,) = box.error(PEER[0], own[0], box.last.packets[0].packet, Side.OUTSIDE).packets
        quoted = emission.packet.icmp.quoted
        assert (quoted.source, quoted.destination) == (HOST, PEER)

    def test_an_error_from_inside_about_a_packet_with_a_drawn_port_quotes_the_true_one_outside(self, apart):
        box, known, _, seen = apart()
        come_in(box, PEER, known)
        had = box.last.packets[0].packet
        assert had.source == seen
        (emission,) = box.error(HOST[0], seen[0], had, Side.INSIDE).packets
        quoted = emission.packet.icmp.quoted
        assert (quoted.source, quoted.destination) == (PEER, known)
        assert emission.packet.destination[0] == PEER[0]


def test_a_packet_whose_flow_would_be_taken_for_another_one_is_dropped(bench):
    """Netfilter, too: the only port it may leave by makes a pair outside that a flow has already."""
    box = bench(model_for("adm", "eif", lifetimes={"udp": "60s"}))
    known, own = box.out(HOST, STUN), box.out(HOST, PEER_OTHER_PORT)
    assert come_in(box, PEER, known) == (HOST, PEER)
    assert come_in(box, PEER, own)[1] != PEER
    for _ in range(2):  # the flow by the known mapping ends, that by the other one does not
        box.wait(40)
        box.out(HOST, PEER_OTHER_PORT)
        come_in(box, PEER, own)
    assert box.out(HOST, PEER) is None
    assert "seen as another port" in box.last.reason


def test_fragments_follow_the_first_one_to_the_true_port(apart):
    box, known, _, seen = apart()
    first = box.fragment(HOST, seen, 0, more=True, side=Side.INSIDE).packets[0].packet
    assert (first.source, first.destination) == (known, PEER)
    later = box.fragment(HOST, (seen[0], 0), 8, more=False, side=Side.INSIDE).packets[0].packet
    assert (later.source, later.destination) == ((known[0], 0), (PEER[0], 0))


def test_two_inside_hosts_meet_by_hairpin_under_drawn_ports(bench):
    """Each has a flow to the other's known endpoint, by a mapping made for it, when the other comes in."""
    box = bench(model_for("apdm", "eif", hairpinning="external-source"))
    other = ("10.0.0.3", 6000)
    mine, theirs = box.out(HOST, STUN), box.out(other, STUN)

    def across(source, target):
        packet = box.handle(Packet(IpProtocol.UDP, source, target, b"x"), Side.INSIDE).packets[0].packet
        return packet.destination, packet.source

    receiver, fresh = across(HOST, theirs)
    assert (receiver, fresh != mine) == (other, True)
    assert across(other, fresh) == (HOST, theirs), "the answer leaves by the endpoint that was sent to"


@pytest.mark.parametrize("name", ["linux-masquerade", "linux-masquerade-input-accept"])
def test_hosts_that_share_a_port_are_told_apart_by_their_remotes(bench, name):
    box = bench(name)
    other = ("10.0.0.3", HOST[1])
    assert box.out(HOST, PEER) == box.out(other, STUN)
    assert box.out(other, PEER) != box.out(HOST, PEER)
    assert box.into(STUN, box.out(HOST, PEER)) == other
    assert box.into(PEER, box.out(HOST, PEER)) == HOST


def test_what_the_box_took_for_itself_is_not_let_in_beside_it(bench):
    """Once connection tracking has a flow to the box itself, its packets go there until its timer ends."""
    box = bench("linux-masquerade-input-accept{filtering: address-dependent}")
    external = box.out(HOST, STUN)
    assert box.into(PEER, external) is None
    box.out(HOST, PEER_OTHER_PORT)
    assert box.into(PEER, external) is None
    assert "taken by the box itself" in box.last.reason
    box.wait(31)
    box.out(HOST, PEER_OTHER_PORT)
    assert box.into(PEER, external) == HOST

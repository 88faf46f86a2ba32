"""Netfilter as measured: overloading, and the hole-punch trap of a router that takes packets for its own."""

import pytest

from nat_models import Side
from nat_models.packet import IcmpType, IpProtocol, Packet, TcpFlag

A, B = ("10.0.0.2", 5000), ("10.0.0.3", 5000)
STUN, STUN2 = ("198.51.100.1", 3478), ("198.51.100.2", 3478)
PEER = ("203.0.113.2", 6000)
EXTERNAL = ("203.0.113.1", 5000)
ACCEPTING = "linux-masquerade-input-accept"


def test_one_port_serves_all_remotes_of_a_host(bench):
    box = bench("linux-masquerade")
    assert {box.out(A, remote) for remote in (STUN, PEER)} == {EXTERNAL}


def test_a_second_host_shares_the_port_except_towards_a_common_peer(bench):
    box = bench("linux-masquerade")
    box.out(A, PEER)
    assert box.out(B, STUN) == EXTERNAL
    assert box.out(B, PEER) != EXTERNAL
    assert (box.into(PEER, EXTERNAL), box.into(STUN, EXTERNAL)) == (A, B)


def test_the_common_peer_is_free_again_when_the_first_flow_has_ended(bench):
    box = bench("linux-masquerade")
    box.out(A, PEER)
    box.wait(31)
    assert box.out(B, PEER) == EXTERNAL


def test_the_common_peer_is_free_again_while_the_first_hosts_mapping_lives_on(bench):
    """Flows age one by one: the mapping of A is kept by its other flow."""
    box = bench("linux-masquerade")
    box.out(A, PEER)
    box.wait(20)
    assert box.out(A, STUN) == box.out(B, STUN2) == EXTERNAL
    box.wait(11)
    assert box.out(B, PEER) == EXTERNAL
    assert box.into(PEER, EXTERNAL) == B


def test_a_host_that_had_to_give_way_keeps_its_new_port_towards_everybody_it_meets_from_then_on(bench):
    """Netfilter tries what the endpoint got last: measured, whether the router drops strays or takes them."""
    box = bench("linux-masquerade")
    box.out(A, PEER)
    assert box.out(B, STUN) == EXTERNAL
    given_way = box.out(B, PEER)
    assert given_way != EXTERNAL
    assert box.out(B, STUN2) == given_way
    assert box.out(B, STUN) == EXTERNAL, "a flow stays what it is"
    accepting = bench(ACCEPTING)
    accepting.into(PEER, EXTERNAL)
    assert accepting.out(A, PEER) == accepting.out(A, STUN) != EXTERNAL


def test_an_ordinary_router_forgets_a_strays_flow(bench):
    box = bench("linux-masquerade")
    assert box.into(PEER, EXTERNAL) is None
    assert box.last.packets == ()
    assert box.out(A, PEER) == EXTERNAL


def test_a_stray_that_the_router_takes_holds_its_endpoints_against_the_inside(bench):
    box = bench(ACCEPTING)
    assert box.into(PEER, EXTERNAL) is None
    assert box.last.reason == "no mapping on port 5000; taken by the box itself, which remembers the flow"
    assert box.last.packets[0].packet.icmp.type is IcmpType.PORT_UNREACHABLE
    assert box.out(A, PEER) != EXTERNAL


def test_the_trap_closes_over_a_mapping_that_exists_already(bench):
    """STUN made the mapping; the peer's early packet still spoils the port towards the peer alone."""
    box = bench(ACCEPTING)
    assert box.out(A, STUN) == EXTERNAL
    box.into(PEER, EXTERNAL)
    spoiled = box.out(A, PEER)
    assert spoiled != EXTERNAL
    assert box.out(A, PEER) == spoiled
    assert box.out(A, STUN) == EXTERNAL
    assert box.into(PEER, spoiled) == A
    assert box.into(PEER, EXTERNAL) is None


def test_a_box_that_keeps_no_ports_moves_the_whole_mapping_out_of_the_way(bench):
    ports = {"first": 5000, "last": 5001}
    box = bench("full-cone", unsolicited="input-accept", port_assignment="sequential", ports=ports)
    box.into(PEER, EXTERNAL)
    assert box.out(A, PEER) == box.out(A, STUN) == ("203.0.113.1", 5001)


def test_the_remembered_flow_lasts_for_the_unreplied_timeout_after_its_last_packet(bench):
    box = bench(ACCEPTING)
    box.out(A, STUN)
    box.into(PEER, EXTERNAL)
    box.wait(20)
    box.into(PEER, EXTERNAL)
    box.wait(29)
    assert box.out(A, PEER) != EXTERNAL
    box.wait(31)
    box.out(A, STUN)
    assert box.out(A, PEER) == EXTERNAL


@pytest.mark.parametrize(("preset", "meets"), [(ACCEPTING, False), ("linux-masquerade", True)])
@pytest.mark.parametrize("early", [0, 1])
def test_punching_between_two_routers_with_one_early_probe(bench, preset, meets, early):
    """Both learn their port by STUN; one probes before the other has sent; then both keep probing."""
    boxes = [bench(preset, addresses=("203.0.113.1",)), bench(preset, addresses=("203.0.113.2",))]
    hosts = [("10.0.0.2", 5000), ("10.1.0.2", 6000)]
    mapped = [box.out(host, STUN) for box, host in zip(boxes, hosts, strict=True)]
    got_through = False
    for turn in range(8):
        sender = (early + turn) % 2
        source = boxes[sender].out(hosts[sender], mapped[1 - sender])
        got_through |= boxes[1 - sender].into(source, mapped[1 - sender]) is not None
    assert got_through is meets


def test_tcp_to_the_router_itself_is_reset_and_remembered_for_ten_seconds(bench):
    box = bench(ACCEPTING)
    outcome = box.segment(PEER, EXTERNAL, TcpFlag.SYN, Side.OUTSIDE)
    assert outcome.packets[0].packet.tcp.flags == TcpFlag.RST | TcpFlag.ACK
    assert box.segment(A, PEER, TcpFlag.SYN, Side.INSIDE).packets[0].packet.source != EXTERNAL
    box = bench(ACCEPTING)
    box.segment(PEER, EXTERNAL, TcpFlag.SYN, Side.OUTSIDE)
    box.wait(10)
    assert box.segment(A, PEER, TcpFlag.SYN, Side.INSIDE).packets[0].packet.source == EXTERNAL


def test_the_router_answers_pings_and_ignores_other_icmp(bench):
    box = bench(ACCEPTING)
    outcome = box.echo((PEER[0], 9), (EXTERNAL[0], 9), IcmpType.ECHO_REQUEST, Side.OUTSIDE)
    assert outcome.packets[0].packet.icmp.type is IcmpType.ECHO_REPLY
    about = Packet(IpProtocol.UDP, EXTERNAL, PEER)
    assert box.error(PEER[0], EXTERNAL[0], about, Side.OUTSIDE).packets == ()


def test_a_reset_of_a_reset_is_not_sent(bench):
    box = bench(ACCEPTING)
    assert box.segment(PEER, EXTERNAL, TcpFlag.RST, Side.OUTSIDE).packets == ()


def test_random_masquerade_is_symmetric(bench):
    box = bench("linux-masquerade-random")
    assert len({box.out(A, STUN), box.out(A, PEER), box.out(B, PEER)}) == 3


def test_memory_of_flows_to_the_box_is_bounded(bench):
    box = bench(ACCEPTING)
    for n in range(5000):
        box.into(("198.51.100.9", 1024 + n), EXTERNAL)
    flows = box.nat._ipv4.udp.table.flows
    assert len(flows._delivered) == 4096

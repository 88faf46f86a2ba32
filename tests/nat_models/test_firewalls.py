"""Boxes that filter without translating, egress policy, IPv6 through a NAT, and no box at all."""

import random

import pytest

from nat_models import Nat, Side, load_preset
from nat_models.model import FirewallRule
from nat_models.packet import IcmpType, IpProtocol, Packet, TcpFlag

HOST, R1, R2 = ("10.0.0.2", 5000), ("198.51.100.7", 3478), ("198.51.100.8", 3478)
HOST6, R6, OTHER6 = ("2001:db8:1::2", 5000), ("2001:db8:2::7", 3478), ("2001:db8:3::8", 3478)
OUT, IN = Side.INSIDE, Side.OUTSIDE


def test_no_box_passes_everything_unchanged(bench):
    box = bench("none", addresses=())
    assert box.out(HOST, R1) == HOST
    assert box.into(R2, HOST) == HOST
    assert box.nat.mappings == ()


@pytest.mark.parametrize("preset", ["none", "stateful-firewall"])
def test_packets_to_a_box_that_translates_nothing_end_there(bench, preset):
    box = bench(preset)
    own = ("203.0.113.1", 80)
    assert box.out(HOST, own) is None
    assert box.last.reason == "addressed to the box itself"
    assert box.into(R1, own) is None
    (emission,) = box.echo(HOST, own, IcmpType.ECHO_REQUEST, OUT).packets
    assert (emission.side, emission.packet.icmp.type) == (Side.INSIDE, IcmpType.ECHO_REPLY)


@pytest.mark.parametrize(
    ("preset", "admitted"),
    [("address-filter", {R1, (R1[0], 9)}), ("stateful-firewall", {R1})],
)
def test_a_firewall_keeps_addresses_and_filters(bench, preset, admitted):
    box = bench(preset, addresses=())
    assert box.into(R1, HOST) is None
    assert box.last.reason == "filter: nothing sent from 10.0.0.2:5000 opened the firewall"
    assert box.out(HOST, R1) == HOST
    assert {remote for remote in (R1, (R1[0], 9), R2) if box.into(remote, HOST)} == admitted


def test_a_firewall_tracks_tcp_and_passes_errors(bench):
    box = bench("stateful-firewall", addresses=())
    assert box.segment(R1, HOST, TcpFlag.SYN, IN).packets == ()
    sent = box.segment(HOST, R1, TcpFlag.SYN, OUT).packets[0].packet
    (emission,) = box.error("192.0.2.254", HOST[0], sent, IN).packets
    assert emission.packet.icmp.quoted.source == HOST


@pytest.mark.parametrize("preset", ["full-cone", "restricted", "symmetric"])
def test_ipv6_passes_a_nat_untranslated_and_filtered(bench, preset):
    box = bench(preset)
    assert box.into(R6, HOST6) is None
    assert box.out(HOST6, R6) == HOST6
    assert box.into(R6, HOST6) == HOST6
    assert box.into(OTHER6, HOST6) == (HOST6 if preset == "full-cone" else None)


def test_ipv6_state_ages_like_any_other(bench):
    box = bench("port-restricted")
    box.out(HOST6, R6)
    box.wait(301)
    assert box.into(R6, HOST6) is None
    assert box.last.reason == "mapping expired 1 s earlier"


def test_one_ipv6_endpoint_is_one_state_whatever_the_mapping_axis_says(bench):
    box = bench("symmetric")
    assert box.out(HOST6, R6) == box.out(HOST6, OTHER6) == HOST6
    assert len(box.nat.mappings) == 1


def test_a_packet_for_another_address_does_not_pass_a_nat(bench):
    box = bench("full-cone")
    assert box.into(R1, HOST) is None
    assert box.last.reason == "10.0.0.2 is not an address of this box"


def test_packets_between_inside_networks_are_handed_back_unchanged(bench):
    box = bench("symmetric", networks=("10.0.0.0/24", "10.0.1.0/24"))
    outcome = box.handle(Packet(IpProtocol.UDP, HOST, ("10.0.1.9", 80)), OUT)
    assert [(e.side, e.packet.source) for e in outcome.packets] == [(Side.INSIDE, HOST)]
    assert box.nat.mappings == ()


def test_outside_addresses_that_look_like_inside_ones_are_translated(bench):
    """RFC 4787 REQ-7: the same prefix on both sides."""
    box = bench("full-cone", addresses=("10.0.0.1",), networks=("10.0.0.0/24",))
    external = box.out(HOST, ("10.0.0.9", 80))
    assert external == ("10.0.0.1", 5000)
    assert box.into(("10.0.0.9", 80), external) == HOST


def test_udp_blocked_drops_udp_both_ways_and_passes_tcp(bench):
    box = bench("udp-blocked")
    assert box.out(HOST, R1) is None
    assert box.last.reason == "firewall: outbound rule 1 (drop udp)"
    assert box.into(R1, ("203.0.113.1", 5000)) is None
    assert box.segment(HOST, R1, TcpFlag.SYN, OUT).reason == ""


@pytest.mark.parametrize(
    ("port", "flags", "passes"),
    [(443, TcpFlag.SYN, True), (80, TcpFlag.SYN, False), (3478, TcpFlag.SYN, False)],
)
def test_tcp_443_only_lets_out_nothing_else(bench, port, flags, passes):
    box = bench("tcp-443-only")
    assert (box.segment(HOST, (R1[0], port), flags, OUT).reason == "") is passes
    assert box.out(HOST, R1) is None
    assert box.last.reason == "firewall: outbound rule 2 (drop any)"
    assert box.echo(HOST, R1, IcmpType.ECHO_REQUEST, OUT).packets == ()


def with_rules(bench, *rules):
    return bench(
        "port-restricted", outbound_rules=[dict(zip(rule[::2], rule[1::2], strict=True)) for rule in rules]
    )


def test_the_first_matching_rule_wins_and_the_rest_is_accepted(bench):
    box = with_rules(
        bench,
        ("action", "accept", "protocol", "udp", "ports", [3478, 5349]),
        ("action", "drop", "protocol", "udp", "networks", ["198.51.100.0/24", "2001:db8::/32"]),
    )
    assert box.out(HOST, R1)
    assert box.out(HOST, (R1[0], 9999)) is None
    assert box.last.reason == "firewall: outbound rule 2 (drop udp to 198.51.100.0/24, 2001:db8::/32)"
    assert box.out(HOST6, ("2001:db8:2::7", 1)) is None
    assert box.out(HOST, ("192.0.2.1", 9999))


def test_a_rejecting_rule_answers_tcp_with_a_reset_and_the_rest_with_icmp(bench):
    box = with_rules(bench, ("action", "reject"))
    (emission,) = box.segment(HOST, R1, TcpFlag.SYN, OUT).packets
    assert (emission.side, emission.packet.destination) == (Side.INSIDE, HOST)
    assert emission.packet.tcp.flags == TcpFlag.RST | TcpFlag.ACK
    box.out(HOST, R1)
    (emission,) = box.last.packets
    assert (emission.side, emission.packet.icmp.type) == (Side.INSIDE, IcmpType.ADMINISTRATIVELY_PROHIBITED)
    assert box.last.reason == "firewall: outbound rule 1 (reject any)"


def test_a_rule_for_ports_never_matches_icmp(bench):
    box = with_rules(bench, ("action", "drop", "ports", [7]))
    assert box.echo(("10.0.0.2", 7), (R1[0], 7), IcmpType.ECHO_REQUEST, OUT).reason == ""


def test_rules_are_values():
    assert FirewallRule(action="drop") == FirewallRule(action="drop", protocol="any")


def test_a_nat_without_an_address_says_so():
    nat = Nat(load_preset("full-cone"), external_addresses=[], random=random.Random(1))
    outcome = nat.handle(Packet(IpProtocol.UDP, HOST, R1), OUT, 0.0)
    assert outcome.reason == "the box has no external address"

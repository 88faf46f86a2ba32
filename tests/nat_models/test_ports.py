"""RFC 4787 §4.2 and RFC 6888: which port and address a mapping gets, and what happens when there is none."""

import pytest

from nat_models import Side, model_for
from nat_models.packet import IcmpType, TcpFlag

A, B, C = ("10.0.0.2", 5000), ("10.0.0.3", 5000), ("10.0.0.4", 5000)
R1, R2, R3 = ("198.51.100.7", 3478), ("198.51.100.8", 3478), ("198.51.100.9", 3478)
SMALL = {"first": 40000, "last": 40003}


def test_preserve_keeps_the_internal_port_and_takes_another_when_it_is_in_use(bench):
    box = bench(model_for("eim", "eif", port_assignment="preserve"))
    assert box.out(A, R1)[1] == 5000
    assert box.out(B, R1)[1] != 5000


def test_preserve_stays_in_the_class_of_the_internal_port(bench):
    """RFC 4787 REQ-3a: well-known to well-known, all else to all else."""
    box = bench(model_for("eim", "eif", port_assignment="preserve", ports={"first": 1}))
    assert box.out(("10.0.0.2", 500), R1)[1] == 500
    assert {box.out((f"10.0.0.{n}", 500), R1)[1] <= 1023 for n in range(3, 30)} == {True}
    assert box.out(A, R1)[1] == 5000
    assert {box.out((f"10.0.0.{n}", 5000), R1)[1] > 1023 for n in range(3, 30)} == {True}


def test_overloading_shares_the_port_between_endpoints_and_keeps_their_flows_apart(bench):
    box = bench(model_for("eim", "apdf", port_assignment="preserve-overload"))
    shared = box.out(A, R1)
    assert box.out(B, R2) == shared == ("203.0.113.1", 5000)
    assert box.into(R1, shared) == A
    assert box.into(R2, shared) == B


def test_overloading_gives_another_port_towards_a_remote_that_both_endpoints_talk_to(bench):
    box = bench(model_for("eim", "apdf", port_assignment="preserve-overload"))
    shared = box.out(A, R1)
    assert box.out(B, R2) == shared
    other = box.out(B, R1)
    assert other != shared
    assert box.out(B, R2) == shared
    assert (box.into(R1, shared), box.into(R1, other)) == (A, B)


def test_overloading_keeps_the_mappings_of_one_endpoint_apart(bench):
    box = bench(model_for("apdm", "apdf", port_assignment="preserve-overload"))
    assert box.out(A, R1) != box.out(A, R2)


def test_overloading_with_open_filters_delivers_to_the_endpoint_that_came_last(bench):
    box = bench(model_for("eim", "eif", port_assignment="preserve-overload"))
    shared = box.out(A, R1)
    box.out(B, R2)
    assert box.into(R3, shared) == B
    assert box.into(R1, shared) == A


def test_preserve_symmetric_keeps_the_port_for_the_first_destination_only(bench):
    box = bench("port-preserving-symmetric")
    assert box.out(A, R1)[1] == 5000
    assert 5000 not in {box.out(A, R2)[1], box.out(A, R3)[1]}


def test_sequential_counts_up_and_goes_round(bench):
    box = bench(model_for("apdm", "eif", port_assignment="sequential", ports=SMALL))
    assert [box.out(A, R)[1] for R in (R1, R2, R3)] == [40000, 40001, 40002]
    box.wait(301)
    assert [box.out(A, R)[1] for R in (R1, R2, R3)] == [40003, 40000, 40001]


def test_random_draws_differ_by_seed_and_repeat_for_one_seed(bench):
    draws = [
        [bench("symmetric", seed=seed).out((f"10.0.0.{n}", 5000), R1)[1] for n in range(2, 8)]
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("kind", ["random", "contiguous", "port-block"])
def test_what_one_host_does_gives_no_other_host_other_ports(bench, kind):
    """A fault at one customer of a carrier moves nobody else's ports, and two at one moment have no order."""
    model = model_for("apdm", "eif", port_assignment=kind, ports={"block_size": 64})
    alone, shared = bench(model), bench(model)
    shared.out(A, R1)  # takes the first block, where ports come in blocks
    alone.out(A, R1)
    for n in range(10, 20):
        shared.out((f"10.0.0.{n}", 5000), R1)
    given = [[box.out(A, remote) for remote in (R2, R3)] for box in (alone, shared)]
    assert given[0] == given[1]


def test_the_addresses_of_an_arbitrary_pool_are_drawn_for_each_host_alone(bench):
    addresses = [f"203.0.113.{n}" for n in range(1, 9)]
    model = model_for("apdm", "eif", port_assignment="random", pooling="arbitrary")
    one, other = bench(model, addresses), bench(model, addresses)
    for n in range(10, 20):
        other.out((f"10.0.0.{n}", 5000), R1)
    drawn = [[box.out(A, (R1[0], port)) for port in range(1, 40)] for box in (one, other)]
    assert drawn[0] == drawn[1]
    assert {address for address, _ in drawn[0]} == set(addresses), "each of them comes up"


def test_a_reboot_does_not_begin_the_draws_anew(bench):
    """A host gets another port after it: who held the old one is not taken for it."""
    box = bench("symmetric")
    before = [box.out(A, remote) for remote in (R1, R2, R3)]
    box.nat.reboot(box.now)
    assert not set(before) & {box.out(A, remote) for remote in (R1, R2, R3)}


def test_contiguous_keeps_the_distance_of_consecutive_internal_ports(bench):
    box = bench(model_for("eim", "eif", port_assignment="contiguous"))
    rtp, rtcp = box.out(("10.0.0.2", 6000), R1), box.out(("10.0.0.2", 6001), R1)
    assert rtcp[1] == rtp[1] + 1


def test_a_port_block_holds_all_ports_of_a_host_and_of_no_other(bench):
    box = bench(
        model_for("eim", "eif", port_assignment="port-block", ports={"first": 2000, "block_size": 100})
    )
    of_a = {box.out(("10.0.0.2", port), R1)[1] for port in range(5000, 5100)}
    of_b = {box.out(("10.0.0.3", port), R1)[1] for port in range(5000, 5100)}
    assert (of_a, of_b) == (set(range(2000, 2100)), set(range(2100, 2200)))


def test_a_full_port_block_and_a_pool_without_blocks_say_so(bench):
    ports = {"first": 40000, "last": 40003, "block_size": 2}
    box = bench(model_for("eim", "eif", port_assignment="port-block", ports=ports))
    for port in (1, 2):
        box.out(("10.0.0.2", port), R1)
    assert box.out(("10.0.0.2", 3), R1) is None
    assert box.last.reason == "port block 40000-40001 of 10.0.0.2 is used up"
    box.out(B, R1)
    assert box.out(C, R1) is None
    assert box.last.reason == "no port block left on 203.0.113.1: 2 hosts have one each"


@pytest.mark.parametrize("kind", ["preserve", "sequential", "random", "contiguous", "port-block"])
def test_parity_keeps_even_to_even_and_odd_to_odd(bench, kind):
    box = bench(model_for("eim", "eif", port_assignment=kind, ports={"parity": True}))
    for n in range(2, 20):
        for port in (5000, 5001):
            assert box.out((f"10.0.0.{n}", port), R1)[1] % 2 == port % 2


@pytest.mark.parametrize("kind", ["preserve", "sequential", "random", "contiguous", "preserve-symmetric"])
def test_every_port_of_the_pool_is_given_once_and_then_none(bench, kind):
    box = bench(model_for("eim", "eif", port_assignment=kind, ports=SMALL))
    given = [box.out((f"10.0.0.{n}", 5000), R1) for n in range(2, 6)]
    assert sorted(port for _, port in given) == [40000, 40001, 40002, 40003]
    assert box.out(("10.0.0.9", 5000), R1) is None
    assert box.last.reason == "no free UDP port on 203.0.113.1: 4 in use"
    box.wait(301)
    assert box.out(("10.0.0.9", 5000), R1) is not None


def test_a_host_at_its_limit_gets_no_further_mapping_while_others_do(bench):
    box = bench(model_for("apdm", "eif", ports={"per_host_limit": 2}))
    assert None not in {box.out(A, R1), box.out(A, R2)}
    assert box.out(A, R3) is None
    assert box.last.reason == "10.0.0.2 has its limit of 2 mappings"
    assert box.out(B, R3) is not None


def test_a_freed_port_is_held_down_for_others_but_not_for_the_endpoint_that_had_it(bench):
    """RFC 6888 REQ-8."""
    ports = {"first": 5000, "last": 5000, "hold_down": "120s"}
    box = bench(model_for("eim", "eif", port_assignment="preserve", ports=ports, lifetimes={"udp": "10s"}))
    box.out(A, R1)
    box.wait(10)
    assert box.out(B, R1) is None
    assert box.out(A, R1) == ("203.0.113.1", 5000)
    box.wait(10 + 119)
    assert box.out(B, R1) is None
    box.wait(1)
    assert box.out(B, R1) == ("203.0.113.1", 5000)


@pytest.mark.parametrize("tells", [True, False])
def test_a_refused_host_is_told_by_icmp_where_the_model_says_so(bench, tells):
    """RFC 5508 REQ-8, RFC 6888 REQ-11."""
    box = bench(model_for("eim", "eif", ports={"first": 40000, "last": 40000}, refusal_icmp=tells))
    box.out(A, R1)
    assert box.out(B, R1) is None
    answers = [emission.packet for emission in box.last.packets]
    assert [(p.icmp.type, p.destination[0]) for p in answers] == (
        [(IcmpType.ADMINISTRATIVELY_PROHIBITED, "10.0.0.3")] if tells else []
    )


POOL = ("203.0.113.1", "203.0.113.2", "203.0.113.3")


def test_paired_pooling_keeps_a_host_on_one_address_and_spreads_hosts(bench):
    box = bench(model_for("apdm", "eif", pooling="paired"), addresses=POOL)
    used = {n: {box.out((f"10.0.0.{n}", 5000), R)[0] for R in (R1, R2, R3)} for n in range(2, 8)}
    assert {len(addresses) for addresses in used.values()} == {1}
    assert set().union(*used.values()) == set(POOL)


def test_arbitrary_pooling_puts_one_host_on_several_addresses(bench):
    box = bench(model_for("apdm", "eif", pooling="arbitrary"), addresses=POOL)
    used = {box.out(("10.0.0.2", port), R1)[0] for port in range(5000, 5040)}
    assert used == set(POOL)


def test_arbitrary_pooling_uses_every_address_before_it_gives_up_and_paired_does_not(bench):
    for pooling, served in (("paired", 1), ("arbitrary", 3)):
        box = bench(model_for("eim", "eif", pooling=pooling, ports={"first": 1, "last": 1}), addresses=POOL)
        given = [box.out(("10.0.0.2", port), R1) for port in range(5000, 5004)]
        assert sum(external is not None for external in given) == served


def test_udp_and_tcp_ports_are_separate(bench):
    box = bench("port-restricted")
    box.out(A, R1)
    outcome = box.segment(B, R1, TcpFlag.SYN, Side.INSIDE)
    assert outcome.packets[0].packet.source == ("203.0.113.1", 5000)

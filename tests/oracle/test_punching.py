"""The puncher on the simulated network: its orders of events all matter, and a seed is a trace."""

from itertools import combinations_with_replacement, product

import pytest
from punching import planned, reached_on, with_boxes

from lab.measure.predict import PeerNetwork, predict
from lab.roles.puncher import ATTEMPTS
from lab.spec.find import load_topology
from nat_models import model_for
from nat_models.model import Filtering, FilterScope, Mapping, ReplyReuse

AT_ONCE, LEADS, VOLLEYS = ATTEMPTS[:1], ATTEMPTS[1:3], ATTEMPTS[3:]


def box(text: str):
    return model_for(*text.split("-"), filter_scope="per-endpoint", reply_reuse="existing-flow-first")


def reached(alice, bob, attempts):
    homes = planned("two_homes", ("alice_nat", "full-cone"))
    return reached_on(with_boxes(homes, {"alice-nat": alice, "bob-nat": bob}), attempts=attempts)


def possible(alice, bob):
    return predict(PeerNetwork(layers=(alice,)), PeerNetwork(layers=(bob,)))


def test_hosts_of_two_homes_with_equal_addresses_are_not_mistaken_for_each_other():
    homes = {"same_subnet": True, "alice_nat": "symmetric", "bob_nat": "symmetric"}
    assert not reached_on(load_topology("two_homes", homes))


@pytest.mark.parametrize("reuse", [ReplyReuse.EXISTING_FLOW_FIRST, ReplyReuse.SEPARATE_FLOWS])
def test_sending_at_once_reaches_all_that_needs_no_order_and_nothing_else(reuse):
    boxes = [
        model_for(*kind, filter_scope=FilterScope.PER_ENDPOINT, reply_reuse=reuse)
        for kind in product(Mapping, Filtering)
    ]
    for a, b in combinations_with_replacement(boxes, 2):
        prediction = possible(a, b)
        expected = prediction.possible - prediction.needs_first.keys()
        assert reached(a, b, AT_ONCE) == expected, (a.name, b.name)


def test_a_side_that_leads_reaches_what_needs_it_to_be_first():
    strict, mover = box("eim-apdf"), box("adm-eif")
    assert possible(strict, mover).needs_first == {("srflx", "srflx"): "alice"}
    assert reached(strict, mover, AT_ONCE) == set()
    assert reached(strict, mover, LEADS[:1]) == {("srflx", "srflx")}
    assert reached(strict, mover, LEADS[1:]) == set()


def test_a_flow_beside_the_first_one_is_reached_in_every_order_and_seen_under_a_port_that_nobody_has():
    strict = box("eim-apdf")
    mover = model_for("adm", "eif", reply_reuse="separate-flows")
    assert possible(strict, mover).needs_first == {("srflx", "srflx"): "alice"}
    assert reached(strict, mover, AT_ONCE) == {("prflx", "srflx")}
    assert reached(strict, mover, LEADS[:1]) == {("srflx", "srflx")}
    assert reached(strict, mover, LEADS[1:]) == {("prflx", "srflx")}


def test_a_single_volley_opens_a_filter_without_binding_the_other_sides_flow():
    table = model_for("adm", "adf", filter_scope="per-endpoint", reply_reuse="off")
    tracker = box("adm-adf")
    assert possible(table, tracker).needs_first == {("prflx", "prflx"): "alice"}
    assert reached(table, tracker, AT_ONCE + LEADS) == {("prflx", "srflx")}
    assert reached(table, tracker, VOLLEYS) == {("prflx", "prflx"), ("prflx", "srflx")}


def test_one_seed_one_trace():
    homes = load_topology("two_homes", {"alice_nat": "symmetric", "bob_nat": "full-cone"})
    traces = [[], [], []]
    for trace, seed in zip(traces, (1, 1, 2), strict=True):
        reached_on(homes, turn_for="alice", seed=seed, events=trace)
    assert traces[0] == traces[1] != traces[2]

"""Possible equals reached: the prediction against the exhaustive puncher on the simulated network.

The prediction knows enum values and sends nothing; the puncher knows no enum and tries everything, on real
STUN and TURN bytes through the NAT engine. They must name the same set of candidate-type pairs in every cell.
"""

from itertools import combinations_with_replacement, product

import pytest
from punching import planned, reached_on, with_boxes

from lab.measure.predict import PeerNetwork, PermissionKey, PresentFor, Reach, RelayPlacement, predict
from nat_models import model_for
from nat_models.model import Filtering, FilterScope, Mapping, NatModel, ReplyReuse

BOXES = list(product(Mapping, Filtering))
SETTINGS = list(product(FilterScope, ReplyReuse))
DEFAULT = (FilterScope.PER_MAPPING, ReplyReuse.EXISTING_FLOW_FIRST)
WHO = {"": PresentFor.NONE, "alice": PresentFor.ALICE, "bob": PresentFor.BOB, "alice bob": PresentFor.BOTH}

in_every_setting = pytest.mark.parametrize(("scope", "reuse"), SETTINGS, ids=lambda value: value.value)


def box(kind, scope, reuse) -> NatModel:
    return model_for(*kind, filter_scope=scope, reply_reuse=reuse)


def differences(pairs, *, turn_for="", told=None, shares=True, key=PermissionKey.IP) -> dict:
    """Return by cell what was predicted and not reached, and what was reached and not predicted.

    `told` is the permission key that the prediction is told of: the relay's own, if nothing else is said.
    """
    network = planned(
        "two_homes", ("alice_nat", "full-cone"), ("separate_stun", not shares), ("permission_key", key.value)
    )
    placed = RelayPlacement(present_for=WHO[turn_for], permission_key=told or key, stun_shares_address=shares)
    found = {}
    for a, b in pairs:
        possible = predict(PeerNetwork(layers=(a,)), PeerNetwork(layers=(b,)), placed).possible
        reached = reached_on(with_boxes(network, {"alice-nat": a, "bob-nat": b}), turn_for=turn_for)
        if possible != reached:
            found[a.name, b.name] = (possible - reached, reached - possible)
    return found


@in_every_setting
@pytest.mark.requirement("Z0-14", "Z1-3", "Z4-4")
def test_all_81_cells_without_a_relay(scope, reuse):
    boxes = [box(kind, scope, reuse) for kind in BOXES]
    assert differences(product(boxes, boxes)) == {}


@in_every_setting
@pytest.mark.requirement("Z1-5", "Z4-6")
@pytest.mark.parametrize("shares", [True, False], ids=["stun at the relay", "stun elsewhere"])
def test_all_45_pairs_with_a_relay_on_both_sides(scope, reuse, shares):
    boxes = [box(kind, scope, reuse) for kind in BOXES]
    pairs = combinations_with_replacement(boxes, 2)
    assert differences(pairs, turn_for="alice bob", shares=shares) == {}


@pytest.mark.requirement("Z1-5")
@pytest.mark.parametrize("side", ["alice", "bob"])
def test_a_relay_on_one_side_is_enough_for_all_45_pairs(side):
    boxes = [box(kind, *DEFAULT) for kind in BOXES]
    pairs = list(combinations_with_replacement(boxes, 2))
    assert differences(pairs, turn_for=side) == {}
    placed = RelayPlacement(present_for=WHO[side])
    reaches = {predict(PeerNetwork(layers=(a,)), PeerNetwork(layers=(b,)), placed).reach for a, b in pairs}
    assert reaches == {Reach.DIRECT, Reach.RELAY}


class TestARelayThatKeysPermissionsByAddressAndPort:
    """The negative control: a fault of the relay that breaks cells, and the comparison notices."""

    BOXES = tuple(box(kind, *DEFAULT) for kind in BOXES)

    @pytest.mark.parametrize("shares", [True, False], ids=["stun at the relay", "stun elsewhere"])
    def test_told_of_it_the_prediction_agrees_in_every_cell(self, shares):
        pairs = combinations_with_replacement(self.BOXES, 2)
        assert differences(pairs, turn_for="alice", shares=shares, key=PermissionKey.IP_PORT) == {}

    def test_not_told_it_fails_in_the_cells_whose_bob_sends_to_the_relay_from_a_fresh_port(self):
        wrong = differences(
            product(self.BOXES[:1], self.BOXES),
            turn_for="alice",
            shares=False,
            key=PermissionKey.IP_PORT,
            told=PermissionKey.IP,
        )
        movers = {b.name for b in self.BOXES if b.mapping is not Mapping.ENDPOINT_INDEPENDENT}
        assert {b for _, b in wrong} == movers
        assert all(missing == {("relay", "prflx")} and not extra for missing, extra in wrong.values())

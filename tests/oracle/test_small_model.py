"""Every prediction against an exhaustive search of the small model, which shares no code with it."""

import random
from itertools import combinations_with_replacement, product

import pytest
from small_model import Peer, reachable_pairs

from lab.measure.predict import PeerNetwork, PermissionKey, PresentFor, RelayPlacement, predict
from nat_models.model import (
    Filtering,
    FilterScope,
    FirewallRule,
    Mapping,
    NatModel,
    ReplyReuse,
    Transparency,
)

SETTINGS = list(product(FilterScope, ReplyReuse))
BOXES = list(product(Mapping, Filtering))


def box(mapping: Mapping, filtering: Filtering, scope: FilterScope, reuse: ReplyReuse) -> NatModel:
    name = f"{mapping.value}/{filtering.value}"
    return NatModel(name=name, mapping=mapping, filtering=filtering, filter_scope=scope, reply_reuse=reuse)


EVERY_BOX = [box(*kind, *setting) for kind, setting in product(BOXES, SETTINGS)]


def network(*layers: NatModel) -> PeerNetwork:
    return PeerNetwork(layers=layers)


@pytest.mark.parametrize(("scope", "reuse"), SETTINGS, ids=lambda value: value.value)
def test_81_cells_agree_in_every_setting(scope, reuse):
    for first, second in product(BOXES, BOXES):
        a, b = box(*first, scope, reuse), box(*second, scope, reuse)
        assert predict(network(a), network(b)).possible == reachable_pairs(
            Peer("A", (a,)), Peer("B", (b,))
        ), f"{a.name} – {b.name}"


@pytest.mark.parametrize("together", [False, True], ids=["any order", "both send at once"])
def test_boxes_of_different_settings_agree_too(together):
    """All 2628 pairs of the 72 boxes; where both sides send at once, what needs one first drops out."""
    for a, b in combinations_with_replacement(EVERY_BOX, 2):
        prediction = predict(network(a), network(b))
        expected = prediction.possible - (prediction.needs_first.keys() if together else frozenset())
        assert expected == reachable_pairs(Peer("A", (a,)), Peer("B", (b,)), together=together), (a, b)


def test_boxes_behind_boxes_agree():
    draw = random.Random(4787)
    for _ in range(600):
        a = tuple(draw.choice(EVERY_BOX) for _ in range(draw.randint(1, 3)))
        b = tuple(draw.choice(EVERY_BOX) for _ in range(draw.randint(0, 2)))
        assert predict(network(*a), network(*b)).possible == reachable_pairs(Peer("A", a), Peer("B", b)), (
            a,
            b,
        )


@pytest.mark.parametrize("key", PermissionKey, ids=lambda key: key.value)
@pytest.mark.parametrize("shares", [False, True], ids=["stun elsewhere", "stun at the relay's address"])
def test_relayed_pairs_agree(key, shares):
    """Alice speaks by her relay; bob is behind nothing, every single box, or one box behind another."""
    draw = random.Random(8656)
    ways = [
        (),
        *((b,) for b in EVERY_BOX),
        *((draw.choice(EVERY_BOX), draw.choice(EVERY_BOX)) for _ in range(150)),
    ]
    placed = RelayPlacement(present_for=PresentFor.ALICE, permission_key=key, stun_shares_address=shares)
    relayed = Peer("A", (), key.value, "stun" if shares else "turn")
    for layers in ways:
        possible = predict(network(), network(*layers), placed).possible
        by_relay = {pair for pair in possible if pair[0] == "relay"}
        assert by_relay == reachable_pairs(relayed, Peer("B", layers)), layers


def test_a_peer_whose_stun_is_blocked_agrees():
    """Alice's outermost firewall drops UDP to port 3478: nobody is told an address of hers."""
    deaf = NatModel(
        name="no-stun",
        transparency=Transparency.FIREWALL,
        filtering=Filtering.ENDPOINT_INDEPENDENT,
        outbound_rules=(FirewallRule(action="drop", protocol="udp", ports=(3478,)),),
    )
    for a, b in product(EVERY_BOX[::3], EVERY_BOX):
        possible = predict(network(a, deaf), network(b)).possible
        assert possible == reachable_pairs(Peer("A", (a,)), Peer("B", (b,)), untold="A"), (a, b)

"""Laws of possible paths: swapped roles mirror them, a relaxed box keeps them, with known exceptions."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.measure.predict import PeerNetwork, PermissionKey, PresentFor, Reach, RelayPlacement, predict
from lab.report.possible_paths import (
    KINDS,
    SETTINGS,
    between,
    direct_pairs,
    kind_words,
    relaxations_that_cost,
)
from nat_models import model_for
from nat_models.model import Filtering, FilterScope, Hairpinning, Mapping, NatModel, ReplyReuse, Unsolicited

SWAPPED = {
    PresentFor.NONE: PresentFor.NONE,
    PresentFor.ALICE: PresentFor.BOB,
    PresentFor.BOB: PresentFor.ALICE,
    PresentFor.BOTH: PresentFor.BOTH,
}
RANK = {Reach.NONE: 0, Reach.RELAY: 1, Reach.DIRECT: 2}

boxes = st.builds(
    NatModel,
    name=st.just("box"),
    mapping=st.sampled_from(Mapping),
    filtering=st.sampled_from(Filtering),
    filter_scope=st.sampled_from(FilterScope),
    reply_reuse=st.sampled_from(ReplyReuse),
    hairpinning=st.sampled_from(Hairpinning),
    unsolicited=st.sampled_from([Unsolicited.DROP, Unsolicited.INPUT_ACCEPT]),
)
relays = st.builds(
    RelayPlacement,
    present_for=st.sampled_from(list(SWAPPED)),
    permission_key=st.sampled_from(PermissionKey),
    stun_shares_address=st.booleans(),
    stun=st.booleans(),
)
NO_FLOW_WINS = [reuse for reuse in ReplyReuse if reuse is not ReplyReuse.EXISTING_FLOW_FIRST]
"""Where what comes in by the known port is answered by it, or where nothing is, whatever was sent before."""

own_layers = st.lists(boxes, max_size=2).map(tuple)


def behind(*layers: NatModel) -> PeerNetwork:
    return PeerNetwork(layers=layers)


@given(own_layers, own_layers, own_layers, relays, st.booleans())
@settings(deadline=None, max_examples=400)
def test_swapping_roles_mirrors_the_possible_pairs(first, second, common, relay, routed):
    here = predict(
        behind(*first, *common),
        behind(*second, *common),
        relay,
        shared_layers=len(common),
        inside_routed=routed,
    )
    turned = RelayPlacement(
        present_for=SWAPPED[relay.present_for],
        permission_key=relay.permission_key,
        stun_shares_address=relay.stun_shares_address,
        stun=relay.stun,
    )
    there = predict(
        behind(*second, *common),
        behind(*first, *common),
        turned,
        shared_layers=len(common),
        inside_routed=routed,
    )
    assert here.possible == there.mirrored.possible
    assert here.reach is there.reach
    assert here.blocked.keys() == there.mirrored.blocked.keys()
    assert here.needs_first.keys() == there.mirrored.needs_first.keys()


@given(own_layers, own_layers, relays)
@settings(deadline=None, max_examples=400)
def test_every_pair_of_types_is_either_possible_or_blocked_for_a_reason(first, second, relay):
    prediction = predict(behind(*first), behind(*second), relay)
    assert prediction.possible.isdisjoint(prediction.blocked)
    assert all(prediction.blocked.values())
    assert prediction.needs_first.keys() <= prediction.possible


@pytest.mark.parametrize(("scope", "reuse"), SETTINGS, ids=lambda value: value.value)
def test_how_many_of_81_cells_go_direct(scope, reuse):
    """In some order, and where both sides send before they hear anything."""
    counts = {
        (FilterScope.PER_MAPPING, ReplyReuse.OFF): (42, 42),
        (FilterScope.PER_MAPPING, ReplyReuse.INBOUND_FIRST): (57, 57),
        (FilterScope.PER_MAPPING, ReplyReuse.EXISTING_FLOW_FIRST): (57, 53),
        (FilterScope.PER_MAPPING, ReplyReuse.SEPARATE_FLOWS): (57, 57),
        (FilterScope.PER_ENDPOINT, ReplyReuse.OFF): (45, 45),
        (FilterScope.PER_ENDPOINT, ReplyReuse.INBOUND_FIRST): (77, 77),
        (FilterScope.PER_ENDPOINT, ReplyReuse.EXISTING_FLOW_FIRST): (69, 65),
        (FilterScope.PER_ENDPOINT, ReplyReuse.SEPARATE_FLOWS): (77, 77),
    }
    cells = list(product(KINDS, KINDS))
    found = tuple(
        sum(bool(direct_pairs(a, b, (scope, reuse), at_once=at_once)) for a, b in cells)
        for at_once in (False, True)
    )
    assert found == counts[scope, reuse]


@pytest.mark.parametrize("scope", FilterScope, ids=lambda scope: scope.value)
def test_flows_kept_apart_let_the_same_cells_go_direct_as_answers_by_the_latest_mapping(scope):
    for at_once in (False, True):
        apart, latest = (
            {(a, b) for a, b in product(KINDS, KINDS) if direct_pairs(a, b, (scope, reuse), at_once=at_once)}
            for reuse in (ReplyReuse.SEPARATE_FLOWS, ReplyReuse.INBOUND_FIRST)
        )
        assert apart == latest


@pytest.mark.parametrize("scope", FilterScope, ids=lambda scope: scope.value)
@pytest.mark.parametrize("reuse", NO_FLOW_WINS, ids=lambda reuse: reuse.value)
def test_relaxing_a_box_never_costs_a_direct_path_without_flows_that_win(scope, reuse):
    for at_once in (False, True):
        assert not list(relaxations_that_cost((scope, reuse), at_once=at_once))


def test_relaxing_a_box_never_worsens_the_class_between_any_settings_without_flows_that_win():
    """Every box of every such setting against every other, with TURN for one side."""
    free = [setting for setting in SETTINGS if setting[1] in NO_FLOW_WINS]
    models = {
        (kind, setting): model_for(*kind, filter_scope=setting[0], reply_reuse=setting[1])
        for kind, setting in product(KINDS, free)
    }
    mappings, filterings = list(Mapping), list(Filtering)
    for relay in (
        RelayPlacement(present_for=PresentFor.ALICE, permission_key=key, stun_shares_address=shares)
        for key, shares in product(PermissionKey, [True, False])
    ):
        for other in models.values():
            for setting in free:
                rank = {
                    kind: RANK[predict(behind(models[kind, setting]), behind(other), relay).reach]
                    for kind in KINDS
                }
                for mapping, filtering in KINDS:
                    one_step = [
                        (mappings[max(0, mappings.index(mapping) - 1)], filtering),
                        (mapping, filterings[max(0, filterings.index(filtering) - 1)]),
                    ]
                    assert all(rank[looser] >= rank[mapping, filtering] for looser in one_step)


class TestWhereAnExistingFlowWins:
    """A connection-tracking box that opened a flow itself answers by it, and so by a port nobody knows."""

    PER_MAPPING = (FilterScope.PER_MAPPING, ReplyReuse.EXISTING_FLOW_FIRST)
    PER_ENDPOINT = (FilterScope.PER_ENDPOINT, ReplyReuse.EXISTING_FLOW_FIRST)

    @staticmethod
    def words(found) -> set[str]:
        return {" ".join(map(kind_words, entry)) for entry in found}

    def test_with_filters_per_mapping_only_a_simultaneous_start_punishes_a_relaxed_mapping(self):
        assert not list(relaxations_that_cost(self.PER_MAPPING))
        assert self.words(relaxations_that_cost(self.PER_MAPPING, at_once=True)) == {
            "adm-apdf eim-apdf adm-eif",
            "adm-apdf eim-apdf apdm-eif",
            "apdm-apdf eim-apdf adm-eif",
            "apdm-apdf eim-apdf apdm-eif",
        }

    def test_with_filters_per_endpoint_an_address_dependent_filter_punishes_it_in_every_order(self):
        assert self.words(relaxations_that_cost(self.PER_ENDPOINT)) == {
            "adm-apdf eim-apdf adm-adf",
            "adm-apdf eim-apdf apdm-adf",
            "apdm-apdf eim-apdf adm-adf",
            "apdm-apdf eim-apdf apdm-adf",
        }

    def test_the_reason_names_the_flow(self):
        port_restricted = (Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT)
        mover = (Mapping.ADDRESS_DEPENDENT, Filtering.ADDRESS_DEPENDENT)
        prediction = between(port_restricted, mover, self.PER_ENDPOINT)
        assert prediction.reach is Reach.NONE
        assert "answers by the flow it opened itself" in prediction.blocked["srflx", "srflx"]

    def test_who_must_be_first_is_said(self):
        port_restricted = (Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT)
        mover = (Mapping.ADDRESS_DEPENDENT, Filtering.ENDPOINT_INDEPENDENT)
        assert between(port_restricted, mover, self.PER_MAPPING).needs_first == {("srflx", "srflx"): "alice"}
        assert between(mover, port_restricted, self.PER_MAPPING).needs_first == {("srflx", "srflx"): "bob"}

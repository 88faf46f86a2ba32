"""Two semantics on which boxes differ: where a reply leaves, and whose sending opens a filter."""

import pytest

from nat_models import model_for
from nat_models.model import FilterScope, ReplyReuse

HOST = ("10.0.0.2", 5000)
STUN = ("198.51.100.1", 3478)
PEER = ("198.51.100.7", 6000)
PEER_OTHER_PORT = ("198.51.100.7", 6001)


def test_off_a_reply_leaves_by_the_mapping_rule_alone(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="off"))
    towards_stun = box.out(HOST, STUN)
    assert box.into(PEER, towards_stun) == HOST
    assert box.out(HOST, PEER) != towards_stun


@pytest.mark.parametrize("reuse", [ReplyReuse.INBOUND_FIRST, ReplyReuse.EXISTING_FLOW_FIRST])
@pytest.mark.parametrize("mapping", ["adm", "apdm"])
def test_on_a_reply_leaves_by_the_mapping_that_the_peer_came_in_on(bench, mapping, reuse):
    box = bench(model_for(mapping, "eif", reply_reuse=reuse))
    towards_stun = box.out(HOST, STUN)
    box.into(PEER, towards_stun)
    assert box.out(HOST, PEER) == towards_stun


@pytest.mark.parametrize(
    ("reuse", "stays"), [(ReplyReuse.EXISTING_FLOW_FIRST, True), (ReplyReuse.INBOUND_FIRST, False)]
)
def test_a_flow_that_existed_before_wins_only_where_the_axis_says_so(bench, reuse, stays):
    box = bench(model_for("apdm", "eif", reply_reuse=reuse))
    towards_stun, towards_peer = box.out(HOST, STUN), box.out(HOST, PEER)
    box.into(PEER, towards_stun)
    assert box.out(HOST, PEER) == (towards_peer if stays else towards_stun)


def test_inbound_first_follows_the_latest_mapping_that_the_peer_came_in_on(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="inbound-first"))
    first, second = box.out(HOST, STUN), box.out(HOST, ("198.51.100.2", 3478))
    box.into(PEER, first)
    box.into(PEER, second)
    assert box.out(HOST, PEER) == second


def test_existing_flow_first_stays_with_the_first_mapping_that_the_peer_came_in_on(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="existing-flow-first"))
    first, second = box.out(HOST, STUN), box.out(HOST, ("198.51.100.2", 3478))
    box.into(PEER, first)
    box.into(PEER, second)
    assert box.out(HOST, PEER) == first


def test_an_address_dependent_mapping_is_no_flow_to_a_port_it_never_sent_to(bench):
    """The rule would reuse the mapping to PEER's address; the flow to this very port began inbound."""
    box = bench(model_for("adm", "eif", reply_reuse="existing-flow-first"))
    towards_stun, towards_address = box.out(HOST, STUN), box.out(HOST, PEER)
    box.into(PEER_OTHER_PORT, towards_stun)
    assert box.out(HOST, PEER_OTHER_PORT) == towards_stun
    assert box.out(HOST, PEER) == towards_address


def test_a_flow_whose_mapping_has_ended_gives_way_to_the_one_the_peer_comes_in_on(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="existing-flow-first"))
    towards_stun, towards_peer = box.out(HOST, STUN), box.out(HOST, PEER)
    assert towards_stun != towards_peer
    box.wait(200)
    box.out(HOST, STUN)
    box.wait(101)
    assert box.into(PEER, towards_stun) == HOST
    assert box.out(HOST, PEER) == towards_stun


def test_a_pair_ends_with_the_mapping_it_is_tied_to(bench):
    box = bench(model_for("apdm", "eif", reply_reuse="inbound-first"))
    towards_stun = box.out(HOST, STUN)
    box.into(PEER, towards_stun)
    box.wait(301)
    assert box.out(HOST, PEER) != towards_stun


@pytest.mark.parametrize(
    ("scope", "admitted"), [(FilterScope.PER_MAPPING, None), (FilterScope.PER_ENDPOINT, HOST)]
)
def test_scope_decides_whether_another_mapping_of_the_endpoint_opens_the_filter(bench, scope, admitted):
    box = bench(model_for("apdm", "apdf", filter_scope=scope))
    towards_stun = box.out(HOST, STUN)
    box.out(HOST, PEER)
    assert box.into(PEER, towards_stun) == admitted


def test_nothing_is_left_of_an_endpoint_whose_mappings_have_ended(bench):
    box = bench(model_for("apdm", "apdf", filter_scope="per-endpoint", reply_reuse="inbound-first"))
    for remote in (STUN, PEER):
        box.into(remote, box.out(HOST, remote))
    box.wait(301)
    box.nat.wake(box.now)
    table = box.nat._ipv4.udp.table
    state = (table._by_key, table._by_external, table._permits_of, table._of_endpoint, table.flows.pairs)
    assert [len(part) for part in state] == [0, 0, 0, 0, 0]


def test_per_endpoint_scope_does_not_open_the_filters_of_other_endpoints(bench):
    box = bench(model_for("apdm", "adf", filter_scope="per-endpoint"))
    mine = box.out(HOST, STUN)
    box.out(("10.0.0.2", 5001), PEER)
    assert box.into(PEER, mine) is None
    assert box.last.reason == "filter: 198.51.100.7 never sent to by this endpoint"

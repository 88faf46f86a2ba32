"""RFC 4787 §4.1 and §5, axis by axis: which external port, and who may send to it."""

import pytest

from nat_models import model_for
from nat_models.model import Filtering, Mapping

HOST = ("10.0.0.2", 5000)
R1 = ("198.51.100.7", 3478)
R1_OTHER_PORT = ("198.51.100.7", 3479)
R2 = ("198.51.100.8", 3478)

SAME_PORT_FOR = {
    Mapping.ENDPOINT_INDEPENDENT: {R1_OTHER_PORT, R2},
    Mapping.ADDRESS_DEPENDENT: {R1_OTHER_PORT},
    Mapping.ADDRESS_AND_PORT_DEPENDENT: set(),
}
ADMITTED = {
    Filtering.ENDPOINT_INDEPENDENT: {R1, R1_OTHER_PORT, R2},
    Filtering.ADDRESS_DEPENDENT: {R1, R1_OTHER_PORT},
    Filtering.ADDRESS_AND_PORT_DEPENDENT: {R1},
}


@pytest.mark.parametrize("filtering", Filtering)
@pytest.mark.parametrize("mapping", Mapping)
def test_a_mapping_is_reused_for_the_remotes_its_rule_names(bench, mapping, filtering):
    box = bench(model_for(mapping, filtering))
    first = box.out(HOST, R1)
    assert {remote for remote in (R1_OTHER_PORT, R2) if box.out(HOST, remote) == first} == SAME_PORT_FOR[
        mapping
    ]


@pytest.mark.parametrize("filtering", Filtering)
@pytest.mark.parametrize("mapping", Mapping)
def test_a_filter_admits_the_remotes_its_rule_names(bench, mapping, filtering):
    box = bench(model_for(mapping, filtering))
    external = box.out(HOST, R1)
    admitted = {remote for remote in (R1, R1_OTHER_PORT, R2) if box.into(remote, external) == HOST}
    assert admitted == ADMITTED[filtering]


@pytest.mark.requirement("Z1-1")
def test_a_drop_says_who_was_refused_and_why(bench):
    box = bench("port-restricted")
    box.into(R1, ("203.0.113.1", 40001))
    assert box.last.reason == "no mapping on port 40001"
    external = box.out(HOST, R1)
    box.into(R2, external)
    assert box.last.reason == "filter: 198.51.100.8:3478 never sent to by this mapping"
    box.wait(300.4)
    box.into(R1, external)
    assert box.last.reason == "mapping expired 0.4 s earlier"

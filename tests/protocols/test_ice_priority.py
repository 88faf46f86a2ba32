"""RFC 8445's two formulas, against numbers from RFC texts and an independent implementation."""

import aioice.candidate
import aioice.ice
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.ice_priority import TypePreference, candidate_priority, pair_priority

pytestmark = pytest.mark.requirement("Z0-1", "Z0-8")

AIOICE_TYPES = {
    TypePreference.HOST: "host",
    TypePreference.PEER_REFLEXIVE: "prflx",
    TypePreference.SERVER_REFLEXIVE: "srflx",
    TypePreference.RELAY: "relay",
}


@pytest.mark.parametrize("kind", TypePreference)
@pytest.mark.parametrize("component", [1, 2, 256])
def test_candidate_priority_is_that_of_an_independent_implementation(kind, component):
    assert candidate_priority(kind, component=component) == aioice.candidate.candidate_priority(
        component, AIOICE_TYPES[kind]
    )


def test_a_single_homed_host_candidate_has_the_number_seen_in_every_trace():
    assert candidate_priority(TypePreference.HOST) == 2130706431


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1), st.booleans())
def test_pair_priority_is_that_of_an_independent_implementation(local, remote, controlling):
    pair = (
        aioice.candidate.Candidate("f", 1, "udp", local, "192.0.2.1", 1, "host"),
        aioice.candidate.Candidate("f", 1, "udp", remote, "192.0.2.2", 1, "host"),
    )
    ours = pair_priority(local, remote) if controlling else pair_priority(remote, local)
    assert ours == aioice.ice.candidate_pair_priority(*pair, ice_controlling=controlling)


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_both_sides_order_pairs_alike(controlling, controlled):
    """Only the last bit tells who is controlling, so the two agents compute one number."""
    assert pair_priority(controlling, controlled) | 1 == pair_priority(controlled, controlling) | 1


@given(st.sampled_from(TypePreference), st.sampled_from(TypePreference), st.integers(0, 65535))
def test_the_type_outweighs_the_local_preference(better, worse, local):
    if better > worse:
        assert candidate_priority(better, local) > candidate_priority(worse, 65535)


@pytest.mark.parametrize("arguments", [(127, 0, 1), (-1, 0, 1), (0, 65536, 1), (0, 0, 0), (0, 0, 257)])
def test_values_outside_their_ranges_are_refused(arguments):
    with pytest.raises(ValueError, match="out of range"):
        candidate_priority(*arguments)

"""A call in each shipped topology takes the path that the topology was made for."""

import pytest

from lab.measure.calls import calls_of
from lab.sim.lab import simulate
from lab.spec.event import PathClass
from lab.spec.find import load_topology

FULL_CONE = {"alice_nat": "full-cone", "bob_nat": "full-cone"}


def a_call(topology, parameters):
    """Return what became of Alice's call to Bob."""

    async def scenario(lab):
        await lab.call("alice", "bob")

    network = load_topology(topology, parameters)
    events, invalid = simulate(
        network, scenario, parameters, run_seed=1, trial_key="test", deadline=120.0, event_budget=500_000
    )
    assert invalid == ""
    return calls_of(events)[0]


@pytest.mark.parametrize(
    ("topology", "parameters", "path"),
    [
        pytest.param("two_homes", FULL_CONE, PathClass.SERVER_REFLEXIVE, id="two_homes"),
        pytest.param(
            "two_homes", {**FULL_CONE, "same_subnet": True}, PathClass.SERVER_REFLEXIVE, id="same_subnet"
        ),
        pytest.param("two_homes", {"alice_nat": "none", "bob_nat": "none"}, PathClass.HOST, id="no NATs"),
        pytest.param(
            "two_homes",
            {"alice_nat": "symmetric", "bob_nat": "symmetric"},
            PathClass.RELAY,
            id="two symmetric NATs",
            marks=pytest.mark.requirement("Z0-14", "Z4-21"),
        ),
        pytest.param("one_lan", {}, PathClass.HOST, id="one_lan", marks=pytest.mark.requirement("Z4-2")),
        pytest.param("same_nat", {"isolate": False}, PathClass.HOST, id="same_nat routing"),
        pytest.param("same_nat", {}, PathClass.RELAY, id="same_nat without hairpinning"),
        pytest.param(
            "same_nat", {"nat": "home-hairpin"}, PathClass.SERVER_REFLEXIVE, id="same_nat with hairpinning"
        ),
        pytest.param(
            "cgn",
            {**FULL_CONE, "alice_cgn": "symmetric", "bob_nat": "symmetric"},
            PathClass.RELAY,
            id="cgn",
            marks=pytest.mark.requirement("Z1-2"),
        ),
        pytest.param(
            "cgn", {**FULL_CONE, "alice_cgn": "full-cone"}, PathClass.SERVER_REFLEXIVE, id="cgn of full cones"
        ),
        pytest.param(
            "coffee_shop",
            {"shop_nat": "full-cone", "bob_nat": "symmetric"},
            PathClass.RELAY,
            id="coffee_shop",
            marks=pytest.mark.requirement("Z1-2"),
        ),
        pytest.param("one_public", {}, PathClass.SERVER_REFLEXIVE, id="one_public"),
        pytest.param("firewalled_office", {}, PathClass.RELAY, id="udp-blocked"),
        pytest.param(
            "firewalled_office",
            {"firewall": "tcp-443-only"},
            PathClass.RELAY,
            id="tcp-443-only",
            marks=pytest.mark.requirement("Z4-20"),
        ),
        pytest.param(
            "dual_stack", {}, PathClass.HOST, id="dual_stack", marks=pytest.mark.requirement("Z1-13")
        ),
        pytest.param(
            "dual_stack", {"alice_ipv6": False}, PathClass.RELAY, id="dual_stack with IPv6 on one side"
        ),
        pytest.param(
            "deep_nat",
            {"alice_layers": 9, "bob_layers": 9, "nat": "full-cone", "outer_nat": "full-cone"},
            PathClass.SERVER_REFLEXIVE,
            id="deep_nat",
        ),
    ],
)
def test_it_takes_the_path(topology, parameters, path):
    assert a_call(topology, parameters).path is path


def test_multihomed_sends_from_each_address_by_its_own_link():
    """With the wrong link a NAT drops what is not from its inside, and gathering waits 5 s for STUN."""
    call = a_call("multihomed", {})
    assert call.path is PathClass.SERVER_REFLEXIVE
    assert call.setup_time < 1

"""What `predict` says of well-known networks, and the words it says it in."""

import pytest

from lab.errors import UsageError
from lab.measure.predict import (
    NO_RELAY,
    PeerNetwork,
    PermissionKey,
    PresentFor,
    Reach,
    RelayPlacement,
    explain,
    predict,
    why_not_direct,
)
from lab.measure.predict.prediction import union
from nat_models import load_preset
from nat_models.model import FirewallRule, Hairpinning, NatModel

BOTH = RelayPlacement(present_for=PresentFor.BOTH)


def behind(*presets: str) -> PeerNetwork:
    return PeerNetwork(layers=tuple(load_preset(name) for name in presets))


def possible(alice, bob, relay=NO_RELAY, **shared) -> set[str]:
    return {f"{a}-{b}" for a, b in predict(alice, bob, relay, **shared).possible}


def test_two_public_hosts_use_their_own_addresses():
    assert possible(PeerNetwork(), PeerNetwork()) == {"host-host"}


@pytest.mark.requirement("Z1-3")
@pytest.mark.parametrize("nat", ["full-cone", "restricted", "port-restricted", "linux-masquerade"])
def test_stun_alone_is_enough_between_endpoint_independent_mappings(nat):
    assert possible(behind(nat), behind("port-restricted")) == {"srflx-srflx"}


@pytest.mark.requirement("Z0-14", "Z4-4")
def test_two_symmetric_nats_need_a_relay():
    assert predict(behind("symmetric"), behind("symmetric")).reach is Reach.NONE
    assert predict(behind("symmetric"), behind("symmetric"), BOTH).reach is Reach.RELAY


@pytest.mark.requirement("Z4-4")
def test_a_symmetric_nat_against_a_port_restricted_one_names_both_culprits():
    prediction = predict(behind("symmetric"), behind("port-restricted"))
    assert prediction.reach is Reach.NONE
    assert why_not_direct(prediction) == (
        "alice's NAT (symmetric) sends from a port of its own to each destination"
        " (address-and-port-dependent mapping), which bob cannot know,"
        " and bob's NAT (port-restricted) admits only the very ports bob has sent to"
    )


def test_a_symmetric_nat_is_met_by_a_restricted_one_as_a_peer_reflexive_address():
    assert possible(behind("symmetric"), behind("restricted")) == {"prflx-srflx"}


def test_where_no_udp_leaves_a_relay_over_tcp_is_the_only_way():
    blocked = behind("udp-blocked")
    assert predict(blocked, behind("full-cone")).reach is Reach.NONE
    assert possible(blocked, behind("full-cone"), BOTH) == {"relay-srflx", "relay-relay"}
    assert possible(blocked, blocked, BOTH) == {"relay-relay"}
    assert "lets no UDP out" in why_not_direct(predict(blocked, PeerNetwork()))


@pytest.mark.requirement("Z4-20")
def test_a_web_only_firewall_needs_the_relay_on_port_443():
    office = behind("tcp-443-only")
    assert predict(office, PeerNetwork(), BOTH).reach is Reach.RELAY
    assert predict(office, PeerNetwork(), RelayPlacement(present_for=PresentFor.ALICE)).reach is Reach.RELAY
    no_443 = RelayPlacement(present_for=PresentFor.BOTH, tls_ports=(5349,))
    prediction = predict(office, PeerNetwork(), no_443)
    assert prediction.reach is Reach.NONE
    assert "let nothing out to the TURN server" in explain(prediction)


def test_permissions_by_address_and_port_cut_a_symmetric_peer_off_from_the_relay():
    strict = RelayPlacement(present_for=PresentFor.ALICE, permission_key=PermissionKey.IP_PORT)
    assert predict(behind("symmetric"), behind("symmetric"), strict).reach is Reach.NONE
    told = explain(predict(behind("symmetric"), behind("symmetric"), strict))
    assert "alice's relay admits only the very addresses and ports it has a permission for" in told


def test_without_stun_a_full_cone_still_lets_a_stranger_in():
    silent = RelayPlacement(stun=False)
    no_stun = PeerNetwork(
        layers=(
            load_preset("port-restricted"),
            NatModel(
                name="no-stun", outbound_rules=(FirewallRule(action="drop", protocol="udp", ports=(3478,)),)
            ),
        )
    )
    assert possible(no_stun, behind("full-cone")) == {"prflx-srflx"}
    assert possible(behind("full-cone"), behind("full-cone"), silent) == set()


@pytest.mark.requirement("Z4-2")
def test_hosts_of_one_lan_need_nothing_but_their_addresses():
    lan = behind("symmetric")
    assert possible(lan, lan, shared_layers=1) == {"host-host"}
    assert possible(lan, lan, shared_layers=1, inside_routed=False) == set()


def test_one_nat_before_both_must_hairpin_where_the_lan_keeps_its_hosts_apart():
    base = {"name": "cafe"}
    plain = PeerNetwork(layers=(NatModel(**base),))
    hairpin = PeerNetwork(layers=(NatModel(**base, hairpinning=Hairpinning.EXTERNAL_SOURCE),))
    assert possible(plain, plain, shared_layers=1, inside_routed=False) == set()
    assert possible(hairpin, hairpin, shared_layers=1, inside_routed=False) == {"srflx-srflx"}
    assert possible(hairpin, hairpin, shared_layers=1) == {"host-host", "srflx-srflx"}


def test_two_homes_behind_one_carrier_nat_without_hairpin_need_a_relay():
    carrier = NatModel(name="carrier")
    homes = [PeerNetwork(layers=(load_preset(home), carrier)) for home in ("full-cone", "restricted")]
    assert possible(*homes) == {"srflx-srflx"}
    assert possible(*homes, shared_layers=1) == set()
    assert "returns no packet" in why_not_direct(predict(*homes, shared_layers=1))


def test_a_host_in_the_carriers_own_network_is_reached_inside_it():
    carrier = NatModel(name="carrier")
    home = PeerNetwork(layers=(load_preset("port-restricted"), carrier))
    assert possible(PeerNetwork(layers=(carrier,)), home, shared_layers=1) == {"host-prflx"}


def test_colleagues_behind_one_firewall_do_not_cross_it():
    office = behind("udp-blocked")
    assert possible(office, office, shared_layers=1) == {"host-host"}


def test_shared_boxes_must_be_the_same():
    with pytest.raises(UsageError, match="not the same boxes"):
        predict(behind("symmetric"), behind("full-cone"), shared_layers=1)
    with pytest.raises(UsageError, match="2 shared layers"):
        predict(behind("symmetric"), behind("symmetric"), shared_layers=2)


def test_a_policy_that_names_networks_asks_for_the_addresses():
    inward = NatModel(
        name="inward", outbound_rules=(FirewallRule(action="drop", networks=("192.0.2.0/24",)),)
    )
    with pytest.raises(UsageError, match=r"names the networks 192\.0\.2\.0/24"):
        predict(PeerNetwork(layers=(inward,)), PeerNetwork(), RelayPlacement(address="203.0.113.1"))
    inside = PeerNetwork(address="192.0.2.9")
    outside = PeerNetwork(address="198.51.100.9")
    known = RelayPlacement(address="203.0.113.1")
    assert possible(PeerNetwork(layers=(inward,)), inside, known) == set()
    assert possible(PeerNetwork(layers=(inward,)), outside, known) == {"srflx-host"}


def test_hosts_without_a_common_address_family_have_no_path():
    nothing = union([])
    assert nothing.reach is Reach.NONE
    assert explain(nothing) == "no path at all: they have no address of one family"


def test_of_several_ways_any_will_do():
    blocked, free = predict(behind("symmetric"), behind("symmetric")), predict(PeerNetwork(), PeerNetwork())
    both = union([blocked, free])
    assert both.possible == free.possible
    assert both.blocked == blocked.blocked


def test_an_explanation_has_a_headline_and_a_line_a_pair():
    prediction = predict(behind("symmetric"), behind("port-restricted"), BOTH)
    lines = explain(prediction).splitlines()
    assert lines[0].startswith("no direct path, a relay carries the call: alice's NAT (symmetric)")
    assert len(lines) == 1 + len(prediction.possible) + len(prediction.blocked)
    assert "  relay–relay: possible" in lines

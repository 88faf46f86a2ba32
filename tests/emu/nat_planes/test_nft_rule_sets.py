"""The nft plane's rule sets as text: the same for the same model, as committed, and accepted by nft."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.emu.nat_planes import BoxWiring, NatPlane, check
from lab.emu.nat_planes.kernel import kernel_rule_set
from lab.emu.nat_planes.nft import rule_set
from lab.emu.nat_planes.nft.text import nft_time
from nat_models import NatModel, load_preset, presets
from nat_models.model import (
    Filtering,
    FilterScope,
    FirewallRule,
    Hairpinning,
    Lifetimes,
    Mapping,
    Pooling,
    PortAssignment,
    PortPool,
    Refresh,
    TcpBehaviour,
    Transparency,
    Unsolicited,
)

SNAPSHOTS = Path(__file__).parent / "rule_sets"
WIRING = BoxWiring(
    inside=("in",),
    outside="out",
    external_addresses=("198.18.0.100",),
    internal_networks=("10.255.0.0/24", "fd00:255::/64"),
)
COMMITTED = {
    "port-restricted": "port-restricted",
    "hairpinning-symmetric": "apdm-eif{hairpinning: internal-source, filter_scope: per-endpoint}",
    "linux-timers": "eim-adf"
    "{lifetimes: {udp: 120s, udp_unreplied: 30s, udp_stream_after: 2s, udp_refresh: both}}",
    "tcp-443-only": "tcp-443-only{fragments: false}",
}


@pytest.mark.parametrize("name", COMMITTED)
def test_a_rule_set_is_the_committed_one(name):
    """Whoever changes the rules sees here what changes in them."""
    committed = (SNAPSHOTS / f"{name}.nft").read_text()
    assert rule_set(load_preset(COMMITTED[name]), WIRING) == committed


def test_a_router_of_the_kernel_itself_has_few_rules():
    committed = (SNAPSHOTS / "linux-masquerade.nft").read_text()
    assert kernel_rule_set(load_preset("linux-masquerade"), WIRING, sip_helper=True) == committed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1ms"), (0.5, "500ms"), (1.5, "1s500ms"), (120, "2m"), (7440, "2h4m"), (432000, "5d")],
)
def test_times_are_written_in_units_that_nft_reads(seconds, text):
    assert nft_time(seconds) == text


def rules(action):
    return st.builds(
        FirewallRule,
        action=st.just(action),
        protocol=st.sampled_from(["any", "udp", "tcp", "icmp"]),
        ports=st.sampled_from([(), (443,), (443, 5060)]),
        networks=st.sampled_from([(), ("203.0.113.0/24",), ("203.0.113.0/24", "2001:db8::/32")]),
    )


LIFETIMES = st.builds(
    Lifetimes,
    udp=st.floats(0.1, 500_000),
    udp_unreplied=st.none() | st.floats(0.1, 500_000),
    udp_by_port=st.sampled_from([(), ((53, 10.0),), ((53, 10.0), (5060, 3600.0))]),
    udp_stream_after=st.sampled_from([0.0, 0.3, 2.0]),
    udp_refresh=st.sampled_from(Refresh),
    tcp_established=st.sampled_from([7440.0, 432_000.0]),
)
MODELS = st.builds(
    NatModel,
    name=st.just("any"),
    transparency=st.sampled_from(Transparency),
    mapping=st.sampled_from(Mapping),
    filtering=st.sampled_from(Filtering),
    filter_scope=st.sampled_from(FilterScope),
    port_assignment=st.sampled_from(PortAssignment),
    ports=st.builds(PortPool, first=st.sampled_from([1, 1024, 2000]), last=st.sampled_from([2000, 65535])),
    pooling=st.sampled_from(Pooling),
    hairpinning=st.sampled_from(Hairpinning),
    lifetimes=LIFETIMES,
    unsolicited=st.sampled_from([Unsolicited.DROP, Unsolicited.ICMP_UNREACHABLE]),
    tcp=st.builds(
        TcpBehaviour,
        mapping=st.sampled_from(Mapping),
        filtering=st.sampled_from(Filtering),
        unsolicited=st.sampled_from([Unsolicited.DROP, Unsolicited.ICMP_UNREACHABLE, Unsolicited.RST]),
        syn_hold=st.just(0.0),
    ),
    icmp_errors=st.booleans(),
    fragments=st.booleans(),
    outbound_rules=st.lists(st.one_of(map(rules, ("accept", "drop", "reject"))), max_size=3).map(tuple),
)
WIRINGS = st.builds(
    BoxWiring,
    inside=st.sampled_from([("in",), ("in", "guests")]),
    outside=st.just("out"),
    external_addresses=st.sampled_from([("198.18.0.100",), ("198.18.0.100", "198.18.0.101", "198.18.0.102")]),
    internal_networks=st.sampled_from([("10.255.0.0/24",), ("10.255.0.0/24", "10.254.0.0/24", "fd00::/64")]),
    isolated=st.booleans(),
)


@given(MODELS, WIRINGS)
def test_the_same_box_has_the_same_rules(model, wiring):
    assert rule_set(model, wiring) == rule_set(dataclasses.replace(model), wiring)


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "nft", "conntrack")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(MODELS, WIRINGS), min_size=4, max_size=4))
def test_nft_accepts_the_rules_of_every_model_that_the_plane_does_not_refuse(inside, boxes):
    texts = [
        rule_set(model, wiring)
        for model, wiring in boxes
        if not check(NatPlane.NFT, model, external_addresses=len(wiring.external_addresses))
    ]
    assert inside("nat_experiments", "complaints_of_nft", texts) == [""] * len(texts)


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "nft", "conntrack")
def test_nft_accepts_every_preset_on_every_plane_that_can_be_it(inside):
    makers = {NatPlane.NFT: rule_set, NatPlane.KERNEL: kernel_rule_set}
    texts = {
        (plane, name): make(model, WIRING)
        for plane, make in makers.items()
        for name, model in presets().items()
        if not check(plane, model)
    }
    found = inside("nat_experiments", "complaints_of_nft", list(texts.values()))
    assert dict(zip(texts, found, strict=True)) == dict.fromkeys(texts, "")

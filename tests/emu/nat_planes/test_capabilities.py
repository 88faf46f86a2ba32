"""What a plane cannot be it refuses, with the reason and the planes that can."""

import dataclasses

import pytest

from lab.emu.nat_planes import (
    AUTO,
    NAT_PLANES,
    BoxWiring,
    NatPlane,
    check,
    has_sip_gateways,
    plane_for,
    planes_for,
    start_box,
)
from lab.emu.nat_planes.capabilities import LIMITS
from lab.errors import UsageError
from nat_models import load_preset, presets
from nat_models.model import Mapping, PortAssignment, ReplyReuse

NFT, KERNEL, ENGINE = NatPlane.NFT, NatPlane.KERNEL, NatPlane.ENGINE


@pytest.mark.parametrize("mapping", ["eim", "adm", "apdm"])
@pytest.mark.parametrize("filtering", ["eif", "adf", "apdf"])
@pytest.mark.parametrize("ports", ["preserve", "random"])
def test_nft_can_be_every_mapping_and_filtering_with_kept_and_random_ports(mapping, filtering, ports):
    assert check(NFT, load_preset(f"{mapping}-{filtering}{{port_assignment: {ports}}}")) == []


@pytest.mark.parametrize("name", presets())
def test_the_engine_can_be_everything(name):
    assert check(ENGINE, load_preset(name), external_addresses=4) == []


def test_the_kernel_is_what_linux_does_and_nothing_else():
    assert {name for name, model in presets().items() if not check(KERNEL, model)} == {
        "linux-masquerade",
        "linux-masquerade-input-accept",
        "linux-masquerade-random",
        "none",
        "pf",
        "stateful-firewall",
    }


def test_a_refusal_says_why_and_what_to_use_instead():
    (refusal,) = check(NFT, load_preset("port-restricted{port_assignment: sequential}"))
    assert str(refusal) == (
        "port-restricted{port_assignment: sequential}: the nft plane cannot do sequential ports: "
        "netfilter has no way to draw such a port; use --nat-plane engine"
    )
    assert refusal.axis == "port_assignment"


def test_all_that_a_plane_cannot_do_is_said_at_once():
    refused = {refusal.axis for refusal in check(NFT, load_preset("cgn"))}
    assert refused == {"port_assignment", "ports.hold_down", "refusal_icmp", "tcp.syn_hold"}
    with pytest.raises(UsageError) as error:
        start_box(NFT, load_preset("cgn"), BoxWiring(inside=("in",), outside="out"), "/proc/self/ns/net")
    assert len(error.value.problems) == len(check(NFT, load_preset("cgn"), external_addresses=0))


@pytest.mark.parametrize("reuse", ["off", "inbound-first", "existing-flow-first"])
def test_reply_reuse_is_refused_only_where_it_would_be_seen(reuse):
    """With one mapping for all, or a filter that admits nobody to a mapping not made for him, it is not."""
    for name in ("eim-eif", "symmetric", "adm-adf", "stateful-firewall"):
        assert check(NFT, load_preset(f"{name}{{reply_reuse: {reuse}}}")) == []
    for name in ("apdm-eif", "adm-eif", "apdm-adf", "symmetric{filter_scope: per-endpoint}"):
        model = load_preset(name)
        changed = dataclasses.replace(model, reply_reuse=ReplyReuse(reuse))
        assert [refusal.axis for refusal in check(NFT, changed)] == ["reply_reuse"]


def test_every_limit_is_met_by_some_model_and_named_once():
    """A line of the table that no model meets would promise a check that is none."""
    words = [(limit.axis, limit.what) for limit in LIMITS]
    assert len(set(words)) == len(words)
    changes = [
        "port-restricted{port_assignment: contiguous}",
        "port-restricted{port_assignment: port-block}",
        "port-restricted{port_assignment: sequential}",
        "port-restricted{ports.parity: true, ports.per_host_limit: 2, ports.hold_down: 2s}",
        "apdm-apdf{filter_scope: per-endpoint, reply_reuse: off}",
        "apdm-eif{reply_reuse: inbound-first, hairpinning: external-source}",
        "apdm-eif{reply_reuse: existing-flow-first}",
        "eim-eif{lifetimes: {udp: 1500ms, udp_unreplied: 1s, udp_by_port: {53: 1s}}}",
        "eim-eif{unsolicited: input-accept, tcp.simultaneous_open: false}",
        "rfc4787",
        "linux-masquerade",
    ]
    models = [load_preset(text) for text in changes]
    assert [limit.what for limit in LIMITS if not any(limit.asks(model, 2) for model in models)] == []


def test_planes_come_in_the_order_of_preference():
    assert planes_for(load_preset("symmetric")) == [NFT, ENGINE]
    assert planes_for(load_preset("none")) == [NFT, KERNEL, ENGINE]
    overloading = dataclasses.replace(
        load_preset("linux-masquerade"),
        mapping=Mapping.ADDRESS_DEPENDENT,
        port_assignment=PortAssignment.PRESERVE_OVERLOAD,
    )
    assert planes_for(overloading) == [ENGINE]


@pytest.mark.parametrize(
    ("name", "plane"),
    [("symmetric", NFT), ("none", NFT), ("linux-masquerade", KERNEL), ("cgn", ENGINE)],
)
def test_unless_told_otherwise_a_box_is_on_the_first_plane_that_can_be_it(name, plane):
    model = load_preset(name)
    assert plane_for(AUTO, model) is plane
    assert [plane_for(other.value, model) for other in NatPlane] == [*NatPlane], "what is named is taken"


def test_a_box_that_rewrites_sip_is_the_kernels_own():
    assert plane_for(AUTO, load_preset("none"), sip_gateway=True) is KERNEL
    assert [choice for choice in NAT_PLANES if has_sip_gateways(choice)] == [AUTO, "kernel"]

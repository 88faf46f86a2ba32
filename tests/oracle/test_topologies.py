"""Possible equals reached on the shipped topologies: boxes behind boxes, shared boxes, hairpins, presets."""

import random

import pytest
from punching import reached_on

from lab.measure.predict import PresentFor, predict_call
from lab.spec.find import load_topology
from nat_models import presets
from nat_models.model import Unsolicited

ALL = ("udp", "tcp", "tls")
HAIRPINS = ("none", "internal-source", "external-source")


def agree(network) -> None:
    """With a relay for alice, over whatever transport gets through."""
    possible = predict_call(network, "alice", "bob", present_for=PresentFor.ALICE).possible
    assert possible == reached_on(network, turn_for="alice", transports=ALL)


class AnyBox:
    """Draws boxes from all values of all axes that decide paths, as the text of a preset."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def __call__(self, *, hairpinning: str = "none") -> str:
        axes = {
            "filter_scope": ("per-mapping", "per-endpoint"),
            "reply_reuse": ("off", "inbound-first", "existing-flow-first", "separate-flows"),
            "unsolicited": ("drop", "drop", "icmp-unreachable", "input-accept"),
        }
        kind = "-".join(map(self.draw.choice, (("eim", "adm", "apdm"), ("eif", "adf", "apdf"))))
        drawn = ", ".join(f"{axis}: {self.draw.choice(values)}" for axis, values in axes.items())
        return f"{kind}{{{drawn}, hairpinning: {hairpinning}}}"


@pytest.mark.requirement("Z4-2")
@pytest.mark.parametrize("nat", ["port-restricted", "symmetric", "home-hairpin"])
def test_one_lan(nat):
    agree(load_topology("one_lan", {"nat": nat}))


@pytest.mark.parametrize("nat", ["port-restricted", "symmetric", "adm-adf", "linux-masquerade"])
def test_one_public_host(nat):
    agree(load_topology("one_public", {"bob_nat": nat}))


@pytest.mark.parametrize("hairpinning", HAIRPINS)
@pytest.mark.parametrize("isolate", [True, False], ids=["subnets kept apart", "subnets routed"])
def test_one_nat_before_two_subnets(hairpinning, isolate):
    for kind in ("eim-eif", "eim-apdf", "adm-adf", "apdm-eif", "apdm-apdf"):
        agree(load_topology("same_nat", {"nat": f"{kind}{{hairpinning: {hairpinning}}}", "isolate": isolate}))


def test_a_coffee_shop():
    agree(load_topology("coffee_shop", {"wifi_loss": "0%"}))


@pytest.mark.parametrize("cell", ["symmetric", "apdm-eif", "udp-blocked"])
@pytest.mark.parametrize("wifi", ["port-restricted", "adm-eif", "udp-blocked"])
def test_two_links_each(wifi, cell):
    agree(load_topology("multihomed", {"wifi_nat": wifi, "cell_nat": cell}))


@pytest.mark.parametrize("nat", ["symmetric", "full-cone", "udp-blocked"])
@pytest.mark.parametrize("ipv6", [True, False], ids=["both have IPv6", "bob alone has IPv6"])
def test_two_address_families(nat, ipv6):
    agree(load_topology("dual_stack", {"alice_nat": nat, "alice_ipv6": ipv6}))


@pytest.mark.requirement("Z1-2")
@pytest.mark.parametrize("outer", ["port-restricted", "symmetric", "adm-eif"])
@pytest.mark.parametrize("inner", ["full-cone", "restricted", "symmetric"])
def test_three_boxes_against_none_one_and_two(inner, outer):
    for layers in (0, 1, 2):
        agree(load_topology("deep_nat", {"nat": inner, "outer_nat": outer, "bob_layers": layers}))


@pytest.mark.requirement("Z1-2")
@pytest.mark.parametrize("hairpinning", HAIRPINS)
def test_two_homes_behind_one_carrier(hairpinning):
    """The carrier turns packets between its customers round, or does not, or shows inside addresses."""
    box = AnyBox(6888)
    for _ in range(10):
        homes = {"alice_nat": box(), "bob_nat": box(), "one_carrier": True, "cgn_addresses": 1}
        agree(load_topology("cgn", {**homes, "alice_cgn": box(hairpinning=hairpinning)}))


@pytest.mark.requirement("Z1-2")
def test_two_homes_behind_two_carriers():
    box = AnyBox(7422)
    for _ in range(15):
        boxes = {name: box() for name in ("alice_nat", "alice_cgn", "bob_nat", "bob_cgn")}
        agree(load_topology("cgn", {**boxes, "cgn_addresses": 1}))


def test_full_cone_homes_meet_inside_a_carrier_that_shows_them_each_other():
    carrier = {"alice_cgn": "full-cone{hairpinning: internal-source}", "one_carrier": True}
    homes = load_topology("cgn", {"alice_nat": "full-cone", "bob_nat": "full-cone", **carrier})
    assert ("prflx", "prflx") in predict_call(homes, "alice", "bob").possible
    agree(homes)


@pytest.mark.requirement("Z1-4", "Z4-4", "Z4-20")
@pytest.mark.parametrize(
    "firewall", ["udp-blocked", "tcp-443-only", "stateful-firewall", "address-filter", "none"]
)
def test_an_office_behind_a_firewall(firewall):
    agree(load_topology("firewalled_office", {"firewall": firewall}))


@pytest.mark.parametrize("name", presets())
def test_every_preset_against_the_common_ones(name):
    """Lifetimes are set aside: predictions are of what is possible while nothing expires."""
    for other in ("full-cone", "port-restricted", "symmetric", "linux-masquerade-input-accept", name):
        homes = {
            f"{who}_nat": f"{nat}{{lifetimes.udp: 300s}}" for who, nat in (("alice", name), ("bob", other))
        }
        agree(load_topology("two_homes", homes))


@pytest.mark.parametrize("mobile", ["none", "symmetric"])
def test_a_phone_that_might_move_is_where_it_is(mobile):
    """A link that is not attached makes nothing possible, whatever is behind it."""
    agree(load_topology("handover", {"home_nat": "symmetric", "mobile_nat": mobile}))


@pytest.mark.parametrize("reuse", ["off", "existing-flow-first", "separate-flows"])
def test_a_box_that_takes_early_packets_itself(reuse):
    box = AnyBox(3)
    for filtering in ("eif", "adf", "apdf"):
        early = f"eim-{filtering}{{unsolicited: {Unsolicited.INPUT_ACCEPT.value}, reply_reuse: {reuse}}}"
        for _ in range(8):
            agree(load_topology("two_homes", {"alice_nat": early, "bob_nat": box()}))

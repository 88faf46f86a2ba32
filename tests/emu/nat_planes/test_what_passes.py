"""TCP, ICMP, fragments and IPv6 through boxes of every plane: the same model lets the same things pass."""

import pytest

from lab.emu.nat_planes import NatPlane, check
from nat_models import load_preset

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "nft", "conntrack"),
]

REJECTING = (
    "port-restricted{outbound_rules: [{action: reject, protocol: tcp, ports: [80]},"
    " {action: reject, protocol: udp, networks: [198.18.0.0/24]}]}"
)
SILENT = "port-restricted{fragments: false, icmp_errors: false}"
BULK = "262144 262144"

ORDINARY = {
    "tcp 443": f"198.18.0.100 {BULK}",
    "tcp 80": f"198.18.0.100 {BULK}",
    "tcp over ipv6": f"fd00:255::2 {BULK}",
    "tcp from outside": "TimeoutError",
    "icmp error": "ConnectionRefusedError",
    "fragments": "both ways",
    "ping the server": "answered",
    "ping the box": "answered",
    "ping over ipv6": "answered",
    "udp over ipv6": "fd00:255::2 in out out",
    "hop limit": "ICMP 11 from 10.255.0.1",
}
OWN_ADDRESS = {"tcp 443": f"10.255.0.2 {BULK}", "tcp 80": f"10.255.0.2 {BULK}"}
# Packets that the policy forbids and whose hop limit ends at the box: netfilter asks the policy first.
UNSEEN_HOP = {"hop limit": "nobody"}

EXPECTED = {
    "port-restricted": ORDINARY,
    "symmetric": ORDINARY,
    "linux-masquerade": ORDINARY,
    "linux-masquerade-input-accept": ORDINARY | {"tcp from outside": "ConnectionRefusedError"},
    "restricted": ORDINARY | {"tcp from outside": "connected", "udp over ipv6": "fd00:255::2 in in out"},
    "full-cone": ORDINARY | {"tcp from outside": "connected", "udp over ipv6": "fd00:255::2 in in in"},
    "tcp-443-only": ORDINARY
    | {
        "tcp 80": "TimeoutError",
        "icmp error": "TimeoutError",
        "fragments": "lost",
        "ping the server": "silence",
        "ping over ipv6": "silence",
        "udp over ipv6": "nothing leaves",
    },
    "udp-blocked": ORDINARY
    | {"icmp error": "TimeoutError", "fragments": "lost", "udp over ipv6": "nothing leaves"},
    REJECTING: ORDINARY | {"tcp 80": "ConnectionRefusedError", "icmp error": "OSError", "fragments": "lost"},
    "stateful-firewall": ORDINARY | OWN_ADDRESS,
    "none": ORDINARY
    | OWN_ADDRESS
    | {"tcp from outside": "connected", "udp over ipv6": "fd00:255::2 in in in"},
    SILENT: ORDINARY | {"icmp error": "TimeoutError", "fragments": "lost"},
}
# The engine is the same for every model; what differs is how it meets TCP, rejections and silence.
OF_THE_ENGINE = [
    "full-cone",
    "tcp-443-only",
    REJECTING,
    SILENT,
    "stateful-firewall",
    "linux-masquerade-input-accept",
]
CASES = [
    (plane, name)
    for plane in NatPlane
    for name in (OF_THE_ENGINE if plane is NatPlane.ENGINE else EXPECTED)
    if not check(plane, load_preset(name))
]
BY_NETFILTER = {
    "tcp-443-only": UNSEEN_HOP,
    "udp-blocked": UNSEEN_HOP,
    REJECTING: {"hop limit": "ICMP 3 from 10.255.0.1"},
}


@pytest.fixture(scope="module")
def passed(inside, once):
    def ask(plane):
        models = {name: load_preset(name) for of, name in CASES if of is plane}
        found = inside("nat_experiments", "what_passes", plane, models)
        return {(plane, name): result for name, result in found.items()}

    return once("passed", lambda: {case: seen for plane in NatPlane for case, seen in ask(plane).items()})


@pytest.mark.parametrize(("plane", "name"), CASES)
def test_the_same_passes_on_every_plane(passed, plane, name):
    expected = EXPECTED[name]
    if plane is not NatPlane.ENGINE:
        expected = expected | BY_NETFILTER.get(name, {})
    assert passed[plane, name] == expected


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize(
    ("plane", "name", "by_own_address", "by_external"),
    [
        (NatPlane.NFT, "eim-eif", "10.255.0.2", "nothing"),
        (NatPlane.NFT, "eim-eif{hairpinning: external-source}", "10.255.0.2", "198.18.0.100"),
        (NatPlane.NFT, "eim-eif{hairpinning: internal-source}", "10.255.0.2", "10.255.0.2"),
        (NatPlane.NFT, "stateful-firewall", "10.255.0.2", None),
        (NatPlane.KERNEL, "linux-masquerade", "10.255.0.2", "nothing"),
        (NatPlane.ENGINE, "eim-eif{hairpinning: external-source}", "10.255.0.2", "198.18.0.100"),
    ],
)
def test_inside_networks_meet_untranslated_unless_isolated(
    inside, plane, name, by_own_address, by_external, isolated
):
    """Kept apart they reach each other by external endpoints, if the box hairpins, and not otherwise."""
    seen = inside("nat_experiments", "between_inside_networks", plane, load_preset(name), isolated=isolated)
    assert seen[0] == ("nothing" if isolated else by_own_address)
    if by_external is not None:
        assert seen[1] == by_external


@pytest.mark.parametrize(
    ("plane", "name"),
    [
        (NatPlane.NFT, "eim-eif"),
        (NatPlane.NFT, "apdm-apdf"),
        (NatPlane.KERNEL, "linux-masquerade-random"),
        (NatPlane.ENGINE, "eim-eif"),
    ],
)
def test_a_mapping_does_not_survive_a_reboot_because_its_host_goes_on_sending(inside, plane, name):
    found = inside("nat_experiments", "reboots_under_traffic", plane, load_preset(name), 5)
    assert found == [True] * 5


def test_the_kernels_sip_gateway_rewrites_where_it_is_switched_on_and_nowhere_else(inside):
    model = load_preset("linux-masquerade")
    rewritten = inside("nat_experiments", "sip_register", model, 5060, sip_helper=True)
    assert "Via: SIP/2.0/UDP 198.18.0.100:5060" in rewritten
    assert "Contact: <sip:a@198.18.0.100:5060>" in rewritten
    for untouched in (
        inside("nat_experiments", "sip_register", model, 5060, sip_helper=False),
        inside("nat_experiments", "sip_register", model, 5062, sip_helper=True),
    ):
        assert "Via: SIP/2.0/UDP 10.255.0.2:5060" in untouched
        assert "Contact: <sip:a@10.255.0.2:5060>" in untouched


@pytest.mark.parametrize("plane", [NatPlane.NFT, NatPlane.ENGINE])
def test_errors_about_a_flow_beside_another_quote_what_each_side_knows(inside, plane):
    """RFC 5508 §4: the inside host knows the drawn port, the remote its own and the mapping."""
    assert inside("nat_experiments", "errors_about_a_drawn_port", plane, load_preset("apdm-eif")) == [
        True,
        True,
    ]

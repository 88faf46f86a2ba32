"""Every plane certified: the lab's prober behind a box of it, the lab's STUN server before it, real sockets.

One call of a fixture probes many boxes side by side, since most of a probe is waiting.
"""

import dataclasses
import itertools

import pytest

from lab.emu.nat_planes import NatPlane
from lab.protocols.behaviour_discovery import compare
from nat_models import load_preset
from nat_models.model import Filtering, Hairpinning, Mapping, ReplyReuse

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "nft", "conntrack"),
]

PAIRS = [f"{m}-{f}" for m, f in itertools.product(("eim", "adm", "apdm"), ("eif", "adf", "apdf"))]
RANDOM = PAIRS
PRESERVING = [f"{pair}{{port_assignment: preserve}}" for pair in PAIRS]
OTHERS = [
    "port-preserving-symmetric",
    "eim-eif{hairpinning: external-source}",
    "eim-apdf{hairpinning: external-source}",
    "apdm-eif{hairpinning: external-source}",
    "eim-adf{hairpinning: internal-source}",
    "adm-eif{hairpinning: internal-source}",
    "apdm-apdf{filter_scope: per-endpoint}",
    "adm-adf{filter_scope: per-endpoint}",
    "eim-apdf{ports: {first: 2000, last: 2999}}",
    "port-restricted{fragments: false}",
    "port-restricted{unsolicited: icmp-unreachable}",
    "udp-blocked",
    "tcp-443-only",
    "stateful-firewall",
    "address-filter",
    "none",
]
SEVERAL_ADDRESSES = ["eim-apdf", "port-restricted", "apdm-apdf{pooling: arbitrary}"]
TIMERS = [
    "{udp: 2s, udp_refresh: %s}",
    "{udp: 2s, udp_unreplied: 1500ms, udp_refresh: %s}",
    "{udp: 2s, udp_unreplied: 1500ms, udp_stream_after: 800ms, udp_refresh: %s}",
    "{udp: 5s, udp_by_port: {3478: 2s}, udp_refresh: %s}",
]
TIMED = [
    f"{base}{{lifetimes: {timers % refresh}}}"
    for (base, timers), refresh in itertools.product(
        zip(("eim-apdf", "apdm-adf", "eim-eif", "stateful-firewall"), TIMERS, strict=True),
        ("outbound", "inbound", "both"),
    )
]
# The kernel believes in a flow after 2 s, so an unanswered one must live longer than that to show it.
KERNEL_TIMERS = "{lifetimes: {udp: 4s, udp_unreplied: 3s}}"
KERNEL = ["linux-masquerade", "linux-masquerade-random", "linux-masquerade-input-accept", "stateful-firewall"]
# What no rule set can be, and what it can.
ENGINE = [
    "rfc4787",
    "linux-masquerade",
    "linux-masquerade-input-accept",
    "apdm-eif{reply_reuse: off}",
    "apdm-adf{reply_reuse: inbound-first}",
    "adm-eif{reply_reuse: existing-flow-first}",
    "apdm-adf",
    "adm-apdf{port_assignment: sequential}",
    "eim-adf{port_assignment: contiguous, hairpinning: internal-source}",
    "symmetric{unsolicited: icmp-unreachable, fragments: false}",
    "stateful-firewall",
    "udp-blocked",
    "none",
]
ENGINE_TIMED = [
    f"eim-apdf{{lifetimes: {{udp: 2s, udp_refresh: {refresh}}}}}" for refresh in ("inbound", "both")
]


def certified(inside, plane, names, *, addresses=1, timed=False, side_by_side=4):
    models = [(load_preset(name), addresses) for name in names]
    return dict(
        zip(names, inside("nat_certificates", "certify", plane, models, timed, side_by_side), strict=True)
    )


@pytest.fixture(scope="module")
def nft(inside, once):
    def probe():
        found = certified(inside, NatPlane.NFT, [*RANDOM, *PRESERVING, *OTHERS])
        several = certified(inside, NatPlane.NFT, SEVERAL_ADDRESSES, addresses=3)
        return found | {f"3 x {name}": result for name, result in several.items()}

    return once("nft", probe)


@pytest.fixture(scope="module")
def nft_timed(inside, once):
    return once("nft-timed", lambda: certified(inside, NatPlane.NFT, TIMED, timed=True, side_by_side=12))


@pytest.fixture(scope="module")
def kernel(inside, once):
    names = [f"{name}{KERNEL_TIMERS}" for name in KERNEL]
    return once("kernel", lambda: certified(inside, NatPlane.KERNEL, names, timed=True))


@pytest.fixture(scope="module")
def engine(inside, once):
    def probe():
        found = certified(inside, NatPlane.ENGINE, ENGINE)
        several = certified(inside, NatPlane.ENGINE, ["cgn"], addresses=3)
        return found | several | certified(inside, NatPlane.ENGINE, ENGINE_TIMED, timed=True)

    return once("engine", probe)


@pytest.mark.parametrize(
    "name", [*RANDOM, *PRESERVING, *OTHERS, *(f"3 x {name}" for name in SEVERAL_ADDRESSES)]
)
def test_nft_is_what_the_model_says(nft, name):
    findings, problems = nft[name]
    assert problems == [], findings.describe()


@pytest.mark.parametrize("name", RANDOM)
def test_a_box_fits_its_own_mapping_and_filtering_and_no_other(nft, name):
    findings, _ = nft[name]
    assert [claim for claim in PAIRS if not compare(findings, load_preset(claim))] == [name]


@pytest.mark.parametrize("name", [name for name in OTHERS if "hairpinning" in name])
def test_hairpinning_is_seen_and_not_merely_possible(nft, name):
    findings, _ = nft[name]
    assert findings.hairpinning.value is load_preset(name).hairpinning
    assert findings.hairpinning.value is not Hairpinning.NONE


@pytest.mark.parametrize("name", TIMED)
def test_nft_keeps_the_models_lifetimes_refreshed_by_the_models_packets(nft_timed, name):
    findings, problems = nft_timed[name]
    assert problems == [], findings.describe()
    assert findings.refresh.value is load_preset(name).lifetimes.udp_refresh


@pytest.mark.parametrize("name", KERNEL)
def test_the_kernel_is_what_its_presets_say(kernel, name):
    findings, problems = kernel[f"{name}{KERNEL_TIMERS}"]
    assert problems == [], findings.describe()
    assert len(findings.lifetimes) == 4


@pytest.mark.parametrize("name", [*ENGINE, "cgn", *ENGINE_TIMED])
def test_the_engine_is_what_the_model_says(engine, name):
    findings, problems = engine[name]
    assert problems == [], findings.describe()
    apart = findings.reply_reuse.value is ReplyReuse.SEPARATE_FLOWS
    assert bool(findings.notes) is apart, "remotes keep their ports but where flows are kept apart"


def test_the_engine_settles_reply_reuse_as_asked(engine):
    assert engine["apdm-eif{reply_reuse: off}"][0].reply_reuse.value is ReplyReuse.OFF
    assert engine["apdm-adf{reply_reuse: inbound-first}"][0].reply_reuse.value is ReplyReuse.INBOUND_FIRST
    found = engine["adm-eif{reply_reuse: existing-flow-first}"][0].reply_reuse.value
    assert found is ReplyReuse.EXISTING_FLOW_FIRST
    assert engine["apdm-adf"][0].reply_reuse.value is ReplyReuse.SEPARATE_FLOWS


def test_netfilter_keeps_the_flows_of_a_remote_apart(nft):
    """Measured wherever a remote is admitted by a mapping that was not made for it."""
    admitting = [
        name
        for name in PAIRS
        if load_preset(name).mapping is not Mapping.ENDPOINT_INDEPENDENT
        and (
            load_preset(name).filtering is Filtering.ENDPOINT_INDEPENDENT
            or (load_preset(name).filtering is Filtering.ADDRESS_DEPENDENT and name.startswith("apdm"))
        )
    ]
    assert admitting == ["adm-eif", "apdm-eif", "apdm-adf"]
    for name in admitting:
        assert nft[name][0].reply_reuse.value is ReplyReuse.SEPARATE_FLOWS
        assert load_preset(name).reply_reuse is ReplyReuse.SEPARATE_FLOWS, "the models' default"


@pytest.mark.parametrize("reuse", [ReplyReuse.OFF, ReplyReuse.INBOUND_FIRST, ReplyReuse.EXISTING_FLOW_FIRST])
def test_another_claim_of_reply_reuse_is_refused(nft, reuse):
    findings, _ = nft["apdm-eif"]
    claim = dataclasses.replace(load_preset("apdm-eif"), reply_reuse=reuse)
    assert compare(findings, claim) == [f"reply reuse is separate-flows, not {reuse.value}"]

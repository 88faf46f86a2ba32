"""One corpus of packet sequences: the pure engine, and boxes of every plane, answer alike.

Alike means: for every packet the same receiver, who sees the same source. Ports of remotes that are drawn
anew are of the same class of ports, and what is sent to them goes to the same place; which one is drawn is
chance (known_differences). Nothing else is forgiven.
"""

import pytest
from known_differences import with_drawn_ports_hidden
from packet_script import Flush, In, Out, Reboot, Reply, Wait, drawn_script, in_words, on_engine

from lab.emu.nat_planes import NatPlane, check
from nat_models import load_preset

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "nft", "conntrack"),
]

SEEDS = range(3)
PAIRS = [f"{m}-{f}" for m in ("eim", "adm", "apdm") for f in ("eif", "adf", "apdf")]
MODELS = [
    *(f"{pair}{{port_assignment: preserve}}" for pair in PAIRS),
    *("eim-apdf", "apdm-adf", "apdm-apdf"),
    "port-preserving-symmetric",
    "home-hairpin",
    "apdm-eif{hairpinning: external-source}",
    "adm-adf{hairpinning: internal-source}",
    "symmetric{filter_scope: per-endpoint}",
    "adm-adf{filter_scope: per-endpoint}",
    "linux-masquerade",
    "linux-masquerade-random",
    "linux-masquerade-input-accept",
]
OF_THE_ENGINE = [
    "eim-eif",
    "adm-adf",
    "apdm-eif",
    "apdm-adf{reply_reuse: off}",
    "apdm-eif{reply_reuse: inbound-first}",
    "adm-eif{reply_reuse: existing-flow-first}",
    "home-hairpin",
    "cgn",
    "linux-masquerade",
]
CASES = [
    (plane, name)
    for plane in NatPlane
    for name in (OF_THE_ENGINE if plane is NatPlane.ENGINE else MODELS)
    if not check(plane, load_preset(name))
]

R1, R2 = {"remote": 0, "remote_port": 3478}, {"remote": 1, "remote_port": 3478}
PHONE, OTHER_PHONE = {"host": "h1", "port": 5060}, {"host": "h2", "port": 5060}

TWO_PHONES = [
    *(Out(**PHONE, **R1), Out(**OTHER_PHONE, **R1), Out(**OTHER_PHONE, **R2), Out(**PHONE, **R2)),
    *(In(**R1, to=1), In(**R1, to=0), In(**R2, to=2), In(**R2, to=3)),
]
REBOOT = [Out(**PHONE, **R1), In(**R1, to=0), Reboot(), In(**R1, to=0), Out(**PHONE, **R1), In(**R1, to=4)]
FLUSH = [Flush() if isinstance(step, Reboot) else step for step in REBOOT]
REUSE = [
    *(Out(**PHONE, **R1), In(**R2, to=0), Reply(to=1), Out(**PHONE, **R2)),
    *(Out(**PHONE, remote=2, remote_port=9), In(remote=2, remote_port=9, to=0), Reply(to=5)),
    *(Out(**PHONE, remote=2, remote_port=9), In(remote=2, remote_port=9, to=4)),
]
# Every wait is well away from the lifetime of 1.2 s, on either side.
ONE_WAY = [
    *(Out(**PHONE, **R1), Wait(seconds=0.7), In(**R1, to=0), Wait(seconds=0.7), In(**R1, to=0)),
    *(Out(**PHONE, **R1), Wait(seconds=0.7), Out(**PHONE, **R1), Wait(seconds=0.7), In(**R1, to=7)),
]
# A flow lives 4 s from its last packet; every wait is a second or more away from that.
KEPT = [Out(**PHONE, **R1), Out(**PHONE, remote=1, remote_port=3479)]
FLOWS_END = [
    # A flow to R2 by the second mapping, which is kept; the flow is not. R2 then comes in by the first one.
    *(*KEPT, Out(**PHONE, **R2), Wait(seconds=2.5), *KEPT, Wait(seconds=2.5), *KEPT),
    *(In(**R2, to=0), Reply(to=9), Out(**PHONE, **R2)),
]
FLOWS_LAST = [
    # The same, but the flow is kept by packets from outside.
    *(*KEPT, Out(**PHONE, **R2), Wait(seconds=2.5), *KEPT, In(**R2, to=1), Wait(seconds=2.5), *KEPT),
    *(In(**R2, to=0), Reply(to=10), Out(**PHONE, **R2)),
]
FLOWS_CLASH = [
    # R2 has a flow by the first mapping and one by the second. That by the first ends; R2 is sent to anew.
    *(
        *KEPT,
        In(**R2, to=0),
        In(**R2, to=1),
        Wait(seconds=2.5),
        *KEPT,
        In(**R2, to=1),
        Wait(seconds=2.5),
        *KEPT,
    ),
    *(Out(**PHONE, **R2), In(**R2, to=1)),
]
AGEING = "adm-eif{port_assignment: preserve, lifetimes: {udp: 4s}}"
TIMED = [
    f"eim-apdf{{port_assignment: preserve, lifetimes: {{udp: 1200ms, udp_refresh: {refresh}}}}}"
    for refresh in ("outbound", "inbound", "both")
]


def scripts_for(name):
    drawn = [drawn_script(seed, hairpins="hairpin" in name) for seed in SEEDS]
    return [TWO_PHONES, REBOOT, REUSE, FLUSH, *drawn]


@pytest.fixture(scope="module")
def answers(inside, once):
    def ask(plane):
        names = [name for of, name in CASES if of is plane]
        cases = [(load_preset(name), scripts_for(name)) for name in names]
        results = inside("packet_script", "on_benches", plane, cases)
        return {(plane, name): result for name, result in zip(names, results, strict=True)}

    return once("answers", lambda: {case: seen for plane in NatPlane for case, seen in ask(plane).items()})


def told(script, words):
    return "\n".join(f"{step} | {said}" for step, said in zip(script, words, strict=True))


@pytest.mark.parametrize(("plane", "name"), CASES)
def test_a_plane_answers_as_the_engine_but_for_what_is_known(answers, plane, name):
    for script, seen in zip(scripts_for(name), answers[plane, name], strict=True):
        expected = with_drawn_ports_hidden(script, on_engine(load_preset(name), script))
        found = with_drawn_ports_hidden(script, seen)
        assert told(script, in_words(found)) == told(script, in_words(expected))


@pytest.mark.parametrize("name", ["adm-eif", "apdm-eif"])
def test_what_is_measured_of_netfilter_is_seen(answers, name):
    """A remote that has a flow comes in by another mapping: by a drawn port, answered where it came in."""
    seen = answers[NatPlane.NFT, f"{name}{{port_assignment: preserve}}"][2]
    first_mapping, own_mapping = seen[0][1], seen[4][1]
    assert seen[5][1] == ("198.18.0.3", seen[5][1][1])
    assert seen[5][1][1] != 9, "its port is taken by the flow that was there"
    assert seen[6] == (("198.18.0.3", 9), first_mapping), "the answer leaves where the question came in"
    assert seen[7] == (("198.18.0.3", 9), own_mapping), "a packet to its true address by the first flow"
    assert seen[8] == (("10.255.0.2", 5060), ("198.18.0.3", 9)), "by its own mapping it comes as it is"


def test_a_remote_that_comes_in_first_is_answered_by_that_mapping_ever_after(answers):
    for name in ("adm-eif{port_assignment: preserve}", "apdm-eif{port_assignment: preserve}"):
        seen = answers[NatPlane.NFT, name][2]
        assert seen[2][1] == seen[3][1] == seen[0][1]


def test_two_phones_on_one_source_port_never_share_an_external_one(answers):
    for plane, name in CASES:
        if plane is NatPlane.NFT:
            seen = answers[plane, name][0]
            first = {seen[0][1], seen[3][1]}
            assert first.isdisjoint({seen[1][1], seen[2][1]}), name
            assert [seen[i][0][0] for i in (4, 5)] == ["10.255.0.3", "10.255.0.2"], name


@pytest.mark.parametrize("script", [1, 3], ids=["reboot", "flush"])
def test_a_reboot_and_a_flush_end_every_mapping(answers, script):
    for case in CASES:
        seen = answers[case][script]
        assert seen[1] is not None, case
        assert seen[3] is None, case
        assert seen[5] is not None, case


@pytest.mark.parametrize("plane", [NatPlane.NFT, NatPlane.ENGINE])
def test_idle_times_end_mappings_by_the_packets_that_the_model_says(inside, plane):
    cases = [(load_preset(name), [ONE_WAY]) for name in TIMED]
    for (model, _), (seen,) in zip(cases, inside("packet_script", "on_benches", plane, cases), strict=True):
        assert told(ONE_WAY, in_words(seen)) == told(ONE_WAY, in_words(on_engine(model, ONE_WAY)))


@pytest.mark.parametrize("plane", [NatPlane.NFT, NatPlane.ENGINE])
def test_flows_end_by_timers_of_their_own(inside, plane):
    scripts = [FLOWS_END, FLOWS_LAST, FLOWS_CLASH]
    model = load_preset(AGEING)
    alone = inside("packet_script", "on_benches", plane, [(model, [script]) for script in scripts])
    results = [seen for (seen,) in alone]
    for script, seen in zip(scripts, results, strict=True):
        expected = with_drawn_ports_hidden(script, on_engine(model, script))
        assert told(script, in_words(with_drawn_ports_hidden(script, seen))) == told(
            script, in_words(expected)
        )
    assert [seen[at][1][1] == 3478 for seen, at in ((results[0], 9), (results[1], 10))] == [True, False]
    assert results[2][-2] is None, "a packet that could leave by no other port is dropped"


def test_the_list_of_differences_forgives_nothing_else():
    """What it hides is the port of a second flow, and no more of it than its place in its class."""
    seen = on_engine(load_preset("apdm-eif{port_assignment: preserve}"), REUSE)
    hidden = with_drawn_ports_hidden(REUSE, seen)
    assert [i for i, (a, b) in enumerate(zip(hidden, seen, strict=True)) if a != b] == [5]
    assert hidden[5][1] == ("198.18.0.3", -1), "port 9 becomes another one of the lowest class"

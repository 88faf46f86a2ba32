"""NAT behaviour discovery against every box the lab can build, and what certification refuses."""

import asyncio
import contextlib
import dataclasses
import itertools
import socket

import pytest

from lab.protocols.behaviour_discovery import (
    DiscoveryIncomplete,
    DiscoveryPlan,
    Findings,
    Ground,
    LifetimeSearch,
    Observed,
    compare,
    lifetime_plan,
    search_lifetime,
)
from lab.protocols.behaviour_discovery.bench import SERVER_ADDRESSES, certification_network
from lab.protocols.turn_server import RelayConfig
from lab.roles.prober import Prober, ProberConfig, _Host
from lab.roles.real_context import RealRoleContext
from lab.roles.relay import Relay, RelayRoleConfig
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.impairment import Impairment
from nat_models.model import (
    Filtering,
    FilterScope,
    FirewallRule,
    Hairpinning,
    Lifetimes,
    Mapping,
    NatModel,
    Pooling,
    PortAssignment,
    PortPool,
    Refresh,
    ReplyReuse,
    Transparency,
    Unsolicited,
)
from nat_models.presets import load_preset, preset_names

SERVER = (SERVER_ADDRESSES[0], 3478)
EIM, ADM, APDM = Mapping
EIF, ADF, APDF = Filtering
MATRIX = list(itertools.product(Mapping, Filtering))


class World:
    """One box, one host, one server, virtual time."""

    def __init__(self, model, *, external=1, addresses=SERVER_ADDRESSES, seed=0, **config):
        self.model = model
        self.loop = VirtualLoop(deadline=1e6, event_budget=1_000_000)
        bench = certification_network(model, external_addresses=external)
        self.network = SimNetwork(bench, self.loop, run_seed=seed)
        relay = RelayRoleConfig(server=RelayConfig(addresses=addresses))
        self.relay = Relay(relay, self.network.host("server"))
        self.config = ProberConfig(server=SERVER, **config)
        self.host = self.network.host("host")

    def run(self, program):
        async def main():
            self.network.host("server").start(self.relay.run())
            await self.relay.ready.wait()
            return await self.host.start(program)

        try:
            return self.loop.run_until_complete(main())
        finally:
            self.loop.close()

    def findings(self):
        return self.run(Prober(self.config, self.host).probe())


def probe(model, **how):
    """Findings behind ``model``, lifetimes left out."""
    return World(model, **how).findings()


def model_of(**axes):
    return NatModel(**{"name": "probed", **axes})


@pytest.mark.requirement("Z0-11", "Z1-3")
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_found_to_be_what_it_claims(name):
    """With lifetimes: minutes of idling that cost milliseconds."""
    model = load_preset(name)
    plan = DiscoveryPlan(lifetimes=lifetime_plan(model, SERVER[1]))
    findings = World(model, plan=plan).findings()
    assert compare(findings, model) == []


@pytest.mark.parametrize("scope", FilterScope)
@pytest.mark.parametrize("reuse", ReplyReuse)
def test_every_mapping_and_filtering_is_told_from_every_other(scope, reuse):
    for mapping, filtering in MATRIX:
        model = model_of(mapping=mapping, filtering=filtering, filter_scope=scope, reply_reuse=reuse)
        findings = probe(model)
        fitting = [
            pair
            for pair in MATRIX
            if not compare(findings, dataclasses.replace(model, mapping=pair[0], filtering=pair[1]))
        ]
        assert fitting == [(mapping, filtering)]


SCOPE_SEEN = {(m, f) for m in (ADM, APDM) for f in (ADF, APDF)}
"""Where filter scope shows: several mappings, and a filter that refuses somebody."""


@pytest.mark.parametrize(("mapping", "filtering"), MATRIX)
@pytest.mark.parametrize("scope", FilterScope)
def test_filter_scope_is_found_wherever_it_makes_a_difference(mapping, filtering, scope):
    findings = probe(model_of(mapping=mapping, filtering=filtering, filter_scope=scope))
    if (mapping, filtering) in SCOPE_SEEN:
        assert findings.filter_scope.value is scope
    else:
        assert findings.filter_scope.possible == tuple(FilterScope)
        expected = "one mapping serves every remote" if mapping is EIM else "everybody is admitted"
        assert findings.filter_scope.why == expected


def reuse_that_fits(mapping, filtering, scope, reuse):
    """Which settings of reply reuse look alike, by thought alone: the oracle of the next test."""
    per_endpoint = scope is FilterScope.PER_ENDPOINT
    if mapping is EIM:
        return set(ReplyReuse)  # there is one mapping to leave from
    if filtering is EIF or (per_endpoint and filtering is ADF) or (mapping, filtering) == (APDM, ADF):
        return {reuse}  # strangers and acquaintances alike come in by a mapping not made for them
    if per_endpoint:  # acquaintances only: to them, "off" and "existing flow first" answer alike
        alike = {ReplyReuse.OFF, ReplyReuse.EXISTING_FLOW_FIRST}
        return alike if reuse in alike else {reuse}
    return set(ReplyReuse)  # nobody comes in by a mapping not made for them


@pytest.mark.parametrize("reuse", ReplyReuse)
@pytest.mark.parametrize("scope", FilterScope)
def test_reply_reuse_is_found_wherever_it_makes_a_difference(scope, reuse):
    for mapping, filtering in MATRIX:
        model = model_of(mapping=mapping, filtering=filtering, filter_scope=scope, reply_reuse=reuse)
        found = set(probe(model).reply_reuse.possible)
        assert found == reuse_that_fits(mapping, filtering, scope, reuse), (mapping, filtering)


@pytest.mark.parametrize("mapping", Mapping)
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("assignment", PortAssignment)
def test_port_assignment_is_found_as_far_as_one_host_can_tell(assignment, mapping, parity):
    model = model_of(mapping=mapping, port_assignment=assignment, ports=PortPool(parity=parity))
    findings = probe(model)
    assert compare(findings, model) == []
    others = {
        a for a in PortAssignment if not compare(findings, dataclasses.replace(model, port_assignment=a))
    }
    preserving = {a for a in PortAssignment if a.value.startswith("preserve")}
    if assignment in preserving:
        assert others == preserving, "kept ports look alike from one host"
    elif assignment is PortAssignment.PORT_BLOCK:
        assert others == {assignment, PortAssignment.RANDOM}, "ports of one block might have been drawn so"
    else:
        assert others == {assignment}


def test_ports_outside_the_claimed_range_and_lost_parity_are_mismatches():
    findings = probe(model_of(port_assignment=PortAssignment.RANDOM, ports=PortPool(first=2000, last=2999)))
    claimed = model_of(port_assignment=PortAssignment.RANDOM, ports=PortPool(first=5000, parity=True))
    problems = compare(findings, claimed)
    assert any("are not in 5000 to 65535" in problem for problem in problems)
    assert any("parity" in problem for problem in problems)


def test_ports_of_several_blocks_are_no_port_block():
    findings = probe(model_of(port_assignment=PortAssignment.RANDOM))
    problems = compare(findings, model_of(port_assignment=PortAssignment.PORT_BLOCK))
    assert any("are not of one block of 512" in problem for problem in problems)


@pytest.mark.parametrize(("mapping", "filtering"), MATRIX)
@pytest.mark.parametrize("hairpinning", Hairpinning)
def test_hairpinning_is_found_where_any_packet_could_pass(mapping, filtering, hairpinning):
    findings = probe(model_of(mapping=mapping, filtering=filtering, hairpinning=hairpinning))
    if mapping is EIM or filtering is EIF:
        assert findings.hairpinning.value is hairpinning
    else:
        assert findings.hairpinning.possible == tuple(Hairpinning)


@pytest.mark.parametrize("unsolicited", Unsolicited)
def test_a_router_that_accepts_input_is_told_from_those_that_do_not(unsolicited):
    """A refused early packet costs the inside host its port towards that remote: field bugs begin so."""
    findings = probe(model_of(unsolicited=unsolicited))
    accepts = unsolicited is Unsolicited.INPUT_ACCEPT
    assert (findings.unsolicited.value is Unsolicited.INPUT_ACCEPT) == accepts
    assert (Unsolicited.INPUT_ACCEPT in findings.unsolicited.possible) == accepts


@pytest.mark.parametrize("fragments", [False, True])
def test_whether_fragments_pass_is_found(fragments):
    assert probe(model_of(fragments=fragments)).fragments == Observed((fragments,))


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("mapping", Mapping)
def test_pooling_is_found_on_a_box_with_several_addresses(pooling, mapping):
    model = model_of(pooling=pooling, mapping=mapping)
    findings = probe(model, external=3)
    assert compare(findings, model, external_addresses=3) == []
    other = next(p for p in Pooling if p is not pooling)
    assert compare(findings, dataclasses.replace(model, pooling=other), external_addresses=3)


@pytest.mark.parametrize("refresh", Refresh)
@pytest.mark.parametrize("unreplied", [None, 30.0])
@pytest.mark.parametrize("stream_after", [0.0, 2.0])
def test_lifetimes_and_what_refreshes_them_are_measured(refresh, unreplied, stream_after):
    lifetimes = Lifetimes(
        udp=120.0, udp_unreplied=unreplied, udp_stream_after=stream_after, udp_refresh=refresh
    )
    model = model_of(lifetimes=lifetimes)
    plan = DiscoveryPlan(lifetimes=lifetime_plan(model, SERVER[1]))
    findings = World(model, plan=plan).findings()
    assert compare(findings, model) == []
    assert findings.refresh.value is refresh
    assert len(findings.lifetimes) == (2 if unreplied is None else 4)
    for other in Refresh:
        changed = dataclasses.replace(lifetimes, udp_refresh=other)
        problems = compare(findings, dataclasses.replace(model, lifetimes=changed))
        assert bool(problems) == (other is not refresh)


@pytest.mark.parametrize("actual", [100.0, 140.0])
def test_a_box_that_forgets_sooner_or_later_than_claimed_is_refused(actual):
    claimed = model_of(lifetimes=Lifetimes(udp=120.0))
    plan = DiscoveryPlan(lifetimes=lifetime_plan(claimed, SERVER[1]))
    findings = World(model_of(lifetimes=Lifetimes(udp=actual)), plan=plan).findings()
    problems = compare(findings, claimed)
    assert any("not for 120 s" in problem for problem in problems), problems


def test_another_lifetime_for_the_servers_port_is_probed_as_such():
    model = model_of(lifetimes=Lifetimes(udp=300.0, udp_by_port=((SERVER[1], 40.0),)))
    findings = World(model, plan=DiscoveryPlan(lifetimes=lifetime_plan(model, SERVER[1]))).findings()
    assert compare(findings, model) == []
    assert [probe.idle for probe in findings.lifetimes] == pytest.approx([36.0, 44.0])


def test_an_unknown_lifetime_is_found_by_a_search():
    world = World(model_of(lifetimes=Lifetimes(udp=87.0)))

    async def search():
        host = _Host(world.config, world.host)
        ground = Ground(host, SERVER, (SERVER_ADDRESSES[1], 3479))
        return await search_lifetime(ground, LifetimeSearch(longest=600.0, resolution=1.0))

    alive, gone = world.run(search())
    assert alive <= 87.0 <= gone
    assert gone - alive <= 1.0


@pytest.mark.parametrize("mapping", Mapping)
def test_a_box_that_allows_a_host_few_mappings_can_be_probed(mapping):
    """Some providers allow 64 ports a host; the probe makes do with 48 mappings, lifetimes included."""
    model = model_of(
        mapping=mapping,
        filtering=ADF,
        filter_scope=FilterScope.PER_ENDPOINT,
        port_assignment=PortAssignment.RANDOM,
        ports=PortPool(per_host_limit=48),
        lifetimes=Lifetimes(udp=300.0, udp_unreplied=100.0),
    )
    plan = DiscoveryPlan(lifetimes=lifetime_plan(model, SERVER[1]))
    assert compare(World(model, plan=plan).findings(), model) == []


class TestWithoutTranslation:
    def test_a_firewall_is_told_from_an_open_path(self):
        firewall = probe(model_of(transparency=Transparency.FIREWALL, filtering=APDF))
        assert firewall.transparency.value is Transparency.FIREWALL
        assert firewall.filtering.value is APDF
        assert firewall.mapped[0] == "10.255.0.2"
        assert probe(model_of(transparency=Transparency.NONE)).transparency.value is Transparency.NONE

    def test_a_claimed_nat_that_is_none_is_refused(self):
        problems = compare(probe(load_preset("none")), load_preset("full-cone"))
        assert problems == ["transparency is none, not translate"]

    @pytest.mark.parametrize("filtering", Filtering)
    def test_the_filter_of_a_firewall_is_certified(self, filtering):
        findings = probe(model_of(transparency=Transparency.FIREWALL, filtering=filtering))
        for claimed in Filtering:
            model = model_of(transparency=Transparency.FIREWALL, filtering=claimed)
            assert bool(compare(findings, model)) == (claimed is not filtering)


class TestBlocked:
    def test_blocked_udp_fits_a_model_that_blocks_it_and_no_other(self):
        findings = probe(load_preset("udp-blocked"))
        assert not findings.reachable
        assert compare(findings, load_preset("udp-blocked")) == []
        (problem,) = compare(findings, load_preset("full-cone"))
        assert problem.startswith("no answer from 198.18.0.1:3478 by UDP")

    def test_udp_that_passes_does_not_fit_a_model_that_blocks_it(self):
        blocking = model_of(outbound_rules=(FirewallRule(action="drop", protocol="udp"),))
        (problem,) = compare(probe(model_of()), blocking)
        assert "forbid it" in problem


class TestServers:
    def test_a_server_with_one_address_cannot_classify_and_certifies_nothing(self):
        findings = probe(model_of(), addresses=(SERVER[0],))
        assert findings.reachable
        assert findings.mapped[0] == "198.18.0.100"
        assert findings.other is None
        assert compare(findings, model_of()) == ["the server has one address only: nothing could be measured"]

    def test_a_server_that_falls_silent_makes_the_probe_invalid_not_the_box(self):
        world = World(model_of())
        world.loop.call_later(0.5, world.network.cut, "out")
        with pytest.raises(DiscoveryIncomplete, match="no answer"):
            world.findings()

    def test_a_strange_server_is_asked_no_faster_than_it_may_be(self):
        world = World(model_of(filtering=EIF), pace=0.1)
        sent = []
        host = world.network.host("host")
        send_packet = host.send_packet

        def noting(packet):
            sent.append(world.loop.time())
            send_packet(packet)

        host.send_packet = noting
        assert compare(world.findings(), model_of(filtering=EIF)) == []
        assert min(b - a for a, b in itertools.pairwise(sorted(sent))) >= 0.1 - 1e-9

    def test_losses_on_the_way_are_made_up_for(self):
        world = World(load_preset("symmetric"), attempts=8)
        lossy = Impairment(delay=0.005, loss=0.05)
        world.network.impair("out", lossy, lossy)
        assert compare(world.findings(), load_preset("symmetric")) == []


def test_a_packet_that_comes_in_under_another_source_is_noted():
    """Linux does so: if the inside host has a flow to that remote already, the remote gets another port."""
    model = model_of(mapping=APDM, filtering=EIF, port_assignment=PortAssignment.RANDOM)
    world = World(dataclasses.replace(model, reply_reuse=ReplyReuse.OFF))
    receive = world.host.receive
    other = (SERVER_ADDRESSES[1], 3479)

    def disguise(packet, port):
        disguised = packet.translated(source=(other[0], 9)) if packet.source == other else packet
        receive(disguised, port)

    world.host.receive = disguise
    notes = world.findings().notes
    assert notes
    assert set(notes) == {"a packet from 198.18.0.2:3479 came in as from 198.18.0.2:9"}


def test_findings_are_told_in_words():
    words = probe(load_preset("symmetric")).describe()
    assert words["mapping"] == "address-and-port-dependent"
    assert words["filter_scope"] == "per-mapping"
    assert words["unsolicited"].startswith("unobservable between drop or ")
    assert Findings(server=SERVER, local=("10.255.0.2", 1)).describe() == {
        "reachable": "no answer from 198.18.0.1:3478 by UDP"
    }


def test_the_same_seed_makes_the_same_probe():
    def events(seed):
        world = World(load_preset("symmetric"), seed=seed)
        world.findings()
        return [event.to_json("") for event in world.network.events]

    assert events(1) == events(1)
    assert events(1) != events(2)


def free_udp_port():
    """A port that nobody holds on the second address, so that it may be had on both."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.2", 0))
        return holder.getsockname()[1]


@pytest.mark.real_time
def test_the_same_prober_runs_on_real_sockets():
    """The loopback translates and filters nothing; two of its addresses make a server."""
    addresses = ("127.0.0.1", "127.0.0.2")

    async def main():
        server = RelayConfig(addresses=addresses, port=free_udp_port(), alternate_port=free_udp_port())
        context = RealRoleContext("server", addresses)
        relay = Relay(RelayRoleConfig(server=server, tcp_ports=()), context)
        running = asyncio.create_task(relay.run())
        await asyncio.wait_for(relay.ready.wait(), 5)
        try:
            config = ProberConfig(server=(addresses[0], server.port))
            return await Prober(config, RealRoleContext("host", addresses)).probe()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    findings = asyncio.run(main())
    assert findings.transparency.value is Transparency.NONE
    assert findings.mapping.value is EIM
    assert findings.filtering.value is EIF
    assert compare(findings, load_preset("none")) == []

"""A router that rewrites SIP, as Linux's own gateway does, on and off, under phones with and without ICE."""

import asyncio

import pytest
from mininet.topo import Topo

from lab.emu.lab import emulate
from lab.errors import UsageError
from lab.measure.calls import calls_of
from lab.run.plan import distinct_networks, plan_run
from lab.run.program_choice import with_programs
from lab.run.sip_proxies import check_sip_proxies
from lab.spec.event import EventType, PathClass
from lab.spec.plan import plan_network
from lab.spec.program import Program

PAIRS = {
    "off": (("alice", "bob"), {"media_nat": "none"}, False),
    "on": (("carol", "dave"), {"media_nat": "none"}, True),
    "on, with ice": (("erin", "frank"), {"media_nat": "ice"}, True),
}


class Gateways(Topo):
    """Pairs of homes behind Linux's own masquerade, some with the gateway."""

    def build(self) -> None:
        self.addHost("internet", role="router")
        for names, _, gateway in PAIRS.values():
            for name in names:
                self.addHost(name, role="endpoint")
                box = f"{name}-nat"
                self.addHost(box, role="nat", nat="linux-masquerade", uplink="internet", sip_alg=gateway)
                self.addLink(name, box, label=f"{name}-home")
                self.addLink(box, "internet", label=f"{name}-access")
        for name, role in (("relay", "relay"), ("registrar", "sip_proxy")):
            self.addHost(name, role=role)
            self.addLink(name, "internet", label=name)


@pytest.fixture(scope="module")
def played():
    async def scenario(lab):
        await asyncio.gather(
            *(
                lab.call(*names, name=pair, timeout="6s" if pair == "off" else "60s", hold="2s")
                for pair, (names, _, _) in PAIRS.items()
            )
        )
        await asyncio.gather(*(lab.hang_up(pair) for pair in PAIRS))

    programs = {
        name: Program(adapter="baresip", options=options)
        for names, options, _ in PAIRS.values()
        for name in names
    }
    network = with_programs(plan_network(Gateways(), "gateways"), programs)
    settings = {"run_seed": 1, "trial_key": "t", "deadline": 120.0, "nat_plane": "kernel"}
    return emulate(network, scenario, {}, **settings)


needs_the_kernel = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "kamailio", "baresip"),
]


def call_of(played, name):
    (call,) = [call for call in calls_of(played.events) if call.call == name]
    return call


class TestPhones:
    pytestmark = needs_the_kernel

    @pytest.mark.requirement("Z1-1")
    def test_without_gateway_and_ice_the_call_is_answered_and_nobody_hears_anything(self, played):
        call = call_of(played, "off")
        assert [e.call for e in played.events if e.type is EventType.SIP_ANSWERED if e.call == "off"]
        assert call.path is PathClass.NONE
        assert all(side.rtp_sent > 100 for side in call.sides)
        assert [side.rtp_received for side in call.sides] == [0, 0]

    def test_with_the_gateway_and_without_ice_media_goes_from_box_to_box(self, played):
        call = call_of(played, "on")
        assert call.path is PathClass.SERVER_REFLEXIVE
        assert all(side.rtp_received > 50 for side in call.sides)

    def test_the_gateway_does_not_stand_in_the_way_of_ice(self, played):
        call = call_of(played, "on, with ice")
        assert call.connected
        assert all(side.rtp_received > 50 for side in call.sides)

    def test_all_are_registered_and_no_sip_call_fails(self, played):
        registered = {e.node for e in played.events if e.type is EventType.SIP_REGISTERED}
        assert registered == {name for names, _, _ in PAIRS.values() for name in names}
        assert not [e for e in played.events if e.type in {EventType.SIP_FAILED, EventType.ROLE_FAILED}]


@pytest.mark.parametrize("nat_plane", ["nft", "engine"])
def test_another_plane_than_the_kernels_own_is_refused_a_gateway(nat_plane):
    plan = plan_run("sip_call", seed=1, overrides={"sip_alg": [True]}, world="emu", nat_plane=nat_plane)
    with pytest.raises(UsageError, match="--nat-plane auto or kernel"):
        check_sip_proxies(distinct_networks(plan.trials))

"""TURN servers in several regions: each endpoint takes the nearest to it, unless it is told another."""

from dataclasses import replace

import pytest
from mininet.topo import Topo

from lab.measure.calls import calls_of
from lab.roles.endpoint import EndpointConfig, TurnServers
from lab.roles.endpoint.nearest import GIVEN_UP_AT
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy
from lab.spec.event import EventType, PathClass
from lab.spec.plan import plan_network

RELAY_ONLY = CandidatePolicy(candidates="relay-only")
FROM_CORE = {"us-east": 10, "us-west": 35, "europe": 45, "asia": 90}
"""Milliseconds one way between each region's server and the core; Alice and Bob are 10 ms from it."""


class Regions(Topo):
    """A core with servers around it; ``alice`` and ``bob`` are options of the two."""

    def build(self, alice=None, bob=None, alice_nat="port-restricted"):
        self.addHost("core", role="router")
        for caller, options, nat in (("alice", alice, alice_nat), ("bob", bob, "symmetric")):
            self.addHost(caller, role="endpoint", **(options or {}))
            self.addHost(f"{caller}-nat", role="nat", nat=nat, uplink="core")
            self.addLink(caller, f"{caller}-nat", label=f"{caller}-home")
            self.addLink(f"{caller}-nat", "core", label=f"{caller}-access", impair={"delay": "10ms"})
        for server, role, delay in (
            *((name, "relay", delay) for name, delay in sorted(FROM_CORE.items())),
            ("rendezvous", "rendezvous", 5),
        ):
            self.addHost(server, role=role)
            self.addLink(server, "core", label=server, impair={"delay": f"{delay}ms"})


def play(scenario=None, **options):
    async def call(lab):
        await lab.call("alice", "bob", policy=RELAY_ONLY)

    events, invalid = simulate(
        plan_network(Regions(**options), "regions"), scenario or call, {},
        run_seed=1, trial_key="t", deadline=900, event_budget=10**6,
    )  # fmt: skip
    assert invalid == ""
    return events


def used(events):
    """Return which servers gave allocations, in order."""
    return [event.node for event in events if event.type is EventType.TURN_ALLOCATED]


@pytest.mark.requirement("Z4-16")
def test_each_side_takes_the_nearest_server():
    events = play()
    assert used(events) == ["us-east", "us-east"]
    (call,) = calls_of(events)
    assert (call.path, call.media_both_ways) == (PathClass.RELAY, True)
    assert [side.turn_round_trip for side in call.sides] == [pytest.approx(0.040)] * 2


@pytest.mark.requirement("Z4-16")
def test_who_is_told_a_server_takes_it_however_far_it_is():
    events = play(alice={"relay": "asia"})
    assert used(events) == ["asia", "us-east"]
    (call,) = calls_of(events)
    assert call.caller.turn_round_trip == pytest.approx(0.200)


@pytest.mark.requirement("Z4-16")
@pytest.mark.parametrize(("dead", "left"), [(["us-east"], "us-west"), (["us-east", "us-west"], "europe")])
def test_where_the_nearest_is_out_of_reach_the_next_one_is_taken(dead, left):
    """The links are cut before anybody asks: the impairment is the topology's."""

    class Broken(Regions):
        def build(self, **options):
            super().build(**options)
            for server in dead:
                self.linkInfo(server, "core")["impair"] = {"loss": "100%"}

    async def call(lab):
        await lab.call("alice", "bob", policy=RELAY_ONLY)

    events, _ = simulate(
        plan_network(Broken(), "regions"),
        call,
        {},
        run_seed=1,
        trial_key="t",
        deadline=900,
        event_budget=10**6,
    )
    assert used(events) == [left, left]


def test_where_no_udp_gets_out_the_first_server_is_used_over_tcp_after_a_while():
    events = play(
        lambda lab: lab.call("alice", "bob", policy=CandidatePolicy(turn_transports=("tcp",))),
        alice_nat="udp-blocked",
    )
    assert used(events)[0] == min(FROM_CORE), "the first of the network"
    (started, *_) = [event.time for event in events if event.type is EventType.CALL_STARTED]
    assert started > GIVEN_UP_AT


def test_stun_is_asked_of_the_chosen_server_unless_it_has_one_of_its_own():
    near, far = (TurnServers(addresses={"udp": (address, 3478)}) for address in ("192.0.2.1", "192.0.2.2"))
    config = EndpointConfig(name="alice", rendezvous=("192.0.2.9", 443), stun=("192.0.2.2", 3478), turn=far)
    assert config.using(near).stun == ("192.0.2.1", 3478)
    assert replace(config, stun=("192.0.2.3", 3478)).using(near).stun == ("192.0.2.3", 3478)


def test_an_endpoint_that_registers_again_measures_again():
    """The nearest server went out of reach, then the rendezvous was lost: the next call takes another one."""

    async def scenario(lab):
        lab.cut("us-east")
        lab.kill("rendezvous")
        await lab.sleep("1s")
        lab.restart("rendezvous")
        await lab.sleep("30s")
        await lab.call("alice", "bob", policy=RELAY_ONLY)

    assert used(play(scenario)) == ["us-west", "us-west"]

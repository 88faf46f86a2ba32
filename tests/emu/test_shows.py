"""What a kernel shows that a model can only claim: calls through real boxes, and what faults do to them.

A run of real time is waited for, so each plays many calls at once and shows many things.
"""

import asyncio
import re

import pytest
from mininet.topo import Topo

from lab.emu.lab import emulate
from lab.measure.calls import calls_of
from lab.run.relay_choice import with_relays
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.plan import plan_network
from lab.spec.roles import addresses_of

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack"),
    pytest.mark.usefixtures("untouched_machine"),
]

DIRECT = {PathClass.SERVER_REFLEXIVE, PathClass.PEER_REFLEXIVE}
FEW = MediaPlan(packets=5)
NO_RELAY = CandidatePolicy(candidates="no-relay")


class Servers(Topo):
    """A relay and a rendezvous on the public network; what else there is, a subclass adds."""

    def build(self) -> None:
        self.addHost("internet", role="router")
        for server in ("relay", "rendezvous"):
            self.addHost(server, role=server)
            self.addLink(server, "internet", label=server)

    def home(self, caller: str, nat: str, uplink: str = "internet") -> None:
        """Add a caller behind a box of its own."""
        self.addHost(caller, role="endpoint")
        self.addHost(f"{caller}-n", role="nat", nat=nat, uplink=uplink)
        self.addLink(caller, f"{caller}-n", label=f"{caller}-home")
        self.addLink(f"{caller}-n", uplink, label=f"{caller}-access")


def play(topo, scenario, **options):
    network = with_relays(plan_network(topo, "town"), options.pop("relay", ""))
    return emulate(network, scenario, {}, run_seed=1, trial_key="t", deadline=150.0, **options).events


def by_name(events):
    return {record.call: record for record in calls_of(events)}


# Faults in the middle of calls

SHORT = "eim-eif{port_assignment: random, lifetimes.udp: 2s, lifetimes.udp_unreplied: 2s}"
PAIRS = {
    "short": (SHORT, "full-cone"),
    "kept": ("port-restricted", "full-cone"),
    "moved": ("symmetric", "full-cone"),
    "udp": ("symmetric", "symmetric"),
    "tcp": ("udp-blocked", "symmetric"),
    "direct": ("port-restricted", "port-restricted"),
}
RELAYED = dict.fromkeys(("udp", "tcp"), CandidatePolicy())
"""By what their boxes leave; the others are direct, whichever side's checks come first."""
LOSING = {
    ("short", "short-b"),
    ("moved", "moved-b"),
    *((c, f"{c}-{s}") for c in RELAYED for s in "ab"),
}
DETECTED = range(18, 46)
"""Seconds. RFC 7675 has 30 s; aioice takes six checks, 4 to 6 s apart, each waiting half a second."""


class Pairs(Servers):
    """Two homes for each pair of boxes."""

    def build(self) -> None:
        super().build()
        for pair, nats in PAIRS.items():
            for side, nat in zip("ab", nats, strict=True):
                self.home(f"{pair}-{side}", nat)


@pytest.mark.system("turnserver")
def test_who_notices_when_boxes_forget_and_coturn_is_killed_in_the_middle_of_calls():
    """Consent freshness (RFC 7675) is how an endpoint finds out; who is still answered finds out nothing."""

    async def scenario(lab):
        calls = [
            lab.call(f"{pair}-a", f"{pair}-b", name=pair, media=FEW, policy=RELAYED.get(pair, NO_RELAY))
            for pair in PAIRS
        ]
        await asyncio.gather(*calls)
        lab.kill("relay")
        for home in ("kept-a", "moved-a"):
            lab.reboot_nat(f"{home}-n")
        await lab.sleep("2500ms")  # longer than a short mapping lives
        while len([event for event in lab.events if event.type is EventType.NAT_REBOOTED]) < 2:
            await lab.sleep("100ms")
        await asyncio.gather(*(lab.send_media(pair, FEW) for pair in PAIRS))
        for _ in range(DETECTED.stop):
            lost = [event for event in lab.events if event.type is EventType.ICE_CONSENT_LOST]
            if len(lost) == len(LOSING):
                break
            await lab.sleep("1s")

    events = play(Pairs(), scenario, relay="coturn")
    calls = by_name(events)
    assert {call for call, record in calls.items() if record.path is PathClass.RELAY} == RELAYED.keys()
    assert {record.path for call, record in calls.items() if call not in RELAYED} <= DIRECT

    lost = {
        (call, side.node): side
        for call, record in calls.items()
        for side in record.sides
        if side.consent_lost
    }
    assert lost.keys() == LOSING
    (killed,) = (event.time for event in events if event.type is EventType.ROLE_KILLED)
    for (call, _), side in lost.items():
        # The short mapping was gone 2 s after the first media; the others' faults come then.
        since = side.connected if call == "short" else killed
        assert DETECTED.start < side.consent_lost - since < DETECTED.stop

    heard = {side.node: side.received for record in calls.values() for side in record.sides}
    both = 2 * FEW.packets
    assert {heard[name] for name in ("kept-b", "direct-a", "direct-b")} == {both}, (
        "a box that keeps its hosts' ports makes the same mapping again; a direct call needs no relay"
    )
    assert heard["kept-a"] >= both - 1, "what came before the host had sent again found no mapping"
    for call in ("short", "moved"):
        assert (heard[f"{call}-a"], heard[f"{call}-b"]) == (FEW.packets, both), (
            "the box has another port: what it lets out arrives, what comes for the old port does not"
        )
    assert {heard[f"{call}-{side}"] for call in RELAYED for side in "ab"} == {FEW.packets}


# Behind a carrier's box


class Carriers(Servers):
    """Two carriers, one of which hairpins; each has two phones and a home. Dan has another."""

    def build(self, boxes: dict[str, str]) -> None:
        super().build()
        self.home("dan", "port-restricted")
        for carrier, nat in boxes.items():
            self.addHost(carrier, role="nat", nat=nat, uplink="internet", addresses=2, isolate=True)
            self.addLink(carrier, "internet", label=carrier)
            for phone in (f"{carrier}-1", f"{carrier}-2"):
                self.addHost(phone, role="endpoint")
                self.addLink(phone, carrier, label=phone)
            self.home(f"{carrier}-h", "port-restricted", uplink=carrier)


@pytest.mark.parametrize(
    ("plane", "nat"), [("nft", "eim-apdf{hairpinning: %s}"), ("engine", "cgn{hairpinning: %s}")]
)
def test_a_carriers_box_hairpins_or_not_and_a_home_behind_it_is_punched_through(plane, nat):
    """RFC 6888 REQ-1 with RFC 4787 REQ-9: two customers reach each other by their external addresses.

    Where a direct path is asked for there is no relay: whichever side's checks come first, it is found.
    """

    async def scenario(lab):
        await asyncio.gather(
            lab.call("never-1", "never-2", name="never", media=FEW),
            lab.call("turns-1", "turns-2", name="turns", media=FEW, policy=NO_RELAY),
            lab.call("turns-h", "turns-1", name="neighbours", media=FEW, policy=NO_RELAY),
            *(
                lab.call(f"{carrier}-h", "dan", name=f"{carrier}-h", media=FEW, policy=NO_RELAY)
                for carrier in boxes
            ),
        )

    boxes = {"turns": nat % "external-source", "never": nat % "none"}
    calls = by_name(play(Carriers(boxes=boxes), scenario, nat_plane=plane))
    assert all(record.media_both_ways for record in calls.values())
    assert calls["never"].path is PathClass.RELAY, "it turns nothing around, and its customers are kept apart"
    assert {calls[call].path for call in ("turns", "turns-h", "never-h", "neighbours")} <= DIRECT


# Linux as a home router


class Linux(Servers):
    """Two homes on Linux routers; of Alice's the INPUT chain accepts."""

    def build(self) -> None:
        super().build()
        self.home("alice", "linux-masquerade-input-accept")
        self.home("bob", "linux-masquerade")


def external_ports(tracked, address):
    """Return by local port the external ports that ``conntrack -L`` has for flows from an address."""
    found = {}
    for line in tracked.splitlines():
        ports = re.findall(r"[sd]port=(\d+)", line)
        if f"src={address} " in line and len(ports) == 4:
            found.setdefault(ports[0], set()).add(ports[3])
    return found


def test_a_linux_router_that_accepts_input_spoils_punching_and_one_rule_cures_it():
    """The peer's early check is taken by the router itself, whose flow then holds the port.

    So Alice's check to that peer leaves from another port than everything else, and Bob's router drops it.
    """
    rule = 'nft add rule ip callpath input iifname "alice-n-eth1" ct state != { established, related } drop'

    async def scenario(lab):
        alice = addresses_of(lab.network.nodes["alice"])[0]

        async def on_router(command):
            return await lab._agent.ask("run", node="alice-n", command=["sh", "-c", command])

        async def call(name, **options):
            await lab.call("alice", "bob", name=name, start_offset="300ms", media=FEW, **options)
            ports.append(external_ports(await on_router("conntrack -L -p udp"), alice))
            await lab.hang_up(name)

        rules.append(await on_router("nft list ruleset"))
        await call("accepts")
        await on_router(
            "nft add chain ip callpath input '{ type filter hook input priority 0; policy accept; }' && "
            + rule
        )
        await call("drops", policy=NO_RELAY)

    rules, ports = [], []
    calls = by_name(play(Linux(), scenario, nat_plane="kernel"))
    assert "hook input" not in rules[0]
    assert calls["accepts"].path is PathClass.RELAY
    assert max(len(several) for several in ports[0].values()) > 1, "one endpoint, two external ports"
    assert calls["drops"].path in DIRECT
    new = {port: seen for port, seen in ports[1].items() if port not in ports[0]}
    assert new
    assert {len(seen) for seen in new.values()} == {1}

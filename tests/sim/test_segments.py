"""Switches: one segment of many links, each of which delays and loses for itself."""

import asyncio

import pytest
from mininet.topo import Topo

ANY = "0.0.0.0"  # noqa: S104 - a simulated host


class ThreeSwitches(Topo):
    """alice - s1 - s2 - s3 - bob, and carol beside alice."""

    def build(self, loop=False):
        for number in (1, 2, 3):
            self.addSwitch(f"s{number}")
        for name, switch in (("alice", "s1"), ("bob", "s3"), ("carol", "s1")):
            self.addHost(name, role="host")
            self.addLink(name, switch, label=name, impair={"delay": "1ms"})
        self.addLink("s1", "s2", label="trunk1", impair={"delay": "10ms"})
        self.addLink("s2", "s3", label="trunk2", impair={"delay": "20ms"})
        if loop:
            self.addLink("s1", "s3", label="shortcut", impair={"delay": "5ms"})


async def one_way(world, sender, receiver):
    """Return how long a datagram takes."""
    listening = await world.udp(receiver, (world.address(receiver), 9))
    began = world.loop.time()
    (await world.udp(sender)).send(b"", listening.name)
    await listening.receive()
    listening.transport.close()
    return round(world.loop.time() - began, 9)


def test_the_delays_of_all_links_on_the_way_add_up(build):
    world = build(ThreeSwitches)
    assert world.run(one_way(world, "alice", "bob")) == 0.032
    assert world.run(one_way(world, "bob", "alice")) == 0.032


def test_neighbours_on_one_switch_do_not_cross_the_others(build):
    world = build(ThreeSwitches)
    world.network.cut("trunk1")
    assert world.run(one_way(world, "alice", "carol")) == 0.002


def test_a_switch_takes_no_hop_and_has_no_address(build):
    world = build(ThreeSwitches)
    world.run(one_way(world, "alice", "bob"))
    (arrived,) = world.seen("bob", outbound=False)
    assert arrived.ttl == 64
    assert {record.tap for record in world.capture._records} == {("alice", "alice"), ("bob", "bob")}


@pytest.mark.parametrize("link", ["alice", "trunk1", "trunk2", "bob"])
def test_every_link_can_lose_what_crosses_it_and_says_so(build, link):
    world = build(ThreeSwitches)
    world.network.cut(link)

    async def scenario():
        bob = await world.udp("bob", (ANY, 9))
        (await world.udp("alice")).send(b"", (world.address("bob"), 9))
        await bob.silence()

    world.run(scenario())
    ((place, reason),) = world.drops()
    assert place.startswith(f"{link} from ")
    assert reason == f"link {place} is cut"


def test_a_narrow_trunk_is_shared_by_all_who_cross_it(build):
    """Two packets of 1000 bytes at 80 kbit/s leave 0.1 s apart, whoever sent them."""
    world = build(ThreeSwitches)
    world.impair("trunk1", rate="80kbit/s", queue="64KiB")

    async def scenario():
        bob = await world.udp("bob", (ANY, 9))
        for name in ("alice", "carol"):
            (await world.udp(name)).send(bytes(1000 - 28), (world.address("bob"), 9))
        arrivals = []
        for _ in range(2):
            await bob.receive()
            arrivals.append(world.loop.time())
        return arrivals

    first, second = world.run(scenario())
    assert second - first == pytest.approx(0.1)


def test_in_a_ring_of_switches_frames_take_the_fewest_links(build):
    world = build(ThreeSwitches(loop=True))
    assert world.run(one_way(world, "alice", "bob")) == 0.007


def test_a_cut_link_in_a_ring_is_not_walked_around(build):
    """No spanning tree is recomputed: docs/limits.md says so."""
    world = build(ThreeSwitches(loop=True))
    world.network.cut("shortcut")

    async def scenario():
        bob = await world.udp("bob", (ANY, 9))
        (await world.udp("alice")).send(b"", (world.address("bob"), 9))
        await bob.silence()

    world.run(scenario())
    assert world.drops() == [("shortcut from s1", "link shortcut from s1 is cut")]


def test_what_is_too_big_for_a_link_behind_a_switch_is_reported_by_who_sent_it_there(build):
    """A switch has no address to report from, so the sending host learns of it at once."""
    world = build(ThreeSwitches)
    world.impair("trunk2", mtu="600B", delay="20ms")

    async def scenario():
        bob = await world.udp("bob", (ANY, 9))
        alice = await world.udp("alice", remote=(world.address("bob"), 9))
        alice.send(bytes(1000))
        await asyncio.sleep(1)
        alice.send(bytes(1000))
        data, _ = await bob.receive()
        return len(data), [type(error) for error in alice.errors]

    assert world.run(scenario()) == (1000, [OSError])


def test_an_address_on_another_segment_is_no_neighbours(build):
    """Two LANs with one prefix would be one network's mistake; here the address is simply not there."""

    class TwoLans(Topo):
        def build(self):
            self.addHost("router", role="router")
            for name in ("alice", "bob"):
                self.addHost(name, role="host")
                self.addSwitch(f"lan-{name}")
                self.addLink(name, f"lan-{name}", label=name)
                self.addLink(f"lan-{name}", "router")

    world = build(TwoLans)
    alice = world.host("alice")
    assert world.network._segments.first_leg(alice.ports[0], world.address("bob")) is None
    assert world.run(one_way(world, "alice", "bob")) == 0.0

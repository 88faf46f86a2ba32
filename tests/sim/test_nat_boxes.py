"""NAT boxes on the network: nested, isolating, hairpinning, rebooted (translation: tests/nat_models)."""

import asyncio

import pytest
from mininet.topo import Topo

from lab.spec.event import EventType
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet

ANY, ANY6 = "0.0.0.0", "::"  # noqa: S104 - a simulated host
PORT = 3478


class Nested(Topo):
    """alice - box1 - box2 - ... - core - server."""

    def build(self, depth=4, nat="port-restricted", ipv6=False):
        self.addHost("core", role="router")
        self.addHost("server", role="host", addresses=2)
        self.addLink("server", "core", label="server", ipv6=ipv6, impair={"delay": "1ms"})
        self.addHost("alice", role="host")
        inside = "alice"
        for number in range(1, depth + 1):
            outside = "core" if number == depth else f"box{number + 1}"
            self.addHost(f"box{number}", role="nat", nat=nat, uplink=outside)
            self.addLink(inside, f"box{number}", label=f"layer{number}", ipv6=ipv6, impair={"delay": "1ms"})
            inside = f"box{number}"
        self.addLink(inside, "core", label="access", ipv6=ipv6, impair={"delay": "1ms"})


class TwoRooms(Topo):
    """One box with two inside links, a server outside."""

    def build(self, nat="full-cone", isolate=False):
        self.addHost("core", role="router")
        self.addHost("server", role="host")
        self.addLink("server", "core", label="server")
        self.addHost("box", role="nat", nat=nat, uplink="core", isolate=isolate)
        for guest in ("alice", "bob"):
            self.addHost(guest, role="host")
            self.addLink(guest, "box", label=guest)
        self.addLink("box", "core", label="access")


async def echo_source(server):
    """Answer one datagram with the address that it came from; return that address."""
    data, source = await server.receive()
    server.send(data, source)
    return source[:2]


def of_type(world, *types):
    return [event for event in world.network.events if event.type in types]


class TestNesting:
    @pytest.mark.requirement("Z1-2")
    @pytest.mark.parametrize("depth", [1, 2, 4, 9])
    def test_a_packet_is_translated_by_every_layer_and_the_answer_finds_back(self, build, depth):
        world = build(Nested(depth=depth))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(b"who am I?")
            source = await echo_source(server)
            return source, await alice.receive()

        source, (data, _) = world.run(scenario())
        outermost = world.node(f"box{depth}")
        assert source[0] in outermost.spec.external_addresses
        assert data == b"who am I?"
        created = of_type(world, EventType.NAT_MAPPING_CREATED)
        assert [event.node for event in created] == [f"box{number}" for number in range(1, depth + 1)]

    def test_layers_cost_a_hop_and_their_links_delay(self, build):
        world = build(Nested(depth=4))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            (await world.udp("alice", remote=(world.address("server"), PORT))).send(b"")
            await server.receive()
            return world.loop.time()

        assert world.run(scenario()) == pytest.approx(0.006)
        (arrived,) = world.seen("server", outbound=False)
        assert arrived.ttl == 64 - 5

    def test_each_layer_filters_for_itself(self, build):
        """>> alice to server << from the server's other address: stopped by the outermost box."""
        world = build(Nested(depth=3))

        async def scenario():
            first, second = [await world.udp("server", (own, PORT)) for own in world.host("server").addresses]
            alice = await world.udp("alice")
            alice.send(b"", first.name)
            _, source = await first.receive()
            second.send(b"unsolicited", source)
            await alice.silence()

        world.run(scenario())
        ((place, reason),) = world.drops()
        assert place == "box3"
        assert world.address("server", 1) in reason

    def test_one_packet_keeps_its_id_through_every_layer(self, build):
        world = build(Nested(depth=3))

        async def scenario():
            (await world.udp("alice", remote=(world.address("server"), PORT))).send(b"")
            await asyncio.sleep(1)

        world.run(scenario())
        (sent,) = world.seen("alice", outbound=True)
        (arrived, *_) = world.seen("server", outbound=False)
        assert sent.packet_id == arrived.packet_id
        assert sent.source != arrived.source


class TestSeveralInsides:
    def test_rooms_of_one_box_reach_each_other_untranslated(self, build):
        world = build(TwoRooms)

        async def scenario():
            bob = await world.udp("bob", (ANY, 9))
            alice = await world.udp("alice", (world.address("alice"), 4000))
            alice.send(b"hello", (world.address("bob"), 9))
            return await bob.receive()

        assert world.run(scenario()) == (b"hello", (world.address("alice"), 4000))
        assert of_type(world, EventType.NAT_MAPPING_CREATED) == []

    def test_isolated_rooms_do_not(self, build):
        world = build(TwoRooms(isolate=True))

        async def scenario():
            bob = await world.udp("bob", (ANY, 9))
            (await world.udp("alice")).send(b"", (world.address("bob"), 9))
            await bob.silence()
            server = await world.udp("server", (world.address("server"), PORT))
            bob.send(b"but out it goes", server.name)
            return (await server.receive())[0]

        assert world.run(scenario()) == b"but out it goes"
        reason = "the box isolates its inside networks from each other"
        assert world.drops() == [("box", reason)]

    @pytest.mark.parametrize(
        ("nat", "sees"),
        [
            ("full-cone{hairpinning: external-source}", "external"),
            ("full-cone{hairpinning: internal-source}", "internal"),
            ("full-cone{hairpinning: none}", "nothing"),
        ],
    )
    def test_hairpinning_as_the_model_says(self, build, nat, sees):
        """>> alice to bob's external address, which bob learned from the server."""
        world = build(TwoRooms(nat=nat, isolate=True))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            bob = await world.udp("bob", (ANY, 9))
            bob.send(b"", (world.address("server"), PORT))
            _, outside_bob = await server.receive()
            alice = await world.udp("alice", (world.address("alice"), 4000))
            alice.send(b"hello neighbour", outside_bob)
            if sees == "nothing":
                return await bob.silence()
            return (await bob.receive())[1][0]

        seen = world.run(scenario())
        (external,) = world.node("box").spec.external_addresses
        assert seen == {"external": external, "internal": world.address("alice"), "nothing": None}[sees]
        assert len(world.drops("box")) == (sees == "nothing")


class TestLife:
    def test_a_mapping_expires_when_its_lifetime_is_over_and_not_before(self, build):
        world = build(Nested(depth=1, nat="port-restricted{lifetimes: {udp: 30s}}"))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(b"")
            _, source = await server.receive()
            await asyncio.sleep(29)
            server.send(b"in time", source)
            assert (await alice.receive())[0] == b"in time"
            await asyncio.sleep(2)
            server.send(b"too late", source)
            await alice.silence()

        world.run(scenario())
        (expired,) = of_type(world, EventType.NAT_MAPPING_EXPIRED)
        assert expired.data["idle"] == 30.0
        ((_, reason),) = world.drops("box1")
        assert "expired" in reason

    def test_it_expires_on_time_even_when_nobody_sends(self, build):
        world = build(Nested(depth=1, nat="port-restricted{lifetimes: {udp: 30s}}"))

        async def scenario():
            (await world.udp("alice")).send(b"", (world.address("server"), PORT))
            await asyncio.sleep(100)

        world.run(scenario())
        (created,) = of_type(world, EventType.NAT_MAPPING_CREATED)
        (expired,) = of_type(world, EventType.NAT_MAPPING_EXPIRED)
        assert expired.time == pytest.approx(created.time + 30)

    def test_a_reboot_forgets_every_mapping_and_nothing_else(self, build):
        world = build(Nested(depth=2, nat="full-cone"))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(b"")
            _, source = await server.receive()
            world.node("box2").reboot()
            server.send(b"lost", source)
            await alice.silence()
            alice.send(b"again")
            await echo_source(server)
            return await alice.receive()

        assert world.run(scenario())[0] == b"again"
        (rebooted,) = of_type(world, EventType.NAT_REBOOTED)
        assert (rebooted.node, rebooted.data["mappings"]) == ("box2", 1)
        created = [event.node for event in of_type(world, EventType.NAT_MAPPING_CREATED)]
        assert created == ["box1", "box2", "box2"]

    def test_equal_seeds_draw_equal_ports(self, build):
        def ports(seed):
            world = build(Nested(depth=2, nat="symmetric"), seed=seed)

            async def scenario():
                server = await world.udp("server", (ANY, PORT))
                sources = []
                for _ in range(10):
                    (await world.udp("alice")).send(b"", (world.address("server"), PORT))
                    sources.append((await server.receive())[1])
                return sources

            return world.run(scenario())

        assert ports(1) == ports(1) != ports(2)


class TestItself:
    def test_it_answers_pings_from_inside(self, build):
        world = build(Nested(depth=1))
        box = next(p for p in world.node("box1").ports if not p.outside).addresses[0]
        (reply,) = world.run(world.ping("alice", box))
        assert (reply.source[0], reply.icmp.type) == (box, IcmpType.ECHO_REPLY)

    def test_it_answers_pings_to_its_outside_address_however_low_the_ttl(self, build):
        world = build(Nested(depth=1))
        (outside,) = world.node("box1").spec.external_addresses
        alice, request = world.host("alice"), IcmpMessage(IcmpType.ECHO_REQUEST)
        asking = (world.address("alice"), 5)
        alice.send_packet(Packet(IpProtocol.ICMP, asking, (outside, 0), icmp=request, ttl=1))
        world.loop.run_forever()
        (reply,) = world.seen("alice", outbound=False)
        assert (reply.icmp.type, reply.destination) == (IcmpType.ECHO_REPLY, asking)

    def test_it_refuses_what_its_inside_address_is_sent(self, build):
        world = build(Nested(depth=1))
        box = next(p for p in world.node("box1").ports if not p.outside).addresses[0]

        async def scenario():
            alice = await world.udp("alice", remote=(box, 53))
            alice.send(b"query")
            await asyncio.sleep(1)
            return alice.errors

        (error,) = world.run(scenario())
        assert isinstance(error, ConnectionRefusedError)
        assert world.drops() == [("box1", "addressed to the nat itself")]


class TestIpv6:
    """What has an address of its own is not translated, but filtered all the same (RFC 6092)."""

    def test_outbound_goes_untranslated_and_opens_the_way_back(self, build):
        world = build(Nested(depth=2, nat="symmetric", ipv6=True))
        server6 = world.host("server").addresses[2]

        async def scenario():
            server = await world.udp("server", (server6, PORT))
            alice = await world.udp("alice", (ANY6, 4000))
            alice.send(b"hello", server.name)
            source = await echo_source(server)
            return source, (await alice.receive())[0]

        assert world.run(scenario()) == ((world.address("alice", 1), 4000), b"hello")

    def test_unsolicited_inbound_is_dropped_with_a_reason(self, build):
        world = build(Nested(depth=2, nat="symmetric", ipv6=True))
        server6 = world.host("server").addresses[2]

        async def scenario():
            alice = await world.udp("alice", (ANY6, 4000))
            server = await world.udp("server", (server6, PORT))
            server.send(b"knock", (world.address("alice", 1), 4000))
            await alice.silence()

        world.run(scenario())
        ((place, reason),) = world.drops()
        assert place == "box2"
        assert reason

    def test_a_box_without_filter_lets_everything_in(self, build):
        world = build(Nested(depth=2, nat="full-cone", ipv6=True))
        server6 = world.host("server").addresses[2]

        async def scenario():
            alice = await world.udp("alice", (ANY6, 4000))
            server = await world.udp("server", (server6, PORT))
            alice.send(b"to somebody", ("2001:db8:ffff::1", 9))
            await asyncio.sleep(1)
            server.send(b"knock", (world.address("alice", 1), 4000))
            return await alice.receive()

        assert world.run(scenario())[0] == b"knock"

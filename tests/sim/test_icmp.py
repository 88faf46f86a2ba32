"""ICMP over the network: who is told what, through NAT boxes too; path MTU discovery end to end."""

import asyncio
import errno

import pytest
from mininet.topo import Topo

from lab.sim.udp import MtuDiscovery
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet

ANY, ANY6 = "0.0.0.0", "::"  # noqa: S104 - a simulated host
PORT = 3478


class Home(Topo):
    """alice - box - isp - core - server; the links' MTUs may be lowered. IPv6 goes untranslated."""

    def build(self, nat="port-restricted", home="1500B", access="1500B", tunnel="1500B"):
        for name in ("alice", "server"):
            self.addHost(name, role="host")
        for name in ("isp", "core"):
            self.addHost(name, role="router")
        self.addHost("box", role="nat", nat=nat, uplink="isp")
        delay = {"delay": "5ms"}
        self.addLink("alice", "box", label="home", ipv6=True, impair={"mtu": home})
        self.addLink("box", "isp", label="access", ipv6=True, impair={"mtu": access, **delay})
        self.addLink("isp", "core", label="tunnel", ipv6=True, impair={"mtu": tunnel, **delay})
        self.addLink("core", "server", label="server", ipv6=True)


class TestPing:
    @pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
    def test_an_echo_request_comes_back_through_the_box(self, build, family):
        world = build(Home())
        (reply,) = world.run(world.ping("alice", world.address("server", family)))
        assert reply.icmp.type is IcmpType.ECHO_REPLY
        assert reply.destination == (world.address("alice", family), 77)
        assert reply.payload == bytes(range(56))

    @pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
    def test_a_large_one_is_fragmented_and_put_together_on_both_ways(self, build, family):
        world = build(Home())
        pieces = world.run(world.ping("alice", world.address("server", family), size=4000))
        assert len(pieces) == 3
        assert sum(len(piece.payload) for piece in pieces) == 4000
        assert world.drops() == []

    def test_nobody_is_pinged_from_outside_through_the_box(self, build):
        world = build(Home())
        (external,) = world.node("box").spec.external_addresses
        assert world.run(world.ping("server", external)) == []
        assert world.drops() == [("box", "echo request to the box itself")]


class TestErrorsThroughABox:
    def test_port_unreachable_reaches_the_inside_about_the_packet_as_it_was_sent(self, build):
        """RFC 5508 REQ-4: the quoted packet is translated back, or the sender could not know its own."""
        world = build(Home())

        async def scenario():
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(b"anybody?")
            await asyncio.sleep(1)
            return alice.errors, alice.name

        (error,), name = world.run(scenario())
        assert isinstance(error, ConnectionRefusedError)
        (told,) = world.seen("alice", outbound=False)
        assert told.icmp.quoted.source == name
        assert told.destination[0] == world.address("alice")
        (quoted_outside,) = [p.icmp.quoted.source for p in world.seen("server", outbound=True)]
        assert quoted_outside[0] in world.node("box").spec.external_addresses

    def test_port_unreachable_from_inside_reaches_the_outside_about_the_box(self, build):
        """RFC 5508 REQ-5: who sits behind the box stays unknown."""
        world = build(Home())

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(b"and away")
            _, outside = await server.receive()
            alice.transport.close()
            server.transport.close()
            caller = await world.udp("server", (world.address("server"), PORT), outside)
            caller.send(b"are you there?")
            await asyncio.sleep(1)
            return caller.errors

        (error,) = world.run(scenario())
        assert isinstance(error, ConnectionRefusedError)
        told = world.seen("server", outbound=False)[-1]
        external = world.node("box").spec.external_addresses
        assert told.source[0] in external
        assert told.icmp.quoted.destination[0] in external

    @pytest.mark.parametrize("ttl", [2, 3], ids=["isp", "core"])
    def test_time_exceeded_beyond_the_box_reaches_the_inside(self, build, ttl):
        """Traceroute through a NAT."""
        world = build(Home())

        async def scenario():
            alice = await world.udp("alice", (ANY, 4000))
            alice.transport.ttl = ttl
            alice.send(b"probe", (world.address("server"), 33434))
            await asyncio.sleep(1)
            return alice.errors

        assert world.run(scenario()) == []
        (told,) = world.seen("alice", outbound=False)
        assert told.icmp.type is IcmpType.TIME_EXCEEDED
        assert told.source[0] in world.node({2: "isp", 3: "core"}[ttl]).addresses
        assert told.icmp.quoted.source == (world.address("alice"), 4000)

    def test_the_box_itself_reports_what_expires_there(self, build):
        """From inside as the first hop of a traceroute; from outside before anything is translated."""
        world = build(Home())

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", (ANY, 4000))
            alice.send(b"open the way", (world.address("server"), PORT))
            _, outside = await server.receive()
            alice.transport.ttl = 1
            alice.send(b"probe", (world.address("server"), PORT))
            server.transport.ttl = 3
            server.send(b"probe", outside)
            await alice.silence()
            return alice.name[1], outside

        port, outside = world.run(scenario())
        assert world.drops() == [("box", "time to live exceeded")] * 2
        (to_alice,) = world.seen("alice", outbound=False)
        assert to_alice.icmp.quoted.source == (world.address("alice"), port)
        to_server = world.seen("server", outbound=False)[-1]
        assert to_server.source[0] in world.node("box").addresses
        assert to_server.icmp.quoted.destination == outside

    def test_a_box_that_drops_errors_leaves_the_sender_in_the_dark(self, build):
        world = build(Home(nat="port-restricted{icmp_errors: false}"))

        async def scenario():
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(b"anybody?")
            await alice.silence()
            return alice.errors

        assert world.run(scenario()) == []
        assert ("box", "ICMP errors are not passed") in world.drops()

    def test_an_error_about_nothing_that_was_sent_stops_at_the_box(self, build):
        world = build(Home())
        server, (external,) = world.host("server"), world.node("box").spec.external_addresses
        forged = Packet(IpProtocol.UDP, (external, 4000), (world.address("server"), 9))
        server.send_icmp_error(IcmpType.PORT_UNREACHABLE, forged)
        world.loop.run_forever()
        ((place, reason),) = world.drops()
        assert place == "box"
        assert "left by no mapping" in reason


class TestNoErrorAbout:
    """RFC 1122 §3.2.2."""

    def test_an_error(self, build):
        world = build(Home())
        core = world.node("core")
        about = Packet(IpProtocol.UDP, (world.address("server"), 1), ("10.9.9.9", 1))
        error = Packet(
            IpProtocol.ICMP, (world.address("server"), 0), ("10.9.9.9", 0), ttl=1,
            icmp=IcmpMessage(IcmpType.PORT_UNREACHABLE, about),
        )  # fmt: skip
        core.receive(error, core.ports[0])
        world.loop.run_forever()
        assert world.drops() == [("core", "time to live exceeded")]
        assert world.network.packets_sent == 0

    def test_a_later_fragment(self, build):
        world = build(Home())

        async def scenario():
            alice = await world.udp("alice", (ANY, 4000))
            alice.transport.ttl = 2
            alice.send(bytes(3000), (world.address("server"), 9))
            await asyncio.sleep(1)

        world.run(scenario())
        assert len(world.drops("isp")) == 3
        assert len([p for p in world.seen("isp", outbound=True) if p.icmp is not None]) == 1


class TestPathMtu:
    """Alice sends 1400 bytes through a tunnel of 1280; the router before it tells her."""

    @pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
    def test_the_first_is_lost_and_from_then_on_the_sender_fragments(self, build, family):
        """RFC 1191, RFC 8201; through the box the report is about alice's own packet."""
        world = build(Home(tunnel="1280B"))

        async def scenario():
            server = await world.udp("server", (world.address("server", family), PORT))
            alice = await world.udp("alice", ((ANY, ANY6)[family], 4000))
            alice.send(b"1" * 1400, server.name)
            await server.silence()
            alice.send(b"2" * 1400, server.name)
            return await server.receive(), alice.errors

        (data, _), errors = world.run(scenario())
        assert data == b"2" * 1400
        assert errors == []
        ((place, reason),) = world.drops()
        assert place == "tunnel from isp"
        assert reason.startswith("too big for tunnel from isp: 14")
        (told,) = [p for p in world.seen("alice", outbound=False) if p.icmp is not None]
        assert told.icmp.mtu == 1280
        assert len(world.seen("alice", outbound=True)) == 3
        assert all(p.length <= 1280 for p in world.seen("alice", outbound=True)[1:])

    def test_a_connected_socket_hears_message_too_long(self, build):
        world = build(Home(tunnel="1280B"))

        async def scenario():
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.transport.mtu_discovery = MtuDiscovery.DO
            alice.send(bytes(1400))
            await asyncio.sleep(1)
            alice.send(bytes(1400))
            await asyncio.sleep(1)
            return [error.errno for error in alice.errors]

        assert world.run(scenario()) == [errno.EMSGSIZE] * 2
        assert len(world.seen("alice", outbound=True)) == 1

    def test_without_discovery_the_router_fragments_and_the_receiver_puts_together(self, build):
        """RFC 791 §3.2, through a box whose mapping only the first fragment names."""
        world = build(Home(tunnel="600B"))
        data = bytes(number % 251 for number in range(1400))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.transport.mtu_discovery = MtuDiscovery.DONT
            alice.send(data)
            got, source = await server.receive()
            server.transport.mtu_discovery = MtuDiscovery.DONT
            server.send(got, source)
            return got, (await alice.receive())[0]

        assert world.run(scenario()) == (data, data)
        assert len([p for p in world.seen("server", outbound=False) if p.fragment]) == 3
        assert len([p for p in world.seen("alice", outbound=False) if p.fragment]) == 3
        assert world.drops() == []

    def test_fragments_whose_first_is_lost_are_given_up_by_the_box(self, build):
        """They wait for the one that names the ports (RFC 4787 REQ-14), then are dropped with a reason."""
        world = build(Home())
        home = world.network.directions["home", "alice"]
        home.drop_matching(lambda packet: packet.fragment is not None and packet.fragment.offset == 0)

        async def scenario():
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(bytes(4000))
            await asyncio.sleep(120)

        world.run(scenario())
        assert world.drops("box") == [("box", "2 fragments given up: the first one never came")]

    def test_a_box_that_drops_icmp_makes_a_black_hole(self, build):
        """Why RFC 4821 exists: large datagrams never arrive and nobody learns why; small ones do."""
        world = build(Home(tunnel="1280B", nat="port-restricted{icmp_errors: false}"))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            for _ in range(3):
                alice.send(bytes(1400))
                await asyncio.sleep(10)
            alice.send(b"small")
            return (await server.receive())[0], alice.errors

        assert world.run(scenario()) == (b"small", [])

    def test_what_was_learned_is_forgotten_after_ten_minutes(self, build):
        """RFC 1191 §6.3: the path may have become wider."""
        world = build(Home(tunnel="1280B"))

        async def scenario():
            server = await world.udp("server", (ANY, PORT))
            alice = await world.udp("alice", remote=(world.address("server"), PORT))
            alice.send(bytes(1400))
            await asyncio.sleep(1)
            world.impair("tunnel", delay="5ms")
            alice.send(bytes(1400))
            await server.receive()
            await asyncio.sleep(601)
            alice.send(bytes(1400))
            await server.receive()

        world.run(scenario())
        assert [bool(p.fragment) for p in world.seen("alice", outbound=True)] == [False, True, True, False]

    @pytest.mark.parametrize("link", ["access", "home"])
    def test_the_box_itself_reports_what_its_own_links_cannot_carry(self, build, link):
        """Towards the outside to alice; towards the inside to the server: each about the packet it sent."""
        world = build(Home(**{link: "1280B"}))
        if link == "home":
            # Alice's own host would cut what does not fit its link, so it is the server that sends.
            sender, receiver = "server", "alice"
        else:
            sender, receiver = "alice", "server"

        async def scenario():
            server = await world.udp("server", (world.address("server"), PORT))
            alice = await world.udp("alice", remote=server.name)
            alice.send(b"open the way")
            _, outside = await server.receive()
            ends = {"alice": (alice, None), "server": (server, outside)}
            (sending, to), (receiving, _) = ends[sender], ends[receiver]
            sending.send(b"1" * 1400, to)
            await receiving.silence()
            sending.send(b"2" * 1400, to)
            return (await receiving.receive())[0], sending.name, outside

        data, name, outside = world.run(scenario())
        assert data == b"2" * 1400
        (told,) = [p for p in world.seen(sender, outbound=False) if p.icmp is not None]
        assert told.icmp.type is IcmpType.FRAGMENTATION_NEEDED
        assert told.icmp.quoted.source == name
        assert told.icmp.quoted.destination == (
            outside if sender == "server" else (world.address("server"), PORT)
        )
        assert len(world.drops()) == 1

    def test_tcp_makes_its_segments_smaller_and_loses_nothing(self, build):
        world = build(Home(tunnel="1280B"))
        data = bytes(number % 251 for number in range(20_000))

        async def serve():
            received = asyncio.get_running_loop().create_future()

            async def handler(reader, writer):
                received.set_result(await reader.read(-1))
                writer.close()

            await asyncio.start_server(handler, ANY, PORT)
            return await received

        async def send():
            _, writer = await asyncio.open_connection(world.address("server"), PORT)
            writer.write(data)
            writer.close()

        async def scenario():
            serving = world.on("server", serve())
            await asyncio.sleep(0)
            await world.on("alice", send())
            return await serving

        assert world.run(scenario()) == data

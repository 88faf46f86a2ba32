"""Routers, and hosts with several interfaces: which way a packet goes, or why it goes none."""

import asyncio
import itertools

import pytest
from mininet.topo import Topo

from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader

ANY = "0.0.0.0"  # noqa: S104 - a simulated host


class Chain(Topo):
    """Three routers in a row between two hosts; both families."""

    def build(self):
        for name in ("alice", "bob"):
            self.addHost(name, role="host")
        for name in ("one", "two", "three"):
            self.addHost(name, role="router")
        stops = ("alice", "one", "two", "three", "bob")
        for left, right in itertools.pairwise(stops):
            self.addLink(left, right, ipv6=True, impair={"delay": "10ms"})


class Phone(Topo):
    """A host with Wi-Fi (preferred) and mobile data, a server beyond a router."""

    def build(self):
        self.addHost("core", role="router")
        self.addHost("phone", role="host", uplink="wifi")
        for access, delay in (("wifi", "10ms"), ("cell", "40ms")):
            self.addHost(access, role="router")
            self.addLink("phone", access, label=f"phone-{access}", ipv6=True)
            self.addLink(access, "core", label=access, ipv6=True, impair={"delay": delay})
        self.addHost("server", role="host")
        self.addLink("server", "core", label="server", ipv6=True)


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
class TestTimeToLive:
    def test_every_router_counts_it_down_by_one(self, build, family):
        world = build(Chain)

        async def scenario():
            bob = await world.udp("bob", (world.address("bob", family), 9))
            alice = await world.udp("alice", remote=bob.name[:2])
            alice.send(b"")
            await bob.receive()
            return world.loop.time()

        assert world.run(scenario()) == pytest.approx(0.04)
        (arrived,) = world.seen("bob", outbound=False)
        assert arrived.ttl == 64 - 3

    def test_where_it_runs_out_the_sender_is_told_by_that_router(self, build, family):
        """What traceroute does: 1, 2, 3 hops, then the host itself."""
        world = build(Chain)

        async def scenario():
            alice = await world.udp("alice", remote=(world.address("bob", family), 33434))
            for ttl in (1, 2, 3, 4):
                alice.transport.ttl = ttl
                alice.send(b"probe")
            await asyncio.sleep(1)
            return alice.errors

        (refused,) = world.run(scenario())
        assert isinstance(refused, ConnectionRefusedError)
        told = {packet.source[0]: packet.icmp.type for packet in world.seen("alice", outbound=False)}
        owners = {address: name for name, node in world.network.nodes.items() for address in node.addresses}
        assert {owners[address]: kind for address, kind in told.items()} == {
            "one": IcmpType.TIME_EXCEEDED,
            "two": IcmpType.TIME_EXCEEDED,
            "three": IcmpType.TIME_EXCEEDED,
            "bob": IcmpType.PORT_UNREACHABLE,
        }
        reason = "time to live exceeded"
        assert world.drops("one", "two", "three") == [(n, reason) for n in ("one", "two", "three")]


class TestDestinations:
    def test_a_packet_without_a_route_vanishes_silently_at_the_router(self, build):
        """As beyond an ISP's edge: nobody is told."""
        world = build(Chain)

        async def scenario():
            alice = await world.udp("alice", remote=("10.9.9.9", 9))
            alice.send(b"into the void")
            await alice.silence()
            return alice.errors

        assert world.run(scenario()) == []
        ((_, reason),) = world.drops()
        assert reason == "no route to 10.9.9.9"

    def test_an_address_that_nobody_has_is_a_drop_on_the_last_segment(self, build):
        world = build(Chain)
        nobody = world.address("bob").rpartition(".")[0] + ".77"

        async def scenario():
            (await world.udp("alice")).send(b"", (nobody, 9))
            await asyncio.sleep(1)

        world.run(scenario())
        assert world.drops() == [("three", f"nobody on three--bob has address {nobody}")]

    def test_a_router_answers_pings_and_refuses_the_rest(self, build):
        world = build(Chain)
        alice, router = world.host("alice"), (world.address("two"), 0)
        own = (world.address("alice"), 7)
        ping = Packet(IpProtocol.ICMP, own, router, b"data", icmp=IcmpMessage(IcmpType.ECHO_REQUEST))
        syn = Packet(IpProtocol.TCP, own, (router[0], 22), tcp=TcpHeader(TcpFlag.SYN, 100, 0))
        datagram = Packet(IpProtocol.UDP, own, (router[0], 53), b"query")

        async def scenario():
            for packet in (ping, syn, datagram):
                alice.send_packet(packet)
            await asyncio.sleep(1)

        world.run(scenario())
        reply, reset, unreachable = world.seen("alice", outbound=False)
        assert (reply.icmp.type, reply.payload, reply.destination) == (IcmpType.ECHO_REPLY, b"data", own)
        assert reset.tcp.flags == TcpFlag.RST | TcpFlag.ACK
        assert unreachable.icmp.type is IcmpType.PORT_UNREACHABLE

    def test_a_packet_for_another_is_not_taken(self, build):
        """A host is no router, even when somebody sends it what is not its own."""
        world = build(Chain)
        stray = Packet(IpProtocol.UDP, ("192.0.2.1", 1), ("192.0.2.2", 2))
        bob = world.host("bob")
        bob.receive(stray, bob.ports[0])
        assert world.drops() == [("bob", "192.0.2.2 is no address of this host")]


class TestSeveralInterfaces:
    @pytest.mark.parametrize("family", [0, 2], ids=["IPv4", "IPv6"])
    def test_a_packet_leaves_by_the_interface_of_its_source(self, build, family):
        world = build(Phone)

        async def scenario():
            server = await world.udp("server", (world.address("server", family // 2), 9))
            arrivals = []
            for number in (family, family + 1):
                phone = await world.udp("phone", (world.address("phone", number), 0))
                sent = world.loop.time()
                phone.send(b"", server.name)
                _, source = await server.receive()
                arrivals.append((source[0], round(world.loop.time() - sent, 6)))
            return arrivals

        wifi, cell = (world.address("phone", number) for number in (family, family + 1))
        assert world.run(scenario()) == [(wifi, 0.01), (cell, 0.04)]

    def test_a_tcp_connection_keeps_to_the_interface_it_is_bound_to(self, build):
        world = build(Phone)

        async def serve():
            await asyncio.start_server(lambda _, writer: writer.close(), ANY, 80)

        async def connect(own):
            began = world.loop.time()
            _, writer = await asyncio.open_connection(world.address("server"), 80, local_addr=(own, 0))
            writer.close()
            return writer.get_extra_info("sockname")[0], round(world.loop.time() - began, 6)

        async def scenario():
            await world.on("server", serve())
            return [await world.on("phone", connect(world.address("phone", number))) for number in (0, 1)]

        wifi, cell = (world.address("phone", number) for number in (0, 1))
        assert world.run(scenario()) == [(wifi, 0.02), (cell, 0.08)]

    def test_an_unbound_socket_takes_the_preferred_interface(self, build):
        world = build(Phone)

        async def scenario():
            phone = await world.udp("phone", remote=(world.address("server"), 9))
            return phone.name[0]

        assert world.run(scenario()) == world.address("phone", 0)

    def test_the_way_of_a_bound_socket_is_not_changed_by_a_cut(self, build):
        """There is no routing protocol: what is bound to a dead access is lost, the other access works on."""
        world = build(Phone)

        async def scenario():
            server = await world.udp("server", (ANY, 9))
            wifi, cell = [await world.udp("phone", (world.address("phone", n), 0)) for n in (0, 1)]
            world.network.cut("phone-wifi")
            wifi.send(b"wifi", (world.address("server"), 9))
            cell.send(b"cell", (world.address("server"), 9))
            data, _ = await server.receive()
            await server.silence()
            return data

        assert world.run(scenario()) == b"cell"
        assert world.drops() == [("phone-wifi from phone", "link phone-wifi from phone is cut")]

    def test_a_packet_is_accepted_on_any_interface(self, build):
        """The weak end-system model (RFC 1122 §3.3.4.2), as Linux has it."""
        world = build(Phone)
        phone = world.host("phone")

        async def scenario():
            socket = await world.udp("phone", (world.address("phone", 0), 9))
            other = next(port for port in phone.ports if port.addresses != phone.ports[0].addresses)
            phone.receive(Packet(IpProtocol.UDP, ("192.0.2.1", 1), socket.name, b"in by the other"), other)
            return await socket.receive()

        assert world.run(scenario())[0] == b"in by the other"

    @pytest.mark.parametrize("seed", [1, 2])
    def test_equal_seeds_make_equal_runs_to_the_byte(self, build, seed):
        def run(seed):
            world = build(Phone, seed=seed)
            world.impair("wifi", loss="30%", delay="10ms", jitter="5ms")

            async def scenario():
                await world.udp("server", (ANY, 9))
                for number in range(40):
                    phone = await world.udp("phone", (world.address("phone", number % 2), 0))
                    phone.send(bytes([number]), (world.address("server"), 9))
                await asyncio.sleep(5)

            world.run(scenario())
            return [e.to_json("t") for e in world.network.events], world.capture.to_pcapng()

        assert run(seed) == run(seed) != run(seed + 10)

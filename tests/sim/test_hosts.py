"""UDP sockets of a host: bound, refused, connected and told of errors as on Linux."""

import asyncio
import errno
import socket

import pytest
from mininet.topo import Topo

from lab.sim.udp import MtuDiscovery
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet

ANY, ANY6 = "0.0.0.0", "::"  # noqa: S104 - a simulated host


class Pair(Topo):
    """Two hosts on a wire with both families, 10 ms apart."""

    def build(self):
        self.addHost("alice", role="host")
        self.addHost("bob", role="host")
        self.addLink("alice", "bob", label="wire", ipv6=True, impair={"delay": "10ms"})


@pytest.fixture
def pair(build):
    return build(Pair)


class TestBinding:
    @pytest.mark.parametrize(
        ("local", "number"),
        [
            (("198.18.9.9", 5000), errno.EADDRNOTAVAIL),
            (("2001:db8:9::9", 5000), errno.EADDRNOTAVAIL),
            ((ANY, 4000), errno.EADDRINUSE),
        ],
        ids=["not ours", "not ours, IPv6", "taken"],
    )
    def test_a_refusal_has_the_kernels_error_number(self, pair, local, number):
        async def scenario():
            await pair.udp("alice", (ANY, 4000))
            with pytest.raises(OSError) as refused:
                await pair.udp("alice", local)
            assert refused.value.errno == number

        pair.run(scenario())

    @pytest.mark.parametrize("first_is_wildcard", [True, False])
    def test_a_wildcard_takes_the_port_on_every_address_of_its_family(self, pair, first_is_wildcard):
        own = pair.address("alice")
        first, second = (ANY, own) if first_is_wildcard else (own, ANY)

        async def scenario():
            await pair.udp("alice", (first, 4000))
            with pytest.raises(OSError, match="in use"):
                await pair.udp("alice", (second, 4000))
            await pair.udp("alice", (ANY6, 4000))

        pair.run(scenario())

    def test_a_closed_socket_frees_its_port(self, pair):
        async def scenario():
            first = await pair.udp("alice", (ANY, 4000))
            first.transport.close()
            await pair.udp("alice", (ANY, 4000))

        pair.run(scenario())

    def test_each_address_has_ports_of_its_own(self, build):
        class TwoAddresses(Topo):
            def build(self):
                self.addHost("alice", role="host", addresses=2)
                self.addHost("bob", role="host")
                self.addLink("alice", "bob")

        world = build(TwoAddresses)

        async def scenario():
            one, two = [await world.udp("alice", (own, 4000)) for own in world.host("alice").addresses]
            bob = await world.udp("bob")
            bob.send(b"to the second", two.name)
            bob.send(b"to the first", one.name)
            return [(await socket.receive())[0] for socket in (one, two)]

        assert world.run(scenario()) == [b"to the first", b"to the second"]

    def test_a_socket_needs_an_address_or_a_family(self, pair):
        async def scenario():
            with pytest.raises(ValueError, match="family"):
                await pair.on("alice", pair.loop.create_datagram_endpoint(asyncio.DatagramProtocol))
            four = await pair.udp("alice", (None, 0), family=socket.AF_INET)
            six = await pair.udp("alice", (None, 0), family=socket.AF_INET6)
            return four.name[0], six.name[0]

        assert pair.run(scenario()) == (ANY, ANY6)

    def test_two_addresses_of_different_families_are_refused(self, pair):
        async def scenario():
            with pytest.raises(ValueError, match="address information"):
                await pair.udp("alice", (pair.address("alice"), 0), (pair.address("bob", 1), 9))

        pair.run(scenario())

    def test_a_socket_of_the_operating_system_is_refused(self, pair):
        async def scenario():
            with pytest.raises(NotImplementedError):
                await pair.udp("alice", (ANY, 0), sock=object())

        pair.run(scenario())

    def test_ephemeral_ports_are_linuxs_seeded_and_never_given_twice(self, build):
        def ports(seed):
            world = build(Pair, seed=seed)

            async def scenario():
                sockets = [await world.udp("alice") for _ in range(300)]
                return [one.name[1] for one in sockets]

            return world.run(scenario())

        first = ports(1)
        assert len(set(first)) == 300
        assert set(first) <= set(range(32768, 61000))
        assert ports(1) == first != ports(2)

    def test_when_every_port_is_taken_the_error_says_so(self, pair, monkeypatch):
        monkeypatch.setattr(pair.network.host("alice"), "_udp_ports", range(40_000, 40_010))

        async def scenario():
            ports = {(await pair.udp("alice")).name[1] for _ in range(10)}
            with pytest.raises(OSError, match="no free port"):
                await pair.udp("alice")
            return ports

        assert pair.run(scenario()) == set(range(40_000, 40_010))


class TestSending:
    @pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
    def test_a_datagram_arrives_with_its_source_after_the_delay(self, pair, family):
        async def scenario():
            bob = await pair.udp("bob", (pair.address("bob", family), 9))
            alice = await pair.udp("alice", ((ANY, ANY6)[family], 4000))
            alice.send(b"hello", bob.name)
            data, source = await bob.receive()
            return data, source[:2], pair.loop.time()

        assert pair.run(scenario()) == (b"hello", (pair.address("alice", family), 4000), 0.01)

    def test_a_bound_wildcard_socket_answers_from_the_address_of_the_route(self, pair):
        async def scenario():
            bob = await pair.udp("bob", (ANY, 9))
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.send(b"ping")
            _, source = await bob.receive()
            bob.send(b"pong", source)
            return await alice.receive()

        assert pair.run(scenario()) == (b"pong", (pair.address("bob"), 9))

    def test_a_connected_wildcard_socket_is_bound_to_the_address_of_the_route(self, pair):
        async def scenario():
            return (await pair.udp("alice", (ANY, 4000), (pair.address("bob"), 9))).name

        assert pair.run(scenario()) == (pair.address("alice"), 4000)

    def test_a_connected_socket_sends_to_its_peer_alone(self, pair):
        async def scenario():
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.send(b"", (pair.address("bob"), 9))
            with pytest.raises(ValueError, match="Invalid address"):
                alice.send(b"", (pair.address("bob"), 10))

        pair.run(scenario())

    def test_an_unconnected_socket_needs_an_address_to_send_to(self, pair):
        async def scenario():
            with pytest.raises(ValueError, match="needs an address"):
                (await pair.udp("alice")).send(b"")

        pair.run(scenario())

    def test_a_connected_socket_hears_its_peer_alone(self, pair):
        """>> from bob:9; << from bob:10, which is told that nobody listens."""

        async def scenario():
            alice = await pair.udp("alice", (pair.address("alice"), 4000), (pair.address("bob"), 9))
            stranger = await pair.udp("bob", remote=(pair.address("alice"), 4000))
            stranger.send(b"let me in")
            await alice.silence()
            return stranger.errors

        (error,) = pair.run(scenario())
        assert isinstance(error, ConnectionRefusedError)
        assert pair.drops("alice") == [("alice", "the UDP socket is connected to another peer on port 4000")]

    @pytest.mark.parametrize("own", ["127.0.0.1", "::1", "203.0.113.10"])
    def test_a_host_reaches_itself_without_the_network(self, pair, own):
        assert own in {"127.0.0.1", "::1", pair.address("alice")}

        async def scenario():
            server = await pair.udp("alice", (own, 9))
            client = await pair.udp("alice", remote=(own, 9))
            client.send(b"me")
            data, source = await server.receive()
            return data, source[0], pair.loop.time()

        assert pair.run(scenario()) == (b"me", own, 0.0)
        assert len(pair.capture) == 0

    def test_loopback_leads_nowhere_else(self, pair):
        async def scenario():
            alice = await pair.udp("alice", ("127.0.0.1", 0))
            alice.send(b"", (pair.address("bob"), 9))
            await asyncio.sleep(1)
            return [error.errno for error in alice.errors]

        assert pair.run(scenario()) == [errno.EINVAL]

    def test_without_a_route_the_protocol_hears_network_unreachable(self, pair):
        async def scenario():
            sockets = [await pair.udp("alice", (host, 0)) for host in (ANY, pair.address("alice"))]
            for one in sockets:
                one.send(b"", ("192.0.2.1", 9))
            with pytest.raises(OSError) as refused:
                await pair.udp("alice", remote=("192.0.2.1", 9))
            assert refused.value.errno == errno.ENETUNREACH
            await asyncio.sleep(0)
            return [error.errno for one in sockets for error in one.errors]

        assert pair.run(scenario()) == [errno.ENETUNREACH] * 2

    def test_a_socket_of_one_family_does_not_send_in_the_other(self, pair):
        async def scenario():
            sockets = [await pair.udp("alice", (host, 0)) for host in (ANY, pair.address("alice"))]
            for one in sockets:
                one.send(b"", (pair.address("bob", 1), 9))
            await asyncio.sleep(1)
            return [error.errno for one in sockets for error in one.errors]

        assert pair.run(scenario()) == [socket.EAI_ADDRFAMILY] * 2
        assert len(pair.capture) == 0

    def test_a_name_in_place_of_an_address_is_not_looked_up(self, pair):
        """A real socket would block in the resolver; here the error says that there is no such host."""

        async def scenario():
            sockets = [await pair.udp("alice", (host, 0)) for host in (ANY, pair.address("alice"))]
            for one in sockets:
                one.send(b"", ("bob.example.test", 9))
            await asyncio.sleep(1)
            return [error.errno for one in sockets for error in one.errors]

        assert pair.run(scenario()) == [socket.EAI_NONAME] * 2

    def test_port_zero_is_refused(self, pair):
        async def scenario():
            alice = await pair.udp("alice")
            alice.send(b"", (pair.address("bob"), 0))
            await asyncio.sleep(1)
            return [error.errno for error in alice.errors]

        assert pair.run(scenario()) == [errno.EINVAL]

    def test_a_port_that_is_none_ends_the_socket_as_asyncio_does(self, pair):
        """A peer that signals such a candidate to a careless program closes its socket."""

        async def scenario():
            alice = await pair.udp("alice", (ANY, 4000))
            alice.send(b"", (pair.address("bob"), 70_000))
            await asyncio.sleep(1)
            await pair.udp("alice", (ANY, 4000))
            with pytest.raises(OverflowError):
                await pair.udp("alice", (ANY, 70_000))

        pair.loop.run_until_complete(scenario())
        (context,) = pair.loop.unhandled
        assert isinstance(context["exception"], OverflowError)
        assert len(pair.capture) == 0

    def test_ttl_and_dscp_of_a_socket_are_on_the_wire(self, pair):
        async def scenario():
            alice = await pair.udp("alice")
            alice.transport.ttl, alice.transport.dscp = 7, 46
            alice.send(b"", (pair.address("bob"), 9))

        pair.run(scenario())
        (packet,) = pair.seen("alice", outbound=True)
        assert (packet.ttl, packet.dscp) == (7, 46)

    def test_a_closed_socket_sends_nothing_and_hears_no_more(self, pair):
        async def scenario():
            bob = await pair.udp("bob", (ANY, 9))
            alice = await pair.udp("alice")
            alice.send(b"on its way", (pair.address("bob"), 9))
            bob.transport.close()
            alice.transport.close()
            alice.send(b"too late", (pair.address("bob"), 9))
            await bob.silence()

        pair.run(scenario())
        assert len(pair.seen("alice", outbound=True)) == 1


class TestErrorsFromTheNetwork:
    @pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
    def test_a_connected_socket_hears_port_unreachable_and_another_does_not(self, pair, family):
        """Linux tells connected sockets alone (udp(7)); RFC 1122 §4.1.3.3 asks for less."""

        async def scenario():
            nobody = (pair.address("bob", family), 9)
            connected = await pair.udp("alice", remote=nobody)
            unconnected = await pair.udp("alice", ((ANY, ANY6)[family], 0))
            connected.send(b"anybody?")
            unconnected.send(b"anybody?", nobody)
            await asyncio.sleep(1)
            return connected.errors, unconnected.errors

        (error,), silent = pair.run(scenario())
        assert isinstance(error, ConnectionRefusedError)
        assert silent == []
        assert pair.drops() == [("bob", "no UDP socket on port 9")] * 2

    def test_a_refused_socket_lives_on(self, pair):
        async def scenario():
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.send(b"too early")
            await asyncio.sleep(1)
            bob = await pair.udp("bob", (ANY, 9))
            alice.send(b"now")
            return await bob.receive()

        assert pair.run(scenario())[0] == b"now"


class TestSize:
    @pytest.mark.parametrize(("family", "largest"), [(0, 65_507), (1, 65_527)], ids=["IPv4", "IPv6"])
    def test_the_largest_datagram_arrives_whole_and_a_larger_one_is_refused(self, pair, family, largest):
        data = bytes(number % 251 for number in range(largest))

        async def scenario():
            bob = await pair.udp("bob", (pair.address("bob", family), 9))
            alice = await pair.udp("alice", (pair.address("alice", family), 0))
            alice.send(data + b"!", bob.name)
            alice.send(data, bob.name)
            received, _ = await bob.receive()
            return received, [error.errno for error in alice.errors]

        assert pair.run(scenario()) == (data, [errno.EMSGSIZE])
        assert all(packet.length <= 1500 for packet in pair.seen("alice", outbound=True))

    @pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
    def test_the_sender_cuts_what_its_own_link_cannot_carry(self, pair, family):
        async def scenario():
            bob = await pair.udp("bob", (pair.address("bob", family), 9))
            alice = await pair.udp("alice", ((ANY, ANY6)[family], 0))
            alice.send(bytes(3000), bob.name)
            return len((await bob.receive())[0])

        assert pair.run(scenario()) == 3000
        sent = pair.seen("alice", outbound=True)
        assert [bool(packet.fragment) for packet in sent] == [True, True, True]
        assert pair.drops() == []

    def test_one_lost_fragment_loses_the_datagram(self, pair):
        async def scenario():
            bob = await pair.udp("bob", (ANY, 9))
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            wire = pair.network.directions["wire", "alice"]
            wire.drop_matching(lambda packet: packet.fragment.offset > 0)
            alice.send(bytes(3000))
            await bob.silence(60)
            alice.send(b"next")
            return await bob.receive()

        assert pair.run(scenario())[0] == b"next"

    def test_a_host_learns_of_a_link_that_is_changed(self, pair):
        pair.impair("wire", mtu="600B", delay="10ms")

        async def scenario():
            bob = await pair.udp("bob", (ANY, 9))
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.send(bytes(1000))
            return len((await bob.receive())[0])

        assert pair.run(scenario()) == 1000
        assert len(pair.seen("alice", outbound=True)) == 2

    def test_a_socket_that_must_not_fragment_is_refused_at_once(self, pair):
        async def scenario():
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.transport.mtu_discovery = MtuDiscovery.DO
            alice.send(bytes(1472))
            alice.send(bytes(1473))
            await asyncio.sleep(1)
            return [error.errno for error in alice.errors]

        assert pair.run(scenario()) == [errno.EMSGSIZE, errno.ECONNREFUSED]
        assert len(pair.seen("alice", outbound=True)) == 1


class TestPower:
    def test_a_host_without_power_says_nothing_and_its_programs_end(self, pair):
        cleaned = []

        async def serves():
            bob = await pair.udp("bob", (ANY, 9))
            try:
                await asyncio.sleep(3600)
            finally:
                bob.send(b"a last word", (pair.address("alice"), 4000))
                cleaned.append(pair.loop.time())

        async def scenario():
            pair.on("bob", serves())
            alice = await pair.udp("alice", (ANY, 4000))
            await asyncio.sleep(1)
            pair.host("bob").power_off()
            connected = await pair.udp("alice", remote=(pair.address("bob"), 9))
            connected.send(b"are you there?")
            await alice.silence()
            return connected.errors

        assert pair.run(scenario()) == []
        assert cleaned == [1.0]
        assert pair.seen("bob", outbound=True) == []
        assert pair.drops() == [("bob", "the host is off")]

    def test_what_its_timers_still_do_reaches_nobody(self, pair):
        """A callback that a program left behind still runs; what it sends goes nowhere."""

        async def leaves_a_timer():
            bob = await pair.udp("bob", (ANY, 9))
            pair.loop.call_later(2.0, pair.host("bob").answer_echo, echo)
            return bob

        request = IcmpMessage(IcmpType.ECHO_REQUEST)
        source, destination = (pair.address("alice"), 1), (pair.address("bob"), 0)
        echo = Packet(IpProtocol.ICMP, source, destination, icmp=request)

        async def scenario():
            await pair.on("bob", leaves_a_timer())
            pair.host("bob").power_off()
            await asyncio.sleep(5)

        pair.run(scenario())
        assert len(pair.capture) == 0

    def test_it_comes_back_with_empty_hands(self, pair):
        async def scenario():
            before = await pair.udp("bob", (ANY, 9))
            pair.host("bob").power_off()
            pair.host("bob").power_on()
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.send(b"still there?")
            await before.silence()
            after = await pair.udp("bob", (ANY, 9))
            alice.send(b"again")
            return alice.errors, await after.receive()

        (refused,), (data, _) = pair.run(scenario())
        assert isinstance(refused, ConnectionRefusedError)
        assert data == b"again"


class TestPrograms:
    def test_two_hosts_run_the_same_code_with_sockets_of_their_own(self, pair):
        """What a third-party library sees: asyncio, and the host that it runs on."""

        async def library():
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol,
                ("0.0.0.0", 5060),  # noqa: S104 - a simulated host
            )
            (address,) = {
                info[4][0] for info in await loop.getaddrinfo("localhost", 5060, family=socket.AF_INET)
            }
            return transport.get_extra_info("sockname"), address

        async def scenario():
            return await asyncio.gather(pair.on("alice", library()), pair.on("bob", library()))

        assert pair.run(scenario()) == [((ANY, 5060), "127.0.0.1")] * 2

    def test_code_on_no_host_has_no_network(self, pair):
        async def scenario():
            with pytest.raises(RuntimeError, match="no simulated host"):
                await pair.loop.create_datagram_endpoint(asyncio.DatagramProtocol, (ANY, 0))

        pair.run(scenario())

    def test_what_a_program_raises_is_its_awaiters(self, pair):
        async def fails():
            raise ValueError("broken")

        async def scenario():
            with pytest.raises(ValueError, match="broken"):
                await pair.on("alice", fails())

        pair.run(scenario())

    def test_a_protocol_that_raises_keeps_its_socket_and_is_reported(self, pair):
        class Broken(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                if data == b"bad":
                    raise ValueError("bug in the program")
                heard.append(data)

        heard = []

        async def scenario():
            await pair.on("bob", pair.loop.create_datagram_endpoint(Broken, (ANY, 9)))
            alice = await pair.udp("alice", remote=(pair.address("bob"), 9))
            alice.send(b"bad")
            alice.send(b"good")
            await asyncio.sleep(1)

        pair.loop.run_until_complete(scenario())
        assert heard == [b"good"]
        (context,) = pair.loop.unhandled
        assert str(context["exception"]) == "bug in the program"

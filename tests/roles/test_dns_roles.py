"""The DNS server and the resolver, on simulated hosts and on real sockets."""

import asyncio
import random
import socket
import subprocess
from dataclasses import replace

import pytest
from mininet.topo import Topo

from lab.protocols.dns import SrvRecord
from lab.protocols.dns_zone import DnsZone
from lab.roles.dns_server import DnsServer, DnsServerConfig
from lab.roles.dns_stream import framed, read_framed
from lab.roles.real_context import RealRoleContext
from lab.roles.resolver import Resolver
from lab.sim.capture import Capture
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.impairment import Impairment
from lab.spec.plan import plan_network

SERVICES = [SrvRecord(20, 0, 5061, "sip2.example.com"), SrvRecord(10, 0, 5060, "sip1.example.com")]
ZONE = DnsZone(
    {
        "turn.example.com": ["198.51.100.7", "2001:db8::7"],
        "v6.example.com": ["2001:db8::6"],
        "many.example.com": [f"2001:db8::{number:x}" for number in range(1, 101)],
    },
    {"_sip._udp.example.com": SERVICES, "_sips._tcp.example.com": [SrvRecord(0, 0, 0, ".")]},
    origin="example.com",
)
DELAY = 0.05


class World:
    """A client and two hosts on one switch, 50 ms apart each way; those ``serving`` run a DNS server."""

    def __init__(self, serving=("first", "second"), server_delay=0.0, **impairment):
        topo = Topo()
        topo.addSwitch("lan")
        for name in ("client", "first", "second"):
            topo.addHost(name, role="host")
            topo.addLink(name, "lan", label=name)
        spec = plan_network(topo, "office")
        wire = Impairment(delay=DELAY / 2, **impairment)
        links = {name: replace(link, forward=wire, backward=wire) for name, link in spec.links.items()}
        self.loop = VirtualLoop(deadline=1_000, event_budget=100_000)
        self.capture = Capture(spec)
        self.network = SimNetwork(replace(spec, links=links), self.loop, capture=self.capture)
        self.servers = [(self.network.host(name).addresses[0], 53) for name in ("first", "second")]
        self.roles = {}
        for name in serving:
            host = self.network.host(name)
            self.roles[name] = DnsServer(DnsServerConfig(zone=ZONE, delay=server_delay), host)
            host.start(self.roles[name].run())

    def run(self, ask, **options):
        """Return (what ``ask(resolver)`` gives or raises, the seconds it took)."""

        async def program():
            await asyncio.gather(*(role.ready.wait() for role in self.roles.values()))
            began = self.loop.time()
            try:
                result = await ask(Resolver(self.servers, random.Random(1), **options))
            except socket.gaierror as error:
                result = error.errno
            return result, self.loop.time() - began

        try:
            result = self.loop.run_until_complete(self.network.host("client").start(program()))
            assert not self.loop.unhandled, self.loop.unhandled
            return result
        finally:
            for name in ("client", "first", "second"):
                self.network.host(name).power_off()
            self.loop.close()


ROUND_TRIP = pytest.approx(2 * DELAY)


class TestInVirtualTime:
    def test_a_name_takes_one_round_trip_whichever_families_it_has(self):
        """>> A and AAAA, together << both."""
        assert World().run(lambda r: r.resolve("turn.example.com")) == (
            ["198.51.100.7", "2001:db8::7"],
            ROUND_TRIP,
        )

    @pytest.mark.parametrize(
        ("family", "addresses"), [(socket.AF_INET, ["198.51.100.7"]), (socket.AF_INET6, ["2001:db8::7"])]
    )
    def test_a_family_may_be_asked_for_alone(self, family, addresses):
        assert World().run(lambda r: r.resolve("turn.example.com", family))[0] == addresses

    @pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
    def test_an_address_is_its_own_and_asks_nobody(self, address):
        world = World()
        assert world.run(lambda r: r.resolve(address)) == ([address], 0.0)
        assert len(world.capture) == 0

    @pytest.mark.parametrize("name", ["nobody.example.com", "a..b"])
    def test_a_name_that_does_not_exist_is_final(self, name):
        result, seconds = World().run(lambda r: r.resolve(name))
        assert result == socket.EAI_NONAME
        assert seconds < 0.2

    def test_a_name_without_the_family_has_no_address(self):
        assert World().run(lambda r: r.resolve("v6.example.com", socket.AF_INET))[0] == socket.EAI_NONAME

    def test_services_come_in_the_order_to_try_them(self):
        assert World().run(lambda r: r.resolve_srv("_sip._udp.example.com"))[0] == SERVICES[::-1]

    @pytest.mark.parametrize("name", ["_sips._tcp.example.com", "_xmpp._tcp.example.com"])
    def test_a_service_that_is_not_offered_does_not_exist(self, name):
        assert World().run(lambda r: r.resolve_srv(name))[0] == socket.EAI_NONAME

    def test_a_server_that_does_not_serve_is_passed_over_at_once(self):
        """>> query to the first << ICMP port unreachable; >> the second << answer."""
        result, seconds = World(serving=["second"]).run(lambda r: r.resolve("turn.example.com"))
        assert result[0] == "198.51.100.7"
        assert seconds == pytest.approx(4 * DELAY)

    def test_a_silent_server_costs_the_timeout(self):
        world = World()
        world.network.cut("first")
        result, seconds = world.run(lambda r: r.resolve("turn.example.com"), timeout=3.0)
        assert result[0] == "198.51.100.7"
        assert seconds == pytest.approx(3.0 + 2 * DELAY)

    def test_silence_everywhere_costs_every_timeout_of_every_attempt(self):
        world = World(loss=1.0)
        assert world.run(lambda r: r.resolve("turn.example.com")) == (
            socket.EAI_AGAIN,
            pytest.approx(2 * 2 * 5.0),
        )

    def test_a_refusal_is_not_an_answer(self):
        """The next server is asked; when none knows the zone, the error says that it may be tried again."""
        result, seconds = World().run(lambda r: r.resolve("example.org"))
        assert result == socket.EAI_AGAIN
        assert seconds == pytest.approx(4 * 2 * DELAY)

    def test_a_slow_server_is_waited_for(self):
        _, seconds = World(server_delay=4.0).run(lambda r: r.resolve("turn.example.com"))
        assert seconds == pytest.approx(4.0 + 2 * DELAY)

    def test_an_answer_too_long_for_udp_comes_over_tcp(self):
        world = World(serving=["first"])
        result, seconds = world.run(lambda r: r.resolve("many.example.com", socket.AF_INET6))
        assert len(result) == 100
        # UDP, the handshake, the query: three round trips.
        assert seconds == pytest.approx(6 * DELAY)

    def test_loss_is_made_good_by_another_attempt(self):
        world = World(serving=["first"])
        world.network.directions["client", "client"].drop_matching(lambda _: True, count=2)
        result, seconds = world.run(lambda r: r.resolve("turn.example.com", socket.AF_INET), timeout=1.0)
        assert result == ["198.51.100.7"]
        assert 2.0 < seconds < 2.5

    def test_garbage_gets_no_answer_and_hurts_nobody(self):
        world = World(serving=["first"])
        server = world.servers[0]

        async def ask(resolver):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=server)
            for data in (b"", b"\0", b"\xff" * 600):
                transport.sendto(data)
            reader, writer = await asyncio.open_connection(*server)
            writer.write(framed(b"nonsense"))
            assert await reader.read() == b""
            writer.close()
            return await resolver.resolve("turn.example.com", socket.AF_INET)

        assert world.run(ask)[0] == ["198.51.100.7"]

    def test_equal_worlds_exchange_equal_bytes(self):
        def bytes_of_a_run() -> bytes:
            world = World()
            world.run(lambda r: r.resolve("turn.example.com"))
            return world.capture.to_pcapng()

        assert bytes_of_a_run() == bytes_of_a_run()

    @pytest.mark.system("tshark")
    def test_tshark_reads_the_exchange(self, tmp_path):
        world = World(serving=["second"])
        world.run(lambda r: r.resolve_srv("_sip._udp.example.com"))
        path = tmp_path / "dns.pcapng"
        path.write_bytes(world.capture.to_pcapng())
        shown = subprocess.run(
            ["tshark", "-r", path, "-T", "fields", "-e", "frame.interface_name", "-e", "_ws.col.Info"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "client:client\tDestination unreachable (Port unreachable)" in shown
        assert "SRV 10 0 5060 sip1.example.com" in shown
        assert "Malformed" not in shown


@pytest.mark.real_time
class TestOnRealSockets:
    def run(self, ask):
        async def program():
            port = free_port()
            role = DnsServer(DnsServerConfig(zone=ZONE, port=port), RealRoleContext("dns", ["127.0.0.1"]))
            serving = asyncio.create_task(role.run())
            await asyncio.wait_for(role.ready.wait(), 5)
            try:
                return await ask(Resolver([("127.0.0.1", port)], random.Random(1), timeout=5))
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

        return asyncio.run(program())

    def test_the_same_server_and_resolver_work_there(self):
        assert self.run(lambda r: r.resolve("turn.example.com")) == ["198.51.100.7", "2001:db8::7"]
        assert self.run(lambda r: r.resolve_srv("_sip._udp.example.com")) == SERVICES[::-1]

    def test_long_answers_come_over_tcp_there_too(self):
        assert len(self.run(lambda r: r.resolve("many.example.com"))) == 100

    def test_a_port_without_server_is_refused_at_once(self):
        resolver = Resolver([("127.0.0.1", free_port())], random.Random(1), timeout=5)
        with pytest.raises(socket.gaierror):
            asyncio.run(resolver.resolve("turn.example.com"))


def free_port() -> int:
    """Return a port that is free for UDP and TCP now."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        return port


def test_a_framed_message_reads_back():
    async def program() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(framed(b"one") + framed(b""))
        return await read_framed(reader) + b"|" + await read_framed(reader)

    assert asyncio.run(program()) == b"one|"

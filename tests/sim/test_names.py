"""Names: from the topology's table, or over the wire where the topology has a DNS server."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from mininet.topo import Topo

from lab.errors import UsageError
from lab.measure.calls import calls_of
from lab.roles.catalogue import make_role
from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy
from lab.spec.event import EventType, PathClass
from lab.spec.find import load_topology

ROUND_TRIP = 0.05
SRV = {"_sip._udp.example.test": ["20 0 5062 backup", "10 0 5060 pbx.example.test", "10 0 5061 pbx"]}


class Office(Topo):
    """client, pbx and backup round a router, and DNS servers 25 ms away from the client."""

    def build(self, servers=("names",), client=None, **options):
        self.addHost("core", role="router")
        for name in ("pbx", "backup"):
            self.addHost(name, role="host")
            self.addLink(name, "core", label=name, ipv6=name == "pbx")
        self.addHost("client", role="host", **(client or {}))
        self.addLink("client", "core", label="client", ipv6=True, impair={"delay": "20ms"})
        for name in servers:
            self.addHost(name, role="dns", **options)
            self.addLink(name, "core", label=name, impair={"delay": "5ms"})


def office(build, **options):
    """Return a world of that office, its DNS servers started."""
    world = build(Office(**options))
    world.dns = {}
    for name, node in world.spec.by_role.get("dns", {}).items():
        world.dns[name] = make_role(node, world.spec, world.host(name))
        world.on(name, world.dns[name].run())
    return world


def timed(world, program):
    """Run a program on the client; return (its result or the error of the resolver, the seconds it took)."""

    async def run():
        try:
            return await program
        except socket.gaierror as error:
            return error.errno

    async def scenario():
        await asyncio.gather(*(role.ready.wait() for role in world.dns.values()))
        began = world.loop.time()
        return await world.on("client", run()), round(world.loop.time() - began, 6)

    return world.run(scenario())


def look_up(world, name, **options):
    """Return (addresses or error number, seconds) of ``getaddrinfo`` on the client."""
    found, seconds = timed(world, world.loop.getaddrinfo(name, 5060, type=socket.SOCK_DGRAM, **options))
    return found if isinstance(found, int) else [info[4][0] for info in found], seconds


def is_any(_packet):
    return True


def hang_up(_reader, writer):
    writer.close()


async def peer_of(*where):
    """Connect, hang up, and return who it was."""
    _, writer = await asyncio.open_connection(*where)
    writer.close()
    return writer.get_extra_info("peername")[:2]


class TestFromTheTable:
    def test_without_a_server_names_cost_nothing(self, build):
        world = office(build, servers=())
        addresses, seconds = look_up(world, "pbx.test")
        assert addresses == list(world.host("pbx").addresses)
        assert seconds == 0.0

    def test_a_name_is_found_however_it_is_spelt(self, build):
        world = office(build, servers=())
        assert look_up(world, "PBX.Test.") == look_up(world, "pbx.test")

    @pytest.mark.parametrize(
        ("name", "family"), [("nobody.test", 0), ("backup.test", socket.AF_INET6), ("client", 0)]
    )
    def test_what_does_not_exist_is_an_error(self, build, name, family):
        assert look_up(office(build, servers=()), name, family=family) == (socket.EAI_NONAME, 0.0)

    def test_a_host_may_keep_to_the_table(self, build):
        world = office(build, client={"resolver": "static"})
        assert look_up(world, "pbx.test")[1] == 0.0

    def test_a_dns_server_asks_nobody(self, build):
        world = office(build)
        assert world.host("names").resolver is None


class TestOverTheWire:
    def test_a_look_up_takes_one_round_trip(self, build):
        """>> A and AAAA together << both."""
        world = office(build)
        addresses, seconds = look_up(world, "pbx.test")
        assert addresses == list(world.host("pbx").addresses)
        assert seconds == ROUND_TRIP
        assert world.dns["names"].queries == 2

    def test_one_family_is_one_query(self, build):
        world = office(build)
        assert look_up(world, "pbx.test", family=socket.AF_INET) == ([world.address("pbx")], ROUND_TRIP)
        assert world.dns["names"].queries == 1

    @pytest.mark.parametrize("name", ["localhost", "192.0.2.1", "2001:db8::1"])
    def test_what_needs_no_server_asks_none(self, build, name):
        world = office(build)
        assert look_up(world, name)[1] == 0.0
        assert world.dns["names"].queries == 0

    def test_a_slow_server_takes_its_time(self, build):
        assert look_up(office(build, answer_delay="200ms"), "pbx.test")[1] == ROUND_TRIP + 0.2

    def test_a_lost_query_is_asked_again_after_five_seconds(self, build):
        world = office(build)
        world.network.directions["client", "client"].drop_matching(is_any, count=2)
        addresses, seconds = look_up(world, "pbx.test")
        assert addresses == list(world.host("pbx").addresses)
        assert seconds == 5.0 + ROUND_TRIP

    def test_without_an_answer_the_resolver_gives_up(self, build):
        world = office(build)
        world.network.cut("names")
        assert look_up(world, "pbx.test") == (socket.EAI_AGAIN, 10.0)

    def test_the_second_server_is_asked_when_the_first_is_off(self, build):
        world = office(build, servers=("names1", "names2"))
        world.network.host("names1").power_off()
        world.dns["names1"].ready.set()
        assert look_up(world, "pbx.test")[1] == 5.0 + ROUND_TRIP

    def test_a_host_can_name_its_server(self, build):
        world = office(build, servers=("names1", "names2"), client={"resolver": "names2"})
        assert look_up(world, "pbx.test")[1] == ROUND_TRIP
        assert [role.queries for role in world.dns.values()] == [0, 2]

    @pytest.mark.parametrize(("name", "family"), [("nobody.test", 0), ("backup.test", socket.AF_INET6)])
    def test_a_negative_answer_is_final(self, build, name, family):
        assert look_up(office(build), name, family=family) == (socket.EAI_NONAME, ROUND_TRIP)

    def test_further_names_stand_for_nodes_or_addresses(self, build):
        world = office(build, names={"sip.example.test": ["backup", "192.0.2.7"]})
        assert look_up(world, "sip.example.test")[0] == [world.address("backup"), "192.0.2.7"]

    def test_services_come_in_the_order_of_their_priorities(self, build):
        world = office(build, names={"pbx.example.test": ["pbx"]}, srv=SRV)
        records, seconds = timed(world, world.host("client").resolver.resolve_srv("_sip._udp.example.test"))
        assert [record.priority for record in records] == [10, 10, 20]
        assert {(record.target, record.port) for record in records[:2]} == {
            ("pbx.example.test", 5060),
            ("pbx.test", 5061),
        }
        assert (records[2].target, records[2].port) == ("backup.test", 5062)
        assert seconds == ROUND_TRIP

    def test_a_service_that_does_not_exist_is_an_error(self, build):
        world = office(build)
        program = world.host("client").resolver.resolve_srv("_sip._udp.example.test")
        assert timed(world, program) == (socket.EAI_NONAME, ROUND_TRIP)

    def test_gethostbyname_in_a_thread_pool_is_asked_of_the_same_server(self, build):
        """How aioice resolves its STUN server."""
        world = office(build)

        async def library():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, socket.gethostbyname, "pbx.test")

        assert timed(world, library()) == (world.address("pbx"), ROUND_TRIP)

    def test_getaddrinfo_in_a_thread_pool_is_the_loops_own(self, build):
        world = office(build)

        async def library():
            loop = asyncio.get_running_loop()
            ours = await loop.getaddrinfo("pbx.test", 5060)
            return ours == await loop.run_in_executor(None, socket.getaddrinfo, "pbx.test", 5060)

        assert timed(world, library()) == (True, 2 * ROUND_TRIP)

    def test_any_other_function_runs_at_once(self, build):
        """There are no threads: a long computation takes no virtual time, an error is its awaiter's."""
        world = office(build)

        async def library():
            assert await asyncio.to_thread(sum, [1, 2, 3]) == 6
            with pytest.raises(ZeroDivisionError):
                await asyncio.to_thread(divmod, 1, 0)

        assert timed(world, library())[1] == 0.0

    def test_there_are_no_names_of_addresses(self, build):
        world = office(build)
        found, _ = timed(world, world.loop.getnameinfo((world.address("pbx"), 5060)))
        assert found == (world.address("pbx"), "5060")

    def test_other_functions_of_the_socket_module_are_refused(self, build):
        world = office(build)

        async def library():
            with pytest.raises(NotImplementedError, match="leave the simulation"):
                asyncio.get_running_loop().run_in_executor(None, socket.gethostbyaddr, "192.0.2.1")

        timed(world, library())


class TestConnectingByName:
    def test_addresses_are_tried_in_turn(self, build):
        """The first refuses, the second serves; one look-up and two round trips to the core."""
        world = office(build, names={"sip.example.test": ["backup", "pbx"]})

        async def serve():
            await asyncio.start_server(hang_up, world.address("pbx"), 5060)

        world.on("pbx", serve())
        assert timed(world, peer_of("sip.example.test", 5060))[0] == (world.address("pbx"), 5060)

    def test_when_all_refuse_the_error_has_them_all(self, build):
        world = office(build, names={"sip.example.test": ["backup", "pbx"]})

        async def client():
            with pytest.raises(OSError, match=r"Multiple exceptions.*refused.*refused"):
                await asyncio.open_connection("sip.example.test", 5060, family=socket.AF_INET)

        timed(world, client())

    def test_a_server_without_a_host_listens_on_both_families(self, build):
        world = office(build)

        async def serve():
            await asyncio.start_server(hang_up, None, 5060)

        async def client():
            return [(await peer_of(address, 5060))[0] for address in world.host("pbx").addresses]

        world.on("pbx", serve())
        assert timed(world, client())[0] == list(world.host("pbx").addresses)


class TestGetaddrinfo:
    def test_it_answers_for_every_socket_type_like_the_c_library(self, build):
        world = office(build, servers=())
        found, _ = timed(world, world.loop.getaddrinfo("pbx.test", "5060"))
        assert [(family, kind, sockaddr[:2]) for family, kind, _, _, sockaddr in found] == [
            (family, kind, (address, 5060))
            for family, address in zip(
                (socket.AF_INET, socket.AF_INET6), world.host("pbx").addresses, strict=True
            )
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
        ]

    def test_without_a_name_it_is_loopback_or_wildcard(self, build):
        world = office(build, servers=())
        assert look_up(world, None)[0] == ["127.0.0.1", "::1"]
        assert look_up(world, None, flags=socket.AI_PASSIVE)[0] == ["0.0.0.0", "::"]  # noqa: S104

    def test_services_have_numbers_alone(self, build):
        world = office(build, servers=())
        assert timed(world, world.loop.getaddrinfo("pbx.test", "sip"))[0] == socket.EAI_SERVICE


class TestAZoneThatCannotBe:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"srv": {"_sip._udp.example.test": ["10 60 pbx"]}},
                """\
node names: srv _sip._udp.example.test: '10 60 pbx' is no SRV record
  expected priority, weight, port and target, such as 10 60 5060 sip1.example.com""",
            ),
            (
                {"names": {"sip.example.test": ["pxb"]}},
                "node names: DNS name sip.example.test: 'pxb' is not an IP address",
            ),
        ],
        ids=["an SRV record that is none", "a node that does not exist"],
    )
    def test_it_is_refused_with_node_option_and_remedy(self, build, options, message):
        with pytest.raises(UsageError) as refused:
            office(build, **options)
        assert str(refused.value) == message

    def test_a_service_of_a_host_without_a_public_name_needs_one(self, build):
        class Branch(Office):
            def build(self):
                super().build(srv={"_sip._udp.example.test": ["10 0 5060 desk"]})
                self.addHost("box", role="nat", nat="symmetric", uplink="core")
                self.addLink("box", "core")
                self.addHost("desk", role="host")
                self.addLink("desk", "box")

        world = build(Branch)
        with pytest.raises(UsageError, match="desk is not public and has no name\n  give it one: names="):
            make_role(world.spec.nodes["names"], world.spec, world.host("names"))


_DIGEST = """
import hashlib
from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy
from lab.spec.find import load_topology
spec = load_topology("two_homes", {"with_dns": True, "alice_loss": "20%"})
capture = Capture(spec)
async def scenario(lab):
    await lab.call("alice", "bob", policy=CandidatePolicy(turn_transports=("udp", "tcp")))
events, _ = simulate(
    spec, scenario, {}, run_seed=3, trial_key="t", deadline=300, event_budget=10**6, capture=capture
)
text = "\\n".join(event.to_json("t") for event in events).encode()
print(hashlib.sha256(text).hexdigest(), hashlib.sha256(capture.to_pcapng()).hexdigest())
"""


def test_a_call_by_name_is_the_same_to_the_byte_in_every_process():
    """Message identifiers, the order of records, and which of two equal services: all from the seed.

    TLS is left out, to which an endpoint turns where too much of the rest gets lost: its bytes have no seed.
    """
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 77)
    }
    assert len(outputs) == 1


class TestACall:
    def call(self, policy=None, **parameters):
        spec = load_topology("two_homes", {"with_dns": True, **parameters})
        capture = Capture(spec)

        async def scenario(lab):
            await lab.call("alice", "bob", policy=policy)

        events, invalid = simulate(
            spec, scenario, {}, run_seed=1, trial_key="t", deadline=300, event_budget=10**6, capture=capture
        )
        assert invalid == ""
        assert [e.data for e in events if e.type is EventType.ROLE_FAILED] == []
        (record,) = calls_of(events)
        return record, [r.packet for r in capture._records if r.packet.destination[1] == 53 and r.outbound]

    def test_callers_find_their_servers_by_name(self):
        record, queries = self.call(alice_nat="full-cone", bob_nat="full-cone")
        assert record.path is PathClass.SERVER_REFLEXIVE
        assert len([q for q in queries if b"\x0arendezvous\x04test" in q.payload]) >= 2
        assert any(b"\x05relay\x04test" in query.payload for query in queries)

    @pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
    def test_the_relay_has_a_certificate_for_its_name(self, transport):
        record, _ = self.call(CandidatePolicy(candidates="relay-only", turn_transports=(transport,)))
        assert record.path is PathClass.RELAY

"""The stack: whose a segment is, what ICMP does to connections, and what TCP does through NAT boxes."""

import asyncio
import itertools

import pytest
from mininet.topo import Topo

from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.sim.tcp.config import TcpConfig
from lab.sim.tcp.segment import ACK, RST, SYN, Segment, packet_of, segment_of
from lab.sim.tcp.stack import TcpStack
from lab.spec.plan import plan_network
from nat_models.packet import IcmpMessage, IcmpType, Packet

OWN, PEER = "192.0.2.1", "192.0.2.2"
LOCAL, REMOTE = (OWN, 5060), (PEER, 40_000)


class BareHost:
    """The least that a stack needs; what it sends is kept in ``sent``."""

    def __init__(self, loop, config=None):
        self.loop = loop
        self.handling_packet = 0
        self.sent = []
        self.stack = TcpStack(self, config)
        self._ids = itertools.count(1)
        self._ports = itertools.count(40_000)

    def send_packet(self, packet):
        self.sent.append(packet)

    def next_packet_id(self):
        return next(self._ids)

    def source_address_for(self, destination):
        return None if destination.startswith("203.") else OWN

    def owns_address(self, address):
        return address == OWN

    def sequence_number(self):
        return 1000

    def ephemeral_port(self, _protocol):
        return next(self._ports)

    def receive(self, segment, source=REMOTE, destination=LOCAL):
        self.stack.receive(packet_of(segment, source, destination, 77, 0))

    def take(self):
        taken, self.sent = [segment_of(packet) for packet in self.sent], []
        return taken


@pytest.fixture
def loop():
    loop = VirtualLoop(deadline=10_000, event_budget=100_000)
    yield loop
    loop.close()


@pytest.fixture
def host(loop):
    return BareHost(loop)


def run(loop, seconds=0.001):
    loop.run_until_complete(asyncio.sleep(seconds))


def accept_one(host, source=REMOTE, sequence=500):
    """Shake hands with the listener from ``source``."""
    host.receive(Segment(SYN, sequence, 0, 65535), source)
    host.take()
    host.receive(Segment(ACK, sequence + 1, 1001, 65535), source)


class TestClosedPorts:
    """RFC 9293 §3.10.7.1."""

    def test_a_syn_is_reset(self, host):
        host.receive(Segment(SYN, 500, 0, 65535))
        assert host.take() == [Segment(RST | ACK, 0, 501)]

    def test_an_acknowledgement_is_reset_with_its_own_number(self, host):
        host.receive(Segment(ACK, 500, 900, 65535))
        assert host.take() == [Segment(RST, 900)]

    def test_a_reset_is_never_answered(self, host):
        host.receive(Segment(RST, 500))
        assert host.take() == []

    def test_the_answer_names_its_cause(self, host):
        host.receive(Segment(SYN, 500, 0, 65535))
        assert host.sent[0].cause_id == 77


class TestListening:
    def test_a_wildcard_listener_accepts_on_every_address(self, host):
        host.stack.listen(asyncio.Protocol, ["0.0.0.0"], 5060)  # noqa: S104
        host.receive(Segment(SYN, 500, 0, 65535))
        assert [segment.flags for segment in host.take()] == [SYN | ACK]

    def test_an_exact_listener_goes_before_a_wildcard(self, host):
        made = []
        host.stack.listen(lambda: made.append("any") or asyncio.Protocol(), ["0.0.0.0"], 5060)  # noqa: S104
        host.stack.listen(lambda: made.append("own") or asyncio.Protocol(), [OWN], 5060)
        accept_one(host)
        assert made == ["own"]

    def test_a_listener_makes_no_protocol_before_the_handshake_is_complete(self, host):
        made = []
        host.stack.listen(lambda: made.append(1) or asyncio.Protocol(), [OWN], 5060)
        host.receive(Segment(SYN, 500, 0, 65535))
        assert made == []
        host.receive(Segment(ACK, 501, 1001, 65535))
        assert made == [1]

    def test_a_full_backlog_drops_syns_silently(self, host):
        host.stack.listen(asyncio.Protocol, [OWN], 5060, backlog=2)
        for port in (1, 2, 3):
            host.receive(Segment(SYN, 500, 0, 65535), (PEER, port))
        assert len(host.take()) == 2
        host.receive(Segment(ACK, 501, 1001, 65535), (PEER, 1))
        host.receive(Segment(SYN, 500, 0, 65535), (PEER, 3))
        assert [segment.flags for segment in host.take()] == [SYN | ACK]

    def test_a_reset_of_a_half_open_connection_frees_its_place(self, host):
        host.stack.listen(asyncio.Protocol, [OWN], 5060, backlog=1)
        host.receive(Segment(SYN, 500, 0, 65535), (PEER, 1))
        host.receive(Segment(RST, 501), (PEER, 1))
        host.take()
        host.receive(Segment(SYN, 500, 0, 65535), (PEER, 2))
        assert len(host.take()) == 1

    def test_closing_resets_half_open_connections_and_spares_open_ones(self, host):
        server = host.stack.listen(asyncio.Protocol, [OWN], 5060)
        accept_one(host, (PEER, 1))
        host.receive(Segment(SYN, 500, 0, 65535), (PEER, 2))
        host.take()
        server.close()
        assert [(packet.destination[1], packet.tcp.flags & RST) for packet in host.sent] == [(2, RST)]

    def test_an_address_of_somebody_else_cannot_be_listened_on(self, host):
        with pytest.raises(OSError, match="Cannot assign requested address"):
            host.stack.listen(asyncio.Protocol, [PEER], 5060)

    def test_a_factory_that_raises_resets_the_connection_and_is_reported(self, host, loop):
        def broken():
            raise RuntimeError("bug in the factory")

        host.stack.listen(broken, [OWN], 5060)
        accept_one(host)
        assert host.take()[-1].flags & RST
        assert str(loop.unhandled[0]["exception"]) == "bug in the factory"
        assert not host.stack.is_bound(40_000)


class TestPorts:
    def test_a_port_is_bound_while_anybody_uses_it(self, host, loop):
        server = host.stack.listen(asyncio.Protocol, [OWN], 5060)
        accept_one(host)
        server.close()
        assert host.stack.is_bound(5060)
        host.receive(Segment(RST, 501))
        assert not host.stack.is_bound(5060)

    def test_one_local_port_reaches_several_peers(self, host, loop):
        """Hole punching needs the port that it listens on as the source, too."""
        host.stack.listen(asyncio.Protocol, [OWN], 5060)
        for port in (1, 2):
            loop.create_task(host.stack.connect(asyncio.Protocol, (PEER, port), LOCAL))
        run(loop)
        assert [(packet.source, packet.destination) for packet in host.sent] == [
            (LOCAL, (PEER, 1)),
            (LOCAL, (PEER, 2)),
        ]

    def test_the_same_pair_of_addresses_cannot_be_used_twice(self, host, loop):
        loop.create_task(host.stack.connect(asyncio.Protocol, REMOTE, LOCAL))
        run(loop)
        with pytest.raises(OSError, match="Cannot assign requested address"):
            loop.run_until_complete(host.stack.connect(asyncio.Protocol, REMOTE, LOCAL))

    def test_without_a_route_connecting_fails_at_once(self, host, loop):
        with pytest.raises(OSError, match="Network is unreachable"):
            loop.run_until_complete(host.stack.connect(asyncio.Protocol, ("203.0.113.1", 80)))
        assert host.sent == []


class TestTimeWait:
    @pytest.fixture
    def waiting(self, host, loop):
        """A server that closed first, and whose peer did, too."""

        class Closes(asyncio.Protocol):
            def connection_made(self, transport):
                transport.close()

        host.stack.listen(Closes, [OWN], 5060)
        accept_one(host)
        host.receive(Segment(ACK | 1, 501, 1002, 65535))
        host.take()
        return host

    def test_a_new_connection_may_begin_above_the_old_one(self, waiting):
        """RFC 9293 §3.10.7.4, RFC 6191."""
        waiting.receive(Segment(SYN, 10_000, 0, 65535))
        assert [segment.flags for segment in waiting.take()] == [SYN | ACK]

    def test_an_old_syn_is_told_what_was_expected(self, waiting):
        waiting.receive(Segment(SYN, 100, 0, 65535))
        assert [(segment.flags, segment.acknowledgement) for segment in waiting.take()] == [(ACK, 502)]

    def test_only_a_syn_ends_it(self, waiting):
        waiting.receive(Segment(ACK, 502, 1002, 65535))
        waiting.take()
        waiting.receive(Segment(ACK | 1, 501, 1002, 65535))
        assert [(segment.flags, segment.acknowledgement) for segment in waiting.take()] == [(ACK, 502)]

    def test_it_ends_after_a_minute(self, waiting, loop):
        run(loop, 61)
        waiting.receive(Segment(ACK, 502, 1002, 65535))
        assert [segment.flags for segment in waiting.take()] == [RST]


class TestIcmp:
    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            (IcmpType.PORT_UNREACHABLE, ConnectionRefusedError),
            (IcmpType.HOST_UNREACHABLE, OSError),
            (IcmpType.ADMINISTRATIVELY_PROHIBITED, OSError),
        ],
    )
    def test_an_error_about_a_syn_fails_the_attempt(self, host, loop, kind, error):
        attempt = loop.create_task(host.stack.connect(asyncio.Protocol, REMOTE, LOCAL))
        run(loop)
        host.stack.icmp_error(IcmpMessage(kind, host.sent[0]))
        with pytest.raises(error, match=r"Connection refused|No route to host"):
            loop.run_until_complete(attempt)

    def test_an_error_about_somebody_elses_packet_is_ignored(self, host):
        packet = packet_of(Segment(SYN, 1, 0, 0), LOCAL, REMOTE, 1, 0)
        host.stack.icmp_error(IcmpMessage(IcmpType.PORT_UNREACHABLE, packet))
        host.stack.icmp_error(IcmpMessage(IcmpType.PORT_UNREACHABLE, None))


def test_a_stack_that_is_reset_says_nothing_more(host, loop):
    host.stack.listen(asyncio.Protocol, [OWN], 5060)
    accept_one(host)
    attempt = loop.create_task(host.stack.connect(asyncio.Protocol, (PEER, 1)))
    run(loop)
    host.take()
    host.stack.reset()
    run(loop, 1000)
    assert host.sent == []
    assert not attempt.done()
    attempt.cancel()


def test_settings_of_the_stack_reach_its_connections(loop):
    host = BareHost(loop, TcpConfig(syn_retries=1))
    with pytest.raises(TimeoutError):
        loop.run_until_complete(host.stack.connect(asyncio.Protocol, REMOTE))
    assert loop.time() == pytest.approx(3)


def test_a_padded_segment_crosses_as_a_packet_of_its_charged_length():
    segment = Segment(ACK, 1, 2, 3, b"real", 512)
    for source in (LOCAL, ("2001:db8::1", 1)):
        packet = packet_of(segment, source, source, 1, 0)
        assert packet.length == 512 + 20 + (40 if ":" in source[0] else 20)
        assert segment_of(packet.translated()) == segment


# Through NAT boxes


def behind_nats(alice_nat, bob_nat):
    topo = Topo()
    topo.addHost("alice", role="host")
    topo.addHost("bob", role="host")
    topo.addHost("internet", role="router")
    topo.addHost("server", role="host")
    topo.addLink("server", "internet", label="server", impair={"delay": "20ms"})
    for name, nat in (("alice", alice_nat), ("bob", bob_nat)):
        topo.addHost(f"{name}-nat", role="nat", nat=nat, uplink="internet")
        topo.addLink(name, f"{name}-nat", label=f"{name}-home")
        topo.addLink(f"{name}-nat", "internet", label=f"{name}-access", impair={"delay": "10ms"})
    loop = VirtualLoop(deadline=10_000, event_budget=200_000)
    return SimNetwork(plan_network(topo, "behind nats"), loop)


def play(network, **programs):
    """Run one program on each named host; return their results in order."""
    tasks = [network.host(name).start(program) for name, program in programs.items()]

    async def everything():
        return await asyncio.gather(*tasks)

    try:
        return network.loop.run_until_complete(everything())
    finally:
        for name in ("alice", "bob", "server"):
            network.host(name).power_off()
        network.loop.close()


async def greet(reader, writer):
    writer.write(repr(writer.get_extra_info("peername")).encode())
    writer.close()


@pytest.mark.parametrize("nat", ["full-cone", "port-restricted", "symmetric"])
def test_a_server_sees_the_external_address_of_the_nat(nat):
    network = behind_nats(nat, nat)
    server = network.host("server").addresses[0]

    async def alice():
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection(server, 80)
        seen = await reader.read()
        writer.close()
        return seen.decode(), writer.get_extra_info("sockname")[0]

    async def serve():
        await asyncio.start_server(greet, server, 80)

    seen, own = play(network, alice=alice(), server=serve())[0]
    assert network.nodes["alice-nat"].spec.external_addresses[0] in seen
    assert own not in seen


def test_both_sides_behind_nats_connect_by_simultaneous_open():
    """TCP hole punching: both send a SYN from the mapped port at once (RFC 5382 REQ-2, RFC 5128 §3.4)."""
    network = behind_nats("port-restricted", "port-restricted")
    external = {
        name: (network.nodes[f"{name}-nat"].spec.external_addresses[0], 7000) for name in ("alice", "bob")
    }

    async def punch(name, peer):
        own = network.host(name).addresses[0]
        reader, writer = await asyncio.open_connection(*external[peer], local_addr=(own, 7000))
        writer.write(name.encode())
        heard = await reader.readexactly(len(peer))
        writer.close()
        return heard

    assert play(network, alice=punch("alice", "bob"), bob=punch("bob", "alice")) == [b"bob", b"alice"]


def test_symmetric_nats_defeat_simultaneous_open():
    """Each SYN goes to a port from which the other side never sends."""
    network = behind_nats("symmetric", "symmetric")
    alice_own, bob_own = (network.host(name).addresses[0] for name in ("alice", "bob"))
    external = {name: network.nodes[f"{name}-nat"].spec.external_addresses[0] for name in ("alice", "bob")}

    async def use_up(own, server):
        """Make a first mapping, so that the next one gets another port than the peer expects."""
        with pytest.raises(OSError, match="Connection refused"):
            await asyncio.open_connection(server, 80, local_addr=(own, 7000))

    async def punch(own, peer):
        await use_up(own, network.host("server").addresses[0])
        with pytest.raises(OSError, match=r"timed out|refused"):
            await asyncio.open_connection(peer, 7000, local_addr=(own, 7000))

    play(network, alice=punch(alice_own, external["bob"]), bob=punch(bob_own, external["alice"]))


def test_a_rebooted_nat_cuts_an_established_connection():
    """Its mapping is gone: nothing of the old connection passes, and the client retransmits into the void."""
    network = behind_nats("port-restricted", "port-restricted")
    server = network.host("server").addresses[0]

    async def alice():
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection(server, 80)
        network.nodes["alice-nat"].reboot()
        writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 60)
        writer.close()

    async def serve():
        async def silent(reader, writer):
            await reader.read()
            writer.close()

        await asyncio.start_server(silent, server, 80)

    play(network, alice=alice(), server=serve())
    reasons = {event.data["reason"] for event in network.events if event.type.value == "packet.dropped"}
    assert any("no TCP session" in reason for reason in reasons), reasons


def test_packets_of_a_connection_may_not_be_fragmented():
    packet = packet_of(Segment(ACK, 1, 2, 3, b"x" * 10, 10), LOCAL, REMOTE, 1, 0)
    assert isinstance(packet, Packet)
    assert packet.dont_fragment

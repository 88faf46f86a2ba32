"""A network from an inline topology, and UDP sockets on its hosts that tests can read like a ladder."""

import asyncio

import pytest
from mininet.topo import Topo

from lab.sim.capture import Capture
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.event import EventType
from lab.spec.impairment_options import parse_impairment
from lab.spec.plan import plan_network
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet


class UdpSocket(asyncio.DatagramProtocol):
    """A socket that keeps what it gets, and what it is told went wrong."""

    def __init__(self):
        self.errors = []
        self.transport = None
        self._received = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self._received.put_nowait((data, addr))

    def error_received(self, exc):
        self.errors.append(exc)

    @property
    def name(self):
        """Its own address and port."""
        return self.transport.get_extra_info("sockname")

    def send(self, data, to=None):
        self.transport.sendto(data, to)

    async def receive(self):
        """Return (data, source) of the next datagram; TimeoutError if none comes in 30 s."""
        return await asyncio.wait_for(self._received.get(), 30)

    async def silence(self, seconds=5.0):
        """Wait, and see that nothing came."""
        await asyncio.sleep(seconds)
        assert self._received.empty(), self._received.get_nowait()


class World:
    """A running network in virtual time."""

    def __init__(self, topo: Topo, seed=0, deadline=10_000.0, event_budget=500_000):
        self.spec = plan_network(topo, "test")
        self.loop = VirtualLoop(deadline=deadline, event_budget=event_budget)
        self.capture = Capture(self.spec)
        self.network = SimNetwork(self.spec, self.loop, run_seed=seed, capture=self.capture)

    def host(self, name):
        return self.network.host(name)

    def node(self, name):
        return self.network.nodes[name]

    def address(self, name, number=0):
        return self.network.nodes[name].addresses[number]

    def on(self, host, program):
        """Run a coroutine on a host; await it for its result."""
        return self.network.host(host).start(program)

    async def udp(self, host, local=None, remote=None, **options):
        """Open a UDP socket on a host; by default on the wildcard address of IPv4, at some port."""
        if local is None and remote is None:
            local = ("0.0.0.0", 0)  # noqa: S104 - a simulated host
        open_ = self.loop.create_datagram_endpoint
        _, protocol = await self.on(host, open_(UdpSocket, local, remote, **options))
        return protocol

    async def ping(self, host, destination, size=56, identifier=77):
        """Send an echo request; return the packets that the host got within 5 s."""
        own, before = self.network.host(host), len(self.seen(host, outbound=False))
        source = (own.source_address_for(destination), identifier)
        request = IcmpMessage(IcmpType.ECHO_REQUEST)
        data = bytes(number % 256 for number in range(size))
        own.send_packet(
            Packet(
                IpProtocol.ICMP, source, (destination, 0), data, icmp=request, packet_id=own.next_packet_id()
            )
        )
        await asyncio.sleep(5)
        return self.seen(host, outbound=False)[before:]

    def impair(self, link, **options):
        self.network.impair(link, *parse_impairment(options, link))

    def run(self, program):
        """Run a scenario and return its result; nothing may have failed unnoticed."""
        result = self.loop.run_until_complete(program)
        assert self.loop.unhandled == []
        return result

    def drops(self, *nodes):
        """Return (place, reason) of every packet that was dropped, at these places if any are given."""
        dropped = [event for event in self.network.events if event.type is EventType.PACKET_DROPPED]
        return [(e.node, e.data["reason"]) for e in dropped if not nodes or e.node in nodes]

    def seen(self, node, *, outbound):
        """Return the packets that a node's interfaces sent or got, in order."""
        return [r.packet for r in self.capture._records if r.tap[0] == node and r.outbound is outbound]

    def close(self):
        self.network.power_off()
        self.loop.close()


@pytest.fixture
def build():
    """Return a function that builds a world from a Mininet ``Topo`` class or object."""
    worlds = []

    def make(topo, **options):
        made = World(topo() if isinstance(topo, type) else topo, **options)
        worlds.append(made)
        return made

    yield make
    for made in worlds:
        made.close()

"""Whatever tree of routers, boxes and switches an author grows, every host is answered from its root."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from mininet.topo import Topo

from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.event import EventType
from lab.spec.network import NodeKind
from lab.spec.plan import plan_network

PORT = 3478
NATS = ("full-cone", "port-restricted", "symmetric", "linux-masquerade", "cgn", "stateful-firewall")

growths = st.lists(
    st.tuples(
        st.sampled_from(["nat", "router", "switch", "host", "host"]),
        st.integers(0, 50),
        st.sampled_from(NATS),
    ),
    min_size=1,
    max_size=14,
)


class Tree(Topo):
    """A router and a server; each further node hangs from one that came before and may forward."""

    def build(self, growth, ipv6):
        self.addHost("core", role="router")
        self.addHost("server", role="host")
        self.addLink("server", "core", ipv6=ipv6, impair={"delay": "1ms"})
        parents = ["core"]
        for number, (kind, where, nat) in enumerate(growth):
            name, parent = f"{kind}{number}", parents[where % len(parents)]
            segment = {"ipv6": ipv6}  # said once a segment: by its link, or by its first switch
            if kind == "switch":
                self.addSwitch(name, **({} if parent.startswith("switch") else segment))
            elif kind == "nat":
                self.addHost(name, role="nat", nat=nat, uplink=parent)
            else:
                self.addHost(name, role=kind, **({"uplink": parent} if kind == "router" else {}))
            joins_switch = "switch" in name or "switch" in parent
            self.addLink(name, parent, **({} if joins_switch else segment), impair={"delay": "1ms"})
            if kind == "host":
                continue
            parents.append(name)
            self.addHost(f"h{number}", role="host")  # whoever forwards has somebody to forward for
            self.addLink(f"h{number}", name, **({} if kind == "switch" else segment), impair={"delay": "1ms"})


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


class Asking(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        self.answer.set_result(data)


async def ask(server, data):
    """Return the answer and the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    transport, protocol = await loop.create_datagram_endpoint(Asking, remote_addr=(server, PORT))
    transport.sendto(data)
    answer = await asyncio.wait_for(protocol.answer, 30)
    return answer, loop.time() - began


@settings(deadline=None, max_examples=60)
@given(growths, st.booleans(), st.integers(0, 3000))
def test_every_host_is_answered_and_time_is_the_sum_of_its_links(growth, ipv6, size):
    spec = plan_network(Tree(growth, ipv6), "tree")
    loop = VirtualLoop(deadline=1_000, event_budget=200_000)
    network = SimNetwork(spec, loop)
    server = network.host("server")
    own = next(address for address in server.addresses if (":" in address) == ipv6)
    data = bytes(number % 256 for number in range(size + 1))
    hosts = [n.name for n in spec.nodes.values() if n.kind is NodeKind.HOST and n.name != "server"]

    async def scenario():
        await server.start(loop.create_datagram_endpoint(Echo, (own, PORT)))
        return {name: await network.host(name).start(ask(own, data)) for name in hosts}

    answers = loop.run_until_complete(scenario())
    for name, (answer, seconds) in answers.items():
        assert answer == data, name
        milliseconds = seconds * 1000
        assert abs(milliseconds - round(milliseconds)) < 1e-6, "every link takes a millisecond each way"
        assert milliseconds > 0
    assert loop.unhandled == []
    assert [e.data for e in network.events if e.type is EventType.PACKET_DROPPED] == []
    network.power_off()
    loop.close()

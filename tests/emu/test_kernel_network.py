"""A network on the kernel is the network of the plan: every address, every route, as in virtual time."""

import asyncio
import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from ordinary_user import as_ordinary_user

import lab
from lab.emu.messages import AgentConnection, encode_network
from lab.emu.outer import OuterNamespace
from lab.errors import HostNotReady, UsageError
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.find import load_topology
from lab.spec.impairment import PERFECT
from lab.spec.network import NodeKind
from lab.spec.roles import addresses_of

NAMES = sorted(path.stem for path in (Path(lab.__file__).parents[1] / "topologies").glob("*.py"))
BEYOND = ("8.8.8.8", "10.99.0.1", "2001:db8:ffff::1")
"""Addresses that nobody has."""

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec"),
    pytest.mark.usefixtures("untouched_machine"),
]


@contextlib.asynccontextmanager
async def agent():
    """Yield a connection to a fresh namespace's agent."""
    with OuterNamespace("lab.emu.agent") as outer:
        connection = AgentConnection(outer)
        await connection.open()
        try:
            yield connection
        finally:
            await connection.close()


async def addresses_on_the_kernel(connection, node):
    """Return {device: addresses with prefix length} of a node, without loopback and link-local ones."""
    links = json.loads(await connection.ask("run", node=node, command=["ip", "-j", "addr"]))
    return {
        link["ifname"]: [
            f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"
        ]
        for link in links
        if link["ifname"] != "lo"
    }


def addresses_of_the_plan(network, node):
    return {
        f"{node}-eth{number}": list(interface.addresses) if interface.attached else []
        for number, interface in enumerate(network.nodes[node].interfaces)
    }


class VirtualRoutes:
    """Which way the virtual-time world sends, as `(device, next hop)`; None where it has no route."""

    def __init__(self, network):
        self.loop = VirtualLoop(deadline=1.0, event_budget=1)
        self.simulated = SimNetwork(network, self.loop)
        self.network = network

    def close(self):
        self.loop.close()

    def __call__(self, node, destination, source):
        hop = self.simulated.nodes[node].next_hop(destination, source)
        if hop is None:
            return None
        links = [interface.link for interface in self.network.nodes[node].interfaces]
        return f"{node}-eth{links.index(hop[0].link)}", hop[1]

    def hops(self, node, destination, source):
        """Return how many nodes pass a packet on, None where it does not arrive."""
        count = 0
        while not self.simulated.nodes[node].owns_address(destination):
            hop = self.simulated.nodes[node].next_hop(destination, source)
            if hop is None:
                return None
            node = self.owner(hop[0].link, hop[1])
            count += 1
        return count - 1

    def owner(self, link, address):
        """Return who has an address on the segment of a link."""
        segment, waiting = {link}, [link]
        while waiting:
            label = waiting.pop()
            for end in (self.network.links[label].a, self.network.links[label].b):
                if self.network.nodes[end].kind is NodeKind.SWITCH:
                    found = {i.link for i in self.network.nodes[end].interfaces} - segment
                    segment |= found
                    waiting += found
        return next(
            name
            for name, node in self.simulated.nodes.items()
            for port in node.ports
            if port.link in segment and address in port.addresses
        )


async def routes_on_the_kernel(connection, node, questions):
    """Return `(device, next hop)` for each (destination, source), None where the kernel sends nothing."""
    batch = "\n".join(f"route get {to}{f' from {source}' if source else ''}" for to, source in questions)
    text = await connection.ask(
        "run", node=node, command=["sh", "-c", "ip -j -force -batch - 2>/dev/null || true"], given=batch
    )
    answers = {}
    for line in text.splitlines():
        for answer in json.loads(line):
            if answer.get("type") not in {"blackhole", "unreachable"}:
                source = answer.get("from", "")
                key = answer["dst"], "" if source == "::" else source
                answers[key] = answer["dev"], answer.get("gateway", answer["dst"])
    return {question: answers.get(question) for question in questions}


def questions_for(network, node):
    """Return (destination, source): everybody's addresses and some of nobody; each own address, or none."""
    spec = network.nodes[node]
    own = [a.partition("/")[0] for i in spec.interfaces if i.attached for a in i.addresses]
    everybody = [a for other in network.nodes.values() for a in addresses_of(other) if a not in own]
    several = len([r for r in spec.routes if r.destination.prefixlen == 0 and r.destination.version == 4]) > 1
    sources = ["", *own] if several else [""]
    has_ipv6 = any(":" in a for a in own)
    return [
        (to, source)
        for to in dict.fromkeys([*everybody, *BEYOND])
        for source in sources
        if (":" not in to or has_ipv6) and (not source or (":" in source) == (":" in to))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_addresses_and_routes_are_those_of_the_plan(name):
    network = load_topology(name, {})
    virtual = VirtualRoutes(network)

    async def compare():
        async with agent() as connection:
            nodes = await connection.ask("build", network=encode_network(network))
            assert nodes.keys() == {n.name for n in network.nodes.values() if n.kind is not NodeKind.SWITCH}
            for node in nodes:
                assert await addresses_on_the_kernel(connection, node) == addresses_of_the_plan(network, node)
                questions = questions_for(network, node)
                assert len(questions) > 5
                expected = {question: virtual(node, *question) for question in questions}
                assert await routes_on_the_kernel(connection, node, questions) == expected

    try:
        asyncio.run(compare())
    finally:
        virtual.close()


@pytest.mark.usefixtures("test_agents")
@pytest.mark.parametrize("name", NAMES)
def test_datagrams_arrive_over_as_many_nodes_as_in_virtual_time(name):
    """From each host to each address that the network's own routes lead to. No plane: boxes only route."""
    network = without_impairments(load_topology(name, {}))
    virtual = VirtualRoutes(network)
    hosts = [node for node in network.nodes.values() if node.kind is NodeKind.HOST]
    probes, expected = [], []
    for source in hosts:
        for target in hosts:
            for address in addresses_of(target):
                own = next((a for a in addresses_of(source) if (":" in a) == (":" in address)), None)
                if source is not target and own and is_reachable(network, source, address):
                    probes.append([source.name, own, target.name, address])
                    expected.append([own, 64 - virtual.hops(source.name, address, own)])
    virtual.close()
    assert len(probes) >= 4
    with OuterNamespace("datagram_agent") as outer, outer.channel.makefile("rw") as lines:
        lines.write(json.dumps({"network": encode_network(network), "probes": probes}) + "\n")
        lines.flush()
        assert json.loads(lines.readline()) == expected


def without_impairments(network):
    """Return the network with plain wires: nothing is between the ends of a link."""
    plain = {label: replace(ln, forward=PERFECT, backward=PERFECT) for label, ln in network.links.items()}
    return replace(network, links=plain)


def is_reachable(network, source, address):
    """Whether an address is public, IPv6, or on the host's own segment: two hosts may have a private one."""
    public = {a for addresses in network.dns.values() for a in addresses}
    own = [r.destination for r in source.routes if not r.via]
    return address in public or ":" in address or any(_holds(prefix, address) for prefix in own)


def _holds(prefix, address):
    return ip_address(address) in prefix


def test_an_ordinary_user_builds_it_too():
    program = (
        "import asyncio, sys; sys.path[:0] = ['tests/emu', 'tests']\n"
        "from test_kernel_network import agent, encode_network, load_topology\n"
        "async def main():\n"
        "    async with agent() as connection:\n"
        "        for name in ('two_homes', 'dual_stack', 'one_lan'):\n"
        "            network = encode_network(load_topology(name, {}))\n"
        "            print(len(await connection.ask('build', network=network)))\n"
        "asyncio.run(main())\n"
    )
    command, environment = as_ordinary_user([sys.executable, "-c", program])
    root = Path(lab.__file__).parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["7", "7", "6"], done.stderr


@pytest.mark.usefixtures("test_agents")
def test_mininets_own_interface_works_on_it(monkeypatch):
    """Its commands run in a shell, and a service's environment names none."""
    monkeypatch.delenv("SHELL", raising=False)
    with OuterNamespace("mininet_agent") as outer, outer.channel.makefile() as lines:
        line = lines.readline()
        assert line, str(outer.why_it_ended())
        said = json.loads(line)
    assert said["nodes"] == ["alice", "bob", "internet", "lan", "nat", "relay", "rendezvous"]
    assert said["links"] == 6
    assert said["address"] == "192.168.1.10"
    assert said["cmd"] == said["mac"]
    assert "alice-eth0" in said["connections"]
    assert "192.168.1.10/24" in said["popen"]


def test_one_network_after_another_in_one_namespace_leaves_nothing_of_the_first():
    async def both():
        async with agent() as connection:
            for _ in range(3):
                await connection.ask("build", network=encode_network(load_topology("one_lan", {})))
                names = await connection.ask("run", node="alice", command=["ls", "/var/run/netns"])
                processes = await connection.ask("run", node="alice", command=["ls", "/proc"])
            await connection.ask("tear-down")
            return names, [p for p in processes.split() if p.isdigit()]

    names, processes = asyncio.run(both())
    assert names.split() == ["alice", "bob", "internet", "nat", "relay", "rendezvous"]
    # init, agent, nursery, the holders of six nodes, of the switches and of the wires, the wires, and `ls`
    assert len(processes) == 13


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"do": "run", "node": "alice", "command": ["true"]}, "no network was built"),
        ({"do": "tear-up"}, "tear-up"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered(request_, words):
    async def ask():
        async with agent() as connection:
            await connection.ask(request_.pop("do"), **request_)

    with pytest.raises(Exception, match=words) as caught:
        asyncio.run(ask())
    assert caught.value.exit_code in {2, 70}


def test_a_command_that_fails_on_a_node_is_told_in_its_words():
    async def ask():
        async with agent() as connection:
            await connection.ask("build", network=encode_network(load_topology("one_public", {})))
            with pytest.raises(UsageError, match="no node 'alicia'"):
                await connection.ask("run", node="alicia", command=["true"])
            await connection.ask(
                "run", node="alice", command=["ip", "route", "add", "default", "via", "9.9.9.9"]
            )

    with pytest.raises(HostNotReady, match=r"ip route add default.*: Error: Nexthop has invalid gateway"):
        asyncio.run(ask())


def test_an_agent_that_is_killed_is_told_to_whoever_waits_and_whoever_asks_later():
    async def ask():
        async with agent() as connection:
            await connection.ask("build", network=encode_network(load_topology("one_public", {})))
            with pytest.raises(HostNotReady, match=r"namespace .* ended"):
                await connection.ask("run", node="alice", command=["sh", "-c", "kill -9 $PPID"])
            await connection.ask("tear-down")

    with pytest.raises(HostNotReady, match=r"namespace .* ended"):
        asyncio.run(ask())

"""A host that moves to another network: its addresses, its routes, its sockets, and who still finds it."""

import asyncio
import errno

import pytest
from mininet.topo import Topo

from lab.errors import UsageError
from lab.sim.udp import LOOPBACKS
from lab.spec.event import EventType
from lab.spec.plan import plan_network

SERVER = ("203.0.113.10", 7000)


class Handover(Topo):
    """Alice on Wi-Fi or, not attached at first, on mobile data; both lead to a public server."""

    def build(self, nat="port-restricted", uplink=None, attached=(True, False)):
        self.addHost("internet", role="router")
        self.addHost("server", role="rendezvous")
        self.addLink("server", "internet", label="server")
        alice = {"uplink": uplink} if uplink else {}
        self.addHost("alice", role="endpoint", **alice)
        for kind, on_it in zip(("wifi", "mobile"), attached, strict=True):
            self.addHost(kind, role="nat", nat=nat, uplink="internet")
            self.addLink("alice", kind, label=f"alice-{kind}", attached=on_it)
            self.addLink(kind, "internet", label=f"{kind}-access")


@pytest.fixture
def world(build):
    return build(Handover)


async def echo_server(world):
    """Run a server that tells who asks the address that it sees."""
    socket = await world.udp("server", SERVER)

    async def serve():
        while True:
            _, source = await socket._received.get()
            socket.send(source[0].encode(), source)

    world.on("server", serve())


def test_until_it_moves_the_other_link_has_no_part_in_anything(world):
    alice = world.host("alice")
    assert alice.addresses == ("192.168.1.10",)
    assert alice.source_address_for(SERVER[0]) == "192.168.1.10"
    assert not alice.owns_address("192.168.2.10")


def test_it_gets_the_planned_address_and_another_way_out(world):
    async def scenario():
        await echo_server(world)
        seen = []
        for link in ("alice-wifi", "alice-mobile"):
            if link == "alice-mobile":
                world.network.detach("alice")
                world.network.attach("alice", link)
            socket = await world.udp("alice")
            socket.send(b"who am I?", SERVER)
            seen.append(((await socket.receive())[0].decode(), world.host("alice").addresses))
        return seen

    wifi, mobile = world.spec.nodes["wifi"], world.spec.nodes["mobile"]
    assert world.run(scenario()) == [
        (wifi.external_addresses[0], ("192.168.1.10",)),
        (mobile.external_addresses[0], ("192.168.2.10",)),
    ]


def test_it_may_come_back(world):
    async def scenario():
        await echo_server(world)
        old = await world.udp("alice", ("192.168.1.10", 5000))
        for link in ("alice-mobile", "alice-wifi"):
            world.network.detach("alice")
            world.network.attach("alice", link)
        old.send(b"who am I?", SERVER)
        return (await old.receive())[0].decode()

    assert world.run(scenario()) == world.spec.nodes["wifi"].external_addresses[0]


@pytest.mark.parametrize("bound", [("192.168.1.10", 5000), None], ids=["bound", "connected"])
def test_a_socket_of_the_old_address_is_of_no_use(world, bound):
    """ENETUNREACH is what Linux 6.18 says where the address a socket is bound to was removed."""

    async def scenario():
        await echo_server(world)
        old = await world.udp("alice", bound, None if bound else SERVER)
        world.network.detach("alice")
        world.network.attach("alice", "alice-mobile")
        old.send(b"anybody?", *([SERVER] if bound else []))
        await asyncio.sleep(1)
        return [error.errno for error in old.errors]

    assert world.run(scenario()) == [errno.ENETUNREACH]
    assert world.drops() == []


def test_a_socket_of_no_address_goes_on_from_the_new_one(world):
    async def scenario():
        await echo_server(world)
        socket = await world.udp("alice")
        world.network.detach("alice")
        world.network.attach("alice", "alice-mobile")
        socket.send(b"who am I?", SERVER)
        return (await socket.receive())[0].decode()

    assert world.run(scenario()) == world.spec.nodes["mobile"].external_addresses[0]


def test_the_old_address_cannot_be_bound_any_more(world):
    async def scenario():
        world.network.detach("alice")
        world.network.attach("alice", "alice-mobile")
        with pytest.raises(OSError, match="Cannot assign") as refused:
            await world.udp("alice", ("192.168.1.10", 5000))
        return refused.value.errno

    assert world.run(scenario()) == errno.EADDRNOTAVAIL


def test_detached_it_has_its_loopback_and_nothing_else(world):
    async def scenario():
        old = await world.udp("alice")
        world.network.detach("alice")
        old.send(b"anybody?", SERVER)
        with pytest.raises(OSError, match="unreachable") as refused:
            await world.on("alice", asyncio.open_connection(*SERVER))
        await asyncio.sleep(1)
        own, other = await world.udp("alice", (LOOPBACKS[0], 1)), await world.udp("alice", (LOOPBACKS[0], 2))
        own.send(b"me", other.name)
        return refused.value.errno, [error.errno for error in old.errors], (await other.receive())[0]

    assert world.run(scenario()) == (errno.ENETUNREACH, [errno.ENETUNREACH], b"me")
    assert world.host("alice").addresses == ()


def test_packets_to_where_it_was_find_nobody(world):
    async def scenario():
        await echo_server(world)
        socket = await world.udp("alice")
        socket.send(b"who am I?", SERVER)
        world.network.detach("alice")
        await asyncio.sleep(1)

    world.run(scenario())
    assert world.drops("wifi") == [("wifi", "nobody on alice-wifi has address 192.168.1.10")]


def test_a_tcp_connection_dies_unheard(world):
    """The kernel retransmits in vain from an address that it no longer has, and then gives up."""

    async def scenario():
        accepted = []

        async def serve(reader, writer):
            accepted.append(writer)
            await reader.read()

        await world.on("server", asyncio.start_server(serve, *SERVER))
        reader, writer = await world.on("alice", asyncio.open_connection(*SERVER))
        await asyncio.sleep(1)
        world.network.detach("alice")
        world.network.attach("alice", "alice-mobile")
        moved = world.loop.time()
        writer.write(b"still there?")
        with pytest.raises(TimeoutError):
            await reader.read()
        for end in (writer, *accepted):
            end.close()
        return world.loop.time() - moved

    assert 900 < world.run(scenario()) < 1100
    assert set(world.drops("alice")) == {("alice", "192.168.1.10 is no longer an address of this host")}


def test_who_arrives_on_another_link_has_left_the_one_before(world):
    """As where a scenario moves a phone again while it is between two networks."""

    async def scenario():
        await echo_server(world)
        for link in ("alice-mobile", "alice-wifi"):
            world.network.attach("alice", link)
        socket = await world.udp("alice")
        socket.send(b"who am I?", SERVER)
        return (await socket.receive())[0].decode()

    assert world.run(scenario()) == world.spec.nodes["wifi"].external_addresses[0]
    assert world.host("alice").addresses == ("192.168.1.10",)
    assert "192.168.2.10" not in {address for _, address in world.network._segments._owners}


def test_leaving_and_arriving_are_events(world):
    async def scenario():
        world.network.detach("alice")
        await asyncio.sleep(2)
        world.network.attach("alice", "alice-mobile")

    world.run(scenario())
    left, arrived = world.network.events
    assert (left.type, left.node, left.data) == (
        EventType.HOST_DETACHED,
        "alice",
        {"links": ["alice-wifi"], "addresses": ["192.168.1.10"]},
    )
    assert (arrived.type, arrived.time, arrived.data) == (
        EventType.HOST_ATTACHED,
        2.0,
        {"link": "alice-mobile", "addresses": ["192.168.2.10"]},
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attached": (False, False)}, "endpoint 'alice' is on no network before it moves"),
        ({"uplink": "mobile"}, "endpoint 'alice' is on no network before it moves to 'alice-mobile'"),
    ],
)
def test_an_endpoint_begins_on_some_network(options, message):
    with pytest.raises(UsageError, match=message):
        plan_network(Handover(**options), "test")


def test_only_an_endpoint_has_links_to_move_to():
    class Loose(Topo):
        def build(self):
            self.addHost("internet", role="router")
            for name in ("one", "other"):
                self.addHost(name, role="host")
                self.addLink(name, "internet", label=name, attached=name == "one")

    with pytest.raises(UsageError, match="link 'other' is not attached, and joins no endpoint"):
        plan_network(Loose(), "test")

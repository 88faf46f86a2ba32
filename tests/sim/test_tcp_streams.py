"""asyncio programs over simulated TCP: what they see is what they would see over real sockets."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mininet.topo import Topo

from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.impairment import Impairment
from lab.spec.network import Link
from lab.spec.plan import plan_network

PORT = 5060
ANYWHERE = "0.0.0.0"  # noqa: S104 - a simulated host


class World:
    """A client and a server joined by one link; ``run`` returns the result of the client's program."""

    def __init__(self, *, ipv6=False, **impairment):
        topo = Topo()
        topo.addHost("client", role="host")
        topo.addHost("server", role="host")
        topo.addLink("client", "server", label="wire", ipv6=ipv6)
        spec = plan_network(topo, "pair")
        link: Link = spec.links["wire"]
        both = Impairment(**({"delay": 0.05} | impairment))
        spec = replace(spec, links={"wire": replace(link, forward=both, backward=both)})
        self.loop = VirtualLoop(deadline=20_000, event_budget=500_000)
        self.network = SimNetwork(spec, self.loop)
        self.server_address = self.network.host("server").addresses[-1]  # IPv6 comes last

    def impair(self, **impairment):
        both = Impairment(**({"delay": 0.05} | impairment))
        self.network.impair("wire", both, both)

    def cut(self):
        self.impair(loss=1.0)

    def run(self, client, server=None):
        if server is not None:
            self.network.host("server").start(server)
        try:
            result = self.loop.run_until_complete(self.network.host("client").start(client))
            assert not self.loop.unhandled, self.loop.unhandled
            return result
        finally:
            for name in ("client", "server"):
                self.network.host(name).power_off()
            self.loop.close()


@asynccontextmanager
async def connection(world):
    reader, writer = await asyncio.open_connection(world.server_address, PORT)
    try:
        yield reader, writer
    finally:
        writer.close()


async def serve(handler, host=ANYWHERE):
    server = await asyncio.start_server(handler, host, PORT)
    await server.serve_forever()


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def after(seconds, program):
    await asyncio.sleep(seconds)
    return await program


def test_request_and_response_take_two_round_trips():
    """One for the handshake, one for the data."""
    world = World(delay=0.05)

    async def client():
        start = world.loop.time()
        async with connection(world) as (reader, writer):
            connected = world.loop.time() - start
            writer.write(b"OPTIONS")
            assert await reader.readexactly(7) == b"OPTIONS"
            writer.close()
            await writer.wait_closed()
            return connected, world.loop.time() - start

    assert world.run(after(1, client()), serve(echo)) == pytest.approx((0.1, 0.2))


def test_both_ends_know_their_addresses():
    world = World()
    seen = []

    async def handler(_reader, writer):
        seen.append((writer.get_extra_info("sockname"), writer.get_extra_info("peername")))
        writer.close()

    async def client():
        async with connection(world) as (reader, writer):
            await reader.read()
            assert writer.get_extra_info("socket") is None
            seen.append((writer.get_extra_info("peername"), writer.get_extra_info("sockname")))

    world.run(after(1, client()), serve(handler))
    assert seen[0] == seen[1]
    assert seen[0][0] == (world.server_address, PORT)


def test_ipv6_works_alike_with_smaller_segments():
    world = World(ipv6=True)
    sizes = []

    async def client():
        async with connection(world) as (reader, writer):
            assert writer.get_extra_info("peername") == (world.server_address, PORT, 0, 0)
            writer.write(bytes(3000))
            await reader.readexactly(3000)

    async def server():
        tcp = world.network.host("server").tcp
        receive = tcp.receive
        tcp.receive = lambda packet: (sizes.append(packet.length), receive(packet))
        await serve(echo, host="::")

    world.run(after(1, client()), server())
    assert max(sizes) == 1280


def test_an_end_of_file_is_answered_after_it():
    """Half-close: the server answers once it has read everything."""
    world = World()

    async def count(reader, writer):
        writer.write(str(len(await reader.read())).encode())
        writer.close()

    async def client():
        async with connection(world) as (reader, writer):
            writer.write(bytes(200_000))
            writer.write_eof()
            return await reader.read()

    assert world.run(after(1, client()), serve(count)) == b"200000"


def test_nobody_listening_is_a_connection_refused():
    world = World()
    with pytest.raises(ConnectionRefusedError):
        world.run(asyncio.open_connection(world.server_address, PORT))
    assert world.loop.time() == pytest.approx(0.1)


def test_a_black_hole_is_a_timeout_after_127_seconds():
    world = World(loss=1.0)
    with pytest.raises(TimeoutError):
        world.run(asyncio.open_connection(world.server_address, PORT))
    assert world.loop.time() == pytest.approx(127)


def test_an_address_without_route_is_unreachable_at_once():
    world = World()
    with pytest.raises(OSError, match="Network is unreachable"):
        world.run(asyncio.open_connection("2001:db8:ffff::1", PORT))
    assert world.loop.time() == 0


def test_an_impatient_client_leaves_nothing_behind():
    """Cancelled while connecting: no timer goes on, and the port is free."""
    world = World(loss=1.0)

    async def client():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection(world.server_address, PORT), 5)
        sent = world.network.packets_sent
        await asyncio.sleep(1000)
        return world.network.packets_sent - sent

    assert world.run(client()) == 0


def test_a_cut_link_ends_the_connection_with_a_timeout():
    """The program hears of it when retransmission gives up: some 16 minutes later, as on Linux."""
    world = World()

    async def client():
        async with connection(world) as (reader, writer):
            world.cut()
            writer.write(b"REGISTER")
            with pytest.raises(TimeoutError):
                await reader.read()

    world.run(after(1, client()), serve(echo))
    assert 925 < world.loop.time() < 1050


def test_a_cut_link_that_heals_delivers_late():
    """After 120 s without path the next retransmission is up to 120 s away."""
    world = World()

    async def client():
        async with connection(world) as (reader, writer):
            world.cut()
            writer.write(b"REGISTER")
            await asyncio.sleep(120)
            world.impair()
            healed = world.loop.time()
            assert await reader.readexactly(8) == b"REGISTER"
            return world.loop.time() - healed

    assert 1 < world.run(after(1, client()), serve(echo)) < 120


def test_an_idle_connection_does_not_notice_a_cut():
    world = World()

    async def client():
        async with connection(world) as (reader, _writer):
            world.cut()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 7200)

    world.run(after(1, client()), serve(echo))


def test_an_abort_is_a_connection_reset_to_the_peer():
    world = World()
    felt = []

    async def handler(reader, writer):
        with pytest.raises(ConnectionResetError):
            await reader.read()
        felt.append(world.loop.time())
        writer.close()

    async def client():
        async with connection(world) as (_reader, writer):
            await asyncio.sleep(1)
            writer.transport.abort()
            await asyncio.sleep(1)

    world.run(after(1, client()), serve(handler))
    assert felt == pytest.approx([1 + 0.1 + 1 + 0.05])


def test_a_slow_reader_slows_the_writer():
    """Back-pressure end to end: window, send buffer, ``drain()``."""
    world = World()
    progress = []

    async def slow(reader, writer):
        await asyncio.sleep(100)
        total = 0
        while data := await reader.read(65536):
            total += len(data)
        writer.write(str(total).encode())
        writer.close()

    async def client():
        async with connection(world) as (reader, writer):
            for _ in range(40):
                writer.write(bytes(50_000))
                await writer.drain()
                progress.append(world.loop.time())
            writer.write_eof()
            return await reader.read()

    assert world.run(after(1, client()), serve(slow)) == b"2000000"
    assert progress[0] < 2
    assert progress[-1] > 100


def test_closing_sends_what_was_written_first():
    """Also what the send buffer had no room for; the program hears of the close once the stack has it all."""
    world = World()
    received = []

    async def sink(reader, writer):
        received.append(len(await reader.read()))
        writer.close()

    async def client():
        async with connection(world) as (_reader, writer):
            writer.write(bytes(1_000_000))
            assert writer.transport.get_write_buffer_size() > 500_000
            start = world.loop.time()
            writer.close()
            await writer.wait_closed()
            waited = world.loop.time() - start
            await asyncio.sleep(10)
            return waited

    assert world.run(after(1, client()), serve(sink)) > 0.2
    assert received == [1_000_000]


def test_a_rate_limited_link_carries_about_its_rate():
    """A megabyte at 8 Mbit/s takes a second and little more: headers, and the way to full speed."""
    world = World(delay=0.01, rate=8e6)

    async def client():
        async with connection(world) as (reader, writer):
            writer.write(bytes(1_000_000))
            writer.write_eof()
            await reader.read()
            return world.loop.time() - 1

    async def sink(reader, writer):
        await reader.read()
        writer.close()

    assert 1.0 < world.run(after(1, client()), serve(sink)) < 1.35


def test_a_shallow_queue_is_shared_by_losing_and_slowing_down():
    """Tail drop makes losses; NewReno halves its window and the transfer still completes near the rate."""
    world = World(delay=0.01, rate=8e6, queue=15_000)

    async def client():
        async with connection(world) as (reader, writer):
            writer.write(bytes(1_000_000))
            writer.write_eof()
            await reader.read()
            return world.loop.time() - 1

    async def sink(reader, writer):
        assert len(await reader.read()) == 1_000_000
        writer.close()

    assert 1.0 < world.run(after(1, client()), serve(sink)) < 3


def test_a_narrow_link_is_discovered_by_its_icmp_errors():
    """Path MTU discovery (RFC 1191): the first segments are refused with the MTU, the next ones fit."""
    world = World(mtu=900)

    async def client():
        async with connection(world) as (reader, writer):
            data = bytes(range(250)) * 100
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            return world.loop.time() - 1

    assert world.run(after(1, client()), serve(echo)) < 1


def test_a_server_that_closes_frees_its_port():
    world = World()

    async def client():
        async with await asyncio.start_server(echo, ANYWHERE, PORT) as server:
            assert server.is_serving()
            assert server.sockets[0].getsockname() == (ANYWHERE, PORT)
            with pytest.raises(OSError, match="Address already in use"):
                await asyncio.start_server(echo, ANYWHERE, PORT)
        await server.wait_closed()
        await asyncio.start_server(echo, ANYWHERE, PORT)

    world.run(client())


def test_a_server_on_port_zero_gets_a_free_one():
    world = World()

    async def client():
        server = await asyncio.start_server(echo, ANYWHERE, 0)
        return server.sockets[0].getsockname()[1]

    assert world.run(client()) in range(32768, 61000)


def test_a_host_connects_to_itself():
    world = World()
    own = world.network.host("client").addresses[0]

    async def client():
        await asyncio.start_server(echo, own, PORT)
        reader, writer = await asyncio.open_connection(own, PORT)
        writer.write(b"myself")
        try:
            return await reader.readexactly(6)
        finally:
            writer.close()

    assert world.run(client()) == b"myself"


def test_a_host_that_vanishes_says_nothing():
    """The peer learns of it from the host's ignorance of the connection, after it came back."""
    world = World()

    async def client():
        async with connection(world) as (reader, writer):
            world.network.host("server").power_off()
            await asyncio.sleep(10)
            world.network.host("server").power_on()
            writer.write(b"are you there?")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    world.run(after(1, client()), serve(echo))


def test_a_protocol_that_raises_loses_its_connection_and_is_reported():
    world = World()

    class Broken(asyncio.Protocol):
        def data_received(self, data):
            raise RuntimeError("bug in the program")

    async def server():
        await (await asyncio.get_running_loop().create_server(Broken, ANYWHERE, PORT)).serve_forever()

    async def client():
        async with connection(world) as (reader, writer):
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert [str(context["exception"]) for context in world.loop.unhandled] == ["bug in the program"]
            world.loop.unhandled.clear()

    world.run(after(1, client()), server())


def test_a_connection_carries_many_requests_cheaply():
    """Per exchange: two packets and their few callbacks; acknowledgements ride along, timers are lazy."""
    world = World()

    async def client():
        async with connection(world) as (reader, writer):
            packets, events = world.network.packets_sent, world.loop.events_run
            for _ in range(100):
                writer.write(b"request")
                await reader.readexactly(7)
            return (world.network.packets_sent - packets) / 100, (world.loop.events_run - events) / 100

    packets, events = world.run(after(1, client()), serve(echo))
    assert packets <= 2.05
    assert events <= 12


@given(
    seed=st.integers(0, 10**6),
    loss=st.floats(0, 0.25),
    duplicate=st.floats(0, 0.3),
    reorder=st.floats(0, 0.5),
    size=st.integers(1, 60_000),
)
@settings(deadline=None, max_examples=25)
def test_whatever_a_link_does_the_bytes_are_right_or_the_connection_fails(
    seed, loss, duplicate, reorder, size
):
    world = World(delay=0.02, loss=loss, duplicate=duplicate, reorder=reorder, reorder_gap=0.015)
    world.network._run_seed = seed
    world.network.directions.update(world.network._make_directions())
    data = bytes(n * n % 251 for n in range(size))

    async def client():
        try:
            async with connection(world) as (reader, writer):
                writer.write(data)
                writer.write_eof()
                got = await reader.read()
                assert got == data
        except OSError:
            assert loss > 0

    world.run(after(1, client()), serve(echo))

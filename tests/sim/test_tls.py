"""TLS over simulated TCP: real handshakes by OpenSSL, at the same virtual times in every run."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from dataclasses import replace

import pytest
import trustme
from mininet.topo import Topo

from lab.roles.certificates import lab_authority
from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.sim.tls import HANDSHAKE_QUANTUM
from lab.spec.impairment import Impairment
from lab.spec.plan import plan_network

PORT = 443
ANYWHERE = "0.0.0.0"  # noqa: S104 - a simulated host


class World:
    """A client and a server on one link, both ends of which are run by ``run``."""

    def __init__(self, **impairment):
        topo = Topo()
        topo.addHost("client", role="host")
        topo.addHost("server", role="host")
        topo.addLink("client", "server", label="wire")
        spec = plan_network(topo, "pair")
        both = Impairment(**({"delay": 0.05} | impairment))
        spec = replace(spec, links={"wire": replace(spec.links["wire"], forward=both, backward=both)})
        self.loop = VirtualLoop(deadline=20_000, event_budget=500_000)
        self.network = SimNetwork(spec, self.loop)
        self.server_address = self.network.host("server").addresses[0]
        self.lab_context = lab_authority().server_context([self.server_address, "server.test"])

    def run(self, client, server):
        self.network.host("server").start(server)
        try:
            result = self.loop.run_until_complete(self.network.host("client").start(client))
            assert not self.loop.unhandled, self.loop.unhandled
            return result
        finally:
            for name in ("client", "server"):
                self.network.host(name).power_off()
            self.loop.close()

    async def connect(self, context=True, **options):
        await asyncio.sleep(0.5)
        return await asyncio.open_connection(self.server_address, PORT, ssl=context, **options)


async def serve(handler, context):
    await (await asyncio.start_server(handler, ANYWHERE, PORT, ssl=context)).serve_forever()


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def exchange(world, data, **options):
    """Connect, have the data echoed, close; return the virtual times of each step and the data."""
    reader, writer = await world.connect(**options)
    times = [world.loop.time()]
    writer.write(data)
    got = await reader.readexactly(len(data))
    times.append(world.loop.time())
    writer.close()
    await writer.wait_closed()
    times.append(world.loop.time())
    return times, got


def test_true_trusts_the_labs_authority():
    """What a library does that knows nothing of the lab: ``ssl=True``, the server's address as its name."""
    world = World()
    (connected, _, _), got = world.run(exchange(world, b"x" * 1000), serve(echo, world.lab_context))
    assert got == b"x" * 1000
    assert connected == pytest.approx(0.5 + 0.2), "a round trip of TCP, and one of TLS 1.3"


def test_tls_1_2_takes_one_round_trip_more():
    world = World()
    context = lab_authority().client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    times, _ = world.run(exchange(world, b"x", context=context), serve(echo, world.lab_context))
    assert times[0] == pytest.approx(0.5 + 0.3)


def test_who_is_on_the_other_side_is_known():
    world = World()

    async def client():
        _reader, writer = await world.connect(server_hostname="server.test")
        secure = writer.get_extra_info("ssl_object")
        peer = writer.get_extra_info("peername"), writer.get_extra_info("cipher") is not None
        writer.close()
        return secure.version(), secure.server_hostname, peer

    version, name, peer = world.run(client(), serve(echo, world.lab_context))
    assert (version, name, peer) == ("TLSv1.3", "server.test", ((world.server_address, PORT), True))


def test_a_certificate_for_another_name_is_refused():
    world = World()
    with pytest.raises(ssl.SSLCertVerificationError):
        world.run(exchange(world, b"x", server_hostname="other.test"), serve(echo, world.lab_context))


def test_a_certificate_of_another_authority_is_refused():
    world = World()
    foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(world.server_address).configure_cert(foreign)
    with pytest.raises(ssl.SSLCertVerificationError):
        world.run(exchange(world, b"x"), serve(echo, foreign))


def test_a_server_that_speaks_no_tls_fails_the_handshake():
    world = World()

    async def plain(reader, writer):
        await reader.read(10)
        writer.write(b"SIP/2.0 400 Bad Request\r\n\r\n")
        writer.close()

    async def server():
        await (await asyncio.start_server(plain, ANYWHERE, PORT)).serve_forever()

    with pytest.raises(ssl.SSLError):
        world.run(exchange(world, b"x"), server())


def test_a_server_that_never_answers_ends_by_the_handshake_timeout():
    """The 60 virtual seconds of asyncio cost nothing."""
    world = World()

    async def mute(reader, writer):
        await reader.read()
        writer.close()

    async def server():
        await (await asyncio.start_server(mute, ANYWHERE, PORT)).serve_forever()

    with pytest.raises(ConnectionAbortedError, match="handshake is taking longer"):
        world.run(exchange(world, b"x"), server())
    assert world.loop.time() == pytest.approx(60.6)


def test_a_reset_reaches_the_program_above_tls():
    world = World()

    async def handler(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async def client():
        reader, writer = await world.connect()
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    world.run(client(), serve(handler, world.lab_context))


def test_a_large_transfer_with_a_slow_reader_arrives_whole():
    world = World()
    data = bytes(range(256)) * 4000

    async def slow(reader, writer):
        await asyncio.sleep(30)
        await echo(reader, writer)

    times, got = world.run(exchange(world, data), serve(slow, world.lab_context))
    assert got == data
    assert times[1] > 30


def test_a_plain_connection_is_upgraded_by_start_tls():
    """As proxies and tunnels do: text first, then a handshake over the same connection."""
    world = World()

    async def proxy(reader, writer):
        assert await reader.readline() == b"CONNECT\r\n"
        writer.write(b"200\r\n")
        await writer.start_tls(world.lab_context)
        writer.write(b"secret: " + await reader.readline())
        await writer.drain()
        writer.close()

    async def server():
        await (await asyncio.start_server(proxy, ANYWHERE, PORT)).serve_forever()

    async def client():
        await asyncio.sleep(0.5)
        reader, writer = await asyncio.open_connection(world.server_address, PORT)
        writer.write(b"CONNECT\r\n")
        assert await reader.readline() == b"200\r\n"
        await writer.start_tls(lab_authority().client_context(), server_hostname="server.test")
        assert writer.get_extra_info("ssl_object") is not None
        writer.write(b"hello\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert world.run(client(), server()) == b"secret: hello\r\n"


def test_tls_within_tls():
    """A TURN client behind a TLS proxy: the inner handshake travels in the outer connection's records."""
    world = World()

    async def proxy(reader, writer):
        await writer.start_tls(world.lab_context)
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def client():
        reader, writer = await world.connect()
        await writer.start_tls(lab_authority().client_context(), server_hostname="server.test")
        writer.write(b"nested\r\n")
        answer = await reader.readline()
        writer.close()
        return answer

    assert world.run(client(), serve(proxy, world.lab_context)) == b"nested\r\n"


def test_start_tls_needs_a_context_and_a_stream():
    world = World()

    async def client():
        _reader, writer = await world.connect()
        with pytest.raises(TypeError, match="sslcontext"):
            await world.loop.start_tls(writer.transport, asyncio.Protocol(), None)
        with pytest.raises(TypeError, match="not supported"):
            await world.loop.start_tls(
                asyncio.Transport(), asyncio.Protocol(), lab_authority().client_context()
            )
        writer.close()

    world.run(client(), serve(echo, world.lab_context))


class TestTiming:
    """On a link with a rate, each byte moves all that follows."""

    @staticmethod
    def packets(server_context, client_context=True):
        """Return (time, charged length) of every TCP packet that either host received, and the real bytes."""
        world = World(delay=0.01, rate=200_000)
        log, real = [], []
        for name in ("client", "server"):
            host = world.network.host(name)
            receive = host.tcp.receive

            def tapped(packet, receive=receive):
                log.append((world.loop.time(), packet.length))
                real.append(len(packet.payload))
                receive(packet)

            host.tcp.receive = tapped
        program = exchange(world, b"x" * 3000, context=client_context)
        times, _ = world.run(program, serve(echo, server_context(world)))
        return log, times, real

    def test_the_labs_own_handshakes_need_no_padding(self):
        log, _, real = self.packets(lambda world: world.lab_context)
        assert [length - 40 for _, length in log] == real

    def test_a_foreign_handshake_is_charged_in_whole_quanta(self):
        """With ECDSA signatures and session tickets, as most servers have, real sizes vary by a few bytes."""
        logs, reals = [], []
        for _ in range(12):  # four were equal once in a while
            authority = trustme.CA()
            client = ssl.create_default_context()
            authority.configure_trust(client)

            def server(world, authority=authority):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority.issue_cert(world.server_address).configure_cert(context)
                return context

            log, times, real = self.packets(server, client)
            logs.append((log, times))
            reals.append(real)
        assert logs.count(logs[0]) == len(logs)
        assert any(real != reals[0] for real in reals), "nothing varied: this test shows nothing"
        closing = max(n for n, size in enumerate(reals[0]) if size)
        assert logs[0][0][closing][1] == 40 + reals[0][closing], "after the handshake sizes are as they are"

    def test_the_client_hello_of_a_foreign_context_takes_whole_quanta(self):
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.load_verify_locations(cadata=lab_authority().certificate_pem.decode())
        log, _, real = self.packets(lambda world: world.lab_context, plain)
        hello = next(length for (_, length), size in zip(log, real, strict=True) if size == 517)
        assert hello == 40 + 2 * HANDSHAKE_QUANTUM

    def test_two_processes_see_the_same_times(self):
        """Fresh keys, fresh randomness, another hash seed: not one packet moves."""
        results = [
            subprocess.run(
                [sys.executable, "-c", "import test_tls; test_tls.print_packets()"],
                env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([*sys.path, HERE])},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        ]
        assert results[0] == results[1]
        assert len(json.loads(results[0])[0]) > 10


HERE = os.path.dirname(__file__)  # noqa: PTH120 - a text for PYTHONPATH


def print_packets():
    """What the two processes run."""
    log, times, _ = TestTiming.packets(lambda world: world.lab_context)
    print(json.dumps([log, times]))  # noqa: T201

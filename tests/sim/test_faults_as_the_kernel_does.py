"""A host that moves, a process that dies or does nothing: the same findings as on this kernel."""

import asyncio
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mininet.topo import Topo

FAR = ("203.0.113.10", 9)


class Handover(Topo):
    """Alice on one network or, not attached at first, another; a server that both lead to."""

    def build(self):
        self.addHost("internet", role="router")
        self.addHost("server", role="rendezvous")
        self.addLink("server", "internet", label="server")
        self.addHost("alice", role="endpoint")
        for name, attached in (("wifi", True), ("mobile", False)):
            self.addHost(name, role="nat", nat="port-restricted", uplink="internet")
            self.addLink("alice", name, label=f"alice-{name}", attached=attached)
            self.addLink(name, "internet", label=f"{name}-access")


async def said_of(socket, *to):
    """Send, and return the name of the error that the socket hears of it, "" if of none."""
    socket.errors.clear()
    socket.send(b"x", *to)
    await asyncio.sleep(1)
    return "".join(errno.errorcode[error.errno] for error in socket.errors)


async def refusal(coroutine):
    try:
        await coroutine
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


async def moves(world):
    own = world.address("alice")
    bound, anywhere = await world.udp("alice", (own, 5000)), await world.udp("alice")
    connected = await world.udp("alice", remote=FAR)
    world.network.detach("alice")
    found = {"detached": await said_of(anywhere, FAR)}
    world.network.attach("alice", "alice-mobile")
    return found | {
        "bound": await said_of(bound, FAR),
        "connected": await said_of(connected),
        "wildcard": await said_of(anywhere, FAR),
        "bind": await refusal(world.udp("alice", (own, 0))),
    }


async def refuses(world):
    server = await world.udp("server", (FAR[0], 7000))
    client = await world.udp("alice", remote=server.name)
    world.host("server").kill()
    return await said_of(client)


async def dies(world, *, unread):
    """A server reads what it is sent, or not, and is killed; return how its client's stream ends."""

    async def serve(reader, writer):
        if unread:
            writer.transport.pause_reading()
        writer.write(b"hello")
        await reader.read()
        writer.close()

    await world.on("server", asyncio.start_server(serve, FAR[0], 80))
    reader, writer = await world.on("alice", asyncio.open_connection(FAR[0], 80))
    await reader.readexactly(5)
    writer.write(b"something")
    await asyncio.sleep(1)
    world.host("server").kill()
    ended = await refusal(reader.read())
    writer.close()
    return ended


async def nobody_reads(world):
    loop, server = asyncio.get_running_loop(), world.host("server")
    await world.on("server", loop.create_server(asyncio.Protocol, FAR[0], 81))
    inbox = await world.udp("server", (FAR[0], 7001))
    sender = await world.udp("alice", remote=inbox.name)
    server.pause()
    connecting = await refusal(world.on("alice", loop.create_connection(asyncio.Protocol, FAR[0], 81)))
    for _ in range(600):
        sender.send(bytes(172))
    await asyncio.sleep(1)
    server.resume()
    await asyncio.sleep(1)
    return {"connecting": connecting, "datagrams kept": inbox._received.qsize()}


def simulated(build):
    """Return every finding, each on a network of its own."""

    def run(program, **options):
        world = build(Handover)
        return world.run(program(world, **options))

    return {
        **run(moves),
        "datagrams to the dead": run(refuses),
        "a stream of the dead": run(dies, unread=False),
        "an unread stream of the dead": run(dies, unread=True),
        **run(nobody_reads),
    }


@pytest.mark.system("ip", "unshare")
@pytest.mark.namespaces
def test_moving_dying_and_doing_nothing_are_as_on_this_kernel(build):
    """In a network namespace of its own; nothing of the machine is touched."""
    program = str(Path(__file__).with_name("kernel_faults.py"))
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    inside = ["unshare", *user, "--net", sys.executable, program]
    done = subprocess.run(inside, capture_output=True, text=True, check=True, timeout=60)
    real, ours = json.loads(done.stdout), simulated(build)
    # How much memory a datagram lies in changes a little from kernel to kernel.
    assert ours.pop("datagrams kept") == pytest.approx(real.pop("datagrams kept"), rel=0.2)
    assert ours == real

"""The same programs on real loopback sockets and on a simulated host: the same results, errors and order."""

import asyncio
import errno
import socket

import pytest
from mininet.topo import Topo

HERE, ANY = "127.0.0.1", "0.0.0.0"  # noqa: S104 - loopback, and a wildcard of a simulated host or a test's own
NOT_OURS = "192.0.2.1"


class Log(asyncio.DatagramProtocol):
    """Notes what it is told, in order."""

    def __init__(self):
        self.told = []

    def datagram_received(self, data, addr):
        self.told.append(("data", len(data), addr[0]))

    def error_received(self, exc):
        self.told.append((type(exc).__name__, exc.errno))

    def connection_lost(self, exc):
        self.told.append(("lost", type(exc).__name__))


async def udp(local=None, remote=None, **options):
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(Log, local, remote, **options)


async def refusal(coroutine):
    """Return the name and number of the error."""
    try:
        await coroutine
    except (OSError, ValueError, OverflowError) as error:
        return type(error).__name__, getattr(error, "errno", None)
    pytest.fail("it was not refused")


async def settled(*transports):
    await asyncio.sleep(0.05)
    for transport in transports:
        transport.close()
    await asyncio.sleep(0.01)


async def a_port_taken():
    transport, _ = await udp((HERE, 0))
    taken = transport.get_extra_info("sockname")
    result = [await refusal(udp(taken)), await refusal(udp((ANY, taken[1])))]
    await settled(transport)
    return result


async def a_port_of_the_wildcard_taken():
    transport, _ = await udp((ANY, 0))
    result = await refusal(udp((HERE, transport.get_extra_info("sockname")[1])))
    await settled(transport)
    return result


async def an_address_not_ours():
    return await refusal(udp((NOT_OURS, 0)))


async def no_address_and_no_family():
    return await refusal(udp())


async def two_families():
    return await refusal(udp((HERE, 0), ("::1", 9)))


async def a_port_out_of_range():
    return await refusal(udp((HERE, 70_000)))


async def sending_to_a_port_out_of_range():
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    transport, log = await udp((HERE, 0))
    transport.sendto(b"x", (HERE, 70_000))
    await asyncio.sleep(0.05)
    return log.told, transport.is_closing()


async def sending_to_port_zero():
    transport, log = await udp((HERE, 0))
    transport.sendto(b"x", (HERE, 0))
    await settled(transport)
    return log.told


async def sending_in_another_family():
    transport, log = await udp((HERE, 0))
    transport.sendto(b"x", ("::1", 9))
    await settled(transport)
    return log.told


async def sending_too_much():
    transport, log = await udp((HERE, 0))
    transport.sendto(bytes(65_508), transport.get_extra_info("sockname"))
    await settled(transport)
    return log.told


async def sending_the_most_there_may_be():
    transport, log = await udp((HERE, 0))
    transport.sendto(bytes(65_507), transport.get_extra_info("sockname"))
    await settled(transport)
    return log.told


async def leaving_by_loopback():
    transport, log = await udp((HERE, 0))
    transport.sendto(b"x", (NOT_OURS, 9))
    await settled(transport)
    return log.told


async def nobody_listening():
    """A connected socket is told, an unconnected one is not."""
    transport, _ = await udp((HERE, 0))
    nobody = transport.get_extra_info("sockname")
    await settled(transport)
    connected, told = await udp(remote=nobody)
    unconnected, untold = await udp((HERE, 0))
    connected.sendto(b"x")
    unconnected.sendto(b"x", nobody)
    await settled(connected, unconnected)
    return told.told, untold.told


async def a_stranger_at_a_connected_socket():
    peer, _ = await udp((HERE, 0))
    connected, log = await udp((HERE, 0), peer.get_extra_info("sockname"))
    stranger, told = await udp(remote=connected.get_extra_info("sockname"))
    stranger.sendto(b"let me in")
    peer.sendto(b"hello", connected.get_extra_info("sockname"))
    await settled(peer, connected, stranger)
    return log.told, told.told


async def another_peer_on_a_connected_socket():
    transport, _ = await udp(remote=(HERE, 9))
    with pytest.raises(ValueError, match="Invalid address") as refused:
        transport.sendto(b"x", (HERE, 10))
    await settled(transport)
    return str(refused.value)


async def where_a_socket_is():
    plain, _ = await udp((ANY, 0))
    connected, _ = await udp((ANY, 0), (HERE, 9))
    names = [one.get_extra_info("sockname")[0] for one in (plain, connected)]
    peers = [one.get_extra_info("peername") for one in (plain, connected)]
    await settled(plain, connected)
    return names, peers


async def looking_up_an_address():
    loop = asyncio.get_running_loop()
    four, six = [await loop.getaddrinfo(address, 5060) for address in (HERE, "::1")]
    stream = await loop.getaddrinfo(HERE, "5060", type=socket.SOCK_STREAM)
    return four, six, stream


async def a_tcp_port_taken():
    server = await asyncio.start_server(lambda _, writer: writer.close(), HERE, 0)
    port = server.sockets[0].getsockname()[1]
    result = await refusal(asyncio.start_server(lambda _, writer: writer.close(), HERE, port))
    server.close()
    await server.wait_closed()
    return result


async def tcp_that_is_refused():
    server = await asyncio.start_server(lambda _, writer: writer.close(), HERE, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return await refusal(asyncio.open_connection(HERE, port))


PROGRAMS = [
    a_port_taken, a_port_of_the_wildcard_taken, an_address_not_ours, no_address_and_no_family, two_families,
    a_port_out_of_range, sending_to_a_port_out_of_range, sending_to_port_zero, sending_in_another_family,
    sending_too_much, sending_the_most_there_may_be, leaving_by_loopback, nobody_listening,
    a_stranger_at_a_connected_socket, another_peer_on_a_connected_socket, where_a_socket_is,
    looking_up_an_address, a_tcp_port_taken, tcp_that_is_refused,
]  # fmt: skip


class Alone(Topo):
    """A host with a link to a router that knows the way to nowhere else."""

    def build(self):
        self.addHost("alice", role="host")
        self.addHost("router", role="router")
        self.addLink("alice", "router", ipv6=True)


@pytest.mark.real_time
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_simulated_host_answers_as_the_kernel_does(build, program):
    world = build(Alone)
    assert world.loop.run_until_complete(world.on("alice", program())) == asyncio.run(program())


@pytest.mark.real_time
def test_what_the_programs_return_tells_them_apart():
    """Negative control of the comparison: the kernel's answers are not all alike."""
    assert asyncio.run(nobody_listening()) == (
        [("ConnectionRefusedError", errno.ECONNREFUSED), ("lost", "NoneType")],
        [("lost", "NoneType")],
    )

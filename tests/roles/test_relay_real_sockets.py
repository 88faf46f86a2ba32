"""The relay on real loopback sockets, serving coturn's own client programs: nobody here wrote both ends."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess

import pytest

from lab.protocols.turn_server import RelayConfig
from lab.roles.certificates import lab_authority
from lab.roles.real_context import RealRoleContext
from lab.roles.relay import Relay, RelayRoleConfig
from lab.spec.event import EventType

pytestmark = pytest.mark.real_time

ADDRESSES = ("127.0.0.1", "127.0.0.2")
UCLIENT = ("turnutils_uclient", "-u", "alice", "-w", "wonderland", "-y", "-n", "3", "-c")
CLIENTS = {
    "UDP, channels": (*UCLIENT, "-p", "{udp}", ADDRESSES[0]),
    "UDP, Send indications": (*UCLIENT, "-s", "-p", "{udp}", ADDRESSES[0]),
    "UDP, neighbouring RTP and RTCP ports": (
        *(part for part in UCLIENT if part != "-c"),
        "-p",
        "{udp}",
        ADDRESSES[0],
    ),
    "UDP, IPv6 relayed address": (*UCLIENT, "-x", "-p", "{udp}", ADDRESSES[0]),
    "TCP": (*UCLIENT, "-t", "-p", "{tcp}", ADDRESSES[0]),
    "TLS, certificate checked": (*UCLIENT, "-t", "-S", "-E", "{authority}", "-p", "{tls}", ADDRESSES[0]),
    "wrong requests in between": (*UCLIENT, "-N", "-p", "{udp}", ADDRESSES[0]),
}
STUN_CLIENTS = {
    "stunclient": ("turnutils_stunclient", "-p", "{udp}", ADDRESSES[0]),
    "natdiscovery": (
        *("turnutils_natdiscovery", "-m", "-f", "-H", "-P", "-p", "{udp}"),
        *("-L", ADDRESSES[0], ADDRESSES[0]),
    ),
}
# The client tries TLS 1.0 and 1.1 as well, says so when they are refused, and goes on with a newer one.
TLS_1_0_REFUSED = re.compile(r"tls_connect: cannot connect|SSL routines::")


def free_port():
    """A port free for UDP and TCP on both addresses, for as long as nobody takes it."""
    while True:
        with contextlib.ExitStack() as stack:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            probe.bind((ADDRESSES[0], 0))
            port = probe.getsockname()[1]
            try:
                for address, kind in (
                    (ADDRESSES[1], socket.SOCK_DGRAM),
                    *((a, socket.SOCK_STREAM) for a in ADDRESSES),
                ):
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((address, port))
            except OSError:
                continue
            return port


async def serve(programs, places):
    """Run the relay and all programs against it at once; return their outputs and the relay's events."""
    context = RealRoleContext("relay", ADDRESSES)
    config = RelayRoleConfig(
        server=RelayConfig(
            addresses=(*ADDRESSES, "::1"),
            users={"alice": "wonderland"},
            port=places["udp"],
            alternate_port=free_port(),
        ),
        tcp_ports=(places["tcp"],),
        tls_ports=(places["tls"],),
        tls=lambda: lab_authority().server_context(ADDRESSES),
    )
    relay = Relay(config, context)
    running = asyncio.create_task(relay.run())
    await asyncio.wait_for(relay.ready.wait(), 5)
    try:
        outputs = await asyncio.gather(*(run(program, places) for program in programs.values()))
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    return dict(zip(programs, outputs, strict=True)), context.events


async def run(program, places):
    process = await asyncio.create_subprocess_exec(
        *(part.format(**places) for part in program), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    reading = asyncio.ensure_future(process.communicate())
    await asyncio.wait([reading], timeout=30)
    if process.returncode is None:
        process.kill()
    output, _ = await reading
    return process.returncode, output.decode(errors="replace")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What each client program printed. They sleep a lot, so they run side by side."""
    authority = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.write_bytes(lab_authority().certificate_pem)
    places = {"udp": free_port(), "tcp": free_port(), "tls": free_port(), "authority": os.fspath(authority)}
    return asyncio.run(serve({**CLIENTS, **STUN_CLIENTS}, places))


@pytest.mark.system("turnutils_uclient", "turnutils_stunclient", "turnutils_natdiscovery")
@pytest.mark.requirement("Z0-1")
@pytest.mark.parametrize("client", CLIENTS)
def test_coturns_client_relays_every_message_without_error(served, client):
    code, output = served[0][client]
    assert code == 0, output
    assert "Total lost packets 0 " in output, output
    sent, received = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)[-1]
    assert sent == received != "0", output
    complaints = [line for line in output.splitlines() if re.search("error|cannot", line, re.IGNORECASE)]
    assert [line for line in complaints if not TLS_1_0_REFUSED.search(line)] == [], output


@pytest.mark.system("turnutils_uclient", "turnutils_stunclient", "turnutils_natdiscovery")
@pytest.mark.requirement("Z0-11")
def test_coturns_stun_client_learns_its_address(served):
    code, output = served[0]["stunclient"]
    assert code == 0, output
    assert "UDP reflexive addr: 127.0.0.1:" in output
    assert "RFC 5780 response 3" in output, "the answers from the other address and port arrived"


@pytest.mark.system("turnutils_uclient", "turnutils_stunclient", "turnutils_natdiscovery")
def test_coturns_nat_discovery_finds_no_nat_on_the_loopback(served):
    code, output = served[0]["natdiscovery"]
    assert code == 0, output
    assert "No NAT! (Endpoint Independent Mapping)" in output, output
    assert "NAT with Endpoint Independent Filtering!" in output, output
    assert "successful hairpinning" in output, output
    assert "No ALG: Mapped == XOR-Mapped" in output, output


@pytest.mark.system("turnutils_uclient", "turnutils_stunclient", "turnutils_natdiscovery")
def test_every_allocation_is_told_with_its_transport(served):
    allocated = [event for event in served[1] if event.type is EventType.TURN_ALLOCATED]
    assert {event.data["transport"] for event in allocated} == {"udp", "tcp", "tls"}

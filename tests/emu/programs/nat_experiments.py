"""Experiments on boxes that the prober and the packet scripts do not make."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nat_bench import (
    GUEST,
    INSIDE_HOSTS,
    INSIDE_HOSTS_IPV6,
    SERVER_ADDRESSES,
    SERVER_ADDRESSES_IPV6,
    Bench,
)

from lab.emu.nat_planes import NatPlane, start_box
from lab.emu.nat_planes.engine.checksums import checksum
from nat_models import NatModel


def complaints_of_nft(texts: list[str]) -> list[str]:
    """Return what nft has against each rule set; nothing is changed."""
    found = []
    for text in texts:
        done = subprocess.run(
            ["nft", "-c", "-f", "-"], input=text, capture_output=True, text=True, check=False
        )
        found.append(done.stderr if done.returncode else "")
    return found


SERVER, SERVER_IPV6 = SERVER_ADDRESSES[0], SERVER_ADDRESSES_IPV6[0]
HOST_IPV6 = INSIDE_HOSTS_IPV6["h1"]
BULK = 1 << 18
PATIENCE = 1.2
"""Seconds after which nothing is believed to come: longer than a stall, or the wait before a second SYN."""
ATTEMPTS = 3
"""How often a datagram is sent where it would be received at once or never."""


def what_passes(plane: NatPlane, models: dict[str, NatModel]) -> dict[str, dict[str, object]]:
    """Return what becomes of traffic other than UDP through a box of each model, by the models' names."""
    with ThreadPoolExecutor(10) as pool:
        return dict(
            zip(models, pool.map(lambda model: _what_passes(plane, model), models.values()), strict=True)
        )


def _what_passes(plane: NatPlane, model: NatModel) -> dict[str, object]:
    with Bench(addressed=plane is not NatPlane.ENGINE) as bench:
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        try:
            # The kernel takes up to a second to notice that a new link carries, and IPv6 waits for it.
            assert any(ping(bench, "fd00:255::1") == "answered" for _ in range(10))
            return {name: experiment(bench) for name, experiment in EXPERIMENTS.items()}
        finally:
            box.stop()


def opened(
    bench: Bench, node: str, kind: socket.SocketKind, address: str = "", port: int = 0
) -> socket.socket:
    """Return a socket in a node's namespace, bound if an address is given."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with bench.inside(node):
        made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address:
        made.bind((address, port))
    made.settimeout(PATIENCE)
    return made


def connecting(bench: Bench, port: int, target: str = SERVER, source: str = INSIDE_HOSTS["h1"]) -> str:
    """Connect from inside; return the peer that the server sees, or how it failed."""
    with opened(bench, "server", socket.SOCK_STREAM, target, port) as listener:
        listener.listen()
        with opened(bench, "h1", socket.SOCK_STREAM, source) as client:
            try:
                client.connect((target, port))
            except OSError as error:
                return type(error).__name__
            accepted, peer = listener.accept()
            with accepted:
                accepted.settimeout(5)
                client.settimeout(5)
                return f"{peer[0]} {_bulk(client, accepted)} {_bulk(accepted, client)}"


def _bulk(sender: socket.socket, receiver: socket.socket) -> int:
    """Send a lot, in segments longer than a frame; return how many bytes arrived as they were sent."""
    data = random.Random(1).randbytes(BULK)
    thread = threading.Thread(target=sender.sendall, args=(data,))
    thread.start()
    got = bytearray()
    while len(got) < BULK:
        got += receiver.recv(1 << 16)
    thread.join()
    return len(got) if got == data else -1


def calling_in(bench: Bench) -> str:
    """Connect from inside to one port, and from that server's other port back to where it came from."""
    with (
        opened(bench, "server", socket.SOCK_STREAM, SERVER, 443) as listener,
        opened(bench, "h1", socket.SOCK_STREAM, INSIDE_HOSTS["h1"], 7000) as client,
        opened(bench, "h1", socket.SOCK_STREAM) as waiting,
    ):
        listener.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        client.connect((SERVER, 443))
        accepted, peer = listener.accept()
        waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        waiting.bind((INSIDE_HOSTS["h1"], 7000))
        waiting.listen()
        with accepted, opened(bench, "server", socket.SOCK_STREAM, SERVER, 444) as stranger:
            try:
                stranger.connect(peer)
            except OSError as error:
                return type(error).__name__
            return "connected"


def refused_port(bench: Bench) -> str:
    """Send UDP to a port where nobody listens; return what the inside host learns of it."""
    with opened(bench, "h1", socket.SOCK_DGRAM, INSIDE_HOSTS["h1"]) as client:
        client.connect((SERVER, 9))
        client.send(b"anybody?")
        try:
            client.recv(100)
        except OSError as error:
            return type(error).__name__
    return "an answer"


def fragments(bench: Bench) -> str:
    """Send a datagram of several frames each way."""
    data = random.Random(2).randbytes(5000)
    with (
        opened(bench, "h1", socket.SOCK_DGRAM, INSIDE_HOSTS["h1"]) as client,
        opened(bench, "server", socket.SOCK_DGRAM, SERVER, 3478) as server,
    ):
        try:
            client.sendto(data, (SERVER, 3478))
            got, peer = server.recvfrom(65536)
            server.sendto(got, peer)
            return "both ways" if client.recv(65536) == data else "damaged"
        except TimeoutError:
            return "lost"


def ping(bench: Bench, target: str) -> str:
    """Send an echo request from inside; its answer must have its data."""
    is_ipv6 = ":" in target
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if is_ipv6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    with bench.inside("h1"):
        raw = socket.socket(family, socket.SOCK_RAW, protocol)
    body = struct.pack("!HH", 4711, 3) + b"the data of an echo"
    request, reply = (128, 129) if is_ipv6 else (8, 0)
    field = 0 if is_ipv6 else checksum(bytes([request, 0, 0, 0]) + body)  # the kernel does it for IPv6
    with raw:
        raw.settimeout(PATIENCE)
        raw.sendto(bytes([request, 0]) + field.to_bytes(2) + body, (target, 0))
        try:
            while True:
                got = raw.recv(1500)
                got = got if is_ipv6 else got[20:]
                if got[0] == reply and got[4:] == body:
                    return "answered"
        except TimeoutError:
            return "silence"


def ipv6(bench: Bench) -> str:
    """Send UDP over IPv6 from inside; then let that remote, its other port, and a stranger answer."""
    with (
        opened(bench, "h1", socket.SOCK_DGRAM, HOST_IPV6, 7000) as client,
        opened(bench, "server", socket.SOCK_DGRAM, SERVER_IPV6, 3478) as server,
        opened(bench, "server", socket.SOCK_DGRAM, SERVER_IPV6, 3479) as other_port,
        opened(bench, "server", socket.SOCK_DGRAM, SERVER_ADDRESSES_IPV6[1], 3478) as stranger,
    ):
        client.sendto(b"hello", (SERVER_IPV6, 3478))
        try:
            peer = server.recvfrom(100)[1]
        except TimeoutError:
            return "nothing leaves"
        admitted = [_passes(sender, client, peer) for sender in (server, other_port, stranger)]
        return f"{peer[0]} {' '.join('in' if each else 'out' for each in admitted)}"


def _passes(sender: socket.socket, receiver: socket.socket, to: tuple[str, int]) -> bool:
    receiver.settimeout(0.1)
    for _ in range(ATTEMPTS):
        sender.sendto(b"back", to)
        with contextlib.suppress(TimeoutError):
            return receiver.recv(100) == b"back"
    return False


def far(bench: Bench) -> str:
    """Send UDP that may go one hop only, as traceroute does; return who reports that it ended."""
    with opened(bench, "h1", socket.SOCK_DGRAM, INSIDE_HOSTS["h1"]) as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        client.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        client.sendto(b"x", (SERVER, 33434))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                _, (ancillary,), _, _ = client.recvmsg(512, 512, socket.MSG_ERRQUEUE)
            except OSError:
                time.sleep(0.01)
            else:
                return f"ICMP {ancillary[2][5]} from {socket.inet_ntoa(ancillary[2][20:24])}"
    return "nobody"


def between_inside_networks(plane: NatPlane, model: NatModel, *, isolated: bool) -> list[str]:
    """Return what a guest sees of a host on the other inside device: by own address, by external one."""
    addressed = plane is not NatPlane.ENGINE
    with Bench(addressed=addressed, guests=True, isolated=isolated) as bench:
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        with (
            opened(bench, "h1", socket.SOCK_DGRAM, INSIDE_HOSTS["h1"], 4000) as host,
            opened(bench, "h2", socket.SOCK_DGRAM, GUEST, 4000) as guest,
            opened(bench, "server", socket.SOCK_DGRAM, SERVER, 3478) as server,
        ):
            seen = [_seen_from(host, guest, (GUEST, 4000))]
            server.settimeout(2)
            guest.sendto(b"hello", (SERVER, 3478))
            mapped = server.recvfrom(100)[1]
            host.sendto(b"hello", (SERVER, 3478))
            server.recvfrom(100)  # by now the box has a mapping for the host, too
            seen.append(_seen_from(host, guest, mapped))
        box.stop()
    return seen


def _seen_from(sender: socket.socket, receiver: socket.socket, to: tuple[str, int]) -> str:
    receiver.settimeout(0.2)
    for _ in range(ATTEMPTS):
        sender.sendto(b"hello", to)
        with contextlib.suppress(TimeoutError):
            return receiver.recvfrom(100)[1][0]
    return "nothing"


def reboots_under_traffic(plane: NatPlane, model: NatModel, times: int) -> list[bool]:
    """Reboot a box while a host sends without pause; return whether each time it got another port."""
    found = []
    with Bench(addressed=plane is not NatPlane.ENGINE) as bench:
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        with (
            opened(bench, "h1", socket.SOCK_DGRAM, INSIDE_HOSTS["h1"], 4000) as phone,
            opened(bench, "server", socket.SOCK_DGRAM, SERVER, 3478) as server,
        ):
            stop = threading.Event()
            sender = threading.Thread(target=_keep_sending, args=(phone, stop))
            sender.start()
            for _ in range(times):
                before = _latest(server)
                box.reboot()
                found.append(_latest(server) != before)
            stop.set()
            sender.join()
        box.stop()
    return found


def _keep_sending(phone: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.0003):
        phone.sendto(b"media", (SERVER, 3478))


def _latest(server: socket.socket) -> tuple[str, int]:
    """Return where a packet comes from that is sent from now on."""
    server.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            server.recv(100)
    server.settimeout(2)
    return server.recvfrom(100)[1]


def sip_register(model: NatModel, port: int, *, sip_helper: bool) -> str:
    """Send a REGISTER from a phone behind a router of the kernel itself; return it as the server got it."""
    host = INSIDE_HOSTS["h1"]
    message = (
        "REGISTER sip:example.org SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK776asdhds\r\n"
        "Max-Forwards: 70\r\nTo: <sip:a@example.org>\r\nFrom: <sip:a@example.org>;tag=456248\r\n"
        f"Call-ID: 843817637684230@{host}\r\nCSeq: 1826 REGISTER\r\n"
        f"Contact: <sip:a@{host}:5060>\r\nExpires: 7200\r\nContent-Length: 0\r\n\r\n"
    )
    with Bench() as bench:
        box = start_box(NatPlane.KERNEL, model, bench.wiring, bench.namespace("box"), sip_helper=sip_helper)
        with (
            opened(bench, "h1", socket.SOCK_DGRAM, host, 5060) as phone,
            opened(bench, "server", socket.SOCK_DGRAM, SERVER, port) as server,
        ):
            phone.sendto(message.encode(), (SERVER, port))
            server.settimeout(2)
            got = server.recv(4096).decode()
        box.stop()
    return got


def errors_about_a_drawn_port(plane: NatPlane, model: NatModel) -> list[bool]:
    """Let a remote come in by a mapping beside its own; return whether errors quote what each side knows.

    First one about what the inside host sends to the port that it sees; then one about what the remote sends
    to the mapping by which it came in.
    """
    addressed, other = plane is not NatPlane.ENGINE, SERVER_ADDRESSES[1]
    with Bench(addressed=addressed) as bench:
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        with (
            opened(bench, "server", socket.SOCK_DGRAM, SERVER, 3478) as server,
            opened(bench, "h1", socket.SOCK_DGRAM, INSIDE_HOSTS["h1"], 7000) as client,
        ):
            client.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            client.sendto(b"hello", (SERVER, 3478))
            mapped = server.recvfrom(100)[1]
            with opened(bench, "server", socket.SOCK_DGRAM, other, 9000) as remote:
                client.sendto(b"hello", (other, 9000))
                remote.recvfrom(100)
                remote.sendto(b"back", mapped)
                seen = client.recvfrom(100)[1]
            client.sendto(b"anybody?", seen)
            inside = seen[1] != 9000 and _reported(client) == seen
        with opened(bench, "server", socket.SOCK_DGRAM, other, 9000) as remote:
            remote.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            remote.sendto(b"anybody?", mapped)
            outside = _reported(remote) == mapped
        box.stop()
    return [inside, outside]


def _reported(sender: socket.socket) -> tuple[str, int] | None:
    """Return where the packet went that an ICMP error reports to its sender; None if none comes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            _, _, _, address = sender.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        except OSError:
            time.sleep(0.01)
        else:
            return address[0], address[1]
    return None


_IP_RECVERR = 11

EXPERIMENTS: dict[str, Callable[[Bench], str]] = {
    "tcp 443": lambda bench: connecting(bench, 443),
    "tcp 80": lambda bench: connecting(bench, 80),
    "tcp over ipv6": lambda bench: connecting(bench, 443, SERVER_IPV6, HOST_IPV6),
    "tcp from outside": calling_in,
    "icmp error": refused_port,
    "fragments": fragments,
    "ping the server": lambda bench: ping(bench, SERVER),
    "ping the box": lambda bench: ping(bench, "10.255.0.1"),
    "ping over ipv6": lambda bench: ping(bench, SERVER_IPV6),
    "udp over ipv6": ipv6,
    "hop limit": far,
}

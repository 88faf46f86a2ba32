"""How fast a box of a plane is: run inside an outer namespace, by test_nat_planes."""

from __future__ import annotations

import json
import socket
import statistics
import time

from nat_bench import INSIDE_HOSTS, SERVER_ADDRESSES, Bench, run

from lab.emu.nat_planes import NatPlane, start_box
from nat_models import load_preset

PACKETS, ECHOES = 40_000, 1_500
PAYLOAD = bytes(172)  # an RTP packet of 20 ms of G.711


def speed(plane: NatPlane, name: str) -> dict[str, float]:
    """Return thousand packets a second that arrived of a flood, its loss, and round trips in microseconds."""
    with Bench(addressed=plane is not NatPlane.ENGINE) as bench:
        box = start_box(plane, load_preset(name), bench.wiring, bench.namespace("box"))
        try:
            return _measure(bench)
        finally:
            box.stop()


def _measure(bench: Bench) -> dict[str, float]:
    with bench.inside("h1"):
        phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with bench.inside("server"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with phone, server:
        phone.bind((INSIDE_HOSTS["h1"], 4000))
        phone.settimeout(2)
        server.bind((SERVER_ADDRESSES[0], 3478))
        server.settimeout(2)
        phone.connect((SERVER_ADDRESSES[0], 3478))
        trips = [_echo(phone, server) for _ in range(ECHOES)][100:]
        before, start = _arrived(bench), time.perf_counter()
        for _ in range(PACKETS):
            phone.send(PAYLOAD)
        last = _arrived(bench)
        while (now := _arrived(bench)) != last:  # what a process still has in hand
            last = now
            time.sleep(0.005)
        seconds = time.perf_counter() - start
    arrived = last - before
    trips.sort()
    return {
        "kpps": arrived / seconds / 1000,
        "lost": max(0.0, 1 - arrived / PACKETS),  # a few are of other protocols
        "p50_us": statistics.median(trips) * 1e6,
        "p99_us": trips[int(len(trips) * 0.99)] * 1e6,
    }


def _echo(phone: socket.socket, server: socket.socket) -> float:
    start = time.perf_counter()
    phone.send(PAYLOAD)
    data, peer = server.recvfrom(500)
    server.sendto(data, peer)
    phone.recv(500)
    return time.perf_counter() - start


def _arrived(bench: Bench) -> int:
    text = run(["ip", "-n", bench.names["server"], "-s", "-j", "link", "show", "out"])
    return json.loads(text)[0]["stats64"]["rx"]["packets"]

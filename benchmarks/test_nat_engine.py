"""What one packet costs in the NAT engine: the bar is 4 µs for UDP on a mapping that exists.

The floor is :meth:`~nat_models.packet.Packet.translated`, which every translation pays.
"""

import itertools
import random

import pytest

from nat_models import Nat, Side, load_preset
from nat_models.packet import IpProtocol, Packet, TcpFlag, TcpHeader

HOST, REMOTE = ("10.0.0.2", 5000), ("198.51.100.7", 3478)
PAYLOAD = bytes(172)
BATCH = 1000


def box(model):
    return Nat(load_preset(model), external_addresses=["203.0.113.1"], random=random.Random(1))


def repeat(function, *arguments):
    for _ in range(BATCH):
        function(*arguments)


@pytest.mark.benchmark(group=f"{BATCH} UDP packets on a living mapping")
def test_floor_translating_a_packet_record(benchmark):
    packet = Packet(IpProtocol.UDP, HOST, REMOTE, PAYLOAD)
    benchmark(repeat, lambda: packet.translated(source=REMOTE))


@pytest.mark.benchmark(group=f"{BATCH} UDP packets on a living mapping")
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("model", ["full-cone", "port-restricted", "symmetric", "linux-masquerade"])
def test_udp_on_a_living_mapping(benchmark, model, side):
    nat = box(model)
    out = Packet(IpProtocol.UDP, HOST, REMOTE, PAYLOAD)
    external = nat.handle(out, Side.INSIDE, 0.0).packets[0].packet.source
    packet = out if side is Side.INSIDE else Packet(IpProtocol.UDP, REMOTE, external, PAYLOAD)
    benchmark(repeat, nat.handle, packet, side, 1.0)


@pytest.mark.benchmark(group=f"{BATCH} UDP packets on a living mapping")
def test_udp_of_ten_thousand_endpoints_in_turn(benchmark):
    """Caches of the processor and dictionaries of a busy box, and the mappings' expiry beside it."""
    nat = box("port-restricted")
    packets = [
        Packet(IpProtocol.UDP, (f"10.0.{n // 250}.{n % 250 + 2}", 5000 + n % 7), REMOTE, PAYLOAD)
        for n in range(10_000)
    ]
    for packet in packets:
        nat.handle(packet, Side.INSIDE, 0.0)
    clock = itertools.count()
    around = itertools.cycle(packets)

    def run():
        for _ in range(BATCH):
            nat.handle(next(around), Side.INSIDE, next(clock) * 1e-4)

    benchmark(run)


@pytest.mark.benchmark(group=f"{BATCH} other packets")
def test_tcp_on_a_living_session(benchmark):
    nat = box("port-restricted")
    syn = Packet(IpProtocol.TCP, HOST, REMOTE, tcp=TcpHeader(TcpFlag.SYN, 1, 0))
    nat.handle(syn, Side.INSIDE, 0.0)
    segment = Packet(IpProtocol.TCP, HOST, REMOTE, PAYLOAD, tcp=TcpHeader(TcpFlag.ACK, 1, 1))
    benchmark(repeat, nat.handle, segment, Side.INSIDE, 1.0)


@pytest.mark.benchmark(group=f"{BATCH} other packets")
def test_strays(benchmark):
    nat = box("port-restricted")
    stray = Packet(IpProtocol.UDP, REMOTE, ("203.0.113.1", 5000), PAYLOAD)
    benchmark(repeat, nat.handle, stray, Side.OUTSIDE, 1.0)


@pytest.mark.benchmark(group=f"{BATCH} new mappings, made and expired")
@pytest.mark.parametrize("model", ["port-restricted", "symmetric", "linux-masquerade", "cgn"])
def test_a_mapping_from_birth_to_death(benchmark, model):
    nat = box(model)
    clock = itertools.count()
    packets = [
        Packet(IpProtocol.UDP, (f"10.0.0.{n % 100 + 2}", 5000 + n // 100), REMOTE, PAYLOAD)
        for n in range(BATCH)
    ]

    def run():
        start = next(clock) * 10_000.0
        for packet in packets:
            nat.handle(packet, Side.INSIDE, start)
        nat.wake(start + 5000)

    benchmark(run)
    assert nat.mappings == ()

"""Sequences of UDP packets, and what a box made of them: by the pure engine, or on the wire of a bench.

Both give the same answer in the same words: for every packet who received it and from which source, with
external endpoints named in the order in which they were first seen (``E1``, ``E2`` ...), because random ports
differ from run to run.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nat_bench import INSIDE_HOSTS, SERVER_ADDRESSES, Bench

from lab.emu.nat_planes import Box, NatPlane, start_box
from nat_models import Nat, NatModel, Side
from nat_models.packet import IpProtocol, Packet, TransportAddress

PATIENCE = 2.0
"""Seconds to wait for a packet that the engine says will come; on the way it takes microseconds."""
SILENCE = 0.02
"""Seconds to wait for one that the engine says will not."""


@dataclass(frozen=True, kw_only=True)
class Out:
    """An inside host sends to a remote."""

    host: str
    port: int
    remote: int
    remote_port: int


@dataclass(frozen=True, kw_only=True)
class In:
    """A remote sends to the external endpoint that step ``to`` was seen from."""

    remote: int
    remote_port: int
    to: int


@dataclass(frozen=True, kw_only=True)
class Hairpin:
    """An inside host sends to the external endpoint that step ``to`` was seen from."""

    host: str
    port: int
    to: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Whoever received step ``to`` answers it: to the source that it saw."""

    to: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Reboot:
    """The box forgets everything."""


@dataclass(frozen=True)
class Flush:
    """The box forgets its mappings."""


Step = Out | In | Hairpin | Reply | Wait | Reboot | Flush
Seen = tuple[TransportAddress, TransportAddress] | None
"""(receiver, source that it saw), or None where nobody received the packet."""


def on_engine(model: NatModel, script: Sequence[Step]) -> list[Seen]:
    """Return what the pure engine makes of a script."""
    box = Nat(
        model,
        external_addresses=["198.18.0.100"],
        internal_networks=["10.255.0.0/24"],
        random=random.Random(1),
    )
    now = 0.0
    somebody = _endpoints(script)
    seen: list[Seen] = []
    for step in script:
        if isinstance(step, Wait):
            now += step.seconds
        elif isinstance(step, Reboot):
            box.reboot(now)
        elif isinstance(step, Flush):
            box.flush(now)
        ends = _ends(step, seen)
        if ends is None:
            seen.append(None)
            continue
        side = Side.INSIDE if ends[0][0] in INSIDE_HOSTS.values() else Side.OUTSIDE
        outcome = box.handle(Packet(IpProtocol.UDP, *ends, b"x"), side, now)
        passed = [] if outcome.reason else [sent.packet for sent in outcome.packets]
        # Nobody is at a port that a box drew for a remote, once the box has forgotten it.
        heard = [packet for packet in passed if packet.destination in somebody]
        seen.append((heard[0].destination, heard[0].source) if heard else None)
    return seen


def _ends(step: Step, seen: Sequence[Seen]) -> tuple[TransportAddress, TransportAddress] | None:
    """Return source and destination of a step's packet; None where it has none."""
    if isinstance(step, Out):
        return (INSIDE_HOSTS[step.host], step.port), (SERVER_ADDRESSES[step.remote], step.remote_port)
    if isinstance(step, Reply):
        return seen[step.to]
    if isinstance(step, In | Hairpin):
        before = seen[step.to]
        if before is None:
            return None
        if isinstance(step, In):
            return (SERVER_ADDRESSES[step.remote], step.remote_port), before[1]
        return (INSIDE_HOSTS[step.host], step.port), before[1]
    return None


def on_benches(
    plane: NatPlane, cases: Sequence[tuple[NatModel, Sequence[Sequence[Step]]]]
) -> list[list[list[Seen]]]:
    """Return what boxes of a plane make of their scripts, a few boxes side by side."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda case: on_bench(plane, *case), cases))


def on_bench(plane: NatPlane, model: NatModel, scripts: Sequence[Sequence[Step]]) -> list[list[Seen]]:
    """Return what a box of a plane makes of scripts; it is rebooted between them."""
    with Bench(addressed=plane is not NatPlane.ENGINE) as bench:
        box = start_box(plane, model, bench.wiring, bench.namespace("box"))
        # Opened once: a port that was closed may be held a little longer, by a process being started.
        sockets = _open(bench, [step for script in scripts for step in script])
        results = []
        for number, script in enumerate(scripts):
            results.append(_run(box, sockets, number, script, on_engine(model, script)))
            box.reboot()
        for opened in sockets.values():
            opened.close()
        box.stop()
    return results


def _run(
    box: Box,
    sockets: Mapping[TransportAddress, socket.socket],
    number: int,
    script: Sequence[Step],
    expected: Sequence[Seen],
) -> list[Seen]:
    poll = select.poll()
    by_number = {s.fileno(): s for s in sockets.values()}
    for descriptor in by_number:
        poll.register(descriptor, select.POLLIN)
    seen: list[Seen] = []
    for index, step in enumerate(script):
        if isinstance(step, Wait):
            time.sleep(step.seconds)
        elif isinstance(step, Reboot):
            box.reboot()
        elif isinstance(step, Flush):
            box.flush()
        ends = _ends(step, seen)
        if ends is None:
            seen.append(None)
            continue
        text = f"script {number} step {index}".encode()
        try:
            sockets[ends[0]].sendto(text, ends[1])
        except OSError:
            sockets[ends[0]].sendto(text, ends[1])  # what failed was told of an earlier packet
        seen.append(_received(poll, by_number, text, PATIENCE if expected[index] else SILENCE))
    return seen


def _received(poll: select.poll, sockets: dict[int, socket.socket], text: bytes, seconds: float) -> Seen:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            try:
                data, source = sockets[number].recvfrom(2048)
            except OSError:
                continue
            if data == text:
                return sockets[number].getsockname(), source
    return None


def _open(bench: Bench, script: Iterable[Step]) -> dict[TransportAddress, socket.socket]:
    """Open every socket that sends, and one for each remote that could be sent to."""
    sockets = {}
    for address, node in _endpoints(script).items():
        with bench.inside(node):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(address)
        opened.settimeout(0)
        sockets[address] = opened
    return sockets


def _endpoints(script: Iterable[Step]) -> dict[TransportAddress, str]:
    """Return where somebody is: address and port of each end of the steps, and the node that has it."""
    wanted: dict[TransportAddress, str] = {}
    for step in script:
        if isinstance(step, Out | Hairpin):
            wanted[INSIDE_HOSTS[step.host], step.port] = step.host
        if isinstance(step, Out | In):
            wanted[SERVER_ADDRESSES[step.remote], step.remote_port] = "server"
    return wanted


def in_words(seen: Sequence[Seen]) -> list[str]:
    """Return what was seen, external endpoints numbered in order of appearance."""
    names: dict[TransportAddress, str] = {}

    def name(address: TransportAddress) -> str:
        if address[0] == "198.18.0.100":
            return names.setdefault(address, f"E{len(names) + 1}")
        return f"{address[0]}:{address[1]}"

    return ["nothing" if s is None else f"{name(s[1])} > {s[0][0]}:{s[0][1]}" for s in seen]


def drawn_script(seed: int, *, hairpins: bool, length: int = 16) -> list[Step]:
    """Return a script of a seed: few endpoints, so that they meet again."""
    draw = random.Random(seed)
    script: list[Step] = []
    for number in range(length):
        sent = [index for index, step in enumerate(script) if isinstance(step, Out)]
        came = [index for index, step in enumerate(script) if isinstance(step, In)]
        kinds = ["out", "out", *(["in"] * 3 if sent else []), *(["reply"] if came else [])]
        kinds += ["hairpin"] if sent and hairpins else []
        kind = "reboot" if number == length - 5 and seed % 3 == 0 else draw.choice(kinds)
        host, port = draw.choice(["h1", "h1", "h2"]), draw.choice([5060, 5060, 5061])
        remote, remote_port = draw.randrange(2), draw.choice([3478, 3479])
        if kind == "reboot":
            script.append(Reboot())
        elif kind == "out":
            script.append(Out(host=host, port=port, remote=remote, remote_port=remote_port))
        elif kind == "in":
            script.append(In(remote=remote, remote_port=remote_port, to=draw.choice(sent)))
        elif kind == "reply":
            script.append(Reply(to=draw.choice(came)))
        else:
            script.append(Hairpin(host=host, port=port, to=draw.choice(sent)))
    return script

"""The statements of nat_models.conformance, run against boxes of a plane instead of the pure engine.

The box stands between two cables whose other ends are packet sockets of this process: packets of the
statements go in as frames, and what comes out is given back as the engine would. Time is real here, so a
statement that lets more than a moment pass is not measured; nor is one that needs a network which the kernel
cannot have.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from nat_bench import run

from lab.emu.nat_planes import BoxWiring, NatPlane, check, start_box
from lab.emu.nat_planes.engine.datagram import packed, parse_datagram_untrusted
from lab.emu.nat_planes.engine.frames import BROADCAST, ETHERNET_ARP, ETHERNET_IPV4, Frame
from lab.emu.nat_planes.engine.sockets import DeviceSocket
from lab.emu.system_calls import inside_network
from lab.errors import WireFormatError
from lab.sim.capture.ip import encode_ip
from nat_models import NatModel, Outcome, Side
from nat_models.conformance import Verdict, statements, unmet_needs
from nat_models.conformance.probe import EXTERNAL, Box, Probe
from nat_models.outcome import Emission
from nat_models.packet import Packet, TcpFlag, TcpHeader

PATIENCE = 5.0
"""Seconds in which a box must answer; it takes microseconds where the machine is not stalled."""
A_MOMENT = 0.3
FRAGMENTS = 20

_names = itertools.count(1)


class NotMeasuredError(Exception):
    """This cannot be found out in real time, or on this kernel."""


class Cables:
    """A box of a plane in a namespace, and the two cables to it."""

    def __init__(self, plane: NatPlane, model: NatModel, addresses: Sequence[str]) -> None:
        self.box_name, self.wire_name = (f"{kind}-{next(_names)}" for kind in ("cabled", "cables"))
        run(["ip", "-b", "-"], f"netns add {self.box_name}\nnetns add {self.wire_name}")
        links = [
            f"link add {device} netns {self.box_name} type veth peer name {device} netns {self.wire_name}"
            for device in ("in", "out")
        ]
        run(["ip", "-b", "-"], "\n".join(links))
        wiring = BoxWiring(
            inside=("in",),
            outside="out",
            external_addresses=tuple(addresses),
            internal_networks=("10.0.0.0/24",),
            addresses=(("in", "10.0.0.254/24"), *(("out", f"{address}/24") for address in addresses)),
            routes=(("0.0.0.0/0", "out", "203.0.113.254"),),
        )
        lines = ["link set in up", "link set out up"]
        run(["ip", "-n", self.wire_name, "-b", "-"], "\n".join(lines))
        if plane is not NatPlane.ENGINE:
            lines += [f"addr add {address} dev {device}" for device, address in wiring.addresses]
            lines += ["route add default via 203.0.113.254"]
        run(["ip", "-n", self.box_name, "-b", "-"], "\n".join(lines))
        self.own = {"in": "10.0.0.254", "out": addresses[0]}
        self.asker = {"in": "10.0.0.253", "out": "203.0.113.253"}
        with inside_network(f"/run/netns/{self.wire_name}"):
            self.sockets = {device: DeviceSocket(device) for device in ("in", "out")}
        with inside_network(f"/run/netns/{self.box_name}"):
            # Opened for its address only.
            self.hardware = {device: DeviceSocket(device).hardware for device in ("in", "out")}
        self.box = start_box(plane, model, wiring, f"/run/netns/{self.box_name}")
        self.poll = select.poll()
        for device in self.sockets.values():
            self.poll.register(device, select.POLLIN)

    def send(self, device: str, packet: Packet) -> None:
        header = self.hardware[device] + self.sockets[device].hardware + ETHERNET_IPV4.to_bytes(2)
        self.sockets[device].write(Frame(device, header + encode_ip(packet)))

    def collect(self) -> list[tuple[str, Packet]]:
        """Return all that comes of what was sent, however long that takes and no longer.

        A question for the box's hardware address goes after it on every cable. Frames stay in order, so when
        the answers are there the box is done with what went before; but who it asked for meanwhile has sent
        packets on their way, and so another question goes after each answer.
        """
        found: list[tuple[str, Packet]] = []
        self._open_questions = dict.fromkeys(self.sockets, 0)
        for device in self.sockets:
            self._ask(device)
        end = time.monotonic() + PATIENCE
        while any(self._open_questions.values()):
            assert self.poll.poll(max(0.0, end - time.monotonic()) * 1000), "the box answers no more"
            found += self._read()
        return found + self._read()

    def _read(self) -> list[tuple[str, Packet]]:
        found = []
        for device, opened in self.sockets.items():
            while (arrived := opened.read()) is not None:
                found += self._packet(device, arrived[0])
        return found

    def _ask(self, device: str) -> None:
        mine = self.sockets[device].hardware
        body = b"\0\1\x08\0\6\4\0\1" + mine + packed(self.asker[device]) + bytes(6) + packed(self.own[device])
        self.sockets[device].write(Frame(device, BROADCAST + mine + ETHERNET_ARP.to_bytes(2) + body))
        self._open_questions[device] += 1

    def _packet(self, device: str, frame: bytes) -> list[tuple[str, Packet]]:
        kind = int.from_bytes(frame[12:14])
        if kind == ETHERNET_ARP:
            if frame[21] == 2:
                self._open_questions[device] -= 1
            elif frame[38:42] != packed(self.own[device]):
                # Everybody there may be on this cable is this end of it.
                mine = self.sockets[device].hardware
                answer = frame[6:12] + mine + frame[12:20] + b"\0\2" + mine + frame[38:42] + frame[22:32]
                self.sockets[device].write(Frame(device, answer))
                self._ask(device)
        if kind != ETHERNET_IPV4:
            return []
        try:
            return [(device, parse_datagram_untrusted(frame[14:]).packet)]
        except WireFormatError:
            return []

    def close(self) -> None:
        self.box.stop()
        for device in self.sockets.values():
            device.socket.close()
        run(["ip", "-b", "-"], f"netns del {self.box_name}\nnetns del {self.wire_name}")


class WireBox(Box):
    """A box as the statements know it, on its cables."""

    def __init__(self, cables: Cables) -> None:
        self._cables = cables
        self._fragments = 0
        cables.box.reboot()
        cables.collect()

    def handle(self, packet: Packet, side: Side) -> Outcome:
        if packet.fragment is not None:
            self._fragments += 1
            if self._fragments > FRAGMENTS:
                raise NotMeasuredError
        if packet.tcp is not None:
            packet = replace(packet, tcp=_in_window(packet.tcp))
        self._cables.send("in" if side is Side.INSIDE else "out", packet)
        came = self._cables.collect()
        sides = {"in": Side.INSIDE, "out": Side.OUTSIDE}
        emissions = tuple(Emission(each, sides[device]) for device, each in came)
        passed = any(_is_onward(packet, emission.packet) for emission in emissions)
        return Outcome(emissions, (), "" if passed else "nothing came out, or an answer of the box itself")

    def wait(self, seconds: float) -> tuple[Packet, ...]:
        self.jump(seconds)
        return tuple(packet for _, packet in self._cables.collect())

    def jump(self, seconds: float) -> None:
        if seconds > A_MOMENT:
            raise NotMeasuredError
        time.sleep(seconds)


def _in_window(header: TcpHeader) -> TcpHeader:
    """Return a segment with numbers that fit its place in a connection: trackers look at them."""
    flags = header.flags
    if flags & TcpFlag.SYN:
        return header._replace(sequence=1, acknowledgement=2 if flags & TcpFlag.ACK else 0)
    return header._replace(sequence=2, acknowledgement=2)


def _is_onward(sent: Packet, came: Packet) -> bool:
    """Whether what came out is what went in, rather than an answer to it."""
    if came.protocol is not sent.protocol:
        return False
    if sent.tcp is not None and came.tcp is not None:
        return not (came.tcp.flags & TcpFlag.RST and not sent.tcp.flags & TcpFlag.RST)
    if sent.icmp is not None and came.icmp is not None:
        return sent.icmp.is_error == came.icmp.is_error
    return True


class PlaneProbe(Probe):
    """Builds boxes of a plane: a few for each configuration, rebooted in turn."""

    AT_ONCE = 2

    def __init__(self, plane: NatPlane, model: NatModel) -> None:
        super().__init__(model)
        self._plane = plane
        self._made: dict[tuple[NatModel, tuple[str, ...]], list[Cables]] = {}

    def box(
        self, addresses: Sequence[str] = (EXTERNAL,), networks: Sequence[str] = (), **changes: Any
    ) -> Box:
        model = replace(self._model, **changes) if changes else self._model
        inside = [ip_network(network) for network in networks]
        if any(ip_address(address) in network for address in addresses for network in inside):
            raise NotMeasuredError  # one route cannot lead to both sides
        cables = self._made.setdefault((model, tuple(addresses)), [])
        if len(cables) < self.AT_ONCE:
            if check(self._plane, model, external_addresses=len(addresses)):
                raise NotMeasuredError  # the statement configures the box as this plane cannot be
            cables.append(Cables(self._plane, model, addresses))
        else:
            cables.append(cables.pop(0))
        return WireBox(cables[-1])

    def close(self) -> None:
        for cables in itertools.chain(*self._made.values()):
            cables.close()


def measure(plane: NatPlane, model: NatModel) -> dict[str, Verdict | None]:
    """Return the verdict on each statement; None where it cannot be measured."""
    with contextlib.closing(PlaneProbe(plane, model)) as probe:
        unmet = unmet_needs(probe)
        found: dict[str, Verdict | None] = {}
        for statement in statements():
            name = f"{statement.document} {statement.requirement}"
            if statement.needs in unmet:
                found[name] = Verdict.NOT_APPLICABLE
                continue
            try:
                found[name] = statement.check(probe).verdict
            except NotMeasuredError:
                found[name] = None
        return found


def measure_all(plane: NatPlane, models: dict[str, NatModel]) -> dict[str, dict[str, Verdict | None]]:
    """Return the verdicts of many models, a few side by side."""
    possible = {name: model for name, model in models.items() if not check(plane, model)}
    with ThreadPoolExecutor(3) as pool:
        results = pool.map(lambda model: measure(plane, model), possible.values())
        return dict(zip(possible, results, strict=True))

"""Captures on the kernel: a process that listens on every interface of a network while a trial runs.

Nothing is told apart from a capture in virtual time but by its times: packets begin with the IP header, those
that virtual time does not have (ARP, neighbour discovery, listeners' reports) are left out, and a checksum
that a sender left to its device is completed. Packets are kept in memory up to a limit, and the file is made
when the trial is over and it is known what befell which packet.

Lines on the socket: first :class:`TapSetup`, answered by ``{}`` once every interface is listened to; then one
:class:`Befell`, answered by a :class:`Taken` as JSON when the file is there.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import io
import json
import os
import select
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

from lab.emu.captures.same_packets import number_packets
from lab.emu.links.wire import describe_packet, is_counted
from lab.emu.messages import decode_object
from lab.emu.nat_planes.engine.checksums import checksum
from lab.emu.nat_planes.engine.frames import ETHERNET_BYTES
from lab.emu.packet_socket import NEEDS_CHECKSUM, OFFLOAD, SOL_PACKET, bind_to, open_packet_socket, read_frame
from lab.emu.system_calls import inside_network, set_process_name
from lab.protocols.capture_file import CaptureFile, Seen, Tap
from lab.spec.event import Event
from lab.spec.network import Network

MOST_BYTES: Final = 24 << 20
"""Of the packets of one trial; what comes later is counted and left out."""

_PACKET_STATISTICS: Final = 6
"""Of ``linux/if_packet.h``."""
_BUFFER_BYTES: Final = 8 << 20
_STATISTICS: Final = struct.Struct("II")
_SEND_DELAY: Final = 0.25
"""Seconds; a link tells of a packet's loss within that after an interface has sent it."""
_CLOCKS: Final = 0.001
"""Seconds by which the kernel's stamp of a packet may be later than a link's."""


@dataclass(frozen=True, kw_only=True)
class TapSetup:
    """What to listen to: by interface the file of its namespace, and its device.

    ``origin`` is when the trial's clock was zero (seconds of the monotonic clock), ``file`` where the capture
    is to be.
    """

    network: Network
    devices: Mapping[Tap, tuple[str, str]]
    origin: float
    file: str
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True, kw_only=True)
class Befell:
    """What is known of packets that ended: ``drops`` on links, and the spans in which links were cut.

    Spans are (link, from, to), in seconds of the trial's clock. ``nodes`` limits the file to what their
    interfaces saw; empty: all.
    """

    drops: Sequence[Event] = ()
    cuts: Sequence[tuple[str, float, float]] = ()
    nodes: Collection[str] = ()


@dataclass(frozen=True, kw_only=True)
class Taken:
    """How many packets are in the file, and how many are not: left out beyond the limit, dropped unseen."""

    packets: int
    left_out: int
    unseen: int

    @property
    def complaint(self) -> str:
        """What is missing, in words; empty if nothing is."""
        parts = []
        if self.left_out:
            parts.append(f"{self.left_out} packets beyond the first {MOST_BYTES >> 20} MiB were left out")
        if self.unseen:
            parts.append(f"the kernel dropped {self.unseen} packets before they were read")
        return "; ".join(parts)


class Listener:
    """Hears of everything that one device sends and gets.

    Args:
        tap: the interface.
        namespace: the file of its network namespace; empty: the one that this thread is in.
        device: what it is called there.
    """

    def __init__(self, tap: Tap, namespace: str, device: str) -> None:
        self.tap = tap
        self.received = self.unseen = 0
        with inside_network(namespace) if namespace else contextlib.nullcontext():
            self.socket = open_packet_socket(_BUFFER_BYTES)
        bind_to(self.socket, device)

    def read(self) -> Iterator[tuple[float, bytes, bytes, bool]]:
        """Yield (stamp of the wall clock, offload header, frame, whether it was sent) of all that waits."""
        while True:
            try:
                offload, frame, stamp, kind = read_frame(self.socket)
            except BlockingIOError:
                return
            except OSError as error:  # the device was taken down: what waits behind that is still there
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            yield stamp, offload, frame, kind == socket.PACKET_OUTGOING

    def count(self) -> None:
        """Ask the kernel how many there were, and how many of them had no room."""
        answer = self.socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        received, dropped = _STATISTICS.unpack(answer)
        self.received += received
        self.unseen += dropped


class Taps:
    """Listens to a network, and makes the file of what it heard."""

    def __init__(self, setup: TapSetup) -> None:
        self._setup = setup
        self._listeners = [Listener(tap, *place) for tap, place in setup.devices.items()]
        self._by_descriptor = {one.socket.fileno(): one for one in self._listeners}
        self._poll = select.epoll()
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)
        self._seen: list[Seen] = []
        self._bytes = 0
        self._left_out = 0

    def listen(self, control: int) -> None:
        """Keep what comes until there is something to read on ``control``; then all that had come by then."""
        with contextlib.suppress(FileExistsError):  # it was listened to before
            self._poll.register(control, select.EPOLLIN)
        asked = False
        while not asked:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            asked = control in ready
            self._take(self._listeners if asked else [self._by_descriptor[at] for at in ready])

    def _take(self, listeners: Iterable[Listener]) -> None:
        # Stamps are the wall clock's. Where that is set, what is read at that moment is stamped wrongly.
        origin = self._setup.origin + time.time() - time.monotonic()
        for listener in listeners:
            for stamp, offload, frame, outbound in listener.read():
                self._keep(listener.tap, stamp - origin, offload, frame, outbound=outbound)

    def _keep(self, tap: Tap, at: float, offload: bytes, frame: bytes, *, outbound: bool) -> None:
        if not is_counted(frame):
            return
        if self._bytes + len(frame) > self._setup.most_bytes:
            self._left_out += 1
            return
        self._bytes += len(frame)
        data = completed(offload, frame)[ETHERNET_BYTES:]
        self._seen.append(Seen(max(at, 0.0), tap, data, outbound))

    # The file

    def write(self, befell: Befell) -> Taken:
        """Write the file."""
        for listener in self._listeners:
            listener.count()
        taken = Taken(
            packets=len(self._seen),
            left_out=self._left_out,
            unseen=sum(listener.unseen for listener in self._listeners),
        )
        self._seen.sort(key=lambda seen: seen.time)
        for seen in self._seen:
            seen.comments.clear()  # it may be known better than when it was asked before
        _note_drops(self._seen, befell.drops)
        number_packets(self._seen, self._setup.network)
        self._note_cuts(befell.cuts)
        Path(self._setup.file).write_bytes(self._file(taken, befell.nodes))
        return taken

    def _file(self, taken: Taken, nodes: Collection[str]) -> bytes:
        stream, network = io.BytesIO(), self._setup.network
        complaint = f" Not all is here: {taken.complaint}." if taken.complaint else ""
        file = CaptureFile(
            stream,
            network,
            self._setup.devices,
            comment=f"Capture of {network.name}. Times are seconds since the trial began.{complaint}",
            hardware="Linux network namespaces",
            system="Linux",
        )
        for seen in self._seen:
            if not nodes or seen.tap[0] in nodes:
                file.add(seen)
        end = self._seen[-1].time if self._seen else 0.0
        for listener in self._listeners:
            file.add_statistics(listener.tap, end, received=listener.received, dropped=listener.unseen)
        return stream.getvalue()

    def _note_cuts(self, cuts: Sequence[tuple[str, float, float]]) -> None:
        """Say of what arrived by a cut link that it got no further than that."""
        links = self._setup.network.links
        for label, begin, end in cuts:
            between = slice(
                *(bisect.bisect(self._seen, at, key=lambda seen: seen.time) for at in (begin, end))
            )
            for seen in self._seen[between]:
                node, link = seen.tap
                if link == label and not seen.outbound:
                    ends = links[label].a, links[label].b
                    where = f"{label} from {ends[ends.index(node) - 1]}"
                    seen.comments.append(f"dropped at {where}: link {where} is cut")


def _note_drops(seen: Sequence[Seen], drops: Sequence[Event]) -> None:
    """Say of a packet where it was lost and why.

    Of one that a link lost on the record of its sender, if there is one; of a box's where it came in.
    """
    for drop in drops:
        link, _, sender = drop.node.partition(" from ")
        first = bisect.bisect(seen, drop.time - _SEND_DELAY, key=lambda one: one.time)
        last = bisect.bisect(seen, drop.time + _CLOCKS, key=lambda one: one.time)
        candidates = [one for one in seen[first:last] if one.outbound == bool(sender) and not one.comments]
        own = [one for one in candidates if one.tap == (sender, link)]
        candidates = candidates if sender else [one for one in candidates if one.tap[0] == drop.node]
        for one in reversed([*candidates, *own]):
            if describe_packet(one.data) == drop.data["packet"]:
                later = f" at {drop.time:.6f} s"
                one.comments.append(f"dropped at {drop.node}{later}: {drop.data['reason']}")
                break


def completed(offload: bytes, frame: bytes) -> bytes:
    """Return a frame with its checksum, where its sender had left that to the device."""
    flags, _, _, _, start, offset = OFFLOAD.unpack(offload)
    if not flags & NEEDS_CHECKSUM:
        return frame
    # The field holds the sum of the pseudo-header, so the sum of all is that of the whole.
    whole = bytearray(frame)
    place = start + offset
    whole[place : place + 2] = (checksum(bytes(whole[start:])) or 0xFFFF).to_bytes(2)  # RFC 768: 0 is none
    return bytes(whole)


def run_tap(control: socket.socket, first_line: bytes) -> NoReturn:
    """Be the tap that the first line says, until the socket is closed."""
    set_process_name("capture")
    taps = Taps(decode_object(first_line.decode()))
    with control.makefile("rb", buffering=0) as lines:
        control.sendall(b"{}\n")
        taps.listen(control.fileno())
        while line := lines.readline():
            taken = taps.write(decode_object(line.decode()))
            control.sendall(json.dumps(asdict(taken)).encode() + b"\n")
            taps.listen(control.fileno())
    os._exit(0)

"""Taps on every interface of a network, and what they saw as one pcapng file."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.protocols.capture_file import CaptureFile, Seen, Tap
from lab.sim.capture.ip import encode_ip

if TYPE_CHECKING:
    from lab.spec.network import Network
    from nat_models.packet import Packet


@dataclass(slots=True)
class _Record:
    time: float
    tap: Tap
    packet: Packet
    outbound: bool
    comments: list[str] = field(default_factory=list)


def _comment_drop(record: _Record, time: float, where: str, reason: str) -> None:
    later = f" at {time:.6f} s" if time != record.time else ""
    record.comments.append(f"dropped{where}{later}: {reason}")


class Capture:
    """Collects what interfaces send and get.

    Packets are kept as they are and encoded when the file is made. One packet is in the file as often as an
    interface saw it; ``packet_id`` (and the epb_packetid of the file) tells that it is one. A packet that
    ended somewhere has the reason as comment on the last record of it.
    """

    def __init__(self, network: Network | None = None) -> None:
        self._network = network
        self._records: list[_Record] = []
        self._latest: dict[int, _Record] = {}

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._records)

    def record(
        self, time: float, node: str, link: str, packet: Packet, *, outbound: bool, comment: str = ""
    ) -> None:
        """Note that a node's interface on a link sent (``outbound``) or got a packet at ``time`` (s)."""
        record = _Record(time, (node, link), packet, outbound)
        if comment:
            record.comments.append(comment)
        self._records.append(record)
        self._latest[packet.packet_id] = record

    def record_drop(self, time: float, where: str, packet: Packet, reason: str) -> None:
        """Note that a packet ended at ``time``, at a node or on a link, and why.

        The comment goes to the packet's last record. One that no interface has seen (its sender had no
        route, say) gets a record of its own, on an interface that stands for the place.
        """
        latest = self._latest.get(packet.packet_id) if packet.packet_id else None
        if latest is None:
            self.record(time, where, "", packet, outbound=True)
            latest = self._records[-1]
        part = ""
        if packet.fragment is not None and latest.packet.fragment is None:
            part = f" fragment at offset {packet.fragment.offset}"
        _comment_drop(latest, time, f"{part} at {where}", reason)

    def record_refusal(self, time: float, where: str, packet_id: int, reason: str) -> None:
        """Note that the program that got a packet dropped it at ``time``; nothing, if no interface saw it."""
        latest = self._latest.get(packet_id)
        if latest is not None:
            _comment_drop(latest, time, f" by the program at {where}", reason)

    def to_pcapng(self, nodes: Collection[str] = ()) -> bytes:
        """Return the file: interfaces in the network's order, records by time, then as they came.

        ``nodes`` limits it to what their interfaces saw: analysers take a segment that two interfaces saw
        for a retransmission.
        """
        stream = io.BytesIO()
        name = f" of {self._network.name}" if self._network else ""
        file = CaptureFile(
            stream,
            self._network,
            (record.tap for record in self._records),
            comment=f"Capture{name}. Times are seconds of virtual time since the trial began.",
            hardware="virtual",
            system="none: virtual time",
        )
        encoded: dict[int, bytes] = {}
        chosen = [record for record in self._records if not nodes or record.tap[0] in nodes]
        for record in sorted(chosen, key=lambda record: record.time):
            # The same object is seen at both ends of a wire; records keep it alive, so its id is its own.
            data = encoded.get(id(record.packet))
            if data is None:
                data = encoded[id(record.packet)] = encode_ip(record.packet)
            identity = record.packet.packet_id
            file.add(Seen(record.time, record.tap, data, record.outbound, identity, record.comments))
        return stream.getvalue()

"""A capture of one node of a running lab, from outside: packets as they come, for who reads along."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from lab.emu.captures.tap import Listener, completed
from lab.emu.entering import enter_lab
from lab.emu.links.wire import is_counted
from lab.emu.nat_planes.engine.frames import ETHERNET_BYTES
from lab.emu.outer.namespace import NAMES
from lab.emu.system_calls import enter_network
from lab.errors import HostNotReady
from lab.protocols.pcapng import PcapngWriter


@dataclass(frozen=True, kw_only=True)
class LiveInterface:
    """An interface of the node: its link, its device there, its addresses with prefix lengths."""

    link: str
    device: str
    addresses: Sequence[str]


def stream_capture(pid: int, node: str, interfaces: Sequence[LiveInterface], output: BinaryIO) -> None:
    """Write what a node's interfaces see from now on as pcapng, until the lab ends or nobody reads any more.

    Times are the wall clock's. ARP and neighbour discovery are left out, as in every capture of the lab.

    Args:
        pid: the lab's first process.
        node: whose interfaces.
        interfaces: which.
        output: where to; every packet is written at once.

    Raises:
        HostNotReady: the lab is gone, or is another user's.
    """
    try:
        first_process = os.pidfd_open(pid)
    except OSError as error:
        raise HostNotReady(f"the lab cannot be entered: {error.strerror}") from None
    enter_lab(pid, ("user", "mnt"))
    enter_network(str(NAMES / node))
    writer = PcapngWriter(output)
    writer.write_section(f"Live capture of {node}.", hardware="Linux network namespaces", system="Linux")
    numbers = {
        Listener((node, at.link), "", at.device): writer.write_interface(f"{node}:{at.link}", at.addresses)
        for at in interfaces
    }
    output.flush()
    poll = select.poll()
    poll.register(first_process, select.POLLIN)  # readable when it has ended
    poll.register(output, 0)  # POLLERR is always told: nobody reads
    by_descriptor = {listener.socket.fileno(): listener for listener in numbers}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if first_process in ready or output.fileno() in ready:
            return
        for descriptor in ready:
            _write_waiting(writer, by_descriptor[descriptor], numbers[by_descriptor[descriptor]])
        output.flush()


def _write_waiting(writer: PcapngWriter, listener: Listener, number: int) -> None:
    for stamp, offload, frame, outbound in listener.read():
        if is_counted(frame):
            data = completed(offload, frame)[ETHERNET_BYTES:]
            writer.write_packet(number, stamp, data, outbound=outbound)

"""A network on this kernel: built from its description in a namespace that holds nothing else, and ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Self

from lab.emu.mininet_adapter import make_mininet
from lab.emu.nat_planes.settings import PLACE, write_settings
from lab.emu.outer.namespace import NAMES
from lab.emu.settings import (
    bridge_commands,
    device_names,
    device_settings,
    kernel_settings,
    link_commands,
    needs_ipv6,
    node_commands,
    wire_commands,
)
from lab.emu.system_calls import inside_network
from lab.errors import HostNotReady
from lab.spec.network import Network, Node, NodeKind

NONE_GIVEN: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelNode:
    """A node as it runs: its description, and the process that holds its namespace.

    ``devices`` are the names of its network devices by link label.
    """

    spec: Node
    pid: int
    devices: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """The file that stands for its network namespace."""
        return f"/proc/{self.pid}/ns/net"

    def inside(self) -> AbstractContextManager[None]:
        """Return a context in which this thread is in the node's network namespace."""
        return inside_network(self.namespace)

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program in the namespace, with pipes for its input, output and errors."""
        pipe = subprocess.PIPE
        with self.inside():
            return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, *command: str, given: str = "") -> str:
        """Run a program in the namespace and return what it printed.

        Raises:
            HostNotReady: it failed; the message has its words.
        """
        return _finish(self.start(command), command, given)


class KernelNetwork:
    """A running network. Make it in an outer namespace; it puts names into ``/var/run/netns``.

    ``nodes`` are all but the switches, ``everywhere`` has those too. ``wires`` is the process that holds the
    namespace of impaired links' wires, 0 if there are none. ``mininet`` is the Mininet object that
    keeps it.

    Args:
        spec: the network.
        bare_boxes: NAT boxes of which the kernel is to know no address and no route: they are packets' alone.
        namespaces: descriptors of the network namespaces that nodes have already, by node.

    Raises:
        HostNotReady: a program is missing or failed, or the kernel lacks what the network needs.
    """

    def __init__(
        self, spec: Network, *, bare_boxes: Collection[str] = (), namespaces: Mapping[str, int] = NONE_GIVEN
    ) -> None:
        if needs_ipv6(spec) and not (PLACE / "ipv6").exists():
            raise HostNotReady(f"{spec.name} has IPv6 addresses, and this kernel has no IPv6")
        self.spec = spec
        self._bare_boxes = frozenset(bare_boxes)
        self.mininet, processes = make_mininet(spec, namespaces)
        self.wires = self.mininet.wires_pid
        try:
            self.everywhere = _nodes(spec, processes)
            self.nodes = {
                name: node for name, node in self.everywhere.items() if node.spec.kind is not NodeKind.SWITCH
            }
            self._set_kernel_up()
            self._make_links(processes)
            self._configure()
            self._name_namespaces()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every namespace of the network, and with them whatever is in them."""
        for node in self.spec.nodes.values():
            (NAMES / node.name).unlink(missing_ok=True)
        self.mininet.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_kernel_up(self) -> None:
        for node in self.nodes.values():
            with node.inside():
                _write_known(kernel_settings(self._told(node)))

    def _told(self, node: KernelNode) -> Node:
        """Return what the kernel is told of a node."""
        if node.spec.name not in self._bare_boxes:
            return node.spec
        interfaces = tuple(replace(interface, addresses=()) for interface in node.spec.interfaces)
        return replace(node.spec, interfaces=interfaces, routes=())

    def _make_links(self, processes: Mapping[str, int]) -> None:
        if self.wires:
            wires = KernelNode(spec=next(iter(self.spec.nodes.values())), pid=self.wires)
            with wires.inside():
                _write_known([("ipv6/conf/default/disable_ipv6", "1")])  # a wire is no host
        _ip(None, link_commands(self.spec, processes, self.wires))
        if self.wires:
            _ip(wires, wire_commands(self.spec))
        switches = [node for node in self.everywhere.values() if node.spec.kind is NodeKind.SWITCH]
        if switches:
            fabric = switches[0]  # they share a namespace
            with fabric.inside():
                # A bridge is no host: it must not answer for the hosts on it.
                _write_known([("ipv6/conf/default/disable_ipv6", "1")])
            _ip(fabric, bridge_commands(self.spec))

    def _configure(self) -> None:
        """Give every node its addresses and routes, all at the same time."""
        devices = device_names(self.spec)
        running = []
        for node in self.nodes.values():
            with node.inside():
                _write_known(device_settings(self._told(node), devices))
            process = node.start(_BATCH)
            running.append((process, "\n".join(node_commands(self._told(node), devices))))
        for process, commands in running:
            _finish(process, _BATCH, commands)

    def _name_namespaces(self) -> None:
        """Let ``ip netns exec NODE`` find the nodes; a link, unlike a mount, keeps no namespace alive."""
        for name, node in self.nodes.items():
            (NAMES / name).symlink_to(node.namespace)


def _write_known(settings: Iterable[tuple[str, str]]) -> None:
    write_settings(dict(settings), leave_out_unknown=True)


def _nodes(spec: Network, processes: Mapping[str, int]) -> dict[str, KernelNode]:
    devices = device_names(spec)
    return {
        node.name: KernelNode(
            spec=node,
            pid=processes[node.name],
            devices={i.link: devices[node.name, i.link] for i in node.interfaces},
        )
        for node in spec.nodes.values()
    }


_BATCH: Final = ("ip", "-batch", "-")


def _ip(node: KernelNode | None, commands: Iterable[str]) -> None:
    """Run a batch of ``ip`` commands in a node's namespace, or in this one."""
    pipe = subprocess.PIPE
    if node is not None:
        process = node.start(_BATCH)
    else:
        process = subprocess.Popen(_BATCH, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    _finish(process, _BATCH, "\n".join(commands))


def _finish(process: subprocess.Popen[str], command: Sequence[str], given: str) -> str:
    output, errors = process.communicate(given)
    if process.returncode:
        words = (errors or output).strip() or os.strerror(0)
        raise HostNotReady(f"{' '.join(command)}: {words}")
    return output

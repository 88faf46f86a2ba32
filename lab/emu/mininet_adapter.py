"""Mininet, as the lab uses it: the one place that imports its runtime.

Mininet keeps the network: its hosts are namespaces held by a process each, started by ``mnexec``, its links
join them, its switches are Linux bridges. What it does slowly, one shell command after another, is left to
one batch of ``ip`` commands for all (:mod:`lab.emu.kernel_network`): a node has no shell of its own, and a
link is made later. Bridges share one namespace, so that all of a network ends with its namespaces.

What Mininet does to a machine is not done: no limits are raised (``Mininet.init``), nothing is cleaned up by
name, and no exit hook is left.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Mapping
from typing import Any, Final

from lab.emu.settings import device_names, mac_address, wire_devices
from lab.emu.system_calls import inside_network
from lab.errors import HostNotReady
from lab.spec.network import Network, NodeKind

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # distutils
    from mininet.link import Intf, Link
    from mininet.net import Mininet
    from mininet.node import Node
    from mininet.nodelib import LinuxBridge

_HOLDER: Final = ("mnexec", "-cdnp", "cat")
"""Close files, detach, a network namespace of its own, say so; then wait for the end of the input."""
_WAITER: Final = ("cat",)


class Holder:
    """A process whose only use is its network namespace. It is ready once :meth:`wait` returns.

    Args:
        given: a descriptor of a namespace to hold that somebody else has made; None: one is made.
    """

    def __init__(self, given: int | None = None) -> None:
        pipe = subprocess.PIPE
        self._is_given = given is not None
        if given is None:
            self.process = subprocess.Popen(_HOLDER, stdin=pipe, stdout=pipe)
        else:
            with inside_network(f"/proc/self/fd/{given}"):
                self.process = subprocess.Popen(_WAITER, stdin=pipe, stdout=pipe)
        self.pid = self.process.pid

    def wait(self) -> None:
        """Wait until the namespace is there.

        Raises:
            HostNotReady: it could not be made.
        """
        assert self.process.stdout is not None
        if not self._is_given and not self.process.stdout.readline().startswith(b"\x01"):
            raise HostNotReady("mnexec made no network namespace\n  `callpath doctor` says what is missing")

    def end(self) -> None:
        """End the process, and with it the namespace if nobody else is in it."""
        self.process.kill()
        self.process.communicate()


class _LabNode(Node):  # type: ignore[misc]  # Mininet has no types
    """A host, router or NAT box: a namespace without a shell."""

    def __init__(self, name: str, namespace: int | None = None, **params: object) -> None:
        self.holder = Holder(namespace)
        super().__init__(name, **params)

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802 - Mininet's name
        """Name the process that holds the namespace; do not wait for it."""
        self.pid = self.holder.pid

    def cmd(self, *args: object, **_options: object) -> str:
        """Run a command in the namespace and return what it printed, as Mininet's own does in a shell."""
        output, errors, _ = self.pexec(" ".join(map(str, args)), shell=True)  # noqa: S604 - its user's command
        return str(output) + str(errors)

    def config(self, **_params: object) -> dict[str, object]:
        """Leave the configuration to the plan."""
        return {}

    def terminate(self) -> None:
        """End the namespace."""
        self.holder.end()

    @classmethod
    def setup(cls) -> None:
        """Look for no programs: the doctor does."""


class _LabBridge(_LabNode, LinuxBridge):  # type: ignore[misc]
    """A switch, in the namespace that all switches share."""

    def __init__(self, name: str, fabric: Holder, **params: object) -> None:
        self.holder = fabric
        LinuxBridge.__init__(self, name, **params)

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802 - Mininet's name
        """Take the shared namespace."""
        self.pid = self.holder.pid

    def start(self, _controllers: object) -> None:
        """Do nothing: the batch has made the bridge."""

    def stop(self, deleteIntfs: bool = True) -> None:  # noqa: N803 - Mininet's name
        """Do nothing: the bridge ends with its namespace."""


class _LabInterface(Intf):  # type: ignore[misc]
    def config(self, **_params: object) -> dict[str, object]:
        """Leave the configuration to the plan."""
        return {}


class _LabLink(Link):  # type: ignore[misc]
    @classmethod
    def makeIntfPair(cls, *_arguments: object, **_options: object) -> None:  # noqa: N802 - Mininet's name
        """Do nothing: one batch makes the devices of all links."""

    def stop(self) -> None:
        """Do nothing: devices end with their namespaces, which is a hundred times as fast."""


def make_mininet(network: Network, namespaces: Mapping[str, int]) -> tuple[Any, Mapping[str, int]]:
    """Return a Mininet of the network's nodes and links, and each node's process.

    Every namespace is there; no device is. ``mininet.stop()`` ends all of it. ``namespaces`` are descriptors
    of those that nodes have already, by node.

    Raises:
        HostNotReady: a namespace could not be made.
    """
    Mininet.inited = True  # its own initialisation raises limits of the whole machine
    mininet = _LabMininet(
        bool(wire_devices(network)),
        topo=None,
        switch=_LabBridge,
        host=_LabNode,
        controller=None,
        link=_LabLink,
        intf=_LabInterface,
    )
    devices = device_names(network)
    for node in network.nodes.values():
        if node.kind is NodeKind.SWITCH:
            mininet.addSwitch(node.name, fabric=mininet.fabric, dpid="1", inNamespace=True)
        else:
            mininet.addHost(node.name, namespace=namespaces.get(node.name))
    for number, link in enumerate(network.links.values()):
        names = devices[link.a, link.label], devices[link.b, link.label]
        ports = (int(name.rpartition("-eth")[2]) for name in names)
        mininet.addLink(
            *(link.a, link.b, *ports), intfName1=names[0], intfName2=names[1], fast=True,
            addr1=mac_address(number, 0), addr2=mac_address(number, 1),
        )  # fmt: skip
    _tell_addresses(mininet, network)
    mininet.wait()
    return mininet, {node.name: node.pid for node in mininet.values()}


def _tell_addresses(mininet: Any, network: Network) -> None:
    """Let Mininet know the addresses of the plan: its own tests and command line ask for them."""
    devices = device_names(network)
    for node in network.nodes.values():
        for interface in node.interfaces:
            if interface.addresses and ":" not in interface.addresses[0]:
                device = mininet[node.name].intf(devices[node.name, interface.link])
                device.ip, device.prefixLen = interface.addresses[0].split("/")


class _LabMininet(Mininet):  # type: ignore[misc]
    """A Mininet whose switches share a namespace, and whose end is that of its namespaces."""

    def __init__(self, has_wires: bool, **params: object) -> None:
        self.fabric = Holder()
        self.wires = Holder() if has_wires else None
        self.wires_pid = self.wires.pid if self.wires else 0
        super().__init__(**params)

    def wait(self) -> None:
        """Wait until every namespace is there."""
        self.fabric.wait()
        if self.wires:
            self.wires.wait()
        for host in self.hosts:
            host.holder.wait()

    def stop(self) -> None:
        """End every namespace: processes first, so that nobody waits for another."""
        holders = [self.fabric, *([self.wires] if self.wires else []), *(host.holder for host in self.hosts)]
        for holder in holders:
            holder.end()

"""The containers of one trial, for the handle on its network: started, handed in, steered, removed."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from lab.emu.containers.door import NAMESPACE, PROGRAM, hand_in
from lab.emu.containers.engine import Engine
from lab.emu.containers.hosts import ContainerHosts, Image, Names
from lab.emu.containers.places import AUTHORITY_PLACE, KEY_PLACE, image_nodes, speaks_lines
from lab.roles.certificates import KEY_VARIABLE
from lab.spec.network import Network, Node
from lab.spec.roles import first_address, name_servers_of

_T = TypeVar("_T")


class TrialContainers:
    """Containers for the nodes of a network that have an image.

    Args:
        network: the network.
        run: names the run in the containers' labels.
        door: the outer end of the door into the outer namespace.

    Raises:
        HostNotReady: there is no engine that will do.
    """

    def __init__(self, network: Network, run: str, door: socket.socket) -> None:
        self.nodes = image_nodes(network)
        self._network, self._door = network, door
        self._hosts = ContainerHosts(Engine(), run)
        self.authority: Mapping[str, bytes] = {}
        """What the run's TLS servers are signed by, as PEM: ``certificate`` and ``key``."""
        self._turns = {node: asyncio.Lock() for node in self.nodes}

    async def hold(self) -> list[str]:
        """Start the holders, and hand in their namespaces; return the nodes that have one."""
        names = {node: names_of(self._network.nodes[node], self._network) for node in self.nodes}
        handles = await asyncio.to_thread(self._hosts.hold, names)
        for node, handle in handles.items():
            hand_in(self._door, NAMESPACE, node, [handle])
            os.close(handle)
        return self.nodes

    async def start(self, nodes: Iterable[str]) -> None:
        """Start the programs of nodes, each in place of one before, and hand in what stands for them.

        Others than containers are left alone.
        """
        await asyncio.gather(*(self._start(node) for node in nodes if node in self.nodes))

    async def _start(self, node: str) -> None:
        image = image_of(self._network.nodes[node], self.authority)
        descriptors = await self._in_turn(node, lambda: self._hosts.start(node, image))
        hand_in(self._door, PROGRAM, node, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def kill(self, node: str) -> Awaitable[None]:
        """End the program of a node at once; its network stays."""
        return self._in_turn(node, lambda: self._hosts.kill(node))

    def pause(self, node: str) -> Awaitable[None]:
        """Freeze the program of a node."""
        return self._in_turn(node, lambda: self._hosts.pause(node))

    def resume(self, node: str) -> Awaitable[None]:
        """Let the program of a node go on."""
        return self._in_turn(node, lambda: self._hosts.resume(node))

    async def _in_turn(self, node: str, step: Callable[[], _T]) -> _T:
        """Do one thing to a node's container after another, in the order in which they were asked for."""
        async with self._turns[node]:
            return await asyncio.to_thread(step)

    async def close(self) -> None:
        """Remove all containers."""
        await asyncio.to_thread(self._hosts.close)


def image_of(node: Node, authority: Mapping[str, bytes]) -> Image:
    """Return what to run on a node; ``authority`` as :class:`TrialContainers` has it."""
    program = node.program
    assert program is not None, "only containers are asked for"
    environment, files = {"SSL_CERT_FILE": AUTHORITY_PLACE}, {AUTHORITY_PLACE: authority["certificate"]}
    if program.runs_roles:
        environment[KEY_VARIABLE] = KEY_PLACE
        files[KEY_PLACE] = authority["key"]
    return Image(
        name=program.image,
        command=program.command,
        environment=environment,
        memory=program.memory,
        cpus=program.cpus,
        has_input=program.runs_roles or speaks_lines(node),
        files=files,
    )


def names_of(node: Node, network: Network) -> Names:
    """Return how a host resolves names: by the DNS servers of the topology, or by its table."""
    servers = [first_address(server) for server in name_servers_of(node, network)]
    table: Mapping[str, tuple[str, ...]] = {} if servers else network.dns
    return Names(servers=servers, table={name: addresses[0] for name, addresses in table.items()})

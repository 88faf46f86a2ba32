"""A server in a container, as the program of a node: nothing in its image knows of the lab."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from lab.emu.servers.coturn import let_packets_vanish
from lab.emu.servers.listener import Listener, silent_ones, wait_until_all_answer
from lab.emu.servers.server_program import ServerProgram
from lab.emu.servers.stun_check import answers
from lab.protocols.turn_server import Transport
from lab.spec.network import Network, Node
from lab.spec.roles import RELAY, STUN, STUN_PORT, first_address

_ANSWERS_STUN: Final = frozenset({RELAY, STUN})


def stand_in_command(given: Sequence[int]) -> list[str]:
    """Return the command line of a process that stands for a container with these descriptors."""
    return [sys.executable, "-m", "lab.emu.containers.stand_in", *map(str, given)]


class ImageServer(ServerProgram):
    """The server of a node, as a role: ``run()`` until cancelled.

    A relay or STUN server is ready when it answers STUN over UDP; of any other nothing is known, and it is
    ready at once.

    Args:
        node: its node; ``node.program`` says what it is.
        network: where it is.
        given: the descriptors of its container.
    """

    def __init__(self, node: Node, network: Network, given: Sequence[int]) -> None:
        super().__init__()
        assert node.program is not None, "or the role has a program of the lab's own"
        self.name = f"{node.name}: {node.program.name}"
        self.given = given
        self.start_seconds = node.program.ready_within
        self._node, self._network = node, network
        speaks_stun = node.role in _ANSWERS_STUN
        self._listeners = [Listener(Transport.UDP, first_address(node), STUN_PORT)] if speaks_stun else []

    def prepare(self) -> Sequence[str]:
        """Return the command line of what stands for the container."""
        let_packets_vanish(self._node, self._network)
        return stand_in_command(self.given)

    async def until_it_answers(self) -> None:
        """Return when it has answered a Binding request, if it is to."""
        await wait_until_all_answer(self._listeners, answers)

    def silent(self) -> str:
        """Return where it has not answered yet."""
        return silent_ones(self._listeners)

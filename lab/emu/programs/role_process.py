"""One role as a process in its node's network namespace, steered over a Unix socket.

The same program as in virtual time (:mod:`lab.roles`), on real sockets and the run's clock. Lines on the
socket: first :class:`RoleSetup`, then one encoded command each (:mod:`lab.spec.command`); back come events
(:mod:`lab.spec.event`) and once ``{"ready":true,"commanded":...}``, or ``{"ready":false,"why":...}`` of a
server without which a trial would show nothing. When the socket is closed, the process ends at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NoReturn

from lab.emu.containers.places import speaks_lines
from lab.emu.containers.server import ImageServer
from lab.emu.containers.stand_in import stand_in
from lab.emu.messages import LONGEST_LINE, decode_network
from lab.emu.programs.external_program import ExternalProgram
from lab.emu.programs.name_files import name_files, use_name_files
from lab.emu.programs.program_ends import ProgramNotReady
from lab.emu.run_clock import RunClockLoop
from lab.emu.servers.coturn import Coturn, runs_coturn
from lab.emu.servers.kamailio import Kamailio, runs_kamailio
from lab.emu.system_calls import enter_network, set_process_name
from lab.emu.timing.hold_ups import HoldUps
from lab.errors import UsageError
from lab.roles.catalogue import Role, make_role
from lab.roles.culprit import culprit_of
from lab.roles.real_context import RealRoleContext
from lab.spec.event import Event, EventType
from lab.spec.network import Network, Node
from lab.spec.roles import addresses_of

READY: Final = b'{"ready":'
"""How the line begins that says whether a program is ready, and takes commands, or why it is not."""
EXIT_REPORTED: Final = 3
"""The exit status of a program that failed and has said so itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSetup:
    """Which program to run, where and when.

    ``namespace`` is the file of its node's network namespace; ``network`` the whole description, encoded;
    ``origin`` the time of the monotonic clock at which the trial's clock is zero.
    """

    node: str
    namespace: str
    network: str
    trial: str
    seed: int
    origin: float

    def encode(self) -> bytes:
        """Return the setup as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"


class _ProcessContext(RealRoleContext):
    """Tells events at once; what a process that dies has told is known."""

    def __init__(self, setup: RoleSetup, network: Network, writer: asyncio.StreamWriter) -> None:
        by_family = sorted(addresses_of(network.nodes[setup.node]), key=lambda address: ":" in address)
        super().__init__(setup.node, by_family, seed=setup.seed)
        self._trial = setup.trial
        self._writer = writer
        # Of a program that nobody here wrote this process knows nothing but what it says.
        program = network.nodes[setup.node].program
        own = program is None or program.runs_roles
        self._hold_ups = HoldUps(asyncio.get_running_loop()) if own else None

    def record(self, event: Event) -> None:
        told = self._with_hold_up(event)
        self._writer.write(told.to_json(self._trial).encode() + b"\n")

    def _with_hold_up(self, event: Event) -> Event:
        """Return an event; the one that ends a call's checks tells how long they were held up at worst."""
        if self._hold_ups is None:
            return event
        if event.type is EventType.ICE_CHECKING:
            self._hold_ups.begin(event.call)
        if event.type not in {EventType.ICE_CONNECTED, EventType.ICE_FAILED}:
            return event
        held_up = self._hold_ups.end(event.call)
        return event._replace(data={**event.data, "held_up": round(held_up, 9)})

    def failed(self, error: BaseException, program: str) -> None:
        """Record that a part of the program failed."""
        self.emit(EventType.ROLE_FAILED, error=f"{type(error).__name__}: {error}", program=program)


def run_role_process(control: socket.socket, first_line: bytes, given: Sequence[int] = ()) -> NoReturn:
    """Be the program that the first line on the socket says, until the socket is closed.

    ``given`` are the descriptors of its container, where it is in one.
    """
    setup, network = read_setup(first_line)
    program = network.nodes[setup.node].program
    if program is not None and program.runs_roles:
        _stand_for_role(control, first_line, given)
    enter_network(setup.namespace)
    use_name_files(name_files(network.nodes[setup.node], network))
    with asyncio.Runner(loop_factory=lambda: RunClockLoop(setup.origin)) as runner:
        status = runner.run(_run_on_socket(setup, network, control, given))
    os._exit(status)


def read_setup(line: bytes) -> tuple[RoleSetup, Network]:
    """Return what the first line says, and the network; this process is named for its node."""
    setup = RoleSetup(**json.loads(line))
    set_process_name(f"role-{setup.node}")
    return setup, decode_network(setup.network)


def _stand_for_role(control: socket.socket, first_line: bytes, given: Sequence[int]) -> NoReturn:
    """Be the process of the lab's program in a container (:mod:`lab.emu.programs.role_stdio`)."""
    stream, end = given
    with socket.socket(fileno=os.dup(stream)) as attached:
        attached.sendall(first_line)
    os.dup2(control.fileno(), 0)
    os.dup2(control.fileno(), 1)
    control.close()
    stand_in(stream, end)


async def _run_on_socket(
    setup: RoleSetup, network: Network, control: socket.socket, given: Sequence[int]
) -> int:
    reader, writer = await asyncio.open_unix_connection(sock=control, limit=LONGEST_LINE)
    return await run_role(setup, network, reader, writer, given)


async def run_role(
    setup: RoleSetup,
    network: Network,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    given: Sequence[int] = (),
) -> int:
    """Run the program and hand it commands; return the process's exit status."""
    context = _ProcessContext(setup, network, writer)
    node, loop = network.nodes[setup.node], asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, details: _hear(context, details))
    try:
        role = _role_of(node, network, context, given)
        program = loop.create_task(role.run(), name=node.program_name)
        commands = loop.create_task(_obey(reader, role))
        readiness = loop.create_task(_tell_when_ready(role, writer))
        await asyncio.wait({program, commands}, return_when=asyncio.FIRST_COMPLETED)
        if program.done():
            program.result()
        await commands  # a program that has come to its end still answers
        readiness.cancel()
    except Exception as error:  # noqa: BLE001 - whatever it is, the run is to know
        if isinstance(error, ProgramNotReady):
            writer.write(READY + b'false,"why":' + json.dumps(str(error)).encode() + b"}\n")
        context.failed(error, node.program_name)
        writer.close()
        await writer.wait_closed()
        return EXIT_REPORTED
    return 0


def _role_of(node: Node, network: Network, context: _ProcessContext, given: Sequence[int]) -> Role:
    """Return the program of a node: one that nobody here wrote, or one of the lab's own."""
    if node.program is not None and node.program.runs_roles:
        node = replace(node, program=None)  # this is the program
    if node.program is not None and node.program.image and not speaks_lines(node):
        return ImageServer(node, network, given)
    if node.program is not None:
        return ExternalProgram(node, network, context, given)
    if runs_coturn(node):
        return Coturn(node, network)
    if runs_kamailio(node):
        return Kamailio(node, network)
    return make_role(node, network, context)


async def _obey(reader: asyncio.StreamReader, role: Role) -> None:
    """Hand on commands until the socket is closed."""
    loop = asyncio.get_running_loop()
    handle: Callable[[bytes], None] = getattr(role, "handle", _refuse)
    while line := await reader.readline():
        loop.call_soon(handle, line)


def _refuse(_encoded: bytes) -> None:
    raise UsageError("this program takes no commands")


async def _tell_when_ready(role: Role, writer: asyncio.StreamWriter) -> None:
    """Say so when the role is ready; one that has no such moment is ready when it runs."""
    ready = getattr(role, "ready", None)
    if isinstance(ready, asyncio.Event):
        await ready.wait()
    commanded = json.dumps(hasattr(role, "handle")).encode()
    writer.write(READY + b'true,"commanded":' + commanded + b"}\n")


def _hear(context: _ProcessContext, details: dict[str, Any]) -> None:
    """Record what a callback or an abandoned task raised."""
    error = details.get("exception")
    if error is not None:
        context.failed(error, culprit_of(details))

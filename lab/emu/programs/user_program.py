"""A program of the user's on a node: entered into the node's namespaces, then executed.

It is forked by the nursery as roles are. Its first line on the socket is a :class:`UserProgramSetup`; the
socket is closed when the program has taken over, or gets a line that says why it could not.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, NoReturn

from lab.emu.messages import decode_network
from lab.emu.programs.name_files import name_files, use_name_files
from lab.emu.system_calls import enter_network

USER_PROGRAM: Final = b"["
"""How its first line begins, and no role's and no wire's."""

EXIT_NOT_EXECUTED: Final = 127
"""As a shell reports a command that it cannot find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProgramSetup:
    """What to execute and where; ``namespace`` and ``network`` as for a role.

    ``environment`` are variables beside those that every process of the run has.
    """

    node: str
    namespace: str
    network: str
    command: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]

    def encode(self) -> bytes:
        """Return the setup as a line."""
        return json.dumps([asdict(self)]).encode() + b"\n"


def run_user_program(control: socket.socket, first_line: bytes) -> NoReturn:
    """Become the program that the first line says."""
    setup = UserProgramSetup(**json.loads(first_line)[0])
    control.set_inheritable(False)
    network = decode_network(setup.network)
    environment = {**os.environ, **setup.environment}
    try:
        enter_network(setup.namespace)
        use_name_files(name_files(network.nodes[setup.node], network))
        os.chdir(setup.directory)
        program = shutil.which(setup.command[0], path=environment.get("PATH"))
        if program is None:
            raise FileNotFoundError(errno.ENOENT, "no such program on PATH", setup.command[0])
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and programs would inherit that
        os.execve(program, setup.command, environment)  # noqa: S606 - no shell is meant
    except OSError as error:
        complaint = f"{os.fsdecode(error.filename or setup.command[0])}: {error.strerror}"
        control.sendall(json.dumps(complaint).encode() + b"\n")
    os._exit(EXIT_NOT_EXECUTED)

"""Starts role processes quickly: a process that has imported everything, and forks itself for each.

A program that begins from nothing imports for a second of processor time; one that is forked is there in a
few milliseconds. So is the nursery itself: the agent, which has imported the same, forks it. The lab's
certificate authority is made here, once, so that every program of a run trusts it; third-party ones by
``SSL_CERT_FILE``.

Datagrams on the socket: ``{"token": 1}`` with descriptors, the control socket, the file for output and what
the program is given besides, starts a process; ``{"token": 1, "signal": 9}`` sends it a signal; ``{"token":
1, "status": 0}`` comes back when it has ended (negative: by that signal).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import select
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from lab.emu.captures.tap import TapSetup, run_tap
from lab.emu.links.wire import run_wires
from lab.emu.messages import decode_object
from lab.emu.programs.children import collect_ended_children, forget_children, wake_when_a_child_ends
from lab.emu.programs.role_process import run_role_process
from lab.emu.programs.user_program import USER_PROGRAM, run_user_program
from lab.emu.system_calls import set_process_name
from lab.roles.certificates import lab_authority

AUTHORITY_FILE: Final = Path("/run/callpath-authority.pem")
"""In the private /run: the certificate that the run's TLS servers are signed by. It is written last."""
AUTHORITY_KEY_FILE: Final = Path("/run/callpath-authority-key.pem")
"""Beside it: the private key, for programs of the lab's own in containers."""

_LONGEST: Final = 4096
_MOST_DESCRIPTORS: Final = 8


def become_nursery(requests: socket.socket) -> NoReturn:
    """Be the nursery, in a process that was just forked; of what the agent has open it keeps the socket."""
    try:
        keep = requests.fileno()
        os.closerange(sys.stderr.fileno() + 1, keep)
        os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
        set_process_name("nursery")
        _serve(requests)
    except BaseException:  # noqa: BLE001 - a forked process must not go on as the agent
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)


def _serve(requests: socket.socket) -> NoReturn:
    """Fork on request, and tell of ends, until the agent is gone."""
    AUTHORITY_KEY_FILE.touch(mode=0o600)
    AUTHORITY_KEY_FILE.write_bytes(lab_authority().key_pem)
    AUTHORITY_FILE.write_bytes(lab_authority().certificate_pem)
    os.environ["SSL_CERT_FILE"] = str(AUTHORITY_FILE)
    gc.freeze()  # what is there now is shared by all children: collecting garbage must not touch it
    wakeups = wake_when_a_child_ends()
    tokens: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([requests, wakeups], [], [])
        if requests in ready:
            _carry_out(requests, tokens)
        if wakeups in ready:
            wakeups.recv(_LONGEST)
        for child, status in collect_ended_children():
            requests.send(json.dumps({"token": tokens.pop(child), "status": status}).encode())


def _carry_out(requests: socket.socket, tokens: dict[int, int]) -> None:
    """Take one request; ``tokens`` has those of the children that run."""
    data, descriptors, _, _ = socket.recv_fds(requests, _LONGEST, _MOST_DESCRIPTORS)
    if not data:
        os._exit(0)
    message = json.loads(data)
    if "signal" in message:
        for child, token in tokens.items():
            if token == message["token"]:
                _signal(child, message["signal"])
    else:
        tokens[_fork(requests, *descriptors)] = message["token"]


def _signal(child: int, number: int) -> None:
    """Send a signal to a role's process and to the programs that it has started, its session."""
    for process in (child, *_session_of(child)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _session_of(leader: int) -> list[int]:
    """Return the processes of a session but its leader (proc(5): the sixth field of ``stat``)."""
    found = []
    for place in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int(place.name) != leader:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                found += [int(place.name)] * (int(fields[3]) == leader)
    return found


def _fork(requests: socket.socket, control: int, output: int, *given: int) -> int:
    """Return the child; it never returns."""
    child = os.fork()
    if child == 0:
        requests.close()
        _become_role(control, output, given)
    for descriptor in (control, output, *given):
        os.close(descriptor)
    return child


def _become_role(control: int, output: int, given: tuple[int, ...]) -> NoReturn:
    """Be the role's process: output goes to its file; whatever goes wrong is written there."""
    try:
        forget_children()
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        opened = socket.socket(fileno=control)
        line = _first_line(opened)
        _program_of(line, given)(opened, line)
    except BaseException:  # noqa: BLE001 - a forked process must not go on as the nursery
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)


def _program_of(line: bytes, given: Sequence[int]) -> Callable[[socket.socket, bytes], NoReturn]:
    """Return what a first line is for: a role's is a JSON object, that of a user's program a list."""
    if line.startswith(USER_PROGRAM):
        return run_user_program
    if line.startswith(b"{"):
        return functools.partial(run_role_process, given=given)
    return run_tap if isinstance(decode_object(line.decode()), TapSetup) else run_wires


def _first_line(control: socket.socket) -> bytes:
    """Read a line and not a byte more: what follows is for the program itself."""
    line = bytearray()
    with control.makefile("rb", buffering=0) as stream:
        while not line.endswith(b"\n"):
            line += stream.readline(1 << 16)
    return bytes(line)

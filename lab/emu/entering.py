"""Enter a node of a running lab from outside, as the user who started it, and run a program there.

The program gets the namespaces of the lab (user, mounts, processes) and the node's network; what it needs
is its terminal, and the number of the lab's first process. It ends with the lab, as everything there does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final, NoReturn

from lab.emu.outer.namespace import ADMINISTRATORS_PATH, NAMES
from lab.emu.programs.name_files import use_name_files
from lab.emu.system_calls import die_with_parent, enter_network, join_namespace
from lab.errors import HostNotReady, UsageError

NODE_VARIABLE: Final = "CALLPATH_NODE"
"""In the environment of a program that was started so: the node it is on."""

_KINDS: Final = ("user", "mnt", "pid")
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGHUP)


def run_on_node(
    pid: int,
    node: str,
    files: Mapping[str, str],
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a program on a node, with the terminal of this process; return its exit status as a shell would.

    Where there is no such program, that is said on standard error, and the status is 2.

    This process then is in the lab's namespaces, and good for nothing else.

    Args:
        pid: the lab's first process.
        node: where.
        files: the files of the C library's resolver there.
        command: the program and its arguments.
        environment: variables beside this process's.

    Raises:
        HostNotReady: the lab is gone, or is another user's.
    """
    directory = os.getcwd()  # noqa: PTH109 - a path object would look it up again
    terminal = _own_terminal()
    enter_lab(pid)
    child = os.fork()  # what a process's pid namespace says is true of its children
    if child == 0:
        if terminal >= 0:
            os.setpgid(0, 0)
        _become(node, files, command, {**os.environ, **(environment or {})}, directory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the keyboard it is the program's
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    for number in _PASSED_ON:
        signal.signal(number, functools.partial(_pass_on, child))
    code = os.waitstatus_to_exitcode(_wait(child, terminal))
    return 128 - code if code < 0 else code


def _own_terminal() -> int:
    """Return the descriptor of the terminal that this process has in the foreground, -1 if there is none."""
    try:
        return 0 if os.tcgetpgrp(0) == os.getpgrp() else -1
    except OSError:
        return -1


def _pass_on(child: int, number: int, _frame: FrameType | None) -> None:
    os.kill(child, number)


def _wait(child: int, terminal: int) -> int:
    """Wait for a child's end; return its status. It has the terminal until then, unless it is stopped.

    It is a job of its own: a shell in a namespace of processes must lead the foreground group, since it can
    see no process outside. Where it is stopped (Ctrl-Z), so is this process: then the user's shell goes on.
    """
    if terminal < 0:
        return os.waitpid(child, 0)[1]
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # that is for whoever is in the background, as this then is
    own = os.getpgrp()
    with contextlib.suppress(PermissionError):  # it has become another program already: it did so itself
        os.setpgid(child, child)
    while True:
        os.tcsetpgrp(terminal, child)
        os.killpg(child, signal.SIGCONT)  # it may have wanted the terminal before it was there
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(terminal, own)
        if not os.WIFSTOPPED(status):
            return status
        os.kill(os.getpid(), signal.SIGSTOP)


def enter_lab(pid: int, kinds: Sequence[str] = _KINDS) -> None:
    """Move this process into a lab's namespaces of these kinds; its children are in that of processes.

    Raises:
        HostNotReady: the lab is gone, or is another user's.
    """
    try:
        handles = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
        own = [os.stat(f"/proc/self/ns/{kind}") for kind in kinds]  # noqa: PTH116 - no path is meant
        for handle, mine in zip(handles, own, strict=True):
            if not os.path.samestat(os.fstat(handle), mine):  # root has no user namespace to enter
                join_namespace(handle)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise HostNotReady(f"the lab cannot be entered: {error.strerror}{place}") from None


def _become(
    node: str,
    files: Mapping[str, str],
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: str,
) -> NoReturn:
    """Be the program; whatever keeps this process from it is said as the command line says things."""
    path = f"{environment.get('PATH', os.defpath)}:{ADMINISTRATORS_PATH}"
    try:
        die_with_parent()
        enter_network(str(NAMES / node))
        use_name_files(files)
        os.chdir(directory)
        program = shutil.which(command[0], path=path)
        if program is not None:
            os.execve(program, [*command], {**environment, "PATH": path, NODE_VARIABLE: node})  # noqa: S606
        complaint, code = f"no program {command[0]!r} on PATH", UsageError.exit_code
    except OSError as error:
        complaint, code = str(error), HostNotReady.exit_code
    os.write(2, f"callpath: {complaint}\n".encode())
    os._exit(code)

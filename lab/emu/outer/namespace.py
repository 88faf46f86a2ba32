"""The parent's side of an outer namespace: start it, talk to its agent, end it."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from uuid import uuid4

from lab.emu.outer.maker import MAKER_VARIABLE, own_mark
from lab.errors import HostNotReady

RUN_VARIABLE: Final = "CALLPATH_RUN"
"""In the environment of every process of a namespace: the name of the run it belongs to."""

ADMINISTRATORS_PATH: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where an ordinary user's shell does not look, and Debian keeps nft, tc and the like."""

NAMES: Final = Path("/var/run/netns")
"""Where ``ip netns`` finds namespaces by name; private to an outer namespace."""

_GRACE: Final = 10.0
"""Seconds that the kernel may take to end a namespace's processes; they cannot refuse."""

_COMMON: Final = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_REMEDY: Final = "  `callpath doctor` says what this machine offers, and what to change"


class Privilege(enum.Enum):
    """How a namespace is made."""

    ROOT = "root"
    USER_NAMESPACES = "user namespaces"


class OuterNamespace:
    """A running outer namespace and its agent. A context manager; see the package for what ends it.

    ``channel`` is a stream socket to the agent, who has the number of its own end as its last argument.
    ``process`` is ``unshare``, outside.

    Args:
        module: the agent, run as ``python -m`` would.
        arguments: the agent's, before the channel's.
        run: names the run in every process's environment; made up where not given.
        descriptors: stay open in the agent, under the same numbers.

    Raises:
        HostNotReady: no program ``unshare``.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        run: str = "",
        privilege: Privilege | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.run = run or uuid4().hex[:12]
        self.privilege = privilege or default_privilege()
        unshare = unshare_command(self.privilege)  # before anything is opened: it may not be installed
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        with theirs, contextlib.ExitStack() as stack:
            stack.callback(os.close, lifeline)
            self.process = subprocess.Popen(
                [
                    *unshare,
                    *(sys.executable, "-m", "lab.emu.outer.init", module),
                    *(*arguments, str(theirs.fileno())),
                ],
                stdin=lifeline,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=[theirs.fileno(), *descriptors],
                env=_environment(self.run),
                start_new_session=True,  # an interrupt from the terminal is the parent's to handle
            )
        self.channel = ours
        _OPEN.add(self)

    def init_pid(self) -> int:
        """Return the init's process number as this process sees it; 0 if it has not begun, or has ended."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return 0
        return int(found[0]) if found else 0

    def complaint(self) -> str:
        """Return what the namespace's first processes said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def why_it_ended(self) -> HostNotReady:
        """Return what to raise when the channel ended before the agent said what it was to say."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        words = self.complaint() or f"exit status {self.process.returncode}"
        return HostNotReady(
            f"the kernel world's namespace ({self.privilege.value}) ended: {words}\n{_REMEDY}"
        )

    def close(self) -> None:
        """End everything in the namespace and wait until it has ended."""
        _OPEN.discard(self)
        self.channel.close()
        self._let_go()
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._errors.close()

    def _let_go(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def default_privilege() -> Privilege:
    """Return how this user makes namespaces: root needs no user namespace."""
    return Privilege.ROOT if os.geteuid() == 0 else Privilege.USER_NAMESPACES


def unshare_command(privilege: Privilege) -> Sequence[str]:
    """Return the command line that runs what follows it in an outer namespace.

    Raises:
        HostNotReady: the program is not installed.
    """
    program = shutil.which("unshare")
    if program is None:
        raise HostNotReady("unshare is not installed\n  on Debian or Ubuntu: apt-get install util-linux")
    user = ("--user", "--map-root-user") if privilege is Privilege.USER_NAMESPACES else ()
    return (program, *user, *_COMMON)


def _environment(run: str) -> Mapping[str, str]:
    """Return the environment inside; administrators' programs are found by ordinary users too.

    Mininet runs its nodes' commands by ``SHELL``, which a service does not have, and which may be a shell
    that reads them otherwise.
    """
    path = os.environ.get("PATH", os.defpath)
    return {
        **os.environ, RUN_VARIABLE: run, MAKER_VARIABLE: own_mark(),
        "PATH": f"{path}:{ADMINISTRATORS_PATH}", "SHELL": "/bin/sh",
    }  # fmt: skip


_OPEN: weakref.WeakSet[OuterNamespace] = weakref.WeakSet()


def _forget_in_child() -> None:
    """Close the pipes in a forked process: a namespace ends with its maker, not with the maker's children."""
    for namespace in list(_OPEN):
        namespace._let_go()  # noqa: SLF001 - same module
    _OPEN.clear()


os.register_at_fork(after_in_child=_forget_in_child)

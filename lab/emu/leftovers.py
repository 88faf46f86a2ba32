"""What runs have left on this machine, though by construction nothing is left: found by a run's name alone.

Every process of a namespace has the run and its maker in its environment, so a process that carries a run
whose maker is gone is left over. Nothing is judged by a program's name, and a run that goes on is never
touched; nor is one of which that cannot be told, since its maker is in another process namespace.

What else a run may leave is found by a function of its own in :data:`FINDERS`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.emu.outer.maker import MAKER_VARIABLE, MakerState, maker_number, maker_state
from lab.emu.outer.namespace import RUN_VARIABLE

_GRACE: Final = 10.0
"""Seconds in which what was removed has to be gone; processes cannot refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What there is of one run: ``things`` in words, of one ``kind`` (plural).

    ``maker`` is the mark of the process that made the run. ``remove`` removes exactly these things and
    returns those, in words, that are still there.
    """

    run: str
    maker: str
    kind: str
    things: Sequence[str]
    remove: Callable[[], Sequence[str]]

    @property
    def state(self) -> MakerState:
        """Whether the run goes on; what is left over is that of a maker who is gone."""
        return maker_state(self.maker)

    @property
    def maker_number(self) -> int:
        """The maker's process number, 0 if unknown."""
        return maker_number(self.maker)


Finder = Callable[[], Iterable[Leftover]]
"""Yields what there is of one kind, of every run: of those that go on as well."""


def find_leftovers() -> list[Leftover]:
    """Return what there is of runs on this machine, as far as this user can see it."""
    return [found for finder in FINDERS for found in finder()]


# Processes


@dataclass(frozen=True, slots=True)
class _Process:
    number: int
    name: str

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def _processes() -> Iterator[Leftover]:
    """Yield the processes of each run, but for those that led here: a shell inside may have started this."""
    own = set(_ancestors(os.getpid()))
    runs: dict[tuple[str, str], list[_Process]] = {}
    for number in _numbers():
        variables = _environment(number)
        if RUN_VARIABLE in variables and number not in own:
            key = variables[RUN_VARIABLE], variables.get(MAKER_VARIABLE, "")
            runs.setdefault(key, []).append(_Process(number, _name(number)))
    for (run, maker), processes in runs.items():
        yield Leftover(
            run=run,
            maker=maker,
            kind="processes",
            things=[str(process) for process in processes],
            remove=lambda run=run, processes=processes: _kill(run, processes),  # type: ignore[misc]
        )


def _kill(run: str, processes: Sequence[_Process]) -> list[str]:
    """Kill processes of a run and wait; return those that are still there.

    A handle is opened first, and then it is looked whose it is: numbers are used again.
    """
    handles: dict[int, _Process] = {}
    remaining = []
    with contextlib.ExitStack() as stack:
        for process in processes:
            try:
                handle = os.pidfd_open(process.number)
            except ProcessLookupError:
                continue
            stack.callback(os.close, handle)
            if _environment(process.number).get(RUN_VARIABLE) != run:
                continue
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                continue
            except PermissionError:
                remaining.append(f"{process}: not this user's to end")
            else:
                handles[handle] = process
        ended = _wait_for(list(handles))
    return remaining + [f"{process} has not ended" for at, process in handles.items() if at not in ended]


def _wait_for(handles: Sequence[int]) -> set[int]:
    """Return which of these processes have ended, as soon as all have, or in as long as that may take."""
    poll, ended = select.poll(), set[int]()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    while len(ended) < len(handles) and (ready := poll.poll(_GRACE * 1e3)):
        for handle, _ in ready:
            poll.unregister(handle)
            ended.add(handle)
    return ended


def _numbers() -> list[int]:
    return sorted(int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit())


def _environment(process: int) -> Mapping[str, str]:
    """Return the variables that a process was started with; none where there is none, or it is another's."""
    try:
        content = Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition("=") for entry in content.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs}


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "(ended)"


def _ancestors(process: int) -> Iterator[int]:
    """Yield a process and those that started it."""
    while process > 0:
        yield process
        try:
            fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return
        process = int(fields.rpartition(")")[2].split()[1])


def _containers() -> Iterator[Leftover]:
    from lab.emu.containers.leftovers import left_containers  # noqa: PLC0415 - it imports this, and an SDK

    yield from left_containers()


def _log_directories() -> Iterator[Leftover]:
    from lab.emu.log_directories import log_directories  # noqa: PLC0415 - it imports this

    yield from log_directories()


FINDERS: Final[list[Finder]] = [_processes, _containers, _log_directories]

"""`LiveLab`: the lab for blocking code. Each method does one thing, and returns when it is done."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lab.errors import Problem, ProgramFailed, UsageError, did_you_mean
from lab.handle import Duration, Lab
from lab.live.kernel import KernelWorld
from lab.live.programs import Finished, LiveProcess, LiveTask
from lab.live.spec import LabSpec
from lab.live.virtual import VirtualWorld
from lab.live.world import LiveWorld
from lab.measure.calls import CallRecord
from lab.measure.trace import PacketTrace
from lab.run.certification import certify_boxes
from lab.run.program_choice import require_programs
from lab.run.worlds import require_world
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import Event, EventType, JsonValue, PathClass
from lab.spec.network import Network, NodeKind
from lab.spec.roles import addresses_of, first_address
from lab.spec.trial import KERNEL
from lab.units import parse_duration

T = TypeVar("T")


class LiveHost:
    """A host of a running lab: where it is, and what the user runs on it."""

    def __init__(self, lab: LiveLab, name: str) -> None:
        self._lab = lab
        self.name = name

    @property
    def address(self) -> str:
        """Its first address, IPv4 where it has one."""
        return first_address(self._lab.network.nodes[self.name])

    @property
    def addresses(self) -> list[str]:
        """Its addresses, in the order of its links."""
        return addresses_of(self._lab.network.nodes[self.name])

    def start_async(self, program: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> LiveTask[T]:
        """Run a coroutine function on this host, in virtual time; it runs during later actions.

        Its sockets are the host's: ``loop.create_datagram_endpoint``, ``asyncio.open_connection`` and so on.
        """
        return self._lab._note_task(self._lab.world.start_task(self.name, program, arguments))  # noqa: SLF001

    def run_async(
        self, program: Callable[..., Coroutine[Any, Any, T]], *arguments: object, timeout: Duration = "10min"
    ) -> T:
        """Run a coroutine function on this host, in virtual time, to its end; return what it returned.

        Raises:
            ProgramFailed: it took longer than ``timeout``, and was stopped.
            Exception: what it raised.
        """
        task = self.start_async(program, *arguments)
        try:
            return task.result(timeout)
        finally:
            if task.is_running:
                task.stop()

    def start(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        directory: str | os.PathLike[str] = "",
        environment: Mapping[str, str] | None = None,
    ) -> LiveProcess:
        """Start a program of this machine on this host, in the kernel world. It ends with the lab.

        Args:
            command: the program, found by PATH, and its arguments.
            directory: where it runs; the current one.
            environment: variables beside those of this process.

        Raises:
            UsageError: there is no such program, or the lab is in virtual time.
        """
        words = [os.fspath(word) for word in command]
        if not words or isinstance(command, str):
            raise UsageError(Problem("", f"{command!r} is no command line", 'a list such as ["ping", "bob"]'))
        started = self._lab.world.start_process(
            self.name, words, directory=os.fspath(directory or Path.cwd()), environment=environment or {}
        )
        self._lab.processes.append(started)
        return started

    def run(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        timeout: Duration = "1min",
        check: bool = True,
        directory: str | os.PathLike[str] = "",
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a program of this machine on this host to its end; one that takes longer is stopped.

        Raises:
            ProgramFailed: it took longer; or ``check``, and it ended with another status than 0.
            UsageError: as :meth:`start`.
        """
        process = self.start(command, directory=directory, environment=environment)
        try:
            finished = process.wait(timeout)
        except ProgramFailed:
            process.stop()
            raise
        if check and finished.exit_code:
            printed = finished.output.strip() or "nothing"
            raise ProgramFailed(f"{process.name}: ended with {finished.exit_code}; it printed\n{printed}")
        return finished


class LiveLab:
    """A running network for code that blocks. Make one with :func:`open_lab`; a context manager.

    Names are the topology's; a name that does not exist is a UsageError with a suggestion. Durations are
    text with a unit, as everywhere.
    """

    def __init__(self, spec: LabSpec, network: Network, world: LiveWorld[Any]) -> None:
        self.spec = spec
        self.network = network
        self.world = world
        self.tasks: list[LiveTask[Any]] = []
        """Coroutines that were started on hosts."""
        self.processes: list[LiveProcess] = []
        """Programs that were started on hosts."""

    def close(self) -> None:
        """End the network, and whatever runs on it."""
        self.world.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Say what it is, as in the message of a test that fails."""
        return f"<LiveLab {self.network.name} {self.spec.place}>"

    def _note_task(self, task: LiveTask[T]) -> LiveTask[T]:
        self.tasks.append(task)
        return task

    # What there is

    @property
    def parameters(self) -> Mapping[str, JsonValue]:
        """The topology's parameters, as they were given."""
        return self.spec.parameters

    def host(self, name: str) -> LiveHost:
        """Return a host.

        Raises:
            UsageError: no host has that name.
        """
        hosts = [node.name for node in self.network.nodes.values() if node.kind is NodeKind.HOST]
        if name not in hosts:
            found = f"no host {name!r} in {self.network.name}"
            raise UsageError(Problem("", found, suggestion=did_you_mean(name, hosts)))
        return LiveHost(self, name)

    @property
    def events(self) -> list[Event]:
        """Everything that happened until now, by time."""
        return sorted(self.world.lab.events, key=lambda event: event.time)

    def events_of(self, type_: EventType | str, node: str = "") -> list[Event]:
        """Return the events of one type (``"nat.mapping_expired"``), of a node or of all."""
        wanted = EventType(type_)
        return [e for e in self.events if e.type is wanted and node in {"", e.node}]

    def trace(self) -> PacketTrace | None:
        """Return what every packet did; in virtual time, where packets are kept."""
        return self.world.trace()

    def capture(self, nodes: Collection[str] = ()) -> bytes:
        """Return what the interfaces of these nodes, or of all, saw until now as a pcapng file.

        Raises:
            UsageError: no packets are kept.
        """
        content = self.world.capture(nodes)
        if not content:
            found = f"{self.network.name} {self.spec.place} keeps no packets"
            raise UsageError(Problem("", found, "a lab that was opened with keeps_packets"))
        return content

    # Time

    @property
    def now(self) -> float:
        """Seconds since the network was built, on its own clock."""
        return self.do(_time_of)

    def do(self, action: Callable[[Lab], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function on the asynchronous handle, as a scripted scenario uses it."""
        return self.world.run(action)

    def sleep(self, duration: Duration) -> None:
        """Let time pass on the network's clock: in virtual time at once, in the kernel world really."""
        self.do(lambda lab: lab.sleep(duration))

    def wait_until(
        self, condition: Callable[[], bool], timeout: Duration = "10s", *, every: Duration = "50ms"
    ) -> bool:
        """Wait until a condition holds, looking at it now and then; return whether it came to."""
        pause, limit = parse_duration(every, "every"), parse_duration(timeout, "timeout")
        waited = 0.0
        while not condition():
            if waited >= limit:
                return False
            self.sleep(f"{pause}s")
            waited += max(pause, 0.001)
        return True

    # Calls

    def call(
        self,
        caller: str,
        callee: str,
        *,
        name: str = "",
        start_offset: Duration = "0s",
        policy: CandidatePolicy | None = None,
        callee_policy: CandidatePolicy | None = None,
        media: MediaPlan | None = None,
        hold: Duration = "0s",
        timeout: Duration = "2min",
    ) -> CallRecord:
        """Make a call between two of the lab's endpoints; see :meth:`lab.handle.Lab.call`."""
        return self.do(
            lambda lab: lab.call(
                caller, callee, name=name, start_offset=start_offset, policy=policy,
                callee_policy=callee_policy, media=media, hold=hold, timeout=timeout,
            )
        )  # fmt: skip

    def record(self, call: str) -> CallRecord:
        """Return what is known of a call now."""
        return self._soon(lambda lab: lab.record(call))

    def path(self, call: str = "call-1") -> PathClass:
        """Return the path that a call's media takes; of the first call, if none is named."""
        return self._soon(lambda lab: lab.path(call))

    def send_media(self, call: str, media: MediaPlan | None = None) -> CallRecord:
        """Send media both ways on an established call; return the call afterwards."""
        return self.do(lambda lab: lab.send_media(call, media or MediaPlan()))

    def hang_up(self, call: str) -> None:
        """End a call on both sides."""
        self.do(lambda lab: lab.hang_up(call))

    # Faults

    def impair(self, link: str, /, **options: object) -> None:
        """Impair a link from now on (``delay="20ms"``, ``loss="1%"`` ...); options not given are off."""
        self._soon(lambda lab: lab.impair(link, **options))

    def reset(self, link: str) -> None:
        """Give a link back the impairments of the topology."""
        self._soon(lambda lab: lab.reset(link))

    def cut(self, link: str) -> None:
        """Let nothing through a link, both ways."""
        self._soon(lambda lab: lab.cut(link))

    def heal(self, link: str) -> None:
        """Undo :meth:`cut`."""
        self._soon(lambda lab: lab.heal(link))

    def drop(self, link: str, /, **options: object) -> None:
        """Lose chosen packets on a link from now on; see :meth:`lab.handle.Lab.drop`."""
        self._soon(lambda lab: lab.drop(link, **options))

    def reboot_nat(self, name: str) -> None:
        """Power-cycle a NAT box: mappings, and whatever else it remembers, are lost."""
        self._soon(lambda lab: lab.reboot_nat(name))

    def flush_nat(self, name: str) -> None:
        """Empty the table of a NAT box."""
        self._soon(lambda lab: lab.flush_nat(name))

    def kill(self, node: str) -> None:
        """End the lab's program of a node at once, as SIGKILL does."""
        self._soon(lambda lab: lab.kill(node))

    def restart(self, node: str) -> None:
        """Start the lab's program of a node anew."""
        self._soon(lambda lab: lab.restart(node))

    def pause(self, node: str) -> None:
        """Stop the lab's program of a node, as SIGSTOP does."""
        self._soon(lambda lab: lab.pause(node))

    def resume(self, node: str) -> None:
        """Undo :meth:`pause`."""
        self._soon(lambda lab: lab.resume(node))

    def move(self, endpoint: str, to: str, *, gap: Duration = "0s") -> None:
        """Take an endpoint off the network it is on, and attach it by another of its links."""
        self.do(lambda lab: lab.move(endpoint, to, gap=gap))

    def _soon(self, act: Callable[[Lab], T]) -> T:
        """Do something that is over at once, and what is ready at that instant."""

        async def action(lab: Lab) -> T:
            result = act(lab)
            await asyncio.sleep(0)
            return result

        return self.do(action)


async def _time_of(lab: Lab) -> float:
    return lab.now


def open_lab(spec: LabSpec) -> LiveLab:
    """Probe the NAT boxes, build the network and start the lab's programs on it.

    Raises:
        UsageError: the topology cannot be built, or not in that world; so with a program.
        HostNotReady: this machine cannot run the kernel world, or a program is not installed or not ready.
        TrialInvalid: a NAT box is not what its model claims.
    """
    network = spec.network()
    require_programs(spec.bare_network, spec.playing, spec.world)
    _require_world(spec.world)
    _certify(network, spec.world, spec.plane)
    world: LiveWorld[Any] = (KernelWorld if spec.world == KERNEL else VirtualWorld)(spec, network)
    return LiveLab(spec, network, world)


_require_world = functools.cache(require_world)
"""Looked at once in a process: it takes half a second, and what was there does not go away."""

_certified: set[tuple[object, ...]] = set()
"""The boxes that were probed in this process, each with its world and plane."""


def _certify(network: Network, world: str, plane: str) -> None:
    """Probe the boxes of a network that were not probed before."""
    boxes = {
        (node.nat, len(node.external_addresses), world, plane)
        for node in network.nodes.values()
        if node.nat is not None
    }
    if boxes - _certified:
        certify_boxes([network], world=world, nat_plane=plane)
        _certified.update(boxes)

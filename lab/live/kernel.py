"""A network of this kernel that stays open: a loop in a thread has the handle, actions are handed to it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, Final, TypeVar

from lab.emu.lab import EmuLab, outer_namespace
from lab.emu.log_directories import make_log_directory
from lab.emu.run_clock import RunClockLoop, monotonic_now
from lab.errors import HostNotReady, TrialInvalid
from lab.live.programs import LiveProcess
from lab.live.spec import LabSpec
from lab.live.world import LiveWorld
from lab.spec.event import EventType
from lab.spec.network import Network

T = TypeVar("T")

_LONGEST_BUILD: Final = 120.0
"""Seconds that a network may take to be built, and its programs to be ready."""


class KernelWorld(LiveWorld[EmuLab]):
    """A network in an outer namespace, which ends with this process at the latest."""

    def __init__(self, spec: LabSpec, network: Network) -> None:
        self._spec, self._network = spec, network
        self._logs: Path | None = None
        self._count = 0
        self._stack = contextlib.ExitStack()
        self._outer, self._containers = self._stack.enter_context(outer_namespace(network))
        self._loop: RunClockLoop
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._be_the_loop, args=[monotonic_now(), started], name="callpath", daemon=True
        )
        self._thread.start()
        try:
            started.result()
            self._on_loop(self._open())
        except BaseException:
            self.close()
            raise

    def _be_the_loop(self, origin: float, started: Future[None]) -> None:
        self._loop = RunClockLoop(origin)  # here: its precision is this thread's
        self._origin = origin
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(started.set_result, None)
        self._loop.run_forever()
        self._loop.close()

    async def _open(self) -> None:
        spec = self._spec
        self.lab = EmuLab(
            self._network, spec.parameters, run_seed=spec.seed, trial_key=spec.trial.key, outer=self._outer,
            containers=self._containers,
        )  # fmt: skip
        self.lab.emit(EventType.TRIAL_STARTED, topology=self._network.name)
        try:
            async with asyncio.timeout(_LONGEST_BUILD):
                await self.lab.build(spec.plane, self._origin, capture=spec.keeps_packets)
        except TimeoutError:
            raise HostNotReady(f"the network was not built within {_LONGEST_BUILD:.0f} s") from None

    def _on_loop(self, action: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread; an interrupt of this one cancels it."""
        future = asyncio.run_coroutine_threadsafe(action, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise TrialInvalid("the lab is closed") from None
        except BaseException:
            future.cancel()
            raise

    def run(self, action: Callable[[EmuLab], Coroutine[Any, Any, T]]) -> T:
        """Do something with the lab and wait for it.

        Raises:
            CallpathError: what the action raised, or what the kernel could not do of what was asked before.
        """
        if not self._thread.is_alive():
            raise TrialInvalid("the lab is closed")
        return self._on_loop(self._before_the_deadline(action(self.lab)))

    async def _before_the_deadline(self, action: Coroutine[Any, Any, T]) -> T:
        deadline = self._spec.deadline
        try:
            async with asyncio.timeout_at(deadline) as limit:
                return await self.lab.carry_out(action)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TrialInvalid(f"the trial ran to its deadline of {deadline:g} s") from None

    def start_process(
        self, node: str, command: Sequence[str], *, directory: str, environment: Mapping[str, str]
    ) -> LiveProcess:
        """Run a program of this machine on a host.

        Raises:
            UsageError: there is no such program.
        """
        if self._logs is None:  # not before: a process that is killed removes nothing
            self._logs = make_log_directory(self._outer.run)
        self._count += 1
        log = self._logs / f"{self._count}-{node}-{Path(command[0]).name}.log"
        log.touch()

        async def start(lab: EmuLab) -> int:
            return await lab.start_program(
                node, command, directory=directory, environment=environment, output=str(log)
            )

        number = self.run(start)
        return LiveProcess(
            node,
            tuple(command),
            log=log,
            end=asyncio.run_coroutine_threadsafe(self.lab.program_end(number), self._loop),
            send_signal=lambda signal: self.run(lambda lab: lab.signal_program(number, signal)),
            pause=lambda seconds: self.run(lambda _lab: asyncio.sleep(seconds)),
        )

    def capture(self, nodes: Collection[str] = ()) -> bytes:
        """Return every packet that these nodes, or all, saw until now as pcapng; empty if none is kept."""
        return self.run(lambda lab: lab.capture(nodes))

    def outputs(self) -> Mapping[str, str]:
        """Return what the lab's own programs have printed, by node."""
        return self.run(lambda lab: lab.outputs())

    @property
    def pid(self) -> int:
        """The namespaces' first process, as this process sees it."""
        return self._outer.init_pid()

    def close(self) -> None:
        """End every process of the network, by ending the namespace."""
        if self._thread.is_alive():
            if hasattr(self, "lab"):
                self._on_loop(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._stack.close()
        if self._logs is not None:
            shutil.rmtree(self._logs, ignore_errors=True)

    async def _close(self) -> None:
        await self.lab.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)  # so that who waits for one in another thread hears of its end

"""Virtual time: an asyncio event loop whose clock jumps to the next event.

One agenda (:mod:`lab.sim.agenda`) holds everything that will happen: asyncio timers, packets in flight, SimPy
events. Nothing waits: when no callback is ready, the clock is set to the time of the earliest entry. Order is
total (time, then order of scheduling), so a run is a function of its inputs.

The loop serves the asyncio API that well-behaved network programs use; sockets, servers and name resolution
are those of the *current host* (:mod:`lab.sim.host_calls`), a context variable that tasks and timers inherit.
What would leave the simulation (threads, signals, real file descriptors, subprocesses) is refused by
``NotImplementedError`` from :class:`asyncio.AbstractEventLoop`.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from asyncio import events
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeVar

from lab.errors import TrialInvalid
from lab.sim.agenda import Agenda
from lab.sim.current import host_of
from lab.sim.handles import VirtualHandle, VirtualTimer
from lab.sim.host_calls import HostCalls
from lab.sim.process import ProcessState, SimProcess, process_of

if TYPE_CHECKING:
    from lab.sim.host import SimHost

T = TypeVar("T")

_URGENT = -(1 << 62)
"""Added to the serial number of an urgent entry: it goes before all others of its instant, in order."""

_COMPACT_ABOVE = 512
"""Cancelled timers are swept out of the agenda once they are more than this and more than half of it."""

_FORGET_ABOVE = 4096
"""Tasks beyond which the dead ones are struck off the list, and then whenever it has doubled."""

_new = object.__new__


class DeadlineExceeded(TrialInvalid):
    """The trial wanted to run past its virtual deadline."""


class BudgetExceeded(TrialInvalid):
    """The trial used up its event budget: something in it grows without end."""


class Deadlock(TrialInvalid):
    """Nothing is scheduled any more, and what the trial waits for has not happened."""


class SerialTask(asyncio.Task[T]):
    """A task hashed by its serial number, so that the sets that ``asyncio.wait`` returns have one order."""

    __slots__ = ("_host", "_serial")

    _serial: int
    _host: SimHost | None

    @property
    def host(self) -> SimHost | None:
        """The host that it is a program of, None for the scenario's own."""
        return self._host

    @property
    def host_name(self) -> str:
        """The host that it is a program of, empty for the scenario's own."""
        return "" if self._host is None else self._host.name

    def __hash__(self) -> int:
        return self._serial


class SerialFuture(asyncio.Future[T]):
    """A future hashed by its serial number; see :class:`SerialTask`."""

    __slots__ = ("_serial",)

    _serial: int

    def __hash__(self) -> int:
        return self._serial


class VirtualLoop(HostCalls):
    """The clock of one trial.

    Args:
        deadline: virtual seconds at which a run is stopped with :class:`DeadlineExceeded`.
        event_budget: callbacks and network events after which it is stopped with :class:`BudgetExceeded`.
    """

    def __init__(self, *, deadline: float = float("inf"), event_budget: int = 1 << 62) -> None:
        self.now = 0.0
        """Virtual seconds since the trial began; only the loop sets it."""
        self._deadline = deadline
        self._event_budget = event_budget
        self._agenda = Agenda()
        self._at, self._instants = self._agenda.at, self._agenda.instants
        self._ready: deque[VirtualHandle | VirtualTimer] = deque()
        self._serial = 0
        self._object_serial = 0
        self._cancelled_timers = 0
        self._compact_above = _COMPACT_ABOVE
        """Cancelled timers beyond which the agenda is looked at: counting what it holds takes a while."""
        self._stopped = 0
        """How many processes are paused or dead."""
        self._tasks: list[weakref.ref[SerialTask[Any]]] = []
        """Every task of this loop: asyncio's own set has those of loops of earlier trials, too."""
        self._tasks_limit = _FORGET_ABOVE
        self._running = False
        self._stopping = False
        self._closed = False
        self.is_done = False
        """Whether the loop was closed and no task is unfinished; one whose process is dead is."""
        self._exception_handler: Callable[[Any, dict[str, Any]], object] | None = None
        self.unhandled: list[dict[str, Any]] = []
        """Contexts of exceptions nobody awaited; the trial reports them as ``role.failed``."""
        self.events_run = 0

    # Scheduling

    def time(self) -> float:
        """Return virtual seconds since the trial began."""
        return self.now

    def post(self, when: float, callback: Callable[[Any], object] | None, argument: Any) -> None:
        """Run ``callback(argument)`` at ``when``: the network's fast path, without context or cancelling.

        The argument is a timer where there is no callback.
        """
        self._serial = serial = self._serial + 1
        there = self._at.get(when)
        if there is not None:
            there.append((serial, callback, argument))
        else:
            self._at[when] = [(serial, callback, argument)]
            heappush(self._instants, when)

    def post_urgent(self, when: float, callback: Callable[[Any], object], argument: Any) -> None:
        """Like :meth:`post`, before everything else of that instant (SimPy's URGENT priority)."""
        self._serial += 1
        self._agenda.place(when, (self._serial + _URGENT, callback, argument))

    def call_soon(  # type: ignore[override]  # any callable: typeshed ties its arguments to *args
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Schedule ``callback`` for this instant, after what is ready already."""
        handle = _new(VirtualHandle)
        handle._context = copy_context() if context is None else context  # noqa: SLF001 - here and below: ours
        handle._loop = self  # noqa: SLF001
        handle._callback = callback  # noqa: SLF001
        handle._args = args  # noqa: SLF001
        handle._cancelled = False  # noqa: SLF001
        if self._stopped and self._hold(handle):
            return handle
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule ``callback`` in ``delay`` virtual seconds."""
        return self._set_timer(self.now + delay, callback, args, context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule ``callback`` at virtual time ``when``; a time in the past means now."""
        return self._set_timer(when, callback, args, context)

    def _set_timer(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> VirtualTimer:
        timer = _new(VirtualTimer)
        timer._context = copy_context() if context is None else context  # noqa: SLF001 - here and below: ours
        timer._loop = self  # noqa: SLF001
        timer._callback = callback  # noqa: SLF001
        timer._args = args  # noqa: SLF001
        timer._cancelled = False  # noqa: SLF001
        timer._when = when  # noqa: SLF001
        timer._scheduled = True  # noqa: SLF001
        if when < self.now:  # noqa: PLR1730 - max() is a call, for every timer
            when = self.now
        self.post(when, None, timer)
        return timer

    def timer_cancelled(self) -> None:
        """Count a cancelled timer, and sweep when they crowd the agenda."""
        self._cancelled_timers += 1
        if self._cancelled_timers > self._compact_above:
            self._compact()

    def _compact(self) -> None:
        half = len(self._agenda) // 2
        if self._cancelled_timers > half:
            self._agenda.take_timers(_is_cancelled)
            half = self._cancelled_timers = 0
        self._compact_above = max(_COMPACT_ABOVE, half)

    # Processes

    def stop_process(self, process: SimProcess, state: ProcessState) -> None:
        """Take off the clock what a process would do; it is held, or dropped where the process is dead."""
        if not process.is_stopped:
            self._stopped += 1
        process.enter(state)
        ready = list(self._ready)
        self._ready.clear()
        self._ready.extend(handle for handle in ready if not self._hold(handle))
        for when, order, timer in self._agenda.take_timers(partial(_is_timer_of, process)):
            timer._scheduled = False  # noqa: SLF001 - ours
            process.timers.append((when, order, timer))
        if state is ProcessState.DEAD:
            for handle in (*process.ready, *(timer for *_, timer in process.timers)):
                handle.cancel()
            process.ready, process.timers = [], []

    def resume_process(self, process: SimProcess, arrived: Callable[[], object]) -> None:
        """Let a paused process go on: what was ready, then what ``arrived`` schedules, then timers, late.

        That is the order of asyncio's loop: its selector's events come before timers that are due.
        """
        self._stopped -= 1
        process.enter(ProcessState.RUNNING)
        self._ready.extend(process.ready)
        arrived()
        for when, order, timer in sorted(process.timers, key=lambda entry: entry[:2]):
            if when < self.now:
                self._ready.append(timer)
            elif not timer.cancelled():  # what is not late yet goes back to its place
                timer._scheduled = True  # noqa: SLF001 - ours
                self._agenda.place(when, (order, None, timer))
        process.ready, process.timers = [], []

    def _hold(self, handle: VirtualHandle | VirtualTimer) -> bool:
        """Keep back what a stopped process would run; return whether it was."""
        process = process_of(handle._context)  # noqa: SLF001 - as asyncio's own loop does
        if process is None or not process.is_stopped:
            return False
        if process.state is ProcessState.DEAD:
            handle.cancel()
        else:
            process.ready.append(handle)
        return True

    # Running

    def run_until_complete(
        self, future: Awaitable[T] | Generator[Any, None, T] | Coroutine[Any, Any, T]
    ) -> T:
        """Run until ``future`` is done and return its result.

        Raises:
            DeadlineExceeded: the next event lies past the deadline.
            BudgetExceeded: more events than budgeted.
            Deadlock: nothing is left to run.
        """
        task = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        task.add_done_callback(self._stop_running)
        try:
            self.run_forever()
        except TrialInvalid:
            task.remove_done_callback(self._stop_running)
            raise
        if not task.done():
            raise Deadlock(f"nothing is scheduled after {self.now:.3f} s and the trial is not done")
        return task.result()

    def _stop_running(self, _done: object) -> None:
        self._stopping = True

    def stop(self) -> None:
        """Stop at the end of the current callback."""
        self._stopping = True

    def run_forever(self) -> None:
        """Run until stopped, or until nothing is left to run."""
        if self._running or events._get_running_loop() is not None:  # noqa: SLF001 - no public name
            raise RuntimeError("an event loop is running already")
        self._running, self._stopping = True, False
        events._set_running_loop(self)  # noqa: SLF001 - the documented way to be a loop
        try:
            self._run()
        finally:
            self._running = False
            events._set_running_loop(None)  # noqa: SLF001

    def _run(self) -> None:
        """Run what is ready, then the agenda's first entry, and so on.

        Every event of a trial passes here, hence local names and no calls of our own.
        """
        ready, agenda, at, instants = self._ready, self._agenda, self._at, self._instants
        current, when = agenda.current, agenda.instant
        count, budget, deadline = self.events_run, self._event_budget, self._deadline
        try:
            while not self._stopping:
                if ready:
                    handle = ready.popleft()
                    if handle._cancelled:  # noqa: SLF001 - here and below as asyncio's own loop does
                        continue
                else:
                    if not current:
                        if not instants:
                            return
                        agenda.instant = when = heappop(instants)
                        agenda.current = current = at.pop(when)
                        current.reverse()
                    _, callback, handle = current.pop()
                    if callback is None:
                        handle._scheduled = False  # noqa: SLF001
                        if handle._cancelled:  # noqa: SLF001
                            self._cancelled_timers -= 1
                            continue
                    if when > deadline:
                        raise DeadlineExceeded(f"the trial ran to its virtual deadline of {deadline:g} s")
                    self.now = when
                    if callback is not None:
                        count += 1
                        if count > budget:
                            raise self._budget_exceeded()
                        callback(handle)
                        continue
                count += 1
                if count > budget:
                    raise self._budget_exceeded()
                try:
                    arguments = handle._args  # noqa: SLF001
                    if arguments:
                        handle._context.run(handle._callback, *arguments)  # noqa: SLF001
                    else:  # as for every step of a task: unpacking nothing costs as much as the call
                        handle._context.run(handle._callback)  # noqa: SLF001
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - the program's, whatever it is
                    self._report(handle, error)
        finally:
            self.events_run = count

    def _budget_exceeded(self) -> BudgetExceeded:
        used = f"the trial used its budget of {self._event_budget} events by {self.now:.3f} s"
        return BudgetExceeded(used)

    def _report(self, handle: asyncio.Handle, error: BaseException) -> None:
        self.call_exception_handler(
            {"message": f"Exception in callback {handle!r}", "exception": error, "handle": handle}
        )

    def is_running(self) -> bool:
        """Whether the loop runs now."""
        return self._running

    def is_closed(self) -> bool:
        """Whether the loop was closed and no task is unfinished; one whose process is dead is."""
        return self._closed

    def close(self) -> None:
        """Cancel every task still alive, let each finish, and forget what was scheduled."""
        self._deadline, self._event_budget = float("inf"), 1 << 62
        self._agenda.clear()
        for _ in range(8):  # a task may start another while it is being cancelled
            alive = [task for task in self.tasks() if not task.done()]
            if not alive:
                break
            for task in alive:
                task.cancel()
            self._drain_ready()
        self._ready.clear()
        self._agenda.clear()
        self._closed = True
        self._exception_handler = None
        left = self.tasks()
        for task in left:
            forget_cancellation(task)
        self.is_done = all(task.done() for task in left)
        self._tasks.clear()

    def _drain_ready(self) -> None:
        if self._running or not self._ready:
            return
        self._running = True
        events._set_running_loop(self)  # noqa: SLF001
        try:
            while self._ready:
                handle = self._ready.popleft()
                if handle._cancelled:  # noqa: SLF001 - here and below as asyncio's own loop does
                    continue
                try:
                    handle._context.run(handle._callback, *handle._args)  # noqa: SLF001
                except BaseException as error:  # noqa: BLE001 - the program's, whatever it is
                    self._report(handle, error)
        finally:
            self._running = False
            events._set_running_loop(None)  # noqa: SLF001

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: asynchronous generators are closed with their tasks."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Nothing to do: there is no executor."""

    # Futures and tasks

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        future: SerialFuture[Any] = SerialFuture(loop=self)
        self._object_serial += 1
        future._serial = self._object_serial  # noqa: SLF001 - ours
        return future

    def create_task(  # type: ignore[override]  # typeshed's signature differs between Python versions
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[T]:
        """Return a task of this loop."""
        self._object_serial += 1
        task: SerialTask[T] = SerialTask.__new__(SerialTask)
        # Before Task.__init__, which adds the task to asyncio's set of all tasks, and so hashes it.
        task._serial = self._object_serial  # noqa: SLF001 - here and below: ours
        task._host = host_of(context)  # noqa: SLF001
        task.__init__(coro, loop=self, context=context, name=name)  # type: ignore[misc]
        self._tasks.append(weakref.ref(task))
        if len(self._tasks) > self._tasks_limit:
            self._tasks = [weakref.ref(known) for known in self.tasks()]
            self._tasks_limit = max(_FORGET_ABOVE, 2 * len(self._tasks))
        return task

    def tasks(self) -> list[SerialTask[Any]]:
        """Return the tasks of this loop that exist still, oldest first."""
        return [task for reference in self._tasks if (task := reference()) is not None]

    # Errors

    get_debug = staticmethod(bool)
    """Debug mode is off: it would read the wall clock. Every future asks: a built-in says no at once."""

    def set_debug(self, enabled: bool) -> None:
        """Do nothing: see :meth:`get_debug`."""

    def set_exception_handler(self, handler: Callable[[Any, dict[str, Any]], object] | None) -> None:
        """Set who hears of exceptions that nobody awaits."""
        self._exception_handler = handler

    def get_exception_handler(self) -> Callable[[Any, dict[str, Any]], object] | None:
        """Return the handler set before, if any."""
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the context in :attr:`unhandled`."""
        self.unhandled.append(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an exception that nobody awaits."""
        if self._exception_handler is None:
            self.default_exception_handler(context)
        else:
            self._exception_handler(self, context)


def forget_cancellation(task: asyncio.Future[Any]) -> None:
    """Let go of where a task was when it was cancelled; awaiting it raises CancelledError all the same.

    The traceback holds the frames of its program, and these, often enough, the task: memory that only the
    garbage collector would find.
    """
    if task.cancelled():
        task._make_cancelled_error()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio's way to take the error out


def _is_timer_of(process: SimProcess, timer: VirtualTimer) -> bool:
    return process_of(timer._context) is process  # noqa: SLF001 - as asyncio's own loop does


def _is_cancelled(timer: VirtualTimer) -> bool:
    return timer._cancelled  # noqa: SLF001 - as asyncio's own loop does

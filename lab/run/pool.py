"""Trials over processes: results come as they are done, an interrupt keeps those that came."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from threading import Thread
from typing import Final

from lab.errors import HostNotReady
from lab.results.stored_events import EventsPlace
from lab.run.trial import TrialResult, read_trial, run_trial
from lab.sim.garbage import collect_garbage_rarely, rare_garbage_collection
from lab.spec.expectation import Request
from lab.spec.trial import VIRTUAL_TIME, Trial

_BATCH: Final = 8
"""Trials a message to a worker: one takes a few milliseconds, a message nearly one."""

_NOTHING: Final[Mapping[int, EventsPlace]] = {}

_Member = tuple[Trial, EventsPlace | None]
"""A trial, and where its events are if it was run before."""

_QUEUED_PER_WORKER: Final = 3
"""Batches in flight a worker: enough that none waits, few enough that an interrupt stops soon."""


def run_trials(
    trials: Sequence[Trial],
    *,
    jobs: int = 0,
    requests: Sequence[Request] = (),
    stored: Mapping[int, EventsPlace] = _NOTHING,
) -> Iterator[tuple[int, TrialResult]]:
    """Yield (position in ``trials``, result), in order of completion.

    Args:
        trials: what to run; each is a pure function of itself, so the order does not matter.
        jobs: processes; 0 is one a core, 1 runs in this process.
        requests: the metrics to measure in each.
        stored: by position, where the events of trials are that need not be run again: they are measured
            from them, and their results hold no events.

    Raises:
        UsageError: a trial cannot be run, or stored events are damaged.
        HostNotReady: a process was killed, as the kernel does where memory runs out.
    """
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or len(trials) <= 1:
        with rare_garbage_collection():
            for position, trial in enumerate(trials):
                yield position, _result((trial, stored.get(position)), requests)
        return
    executor = ProcessPoolExecutor(max_workers=min(jobs, len(trials)), initializer=_begin_worker)
    try:
        yield from _feed(executor, trials, jobs, requests, stored)
    except BrokenProcessPool:
        raise HostNotReady(
            "a process that ran trials was killed (is memory short?); what was written before is kept\n"
            "  fewer processes need less memory: --jobs 1"
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _feed(
    executor: Executor,
    trials: Sequence[Trial],
    jobs: int,
    requests: Sequence[Request],
    stored: Mapping[int, EventsPlace],
) -> Iterator[tuple[int, TrialResult]]:
    size = _BATCH if trials[0].world == VIRTUAL_TIME else 1  # in real time a trial takes seconds
    batches = iter([range(start, min(start + size, len(trials))) for start in range(0, len(trials), size)])
    running: dict[Future[list[TrialResult]], range] = {}
    while True:
        for batch in batches:
            members = [(trials[position], stored.get(position)) for position in batch]
            running[executor.submit(_run_batch, members, requests)] = batch
            if len(running) >= jobs * _QUEUED_PER_WORKER:
                break
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield from zip(running.pop(future), future.result(), strict=True)


def _run_batch(members: Sequence[_Member], requests: Sequence[Request]) -> list[TrialResult]:
    return [_result(member, requests) for member in members]


def _result(member: _Member, requests: Sequence[Request]) -> TrialResult:
    trial, place = member
    return run_trial(trial, requests=requests) if place is None else read_trial(trial, place, requests)


def _begin_worker() -> None:
    """Leave interrupts to the parent, collect garbage rarely, and end with the parent, however it ends."""
    collect_garbage_rarely()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end: one that was killed tells its workers nothing, and they would wait on."""
    parent = parent_process()
    assert parent is not None, "only workers call this"
    parent.join()
    os._exit(1)

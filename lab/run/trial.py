"""Run one trial: a pure function from a frozen description to events. It reads and writes nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from lab.errors import CallpathError, UsageError
from lab.handle import Lab
from lab.measure.calls import CallRecord, calls_of
from lab.measure.metrics import Sample, measure
from lab.run.outline import Scenario
from lab.run.plan import load_scenario
from lab.run.possible import possible_reach
from lab.run.scripted import problem_in_file
from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.event import Event
from lab.spec.expectation import Request
from lab.spec.find import load_topology
from lab.spec.trial import Trial


@lru_cache(maxsize=8)
def _load_scenario(path: Path, _modified: int) -> Scenario:
    """Load once for all trials of a file; a file that changed, or another of that name, is another one."""
    return load_scenario(path)


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a trial gave.

    Its events as JSON lines, the calls in them, and why it is invalid ("" if it is not).
    """

    trial: Trial
    events: str
    calls: Sequence[CallRecord]
    invalid: str = ""
    pcapng: bytes = b""
    samples: Mapping[Request, Sequence[Sample]] = field(default_factory=dict)
    """Of each metric that was asked for; see :mod:`lab.measure.metrics`."""


def run_trial(trial: Trial, capture: Capture | None = None, requests: Sequence[Request] = ()) -> TrialResult:
    """Run a trial in virtual time.

    Args:
        trial: what to run.
        capture: hears of every packet, where given; a trial that asks for a capture otherwise gets its own.
        requests: the metrics to measure. They do not change what happens, so they are no part of the trial.

    Raises:
        UsageError: the topology or the scenario cannot be used.
    """
    network = load_topology(trial.topology, trial.parameters)
    if capture is None and trial.capture:
        capture = Capture(network)
    path = Path(trial.scenario).resolve()
    scenario = _load_scenario(path, path.stat().st_mtime_ns)
    events, invalid = simulate(
        network,
        _told_by_line(scenario, trial.scenario),
        trial.cell,
        run_seed=trial.run_seed,
        trial_key=trial.key,
        deadline=trial.deadline,
        event_budget=trial.event_budget,
        capture=capture,
    )
    return TrialResult(
        trial=trial,
        events=_as_lines(events, trial.key),
        calls=calls_of(events),
        invalid=invalid,
        pcapng=capture.to_pcapng() if capture is not None and trial.capture else b"",
        samples=measure(events, requests, partial(possible_reach, trial)),
    )


def _told_by_line(scenario: Scenario, path: str) -> Scenario:
    """Return the scenario with whatever it raises told by its own file and line."""

    async def guarded(lab: Lab) -> None:
        try:
            await scenario(lab)
        except CallpathError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(problem_in_file(Path(path), error)) from error

    return guarded


def _as_lines(events: Sequence[Event], key: str) -> str:
    return "".join(event.to_json(key) + "\n" for event in events)

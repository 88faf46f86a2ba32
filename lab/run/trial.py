"""Run one trial: a function from a frozen description to events. In virtual time it is a pure one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from lab.errors import CallpathError, Problem, UsageError
from lab.handle import Lab
from lab.measure.calls import CallRecord, calls_of
from lab.measure.metrics import Sample, measure
from lab.measure.trial_end import stalled_before, why_invalid
from lab.results.stored_events import EventsPlace
from lab.run.outline import Scenario
from lab.run.plan import load_scenario
from lab.run.possible import possible_reach
from lab.run.scripted import problem_in_file
from lab.run.worlds import play_trial
from lab.sim.capture import Capture
from lab.spec.event import Event
from lab.spec.expectation import Request
from lab.spec.find import kept_file, load_topology
from lab.spec.trial import VIRTUAL_TIME, Trial


@lru_cache(maxsize=8)
def _load_scenario(path: Path, _modified: int, *, is_copy: bool) -> Scenario:
    """Load once for all trials of a file; a file that changed, or another of that name, is another one."""
    return load_scenario(path, is_copy=is_copy)


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a trial gave.

    Its events as JSON lines, the calls in them, and why it is invalid ("" if it is not). ``repeated`` says
    why it was run before in vain, once for each time. ``seconds`` is how long it lasted, on its own clock.
    """

    trial: Trial
    events: str
    calls: Sequence[CallRecord]
    invalid: str = ""
    repeated: Sequence[str] = ()
    seconds: float = 0.0
    pcapng: bytes = b""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """What each node's program printed, by node; programs are processes in the kernel world alone."""
    samples: Mapping[Request, Sequence[Sample]] = field(default_factory=dict)
    """Of each metric that was asked for; see :mod:`lab.measure.metrics`."""


def run_trial(trial: Trial, capture: Capture | None = None, requests: Sequence[Request] = ()) -> TrialResult:
    """Run a trial in its world.

    Args:
        trial: what to run.
        capture: hears of every packet, where given; a trial that asks for a capture otherwise gets its own.
        requests: the metrics to measure. They do not change what happens, so they are no part of the trial.

    Raises:
        UsageError: the topology or the scenario cannot be used, or not in that world.
        HostNotReady: this machine cannot run the kernel world.
    """
    network = load_topology(trial.topology, trial.parameters, trial.inputs)
    if capture is None and trial.capture and trial.world == VIRTUAL_TIME:
        capture = Capture(network)
    path = scenario_file(trial).resolve()
    scenario = _load_scenario(path, path.stat().st_mtime_ns, is_copy=bool(trial.inputs))
    played = play_trial(trial, network, _told_by_line(scenario, trial.scenario, path), capture)
    return replace(
        measured(trial, played.events, requests),
        events=_as_lines(played.events, trial.key),
        outputs=played.outputs,
        pcapng=capture.to_pcapng() if capture is not None and trial.capture else played.pcapng,
    )


def measured(trial: Trial, events: Sequence[Event], requests: Sequence[Request] = ()) -> TrialResult:
    """Return what the events of a trial come to, just emitted or read back; the events as text are left out.

    Raises:
        ValueError: they are not those of a finished trial.
    """
    return TrialResult(
        trial=trial,
        events="",
        calls=calls_of(events),
        invalid=why_invalid(events),
        repeated=stalled_before(events),
        seconds=events[-1].time,
        samples=measure(events, requests, partial(possible_reach, trial)),
    )


def read_trial(trial: Trial, place: EventsPlace, requests: Sequence[Request] = ()) -> TrialResult:
    """Return what a trial came to that is stored: equal to what it came to when it was run, without its text.

    Raises:
        UsageError: its events cannot be read, or are damaged.
    """
    lines = place.read().split("\n")
    try:
        return measured(trial, [Event.from_json(line)[1] for line in lines if line], requests)
    except (ValueError, KeyError, TypeError) as error:
        found = f"trial {trial.key} is damaged: {type(error).__name__}: {error}"
        raise UsageError(Problem(str(place.path), found)) from None


def scenario_file(trial: Trial) -> Path:
    """Return the file that says what happens in a trial: the run's copy, where there is one."""
    path = Path(trial.scenario)
    return kept_file(trial.inputs, "scenarios", trial.scenario, path.suffix) if trial.inputs else path


def _told_by_line(scenario: Scenario, path: str, copy: Path) -> Scenario:
    """Return the scenario with whatever it raises told by its own file and line, also where a copy is run."""

    async def guarded(lab: Lab) -> None:
        try:
            await scenario(lab)
        except CallpathError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(problem_in_file(Path(path), error, copy)) from error

    return guarded


def _as_lines(events: Sequence[Event], key: str) -> str:
    return "".join(event.to_json(key) + "\n" for event in events)

"""Run a stored trial again, exactly, and listen to every packet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import Problem, TrialInvalid, UsageError, did_you_mean
from lab.measure.divergence import first_divergence
from lab.measure.divergence_text import divergence_text
from lab.measure.trace import PacketTrace
from lab.results.stored_run import StoredRun, StoredTrial
from lab.run.packet_trace import TraceRecorder, trace_of
from lab.run.plan import find_scenario
from lab.run.plan_record import stored_trial
from lab.run.trial import TrialResult, run_trial
from lab.sim.capture import Capture
from lab.spec.event import Event
from lab.spec.find import load_topology
from lab.spec.network import Network
from lab.spec.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A trial run again: what it gave, its events, and the story of its packets.

    Without ``has_packets`` nobody has kept them: the trial was run on the kernel, and not captured.
    """

    result: TrialResult
    events: tuple[Event, ...]
    trace: PacketTrace
    has_packets: bool = True


def trace_trial(trial: Trial, *, capture: bool = False, nodes: Collection[str] = ()) -> Replay:
    """Run a trial and return what its packets did.

    Args:
        trial: what to run.
        capture: whether the result has the packets as pcapng, too.
        nodes: whose interfaces are in that; those of all, if none is named.

    Raises:
        UsageError: the topology or the scenario cannot be used.
    """
    network = load_topology(trial.topology, trial.parameters, trial.inputs)
    _check_nodes(network, nodes)
    copy = Capture(network) if capture else None
    recorder = TraceRecorder(copy)
    result = run_trial(replace(trial, capture=False), recorder)
    if copy is not None:
        result = replace(result, pcapng=copy.to_pcapng(nodes))
    events = tuple(Event.from_json(line)[1] for line in result.events.splitlines())
    return Replay(result=result, events=events, trace=trace_of(network, recorder, events))


def _check_nodes(network: Network, nodes: Iterable[str]) -> None:
    unknown = [name for name in nodes if name not in network.nodes]
    if unknown:
        raise UsageError(*[
            Problem(name, f"{network.name} has no such node", suggestion=did_you_mean(name, network.nodes))
            for name in unknown
        ])  # fmt: skip


def replay_stored(
    run: StoredRun, stored: StoredTrial, *, capture: bool = False, nodes: Collection[str] = ()
) -> Replay:
    """Run a stored trial again, and make sure that it is the same run; further arguments as for trace_trial.

    Raises:
        UsageError: it was never finished, or its scenario or topology is gone.
        TrialInvalid: the events differ from the stored ones; names the first that does.
    """
    events = run.events_of(stored)
    trial = _as_trial(run, stored)
    if trial.key != stored.key:
        where = str(run.path / "manifest.json")
        raise UsageError(Problem(where, f"trial {stored.key} is described as {trial.key}: edited by hand?"))
    replay = trace_trial(trial, capture=capture, nodes=nodes)
    if replay.result.events != events:
        raise TrialInvalid(_difference(stored, events, replay.result.events))
    return replay


def _as_trial(run: StoredRun, stored: StoredTrial) -> Trial:
    trial = replace(stored_trial(run, stored), capture=False)
    if run.inputs or Path(run.scenario).is_file():
        return trial
    return replace(trial, scenario=str(find_scenario(Path(run.scenario).stem)))


def _difference(stored: StoredTrial, before: str, now: str) -> str:
    apart = first_divergence(before.splitlines(), now.splitlines())
    told = divergence_text(apart, right="replayed") if apart else "only line ends differ"
    return (
        f"trial {stored.key} run again is not what was stored: callpath, the scenario or the topology\n"
        "changed since, or one of them depends on more than the seed\n"
        f"  {told.replace(chr(10), chr(10) + '  ')}"
    )

"""Run a stored trial again, exactly, and listen to every packet."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import Problem, TrialInvalid, UsageError
from lab.measure.trace import PacketDrop, PacketKind, PacketStep, PacketTrace
from lab.results.stored_run import StoredRun, StoredTrial
from lab.run.packet_words import PacketWords, words_of
from lab.run.plan import find_scenario
from lab.run.trial import TrialResult, run_trial
from lab.sim.capture import Capture
from lab.spec.event import Event, EventType
from lab.spec.find import load_topology
from lab.spec.trial import Trial
from nat_models.packet import Packet, format_address


class TraceRecorder(Capture):
    """A capture that also keeps each packet in words, and each drop as what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[PacketStep] = []
        self.drops: list[PacketDrop] = []
        self._words: dict[int, tuple[Packet, PacketWords]] = {}

    def record(
        self, time: float, node: str, link: str, packet: Packet, *, outbound: bool, comment: str = ""
    ) -> None:
        """Note that an interface sent or got a packet."""
        content = self._words_of(packet)
        self.steps.append(
            PacketStep(
                time=time,
                node=node,
                link=link,
                outbound=outbound,
                packet_id=packet.packet_id,
                cause_id=packet.cause_id,
                source=format_address(packet.source),
                destination=format_address(packet.destination),
                kinds=content.kinds,
                words=content.words,
                exchange=content.exchange,
                is_check=content.is_check,
            )
        )

    def _words_of(self, packet: Packet) -> PacketWords:
        """Return the packet's words, made once for its whole way: boxes change addresses, seldom contents."""
        known = self._words.get(packet.packet_id)
        if known is None or known[0].payload is not packet.payload or known[0].fragment != packet.fragment:
            known = self._words[packet.packet_id] = packet, words_of(packet)
        return known[1]

    def record_drop(self, time: float, where: str, packet: Packet, reason: str) -> None:
        """Note where a packet ended; one that no interface saw is given a step at its sender."""
        if packet.packet_id not in self._words:
            self.record(time, where, "", packet, outbound=True)
        self.drops.append(PacketDrop(time=time, where=where, packet_id=packet.packet_id, reason=reason))


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A trial run again: what it gave, its events, and the story of its packets."""

    result: TrialResult
    events: tuple[Event, ...]
    trace: PacketTrace


def trace_trial(trial: Trial) -> Replay:
    """Run a trial and return what its packets did.

    Raises:
        UsageError: the topology or the scenario cannot be used.
    """
    network = load_topology(trial.topology, trial.parameters)
    recorder = TraceRecorder()
    result = run_trial(trial, recorder)
    events = tuple(Event.from_json(line)[1] for line in result.events.splitlines())
    seen = {step.packet_id for step in recorder.steps}
    steps = [*recorder.steps, *_steps_inside_hosts(events, seen)]
    drops = [*recorder.drops, *_drops_by_programs(events)]
    trace = PacketTrace(
        network=network,
        steps=sorted(steps, key=lambda step: step.time),
        drops=sorted(drops, key=lambda drop: drop.time),
    )
    return Replay(result=result, events=events, trace=trace)


def _steps_inside_hosts(events: Iterable[Event], seen: Container[int]) -> list[PacketStep]:
    """Return a step for what no interface saw: refused within its own host, or held by a box till then."""
    steps = []
    for event in _refusals(events):
        if event.cause_id not in seen:
            source, _, destination = str(event.data["packet"]).partition(" > ")
            steps.append(
                PacketStep(
                    time=event.time,
                    node=event.node,
                    link="",
                    outbound=True,
                    packet_id=event.cause_id,
                    cause_id=0,
                    source=source,
                    destination=destination,
                    kinds=(PacketKind.UDP,),
                    words="from the host to itself" if source else "held until then",
                )
            )
    return steps


def _refusals(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if event.type is EventType.PACKET_DROPPED and not event.packet_id)


def _drops_by_programs(events: Iterable[Event]) -> list[PacketDrop]:
    """Return what programs refused to relay: they took the packet, so the network knows no drop of it."""
    return [
        PacketDrop(
            time=event.time, where=event.node, packet_id=event.cause_id, reason=str(event.data["reason"])
        )
        for event in _refusals(events)
    ]


def replay_stored(run: StoredRun, stored: StoredTrial) -> Replay:
    """Run a stored trial again, and make sure that it is the same run.

    Raises:
        UsageError: it was never finished, or its scenario or topology is gone.
        TrialInvalid: the events differ from the stored ones; names the first that does.
    """
    events = run.events_of(stored)
    trial = _as_trial(run, stored)
    if trial.key != stored.key:
        where = str(run.path / "manifest.json")
        raise UsageError(Problem(where, f"trial {stored.key} is described as {trial.key}: edited by hand?"))
    replay = trace_trial(trial)
    if replay.result.events != events:
        raise TrialInvalid(_difference(stored, events, replay.result.events))
    return replay


def _as_trial(run: StoredRun, stored: StoredTrial) -> Trial:
    scenario = run.scenario
    if not Path(scenario).is_file():
        scenario = str(find_scenario(Path(scenario).stem))
    return Trial(
        scenario=scenario,
        topology=stored.topology,
        parameters=stored.parameters,
        settings=stored.settings,
        repeat=stored.repeat,
        run_seed=run.seed,
        deadline=stored.deadline,
        event_budget=stored.event_budget,
    )


def _difference(stored: StoredTrial, before: str, now: str) -> str:
    lines = before.splitlines(), now.splitlines()
    number = next(
        (n for n, (old, new) in enumerate(zip(*lines, strict=False)) if old != new), min(map(len, lines))
    )
    was, is_ = (at[number][:160] if number < len(at) else "(no more events)" for at in lines)
    return (
        f"trial {stored.key} run again is not what was stored: the scenario, the topology\n"
        "or callpath changed since\n"
        f"  first event that differs, line {number + 1}\n  stored:   {was}\n  replayed: {is_}"
    )

"""What the packets of a trial on the kernel did, from the capture that was taken while it ran."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from lab.emu.nat_planes.engine.datagram import parse_datagram_untrusted
from lab.errors import Problem, UsageError, WireFormatError
from lab.measure.trace import PacketDrop, PacketTrace
from lab.measure.unsaid_ends import unsaid_ends
from lab.protocols.pcapng_reading import read_capture_untrusted
from lab.results.stored_run import StoredRun, StoredTrial
from lab.run.packet_trace import TraceRecorder, trace_of
from lab.run.plan_record import stored_trial
from lab.run.replay import Replay
from lab.run.trial import read_trial
from lab.spec.event import Event
from lab.spec.find import load_topology
from lab.spec.network import Network, nat_boxes_of

_DROPPED: Final = re.compile(r"dropped at (?P<where>.+?)(?: at (?P<time>[\d.]+) s)?: (?P<reason>.*)")


def captured_trial(run: StoredRun, stored: StoredTrial) -> Replay:
    """Return a trial as it was, with the story of its packets.

    Raises:
        UsageError: it was not finished, or not captured, or what is stored of it is damaged.
    """
    events = _events_of(run, stored)
    file = _capture_file(run, stored)
    try:
        content = file.read_bytes()
    except OSError:
        found = f"the packets of trial {stored.key} were not captured"
        raise UsageError(Problem(str(run.path), found, "callpath run --world emu --capture all")) from None
    trial = replace(stored_trial(run, stored), capture=False)
    recorder = TraceRecorder()
    try:
        _record(content, recorder)
    except WireFormatError as error:
        raise UsageError(Problem(str(file), str(error))) from None
    place = run.place_of(stored)
    assert place is not None, "its events were read"
    network = load_topology(trial.topology, trial.parameters, trial.inputs)
    told_there = _who_tells_in_a_capture(network)
    trace = trace_of(network, recorder, [event for event in events if event.node not in told_there])
    drops = [*trace.drops, *unsaid_ends(trace)]
    trace = replace(trace, drops=sorted(drops, key=lambda drop: drop.time))
    return Replay(result=read_trial(trial, place), events=events, trace=trace)


def _who_tells_in_a_capture(network: Network) -> set[str]:
    """Return who loses packets of which the capture says that, and why: links by direction, and NAT boxes."""
    links = {f"{label} from {end}" for label, link in network.links.items() for end in (link.a, link.b)}
    return links | set(nat_boxes_of(network))


def has_capture(run: StoredRun, stored: StoredTrial) -> bool:
    """Whether the packets of a trial were captured."""
    return _capture_file(run, stored).is_file()


def uncaptured_trial(run: StoredRun, stored: StoredTrial) -> Replay:
    """Return a trial as it was, without its packets: nobody has kept them.

    Raises:
        UsageError: it was not finished, or what is stored of it is damaged.
    """
    events = _events_of(run, stored)
    trial = replace(stored_trial(run, stored), capture=False)
    network = load_topology(trial.topology, trial.parameters, trial.inputs)
    place = run.place_of(stored)
    assert place is not None, "its events were read"
    trace = PacketTrace(network=network, steps=(), drops=())
    return Replay(result=read_trial(trial, place), events=events, trace=trace, has_packets=False)


def _events_of(run: StoredRun, stored: StoredTrial) -> tuple[Event, ...]:
    return tuple(Event.from_json(line)[1] for line in run.events_of(stored).splitlines())


def _capture_file(run: StoredRun, stored: StoredTrial) -> Path:
    return run.path / "pcap" / f"{stored.position:06d}-{stored.key}.pcapng"


def _record(content: bytes, recorder: TraceRecorder) -> None:
    """Hand every record to a recorder, and what ended a packet.

    Raises:
        WireFormatError: it is no capture of the lab's.
    """
    for seen in read_capture_untrusted(content):
        try:
            packet = parse_datagram_untrusted(seen.data, seen.packet_id).packet
        except WireFormatError:
            continue  # a protocol that the lab has no words for
        node, _, link = seen.interface.partition(":")
        recorder.record(seen.time, node, link, packet, outbound=seen.outbound)
        for comment in seen.comments:
            if (match := _DROPPED.fullmatch(comment)) is not None:
                recorder.drops.append(
                    PacketDrop(
                        time=float(match["time"] or seen.time),
                        where=match["where"],
                        packet_id=seen.packet_id,
                        reason=match["reason"],
                    )
                )

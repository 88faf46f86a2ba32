"""What a lab leaves of itself for somebody who was not there: packets, events, output, in a directory."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import CallpathError
from lab.live.handle import LiveLab
from lab.report.ladder import ladder_of
from lab.report.ladder_text import DEFAULT_WIDTH, LEAST_SPACING, ladder_text
from lab.report.network_text import format_network
from lab.spec.event import Event, EventType

MOST_LOSSES: Final = 6
"""Different losses that are told: the latest."""

_TOLD: Final = {
    EventType.ROLE_FAILED: "failed",
    EventType.ICE_FAILED: "no path",
    EventType.ICE_CONSENT_LOST: "consent lost",
    EventType.TURN_REFUSED: "refused",
}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The files that were written, and in words what went wrong on the network."""

    title: str
    losses: Sequence[str]
    failures: Sequence[str]
    directory: Path
    files: Sequence[str]

    def text(self, root: Path) -> str:
        """Return it as lines for people; a place below ``root`` is told from there."""
        place = self.directory.relative_to(root) if self.directory.is_relative_to(root) else self.directory
        losses = [f"lost     {loss}" for loss in self.losses]
        return "\n".join(
            [self.title, *self.failures, *losses, f"kept in  {place}/", f"         {', '.join(self.files)}"]
        )


def write_evidence(lab: LiveLab, directory: Path, title: str = "") -> Evidence:
    """Write all that is known of a lab into a directory, which is made; return what to tell of it."""
    directory.mkdir(parents=True, exist_ok=True)
    events = lab.events
    files = [*_written(lab, directory, events, title)]
    last = f", last event at {events[-1].time:.3f} s" if events else ""
    return Evidence(
        title=f"{lab.network.name} {lab.spec.place}{last}",
        losses=losses_of(events),
        failures=failures_of(events),
        directory=directory,
        files=files,
    )


def _written(lab: LiveLab, directory: Path, events: Sequence[Event], title: str) -> Iterator[str]:
    """Write each file that there is something for; yield its name."""
    contents: list[tuple[str, Callable[[], str | bytes]]] = [
        ("ladder.txt", lambda: _ladder(lab, title)),
        ("capture.pcapng", lab.world.capture),
        ("events.jsonl", lambda: "".join(e.to_json(lab.spec.trial.key) + "\n" for e in events)),
        ("network.txt", lambda: format_network(lab.network) + "\n"),
    ]
    for number, (name, text) in enumerate(_outputs(lab), start=1):
        contents.append((f"output-{number}-{name}.log", functools.partial(str, text)))
    for name, make in contents:
        content = _made(make)
        if content:
            (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            yield name


def _made(make: Callable[[], str | bytes]) -> str | bytes:
    """Return a content; a lab that has ended may have less to tell, and what it has is to be kept."""
    try:
        return make()
    except CallpathError as error:
        return f"{error}\n"


def _outputs(lab: LiveLab) -> Iterator[tuple[str, str]]:
    for process in lab.processes:
        yield f"{process.node}-{Path(process.command[0]).name}", process.output
    with contextlib.suppress(CallpathError):  # it has ended
        for node, text in lab.world.outputs().items():
            yield f"{node}-{lab.network.nodes[node].role}", text


def _ladder(lab: LiveLab, title: str) -> str:
    trace = lab.trace()
    if trace is None:
        return ""
    ladder = ladder_of(trace, title or lab.network.name)
    return ladder_text(ladder, width=max(DEFAULT_WIDTH, LEAST_SPACING * (len(ladder.columns) + 2))) + "\n"


def losses_of(events: Iterable[Event], most: int = MOST_LOSSES) -> list[str]:
    """Return the latest different losses of packets, each with where, why, when and how often."""
    by_cause: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.type is EventType.PACKET_DROPPED:
            by_cause.setdefault((event.node, str(event.data["reason"])), []).append(event)
    latest = sorted(by_cause.items(), key=lambda item: item[1][-1].time)[-most:]
    return [_loss(node, reason, dropped) for (node, reason), dropped in latest]


def _loss(node: str, reason: str, dropped: Sequence[Event]) -> str:
    last = dropped[-1]
    how_often = f", {len(dropped)} times" if len(dropped) > 1 else ""
    packet = last.data.get("packet") or "a packet"
    return f"at {last.time:.3f} s{how_often} at {node}: {packet}: {reason}"


def failures_of(events: Iterable[Event]) -> list[str]:
    """Return what programs of the lab said went wrong."""
    told = [event for event in events if event.type in _TOLD]
    return [f"{_TOLD[event.type]:8} at {event.time:.3f} s on {event.node}: {_words(event)}" for event in told]


def _words(event: Event) -> str:
    return ", ".join(str(value) for value in event.data.values())

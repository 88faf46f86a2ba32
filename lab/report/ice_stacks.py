"""The page on ICE stacks beside each other: docs/ice-stacks.md, from stored runs of scenarios/ice_stacks.py.

What is kept of the runs is docs/ice-stacks.json (``tools/measure_ice_stacks.py``): a row a call. Where a
stack comes to another class than aioice on the same kernel, the page says why; a difference without a known
cause is told as one.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from lab.measure.calls import CallRecord
from lab.measure.predict import Reach
from lab.measure.predict.from_network import predict_call
from lab.spec.event import PathClass
from lab.spec.find import load_topology
from lab.spec.network import Network

TOPOLOGY: Final = "every_nat"


@dataclass(frozen=True, slots=True)
class StackCall:
    """One call: the NATs of both sides, the class of path, each side's selected pair, and the set-up time.

    A pair is written ``local>remote`` in types of candidates, empty where nothing was selected. ``changed``
    says whether a side selected another pair after its first. Times in seconds.
    """

    caller_nat: str
    callee_nat: str
    path: str
    caller_pair: str
    callee_pair: str
    setup_time: float | None
    changed: bool

    @property
    def is_one_way(self) -> bool:
        """Whether one side sends by a relay and the other does not."""
        return ("relay" in self.caller_pair) != ("relay" in self.callee_pair)


@dataclass(frozen=True, kw_only=True)
class StackRun:
    """The calls of one stack in one world."""

    stack: str
    version: str
    world: str
    calls: tuple[StackCall, ...]

    @property
    def title(self) -> str:
        """What the page calls it."""
        where = "in virtual time" if self.world == "sim" else "on Linux"
        return f"{self.stack} {self.version} {where}"

    def cell(self, caller_nat: str, callee_nat: str) -> list[StackCall]:
        """Return the calls between two NATs."""
        return [c for c in self.calls if (c.caller_nat, c.callee_nat) == (caller_nat, callee_nat)]


def stack_call(network: Network, record: CallRecord, pairs: Mapping[str, Sequence[str]]) -> StackCall:
    """Return one call of a run as the page keeps it.

    Args:
        network: the run's.
        record: the call's.
        pairs: by node, the pairs that it selected, in order.
    """
    caller, callee = record.call.split("-")
    selected = [pairs.get(node, ()) for node in (caller, callee)]
    return StackCall(
        caller_nat=_nat_of(network, caller),
        callee_nat=_nat_of(network, callee),
        path=record.path.value,
        caller_pair=selected[0][-1] if selected[0] else "",
        callee_pair=selected[1][-1] if selected[1] else "",
        setup_time=None if record.setup_time is None else round(record.setup_time, 3),
        changed=any(len(own) > 1 for own in selected),
    )


def _nat_of(network: Network, host: str) -> str:
    nat = network.nodes[f"{host}-nat"].nat
    assert nat is not None, "every home has a box"
    return nat.name


def as_json(runs: Iterable[StackRun]) -> str:
    """Return runs as they are stored: a line a call."""
    blocks = []
    for run in runs:
        head = json.dumps({"stack": run.stack, "version": run.version, "world": run.world})[:-1]
        rows = ",\n".join(f"  {json.dumps(list(asdict(call).values()))}" for call in run.calls)
        blocks.append(f'{head}, "calls": [\n{rows}\n ]}}')
    return "[\n" + ",\n".join(blocks) + "\n]\n"


def from_json(text: str) -> list[StackRun]:
    """Return the runs that :func:`as_json` stored."""
    runs: list[dict[str, Any]] = json.loads(text)
    return [StackRun(**{**run, "calls": tuple(StackCall(*row) for row in run["calls"])}) for run in runs]


# Classes


_LETTERS: Final = {
    PathClass.HOST: "H",
    PathClass.SERVER_REFLEXIVE: "S",
    PathClass.PEER_REFLEXIVE: "P",
    PathClass.RELAY: "R",
    PathClass.NONE: "-",
}


def letter(call: StackCall, possible: Reach) -> str:
    """Return the class of a call as a letter; a relay that was not needed has a mark."""
    path = PathClass(call.path)
    if path is not PathClass.RELAY or possible is not Reach.DIRECT:
        return _LETTERS[path]
    return "r*" if call.is_one_way else "R*"


def word(calls: Sequence[StackCall], possible: Reach) -> str:
    """Return what came of a cell: a letter, or each with how often it came."""
    counts = Counter(letter(call, possible) for call in calls)
    if len(counts) < 2:
        return next(iter(counts), "")
    return " ".join(f"{found}{count}" for found, count in sorted(counts.items()))


def possible_between(nats: Sequence[str]) -> dict[tuple[str, str], Reach]:
    """Return the best class of path between every two NATs, predicted from their models."""
    network = load_topology(TOPOLOGY, {"nats": ",".join(nats)})
    return {
        (own, other): predict_call(network, f"a{i}", f"b{j}").reach
        for i, own in enumerate(nats, start=1)
        for j, other in enumerate(nats, start=1)
    }


# Differences from aioice on the same kernel, and why


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a stack comes to another class than aioice: in words, and of which calls that is true.

    ``applies`` is asked with the stack's name, one of its calls, and aioice's calls between the same NATs.
    """

    why: str
    applies: Callable[[str, StackCall, Sequence[StackCall]], bool]


_NO_UDP: Final = "udp-blocked"
_REFLEXIVE: Final = {PathClass.SERVER_REFLEXIVE, PathClass.PEER_REFLEXIVE}


def _has_no_turn_but_udp(stack: str, call: StackCall, _: Sequence[StackCall]) -> bool:
    return stack == "libjuice" and _NO_UDP in {call.caller_nat, call.callee_nat} and not call.caller_pair


def _is_another_name(_stack: str, call: StackCall, others: Sequence[StackCall]) -> bool:
    return PathClass(call.path) in _REFLEXIVE and all(PathClass(other.path) in _REFLEXIVE for other in others)


def _relay_won_somewhere(_stack: str, call: StackCall, others: Sequence[StackCall]) -> bool:
    """Whether a direct path was found by one of the two stacks, and a relay used by one."""
    paths = [PathClass(one.path) for one in (call, *others)]
    return PathClass.RELAY in paths and any(path.is_direct for path in paths)


CAUSES: Final = (
    Cause(
        why="libjuice speaks TURN over UDP alone, so a home that no UDP leaves has no path.",
        applies=_has_no_turn_but_udp,
    ),
    Cause(
        why=(
            "The same path by another name: a check came before the candidate that it came from was "
            "signalled. aioice's candidates all come with the offer and the answer; these stacks send them "
            "one by one (RFC 8838), and a pair keeps the name under which it was found."
        ),
        applies=_is_another_name,
    ),
    Cause(
        why=(
            "A relay won the race, here or there, though a direct path is possible: a stack takes a pair "
            "that works before all have been tried, and which works first hangs on the moments at which both "
            "sides send, which a busy machine moves ([who starts first](start-offsets.md)). It is no "
            "property of the NATs, and comes out otherwise in another call."
        ),
        applies=_relay_won_somewhere,
    ),
)
"""In order; the first that applies is told."""

UNEXPLAINED: Final = "No known cause."


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A cell in which a stack came to something that aioice did not, and why."""

    caller_nat: str
    callee_nat: str
    own: str
    of_aioice: str
    why: str


def differences(
    run: StackRun, reference: StackRun, possible: Mapping[tuple[str, str], Reach]
) -> Iterator[Difference]:
    """Yield where a stack comes to another class than the reference, cell by cell."""
    for (caller, callee), reach in possible.items():
        own, others = run.cell(caller, callee), reference.cell(caller, callee)
        known = {letter(call, reach) for call in others}
        strange = [call for call in own if letter(call, reach) not in known]
        if strange and others:
            yield Difference(
                caller_nat=caller,
                callee_nat=callee,
                own=word(own, reach),
                of_aioice=word(others, reach),
                why=_why(run.stack, strange, others),
            )


def _why(stack: str, strange: Sequence[StackCall], others: Sequence[StackCall]) -> str:
    for cause in CAUSES:
        if all(cause.applies(stack, call, others) for call in strange):
            return cause.why
    return UNEXPLAINED


# The page


_INTRODUCTION: Final = """\
# ICE stacks beside each other

<!-- Generated by `make docs` from ice-stacks.json; a test runs part of it anew. -->

What three ICE stacks make of the same networks: aioice, which the lab's own endpoint is made of; libjuice, by
the adapter `node-datachannel`; and Chromium. Every kind of NAT calls every other
([`every_nat`](../topologies/every_nat.py)), on Linux with coturn as the relay, 10 ms from each home to the
internet and 5 ms to the servers. [`ice_stacks`](../scenarios/ice_stacks.py) is one trial: the programs are
started once.

<!-- not run: takes minutes; a test runs part of it -->
```console
$ callpath run ice_stacks --world emu --relay coturn --program endpoint=chromium
$ python tools/measure_ice_stacks.py results/...
```

Both sides begin their checks at the same moment ([who starts first](start-offsets.md) decides more than the
stack does), each call is held for three seconds, and what counts is the pair that is selected at its end.
libjuice and Chromium send their candidates one by one, as they do in the field; aioice cannot.
"""

_KEY: Final = """\
`H` host, `S` server-reflexive, `P` peer-reflexive, `R` relay where nothing else is possible, `R*` a relay on
both sides although a direct path is possible, `r*` on one side only, `-` no path. Rows are the caller's NAT,
columns the callee's, in the same order. Several letters with numbers: of so many calls.
"""


def ice_stacks_page(runs: Sequence[StackRun]) -> str:
    """Return the page in Markdown."""
    nats = list(dict.fromkeys(call.caller_nat for call in runs[0].calls))
    possible = possible_between(nats)
    reference = next(run for run in runs if run.stack == "aioice" and run.world == "emu")
    parts = [_INTRODUCTION, "## Which path was selected", "", _KEY, *_tables(runs, nats, possible)]
    parts += ["## Where a stack differs from aioice on Linux", ""]
    for run in runs:
        if run is not reference:
            parts += _differences_text(run, list(differences(run, reference, possible)))
    parts += ["## How long the set-up took", "", *_times(runs)]
    return "\n".join(parts)


def _tables(
    runs: Sequence[StackRun], nats: Sequence[str], possible: Mapping[tuple[str, str], Reach]
) -> Iterator[str]:
    reach = {Reach.DIRECT: "direct", Reach.RELAY: "relay", Reach.NONE: "-"}
    yield from _grid("Possible, by `callpath predict`", nats, lambda a, b: reach[possible[a, b]])
    for run in runs:
        found = {pair: word(run.cell(*pair), possible[pair]) for pair in possible}
        count = max(len(run.cell(*pair)) for pair in possible)
        title = f"{run.title}, {count} {'calls' if count > 1 else 'call'} a pair"
        yield from _grid(title, nats, lambda a, b, found=found: found[a, b])  # type: ignore[misc]


def _grid(title: str, nats: Sequence[str], value: Callable[[str, str], str]) -> list[str]:
    lines = [f"**{title}**", "", f"| | {' | '.join(str(n) for n in range(1, len(nats) + 1))} |"]
    lines.append("|---|" + "---|" * len(nats))
    for number, own in enumerate(nats, start=1):
        lines.append(f"| {number} {own} | " + " | ".join(value(own, other) for other in nats) + " |")
    return [*lines, ""]


def _differences_text(run: StackRun, found: Sequence[Difference]) -> list[str]:
    if not found:
        return [f"**{run.title}**: nowhere.", ""]
    by_cause: dict[str, list[str]] = {}
    for one in found:
        cell = f"{one.caller_nat} × {one.callee_nat} ({one.own}; aioice {one.of_aioice})"
        by_cause.setdefault(one.why, []).append(cell)
    lines = [f"**{run.title}**", ""]
    lines += [f"- {why} {_listed(cells)}" for why, cells in by_cause.items()]
    return [*lines, ""]


def _listed(cells: Sequence[str]) -> str:
    return f"In {len(cells)} {'cells' if len(cells) > 1 else 'cell'}: {'; '.join(cells)}."


def _times(runs: Sequence[StackRun]) -> Iterator[str]:
    yield "From dialling to the later side's first pair, in seconds: median (least to most), how many calls."
    yield "Only virtual time is exact; on Linux the machine, two cores, was busy with much else."
    yield ""
    yield "| | direct | relayed | a home without UDP |"
    yield "|---|---|---|---|"
    for run in runs:
        connected = [call for call in run.calls if call.setup_time is not None]
        blocked = [c for c in connected if _NO_UDP in {c.caller_nat, c.callee_nat}]
        others = [call for call in connected if call not in blocked]
        direct = [call for call in others if PathClass(call.path).is_direct]
        relayed = [call for call in others if not PathClass(call.path).is_direct]
        cells = " | ".join(_spread(calls) for calls in (direct, relayed, blocked))
        yield f"| {run.title} | {cells} |"
    yield ""
    for run in runs:
        if changed := sum(call.changed for call in run.calls):
            yield f"{run.title}: in {changed} of {len(run.calls)} calls a side changed its pair later on."
    yield ""


def _spread(calls: Sequence[StackCall]) -> str:
    times = [call.setup_time for call in calls if call.setup_time is not None]
    if not times:
        return "none connected"
    return f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f}), {len(times)}"

"""What several keys of a scenario file say together, and about its topology: names, times, what varies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation
from lab.spec.find import load_topology, open_topology
from lab.spec.network import Network, NodeKind
from lab.spec.roles import ENDPOINT
from lab.spec.scenario import CallPlan, ScenarioSpec
from lab.spec.yaml_loader import Document, Trail
from lab.units import format_duration

_PARAMETERS: Final = ("parameters", "vary", "population")

Check = Callable[[ScenarioSpec, Document], Iterator[Problem]]


def check_together(spec: ScenarioSpec, document: Document, broken: frozenset[str]) -> list[Problem]:
    """Return what is wrong between the keys of a scenario; what needs a ``broken`` key is not judged."""
    problems: list[Problem] = []
    for check, needs in _CHECKS.items():
        if not broken.intersection(needs):
            problems += check(spec, document)
    if not broken.intersection(("topology", *_PARAMETERS)):
        problems += _topology(spec, document, broken)
    return problems


def call_names(spec: ScenarioSpec) -> list[str]:
    """Return the names of the calls, in the file's order."""
    return [call.name or f"call-{number}" for number, call in enumerate(spec.calls, 1)]


def nominal_end(call: CallPlan) -> float:
    """Return the seconds at which a call is over that was set up in no time: it never ends before."""
    return call.at + call.media.duration + 1.0 + call.hold


def _calls(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    names = call_names(spec)
    for index, (call, name) in enumerate(zip(spec.calls, names, strict=True)):
        trail: Trail = ("calls", index) if ("calls", index) in document.values else ("calls",)
        if name in names[:index]:
            suggestion = "give each call a name of its own"
            yield document.problem((*trail, "name"), f"a second call {name!r}", "", suggestion)
        if call.caller == call.callee:
            yield document.problem((*trail, "to"), f"{call.callee!r} calls itself", "another endpoint")


def _timeline(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    names = call_names(spec)
    ends = dict(zip(names, map(nominal_end, spec.calls), strict=True))
    starts = {name: call.at for name, call in zip(names, spec.calls, strict=True)}
    last = max(ends.values())
    for index, step in enumerate(spec.timeline):
        action, settings = step.action
        trail: Trail = ("timeline", index)
        call = getattr(settings, "call", None)
        if call is not None and call not in ends:
            found = f"no call {call!r}"
            yield document.problem((*trail, action, "call"), found, "", did_you_mean(call, names))
        elif call is not None and not starts[call] < step.at <= ends[call]:
            found = f"at {format_duration(step.at)} call {call!r} is not up for sure"
            expected = f"after {format_duration(starts[call])} and up to {format_duration(ends[call])}"
            yield document.problem((*trail, "at"), found, expected, "change at, or the call's hold")
        elif step.end > last:
            found = f"the step ends at {format_duration(step.end)}, after the end of all calls"
            expected = f"up to {format_duration(last)}"
            yield document.problem((*trail, "at"), found, expected, "hold a call longer, or act earlier")


def _deadline(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    last = max(map(nominal_end, spec.calls))
    if spec.deadline is not None and last >= spec.deadline:
        found = f"the calls last {format_duration(last)}, the deadline is {format_duration(spec.deadline)}"
        suggestion = "set deadline: above it; every trial would be invalid"
        yield document.problem(("deadline",), found, "", suggestion, at_key=True)


def _cuts(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    cut: dict[str, bool] = {}
    for index in sorted(range(len(spec.timeline)), key=lambda index: spec.timeline[index].at):
        step = spec.timeline[index]
        if step.cut is not None:
            cut[step.cut.link] = True
        if step.heal is not None and not cut.pop(step.heal.link, False):
            found = f"{step.heal.link!r} is not cut at {format_duration(step.at)}"
            trail: Trail = ("timeline", index, "heal")
            yield document.problem(trail, found, "", "cut it earlier; flap heals by itself")


def _names_once(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for key in _PARAMETERS:
        for name in getattr(spec, key):
            if name in first:
                found = f"{name!r} is in {first[name]} too"
                yield document.problem((key, name), found, "one of the two", at_key=True)
            first.setdefault(name, key)


def _values(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    for name, values in spec.vary.items():
        for index, value in enumerate(values):
            if any(value == other and type(value) is type(other) for other in values[:index]):
                yield document.problem(("vary", name, index), f"{value!r} is listed twice")
    for name, weights in spec.population.items():
        if not weights:
            expected = "values with a weight each"
            yield document.problem(("population", name), "nobody to draw from", expected)


def check_conditions(
    spec: ScenarioSpec, document: Document, expectations: Sequence[Expectation | None]
) -> Iterator[Problem]:
    """Yield what is wrong with ``when``: it must confine an expectation to something that is run."""
    cases = varied(spec)
    for index, expectation in enumerate(expectations):
        for name, wanted in expectation.when.items() if expectation else ():
            trail: Trail = ("expect", index, "when", name)
            if name not in cases:
                suggestion = did_you_mean(name, cases) if cases else "nothing varies in this scenario"
                yield document.problem(trail, f"{name!r} does not vary", "", suggestion, at_key=True)
                continue
            for number, value in enumerate(wanted):
                if value not in cases[name]:
                    suggestion = did_you_mean(str(value), map(str, cases[name]))
                    place = (*trail, number) if (*trail, number) in document.values else trail
                    yield document.problem(place, f"{name} is never {value!r}", "", suggestion)


def varied(spec: ScenarioSpec) -> dict[str, list[JsonValue]]:
    """Return the values of each parameter that is not the same in every trial."""
    return {name: list(values) for name, values in (*spec.vary.items(), *spec.population.items())}


def _matrix(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    if spec.matrix is None:
        return
    known = varied(spec)
    for index, name in enumerate(spec.matrix):
        if name not in known:
            suggestion = did_you_mean(name, known) if known else "nothing varies in this scenario"
            yield document.problem(("matrix", index), f"{name!r} does not vary", "", suggestion)
    if spec.matrix[0] == spec.matrix[1]:
        yield document.problem(("matrix", 1), "rows and columns are the same", "two parameters")


def _worlds(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    if "worlds" in spec.model_fields_set and len(set(spec.worlds)) < 2 and not spec.worlds_reason.strip():
        expected = "worlds_reason: why it runs in no other world"
        yield document.problem(("worlds",), "no reason is given", expected, at_key=True)


_CHECKS: Final[Mapping[Check, tuple[str, ...]]] = {
    _calls: ("calls",),
    _timeline: ("calls", "timeline"),
    _deadline: ("calls", "deadline"),
    _cuts: ("timeline",),
    _names_once: _PARAMETERS,
    _values: _PARAMETERS,
    _matrix: ("matrix", "vary", "population"),
    _worlds: ("worlds", "worlds_reason"),
}
"""Each check with the keys that it reads."""


# The topology


def _topology(spec: ScenarioSpec, document: Document, broken: frozenset[str]) -> list[Problem]:
    """Return what is wrong about parameters, links, boxes and endpoints, by the networks of the scenario."""
    try:
        known = open_topology(spec.topology).parameters
    except UsageError as error:
        return [_at(document, ("topology",), problem) for problem in error.problems]
    problems = [
        document.problem(
            (key, name),
            f"{spec.topology} has no parameter {name!r}",
            "",
            did_you_mean(name, known),
            at_key=True,
        )
        for key in _PARAMETERS
        for name in getattr(spec, key)
        if name not in known
    ]
    if problems:
        return problems
    networks = _networks(spec, document, problems)
    for place, kind, name in _named(spec, document, broken):
        for network in networks:
            if name not in (names := _names(network, kind)):
                found = f"no {kind} {name!r} in {network.name}"
                problems.append(document.problem(place, found, "", did_you_mean(name, names)))
                break
    return problems


def _at(document: Document, trail: Trail, problem: Problem) -> Problem:
    found = f"{problem.where}: {problem.found}" if problem.where else problem.found
    return document.problem(trail, found, problem.expected, problem.suggestion)


def _networks(spec: ScenarioSpec, document: Document, problems: list[Problem]) -> list[Network]:
    """Return a network for each value of each parameter; what cannot be built is a problem of that value."""
    places = _values_with_places(spec)
    needed = _required(spec, places)
    good = {
        place: own
        for place, own in places.items()
        if _load(spec, needed | own, document, place, problems) is not None
    }
    first: dict[str, JsonValue] = {}
    for own in good.values():
        first = own | first
    if len(first) < len({name for own in places.values() for name in own}):
        return []  # a parameter without any value that can be built: nothing more can be said
    told = len(problems)
    networks = [
        _load(spec, first | own, document, place, problems)
        for place, own in {("topology",): {}, **good}.items()
    ]
    del problems[told + 1 :]  # one combination that cannot be built is enough to say so
    return [network for network in networks if network is not None]


def _load(
    spec: ScenarioSpec,
    parameters: Mapping[str, JsonValue],
    document: Document,
    place: Trail,
    problems: list[Problem],
) -> Network | None:
    try:
        return load_topology(spec.topology, parameters)
    except UsageError as error:
        problems += [_at(document, place, problem) for problem in error.problems]
        return None


def _values_with_places(spec: ScenarioSpec) -> dict[Trail, dict[str, JsonValue]]:
    places: dict[Trail, dict[str, JsonValue]] = {}
    for name, value in spec.parameters.items():
        places["parameters", name] = {name: value}
    for name, values in spec.vary.items():
        places |= {("vary", name, index): {name: value} for index, value in enumerate(values)}
    for name, weights in spec.population.items():
        places |= {("population", name, value): {name: value} for value in weights}
    return places


def _required(spec: ScenarioSpec, places: Mapping[Trail, dict[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return the first value of each parameter that has no default."""
    known = open_topology(spec.topology).parameters
    first: dict[str, JsonValue] = {}
    for own in places.values():
        first |= {
            name: value for name, value in own.items() if known[name] is inspect.Parameter.empty
        } | first
    return first


def _named(
    spec: ScenarioSpec, document: Document, broken: frozenset[str]
) -> Iterator[tuple[Trail, str, str]]:
    """Yield (place, kind, name) of whatever the scenario names in the network."""
    if "calls" not in broken:
        for index, call in enumerate(spec.calls):
            trail: Trail = ("calls", index) if ("calls", index) in document.values else ("calls",)
            yield (*trail, "from"), "endpoint", call.caller
            yield (*trail, "to"), "endpoint", call.callee
    if "timeline" not in broken:
        for index, step in enumerate(spec.timeline):
            action, settings = step.action
            for key, kind in (("link", "link"), ("nat", "NAT box")):
                if name := getattr(settings, key, None):
                    yield ("timeline", index, action, key), kind, name


def _names(network: Network, kind: str) -> list[str]:
    if kind == "link":
        return list(network.links)
    if kind == "endpoint":
        return list(network.by_role.get(ENDPOINT, {}))
    return [node.name for node in network.nodes.values() if node.kind is NodeKind.NAT]

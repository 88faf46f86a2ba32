"""What several keys of a scenario file say together, and about its topology: names, times, what varies."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from lab.errors import Problem, UsageError, did_you_mean
from lab.spec.adapters import role_problem
from lab.spec.event import JsonValue
from lab.spec.expectation import Expectation
from lab.spec.find import load_topology, open_topology
from lab.spec.network import Network, nat_boxes_of, players_of, programs_of
from lab.spec.node_options import ROLES
from lab.spec.program_words import plan_problems
from lab.spec.roles import ENDPOINT
from lab.spec.scenario import ScenarioSpec
from lab.spec.timeline_checks import call_names, check_order, check_times, named_in_step, nominal_end
from lab.spec.yaml_loader import Document, Trail
from lab.units import format_duration

_PARAMETERS: Final = ("parameters", "vary", "population")

_PLAYER: Final = "host or role"

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


def _calls(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    names = call_names(spec)
    for index, (call, name) in enumerate(zip(spec.calls, names, strict=True)):
        trail: Trail = ("calls", index) if ("calls", index) in document.values else ("calls",)
        if name in names[:index]:
            suggestion = "give each call a name of its own"
            yield document.problem((*trail, "name"), f"a second call {name!r}", "", suggestion)
        if call.caller == call.callee:
            yield document.problem((*trail, "to"), f"{call.callee!r} calls itself", "another endpoint")


def _deadline(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    last = max(map(nominal_end, spec.calls))
    if spec.deadline is not None and last >= spec.deadline:
        found = f"the calls last {format_duration(last)}, the deadline is {format_duration(spec.deadline)}"
        suggestion = "set deadline: above it; every trial would be invalid"
        yield document.problem(("deadline",), found, "", suggestion, at_key=True)


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
        elif not math.isfinite(sum(weights.values())):
            found, expected = "the weights add up to more than a number can be", "weights with a finite sum"
            yield document.problem(("population", name), found, expected, "give shares, such as 55 and 45")


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


def _programs(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    directory = str(document.path.resolve().parent)
    for name, plan in spec.programs.items():
        for trail, problem, at_key in plan_problems(name, plan, directory):
            place = ("programs", name, *trail)
            yield document.problem(place, problem.found, problem.expected, problem.suggestion, at_key=at_key)


_CHECKS: Final[Mapping[Check, tuple[str, ...]]] = {
    _calls: ("calls",),
    check_times: ("calls", "timeline"),
    _deadline: ("calls", "deadline"),
    check_order: ("timeline",),
    _names_once: _PARAMETERS,
    _values: _PARAMETERS,
    _matrix: ("matrix", "vary", "population"),
    _worlds: ("worlds", "worlds_reason"),
    _programs: ("programs",),
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
            names = _names(network, kind)
            if names is not None and name not in names:
                found = f"no {kind} {name!r} in {network.name}"
                at_key = kind == _PLAYER
                problems.append(document.problem(place, found, "", did_you_mean(name, names), at_key=at_key))
                break
    if "programs" not in broken and networks:
        problems += _parts(spec, document, networks[0])
    return problems


def _parts(spec: ScenarioSpec, document: Document, network: Network) -> Iterator[Problem]:
    """Yield the programs that cannot play the part of their node; every network has the same roles."""
    for name, plan in spec.programs.items():
        node = network.nodes.get(name)
        role = name if node is None else node.role
        if (problem := role_problem(plan.to_program(""), role)) is not None and (node or role in ROLES):
            yield document.problem(("programs", name), problem.found, problem.expected)


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
            for below, kind, name in named_in_step(step):
                yield ("timeline", index, *below), kind, name
    if "programs" not in broken:
        for name in spec.programs:
            yield ("programs", name), _PLAYER, name


def _names(network: Network, kind: str) -> list[str] | None:
    """Return the names of a kind: "link", "NAT box", "end of link LABEL", "link of ENDPOINT" ...

    None where there is no such link or endpoint, which is told already.
    """
    what, _, whose = kind.partition(" of ")
    if what == "end":
        link = network.links.get(whose.removeprefix("link "))
        return [link.a, link.b] if link else None
    if what == "link" and whose:
        node = network.nodes.get(whose)
        return [interface.link for interface in node.interfaces] if node else None
    if what == "link":
        return list(network.links)
    if kind == _PLAYER:
        return players_of(network)
    if what == "endpoint":
        return list(network.by_role.get(ENDPOINT, {}))
    return programs_of(network) if what == "node with a program" else nat_boxes_of(network)

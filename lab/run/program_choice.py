"""Which nodes of a run have another program than the lab's own, and whether this machine can run it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lab.emu.containers.part_images import PART_OF_ROLE, part_image
from lab.emu.installed import require_installed, version_of
from lab.emu.servers.coturn import runs_coturn
from lab.errors import Problem, UsageError, did_you_mean
from lab.roles.catalogue import program_refusal
from lab.run.plan import Plan
from lab.spec.adapters import is_versioned, role_problem
from lab.spec.call_partners import call_problem
from lab.spec.find import load_topology
from lab.spec.network import Network, Node, NodeKind, players_of
from lab.spec.program import Program
from lab.spec.trial import KERNEL, Trial


def with_programs(network: Network, programs: Mapping[str, Program]) -> Network:
    """Return a network with programs at its nodes.

    What was typed comes before what the scenario says, and a node's own program before that of its role.
    """
    chosen = {
        node.name: replace(node, program=None if program.is_the_labs else program)
        for node in network.nodes.values()
        if node.kind is NodeKind.HOST
        and (program := _program_of(node, programs)) is not None
        and not (program.runs_roles and runs_coturn(node))
    }
    return replace(network, nodes={**network.nodes, **chosen}) if chosen else network


def _program_of(node: Node, programs: Mapping[str, Program]) -> Program | None:
    fitting = [programs[name] for name in (node.name, node.role) if name in programs]
    return next((program for program in fitting if program.typed), fitting[0] if fitting else None)


def in_containers(plan: Plan) -> Plan:
    """Return a plan whose hosts run the lab's own programs in containers, but for those that have others.

    Raises:
        UsageError: the plan is for virtual time.
    """
    if plan.world != KERNEL:
        found = "containers are hosts of the kernel world"
        raise UsageError(Problem("--hosts docker", found, suggestion="run it with --world emu"))
    own = {role: Program(image=part_image(part), runs_roles=True) for role, part in PART_OF_ROLE.items()}
    trials = (replace(trial, programs={**own, **trial.programs}) for trial in plan.trials)
    return replace(plan, trials=tuple(trials))


def check_programs(trials: Iterable[Trial], calls: Iterable[tuple[str, str]] = ()) -> Mapping[str, str]:
    """Make sure that the programs of a plan can play their parts here.

    Args:
        trials: one for each of the plan's networks, all in the same world.
        calls: who is to call whom.

    Returns:
        The versions of the programs that adapters run, by adapter.

    Raises:
        UsageError: a node or role that is not there, a part that a program cannot play, a call between
            programs that do not speak alike, virtual time.
        HostNotReady: a program is not installed.
    """
    used: dict[str, Program] = {}
    problems: list[Problem] = []
    for trial in trials:
        network = load_topology(trial.topology, trial.parameters, trial.inputs)
        problems += program_problems(network, trial.programs, trial.world)
        playing = with_programs(network, trial.programs)
        used |= _used(playing)
        known = [call for call in dict.fromkeys(calls) if playing.nodes.keys() >= set(call)]
        problems += filter(None, (call_problem(playing, *call) for call in known))
    if problems:
        raise UsageError(*dict.fromkeys(problems))
    for node_name, program in used.items():
        require_installed(node_name, program)
    adapters = sorted({program.adapter for program in used.values() if program.adapter})
    return {adapter: version_of(adapter) for adapter in adapters if is_versioned(adapter)}


def require_programs(network: Network, programs: Mapping[str, Program], world: str) -> None:
    """Make sure that programs can play their parts in one network here.

    Raises:
        UsageError: a node or role that is not there, a part that a program cannot play, virtual time.
        HostNotReady: a program is not installed.
    """
    if problems := list(program_problems(network, programs, world)):
        raise UsageError(*problems)
    for node_name, program in _used(with_programs(network, programs)).items():
        require_installed(node_name, program)


def program_problems(network: Network, programs: Mapping[str, Program], world: str) -> Iterator[Problem]:
    """Yield why programs cannot play their parts in a network, whatever is installed."""
    yield from _strangers(network, programs)
    for node in with_programs(network, programs).nodes.values():
        if node.program is not None:
            yield from _cannot_be(node, world)


def _used(network: Network) -> dict[str, Program]:
    """Return the programs at the nodes of a network that are not the lab's own."""
    return {node.name: node.program for node in network.nodes.values() if node.program is not None}


def _strangers(network: Network, programs: Mapping[str, Program]) -> Iterator[Problem]:
    known = players_of(network)
    for name, program in programs.items():
        if name not in known and not program.runs_roles:
            found = f"no host or role {name!r} in {network.name}"
            where = f"--program {name}={program.typed}" if program.typed else f"programs: {name}"
            yield Problem(where, found, suggestion=did_you_mean(name, known))


def _cannot_be(node: Node, world: str) -> Iterator[Problem]:
    assert node.program is not None
    if world != KERNEL:
        yield program_refusal(node)
    elif (problem := role_problem(node.program, node.role)) is not None:
        yield replace(problem, where=node.name)

"""``callpath check SCENARIO``: read a scenario whole and say what would run, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lab.cli.parameters import parse_assignments

if TYPE_CHECKING:
    from lab.run.plan import Plan
    from lab.spec.expectation import Expectation


@click.command("check")
@click.argument("scenario")
@click.option(
    "--seed", type=int, default=1, show_default=True, envvar="CALLPATH_SEED", help="Seed of the run."
)
@click.option("--repeat", type=click.IntRange(min=1), help="Repetitions a cell, in place of the scenario's.")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE[,VALUE...]", help="Values of a parameter."
)
def command(scenario: str, seed: int, repeat: int | None, assignments: tuple[str, ...]) -> None:
    """Read a scenario, name everything that is wrong with it, and say what `run` would run."""
    from lab.run.plan import plan_run

    plan = plan_run(scenario, seed=seed, repeat=repeat, overrides=parse_assignments(assignments))
    _build_networks(plan)
    click.echo("\n".join(_lines(plan)))


def _build_networks(plan: Plan) -> None:
    """Build every distinct network: a value that its topology refuses is told now."""
    from lab.errors import Problem, UsageError
    from lab.run.plan import distinct_networks
    from lab.spec.find import load_topology

    problems: list[Problem] = []
    for trial in distinct_networks(plan.trials):
        try:
            load_topology(trial.topology, trial.parameters)
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(*dict.fromkeys(problems))


def _lines(plan: Plan) -> list[str]:
    from lab.run.plan import distinct_networks

    cells = {tuple(map(str, trial.cell.values())) for trial in plan.trials}
    lines = [
        f"{plan.name}: {_count(len(plan.trials), 'trial')} on {plan.topology}",
        f"  {_count(len(cells), 'cell')}, {_count(len(distinct_networks(plan.trials)), 'network')}",
    ]
    for name, values in plan.vary.items():
        drawn = "drawn from " if name in plan.population else ""
        lines.append(f"  {name}: {drawn}{', '.join(map(str, values))}")
    lines += [f"  must hold: {_with_condition(expectation)}" for expectation in plan.expectations]
    lines += [f"  not judged with these values: {_with_condition(e)}" for e in plan.not_judged]
    return lines


def _with_condition(expectation: Expectation) -> str:
    words = [f"{name} is {' or '.join(map(str, values))}" for name, values in expectation.when.items()]
    return f"{expectation} where {', '.join(words)}" if words else str(expectation)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"

"""``callpath check SCENARIO``: read a scenario whole and say what would run, without running it."""

from __future__ import annotations

import click

from lab.cli.options import REPEAT_OPTION, SEED_OPTION, SET_OPTION
from lab.cli.parameters import parse_assignments
from lab.cli.plan_words import build_networks, plan_text


@click.command("check")
@click.argument("scenario")
@SEED_OPTION
@REPEAT_OPTION
@SET_OPTION
def command(scenario: str, seed: int, repeat: int | None, assignments: tuple[str, ...]) -> None:
    """Read a scenario, name everything that is wrong with it, and say what `run` would run."""
    from lab.run.plan import own_world, plan_run

    overrides = parse_assignments(assignments)
    plan = plan_run(scenario, seed=seed, repeat=repeat, overrides=overrides, world=own_world(scenario))
    build_networks(plan)
    click.echo(plan_text(plan))

"""``callpath run SCENARIO``: plan, run, write, show."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.executing import Execution, execute
from lab.cli.options import (
    JOBS_OPTION,
    NAT_PLANE_OPTION,
    PROGRAM_OPTION,
    RELAY_OPTION,
    REPEAT_OPTION,
    SEED_OPTION,
    SET_OPTION,
    WORLD_OPTION,
)
from lab.cli.parameters import parse_assignments, parse_programs
from lab.cli.plan_words import build_networks, plan_data, plan_text
from lab.spec.trial import COMPOSE, DOCKER, HOSTS, KERNEL, VIRTUAL_TIME

if TYPE_CHECKING:
    from lab.results.run_directory import RunDirectory
    from lab.run.plan import Plan


@click.command("run")
@click.argument("scenario")
@SEED_OPTION
@REPEAT_OPTION
@JOBS_OPTION
@SET_OPTION
@click.option(
    "--trial",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Only the trial whose key begins so; may be repeated.",
)
@click.option(
    "--results", type=click.Path(path_type=Path, file_okay=False), default=Path("results"), show_default=True,
    envvar="CALLPATH_RESULTS", show_envvar=True, help="Where the run's directory is made.",
)  # fmt: skip
@click.option(
    "--capture", type=click.Choice(["none", "failing", "all"]), show_default="failing, in virtual time",
    help="Which trials to keep captures (pcapng) of; of those that fail few, the worst.",
)  # fmt: skip
@WORLD_OPTION
@NAT_PLANE_OPTION
@RELAY_OPTION
@PROGRAM_OPTION
@click.option(
    "--hosts", type=click.Choice(HOSTS), default=HOSTS[0], show_default=True, envvar="CALLPATH_HOSTS",
    show_envvar=True, help="In the kernel world: processes in namespaces, or containers of `make images`.",
)  # fmt: skip
@click.option(
    "--attach", type=click.Choice([COMPOSE]), help="Run on the standing lab that Docker Compose has started."
)
@click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write the result to standard output as JSON, and no words."
)
def command(
    scenario: str,
    seed: int,
    repeat: int | None,
    jobs: int,
    assignments: tuple[str, ...],
    keys: tuple[str, ...],
    results: Path,
    capture: str | None,
    world: str,
    nat_plane: str,
    relay: str | None,
    programs: tuple[str, ...],
    hosts: str,
    attach: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run a scenario and show what came of it."""
    from lab.run.attached import on_standing_lab
    from lab.run.plan import Captured, plan_run
    from lab.run.program_choice import in_containers
    from lab.run.selected import only_trials
    from lab.run.worlds import require_world

    world = KERNEL if attach else world
    require_world(world)
    plan = plan_run(
        scenario, seed=seed, repeat=repeat, overrides=parse_assignments(assignments), world=world,
        nat_plane="" if world == VIRTUAL_TIME else nat_plane, relay=relay or "",
        programs=parse_programs(programs),
    )  # fmt: skip
    if attach:
        plan = on_standing_lab(plan)
    elif hosts == DOCKER:
        plan = in_containers(plan)
    plan = only_trials(plan, keys)
    plan = plan.capturing(Captured(capture) if capture else plan.captured)
    if dry_run:
        build_networks(plan)
        click.echo(json.dumps(plan_data(plan), indent=2, ensure_ascii=False) if as_json else plan_text(plan))
        return 0
    plan, run = open_directory(plan, results)
    return execute(Execution(plan=plan, run=run, jobs=jobs), as_json=as_json)


def open_directory(plan: Plan, results: Path) -> tuple[Plan, RunDirectory]:
    """Probe the NAT boxes and make the run's directory; return the plan as it will be run from there.

    Boxes are probed in the world of the run, each alone.
    """
    from lab.results.manifest import ProbedBox, make_manifest, plan_hash
    from lab.results.run_directory import RunDirectory
    from lab.run.certification import certify_plan
    from lab.run.plan import distinct_networks
    from lab.run.plan_record import keep_inputs, plan_record
    from lab.run.program_choice import check_programs
    from lab.run.relay_choice import check_relays
    from lab.run.sip_proxies import check_sip_proxies

    networks = list(distinct_networks(plan.trials))
    if plan.trials[0].attach:
        programs = {}
    else:
        programs = {
            **check_relays(networks),
            **check_sip_proxies(networks),
            **check_programs(networks, plan.calls),
        }
    boxes = [ProbedBox(made.model, made.found, made.plane) for made in certify_plan(plan)]
    started = datetime.now(UTC)
    run = RunDirectory.create(results, scenario=plan.name, plan_hash=plan_hash(plan.trials), started=started)
    try:
        plan, inputs = keep_inputs(plan, run)
        manifest = make_manifest(
            scenario=plan.path,
            trials=plan.trials,
            started=started,
            argv=sys.argv,
            boxes=boxes,
            world=plan.world,
            programs=programs,
            asked=plan_record(plan),
            inputs=inputs,
        )
        run.write_manifest(manifest)
    except BaseException:
        run.discard()
        raise
    models = "1 NAT model" if len(boxes) == 1 else f"{len(boxes)} NAT models"
    click.echo(f"{models} probed: as claimed", err=True)
    return plan, run

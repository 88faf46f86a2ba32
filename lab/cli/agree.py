"""``callpath agree``: whether virtual time and the kernel come to the same, cell by cell."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lab.cli.options import (
    JOBS_OPTION,
    NAT_PLANE_OPTION,
    PROGRAM_OPTION,
    RELAY_OPTION,
    REPEAT_OPTION,
    SEED_OPTION,
    SET_OPTION,
)
from lab.cli.stored import RESULTS_OPTION
from lab.spec.trial import KERNEL, VIRTUAL_TIME

if TYPE_CHECKING:
    from lab.measure.agreement import Side
    from lab.results.stored_run import StoredRun

_CODES: Final = {"agree": 0, "disagree": 1, "inconclusive": 3}
_OF_A_SCENARIO: Final = {
    "seed": "--seed",
    "repeat": "--repeat",
    "jobs": "--jobs",
    "assignments": "--set",
    "nat_plane": "--nat-plane",
    "relay": "--relay",
    "programs": "--program",
}
"""Options that say how a scenario is run; stored runs were run already."""


@click.command("agree")
@click.argument("target", metavar="SCENARIO|RUN")
@click.argument("other", default="", metavar="[RUN]")
@SEED_OPTION
@REPEAT_OPTION
@JOBS_OPTION
@SET_OPTION
@NAT_PLANE_OPTION
@RELAY_OPTION
@PROGRAM_OPTION
@click.option("--times", is_flag=True, help="Show the set-up times of every cell in both worlds.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@RESULTS_OPTION
@click.pass_context
def command(
    context: click.Context,
    target: str,
    other: str,
    seed: int,
    repeat: int | None,
    jobs: int,
    assignments: tuple[str, ...],
    nat_plane: str,
    relay: str | None,
    programs: tuple[str, ...],
    times: bool,
    as_json: bool,
    results: Path,
) -> int:
    """Say whether virtual time and the kernel come to the same, cell by cell.

    A scenario is run in both; of two stored runs each must be of one. Possible, validated and selected
    classes are compared, and verdicts; set-up times are told. Where the kernel's relay is coturn, or an
    endpoint another program, that of virtual time is the lab's own.

    Ends with 1 where something differs that docs/worlds.md does not explain, with 3 where that cannot be
    told, with 4 where this machine cannot run the kernel world.
    """
    from lab.cli.compare import check_comparable
    from lab.measure.agreement import agreement
    from lab.report.agreement_data import agreement_data
    from lab.report.agreement_text import agreement_text, places_text
    from lab.spec.known_differences import read_known

    if other:
        _refuse_options(context)
        virtual_time, kernel = _stored(target, other, results)
    else:
        virtual_time, kernel = _run_both(
            target, seed, repeat, jobs, assignments, nat_plane, relay or "", programs, results
        )
    sides = _side(virtual_time), _side(kernel)
    found = agreement(*sides, read_known())
    check_comparable(sides[0].selected, sides[1].selected, found.comparison)
    data = agreement_data(found)
    if as_json:
        paths = {"sim": str(virtual_time.path), "emu": str(kernel.path)}
        click.echo(json.dumps({**paths, **data}, indent=2, ensure_ascii=False))
    else:
        click.echo(places_text(found, virtual_time.path, kernel.path))
        click.echo(agreement_text(found, times=times))
    return _CODES[data["outcome"]]


def _side(run: StoredRun) -> Side:
    from lab.measure.agreement import Side
    from lab.results.compared_run import read_outcomes
    from lab.results.stored_result import read_result

    return Side(
        selected=read_outcomes(run),
        validated=read_outcomes(run, column="validated"),
        repeated=read_result(run.path).repeated,
    )


def _refuse_options(context: click.Context) -> None:
    """Refuse what was typed for a run that is not to be made; what the environment says is for other runs.

    Raises:
        UsageError: such an option was typed.
    """
    from lab.errors import Problem, UsageError

    typed = [
        option
        for name, option in _OF_A_SCENARIO.items()
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if typed:
        found = "says how a scenario is run; two stored runs are compared as they are"
        raise UsageError(*(Problem(option, found) for option in typed))


def _stored(one: str, other: str, results: Path) -> tuple[StoredRun, StoredRun]:
    """Return the runs of two names, that in virtual time first.

    Raises:
        UsageError: they are not one of each world; or there is no such run, or it is damaged.
    """
    from lab.errors import Problem, UsageError
    from lab.results.damage import require_undamaged
    from lab.results.finding import find_run
    from lab.results.stored_run import read_run

    runs = [read_run(find_run(name, results)) for name in (one, other)]
    require_undamaged(*runs)
    worlds = [str(run.manifest.get("world", "")) for run in runs]
    if sorted(worlds) != sorted([VIRTUAL_TIME, KERNEL]):
        found = f"runs of {worlds[0]} and {worlds[1]}"
        expected = f"one of {VIRTUAL_TIME}, one of {KERNEL}"
        raise UsageError(
            Problem(f"{one} and {other}", found, expected, "callpath compare takes any two runs")
        )
    return (runs[0], runs[1]) if worlds[0] == VIRTUAL_TIME else (runs[1], runs[0])


def _run_both(
    scenario: str,
    seed: int,
    repeat: int | None,
    jobs: int,
    assignments: tuple[str, ...],
    nat_plane: str,
    relay: str,
    programs: tuple[str, ...],
    results: Path,
) -> tuple[StoredRun, StoredRun]:
    """Run a scenario in virtual time and on the kernel; nothing is run where one of them cannot.

    Raises:
        UsageError: the scenario or an option is wrong, or the plane cannot be one of its NAT models.
        HostNotReady: this machine cannot run the kernel world.
    """
    from lab.cli.aside import run_aside
    from lab.cli.parameters import parse_assignments, parse_programs
    from lab.results.stored_run import read_run
    from lab.run.plan import distinct_networks, plan_run
    from lab.run.program_choice import check_programs
    from lab.run.relay_choice import check_relays
    from lab.run.worlds import require_world
    from lab.spec.program import LAB_PROGRAM
    from lab.spec.roles import COTURN

    require_world(KERNEL)
    plan_in = partial(plan_run, scenario, seed=seed, repeat=repeat, overrides=parse_assignments(assignments))
    on_kernel = plan_in(
        world=KERNEL, nat_plane=nat_plane, relay=relay, programs=parse_programs(programs)
    )  # fmt: skip
    networks = distinct_networks(on_kernel.trials)
    check_programs(networks, on_kernel.calls)
    if COTURN in check_relays(networks):
        relay = LAB_PROGRAM  # coturn has sockets and a clock of its own, and so has any other program
    plans = plan_in(world=VIRTUAL_TIME, relay=relay).with_own_programs(), on_kernel
    # The kernel first: what its plane cannot be is refused before anything has run.
    kernel, virtual_time = (read_run(run_aside(plan, jobs=jobs, results=results)) for plan in reversed(plans))
    return virtual_time, kernel

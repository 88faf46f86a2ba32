"""``callpath show RUN`` and ``callpath show TOPOLOGY``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lab.cli.parameters import parse_assignments
from lab.cli.stored import RESULTS_OPTION
from lab.errors import Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PROBLEMS: Final = 10
EXIT_DAMAGED: Final = 2


@click.command("show")
@click.argument("name", metavar="RUN|TOPOLOGY")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A parameter of the topology."
)
@click.option("--json", "as_json", is_flag=True, help="Show a run as JSON.")
@RESULTS_OPTION
def command(name: str, assignments: tuple[str, ...], as_json: bool, results: Path) -> int:
    """Show what a run holds and came to, or a topology as it will be built.

    A run is named by its directory, by how its name begins, or as "latest"; a topology by its name or by its
    file. A name that is both a topology's and how a run's begins is the topology.
    """
    if not _is_run(name, results):
        _show_topology(name, assignments, as_json=as_json)
        return 0
    if assignments:
        raise click.UsageError("--set is for topologies")
    return _show_run(name, results, as_json=as_json)


def _is_run(name: str, results: Path) -> bool:
    """Return whether a name means a run: what is said in the command's help, in that order."""
    from lab.results.finding import LATEST, runs_beginning
    from lab.spec.find import TOPOLOGIES, content_names

    if name == LATEST or Path(name).is_dir():
        return True
    if ".py" in name or name.partition(":")[0] in content_names(TOPOLOGIES, ".py"):
        return False
    # What begins with a year is meant as a run, also where there is none of that name.
    return name[:4].isdigit() or bool(runs_beginning(name, results))


def _show_topology(name: str, assignments: tuple[str, ...], *, as_json: bool) -> None:
    from lab.report.network_text import format_network
    from lab.spec.find import load_topology, what_is_there

    if as_json:
        raise click.UsageError("--json is for runs")
    path = name.partition(":")[0]
    if "/" in name and ".py" not in name and not Path(path).is_file():
        found = what_is_there(path) or f"{name!r} is neither a run's directory nor a topology's file"
        raise UsageError(Problem("", found, "a run's directory, or a topology's file, ending in .py"))
    parameters = {key: values[0] for key, values in parse_assignments(assignments).items()}
    click.echo(format_network(load_topology(name, parameters)))


def _show_run(name: str, results: Path, *, as_json: bool) -> int:
    """Show a run; return 2 if something of it is damaged."""
    from lab.report.run_text import run_text
    from lab.results.finding import find_run
    from lab.results.stored_run import read_run
    from lab.results.summary import summarize

    summary = summarize(read_run(find_run(name, results)))
    click.echo(json.dumps(summary.as_data(), indent=2, ensure_ascii=False) if as_json else run_text(summary))
    show_problems(summary.problems)
    return EXIT_DAMAGED if summary.problems else 0


def show_problems(problems: Sequence[Problem]) -> None:
    """Say on standard error what is damaged, the first of it in full."""
    for problem in problems[:MOST_PROBLEMS]:
        click.echo(f"callpath: {problem}", err=True)
    if len(problems) > MOST_PROBLEMS:
        click.echo(f"callpath: and {len(problems) - MOST_PROBLEMS} more", err=True)

"""``callpath compare A B``: what changed from one stored run to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.stored import RESULTS_OPTION

if TYPE_CHECKING:
    from lab.measure.comparison.outcomes import RunOutcomes
    from lab.measure.comparison.runs import Comparison


@click.command("compare")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--anyway", is_flag=True, help="Also where the scenarios differ, if they have cells in common.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@RESULTS_OPTION
def command(before: str, after: str, anyway: bool, as_json: bool, results: Path) -> None:
    """Say what changed from run A to run B: paths, connected calls, set-up times, verdicts, settings.

    A run is named as for "callpath ladder". It ends with 0 whatever it finds: what must not change is for
    "callpath baseline check" to say.
    """
    import json

    from lab.measure.comparison.runs import compare_runs
    from lab.report.comparison_data import comparison_data
    from lab.report.comparison_text import comparison_text
    from lab.results.compared_run import read_outcomes
    from lab.results.damage import require_undamaged
    from lab.results.finding import find_run
    from lab.results.stored_run import read_run

    one, other = (read_run(find_run(name, results)) for name in (before, after))
    require_undamaged(one, other)
    first, second = read_outcomes(one), read_outcomes(other)
    comparison = compare_runs(first, second)
    check_comparable(first, second, comparison, anyway=anyway)
    if as_json:
        paths = {"before": str(one.path), "after": str(other.path)}
        click.echo(json.dumps({**paths, **comparison_data(comparison)}, indent=2, ensure_ascii=False))
        return
    click.echo(comparison_text(comparison, all_times=True))
    if not differs(comparison):
        click.echo("\nnothing changed")


def differs(comparison: Comparison) -> bool:
    """Return whether there is anything to tell besides how it was compared."""
    return bool(
        comparison.settings
        or comparison.changed
        or comparison.in_doubt
        or comparison.gone
        or comparison.new
        or comparison.flips
        or comparison.verdicts_gone
        or comparison.verdicts_new
        or any(cell.moved for cell in comparison.cells)
    )


def check_comparable(
    before: RunOutcomes, after: RunOutcomes, comparison: Comparison, *, anyway: bool = False
) -> None:
    """Refuse what has nothing to do with each other.

    Raises:
        UsageError: the runs are of different scenarios, and not to be compared ``anyway``; or they have no
            cell in common.
    """
    from lab.errors import Problem, UsageError
    from lab.measure.comparison.runs import cell_names

    problems = [
        Problem(f"{one} and {other}", f"the runs are of different {what}")
        for what, one, other in (
            ("scenarios", before.scenario, after.scenario),
            ("topologies", before.topology, after.topology),
        )
        if one != other
    ]
    if not comparison.cells:
        names = ", ".join(cell_names(before, after)) or "nothing"
        where = f"{before.scenario} and {after.scenario}"
        problems.append(Problem(where, f"no cell is in both runs ({names} varies)"))
    elif problems and not anyway:
        common = f"{len(comparison.cells)} of {len(before.cells)} and {len(after.cells)} cells"
        suggestion = f"{common} have the same values: --anyway compares them"
        problems[-1] = Problem(problems[-1].where, problems[-1].found, suggestion=suggestion)
    else:
        problems = []
    if problems:
        raise UsageError(*problems)

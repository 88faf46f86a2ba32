"""``callpath plot RUN``: the report's pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from lab.cli.stored import RESULTS_OPTION

KINDS: Final = ("paths", "setup-time", "relay-share")
"""As in :class:`lab.report.run_plots.PlotKind`, which a listing of commands need not import."""

ENDINGS: Final = (".png", ".svg")


@click.command("plot")
@click.argument("run")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="What to plot; all of them otherwise."
)
@click.option("--by", default="", metavar="PARAM", help="The parameter whose values are told apart.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, .png or .svg, instead of both in the run's directory.",
)  # fmt: skip
@RESULTS_OPTION
def command(run: str, kinds: tuple[str, ...], by: str, output: Path | None, results: Path) -> None:
    """Draw the pictures of a stored run's report as files: paths, set-up times, shares on the relay.

    RUN is a run's directory, "latest", or how its name begins. Set-up times are by path and shares by every
    parameter that varies, unless --by names one.
    """
    from lab.errors import HostNotReady
    from lab.report.html.source import read_source
    from lab.report.plots import save_figure
    from lab.report.run_plots import PlotKind, plot_run
    from lab.results.finding import find_run

    _check(kinds, output)
    path = find_run(run, results)
    source = read_source(path)
    wanted = [PlotKind(kind) for kind in kinds or KINDS if kinds or not by or kind != "paths"]
    for kind in wanted:
        figure = plot_run(source, kind, by=by)
        file = path / kind.file_name(by) if output is None else output
        endings = (file.suffix,) if output else ENDINGS
        try:
            written = save_figure(figure, file.parent, file.stem if output else file.name, endings=endings)
        except OSError as error:
            raise HostNotReady(f"{file}: cannot be written ({error.strerror})") from None
        for one in written:
            click.echo(f"written to {one}", err=True)


def _check(kinds: tuple[str, ...], output: Path | None) -> None:
    from lab.errors import Problem, UsageError

    if output is None:
        return
    problems = []
    if output.suffix not in ENDINGS:
        found = f"no plot is written as {output.suffix}" if output.suffix else "which format is not said"
        problems.append(Problem(f"-o {output}", found, f"a name ending in {' or '.join(ENDINGS)}"))
    if len(kinds) != 1:
        known = " or ".join(f"--kind {kind}" for kind in KINDS)
        problems.append(Problem("-o", "one file holds one plot", f"one of {known}"))
    if problems:
        raise UsageError(*problems)

"""``callpath clean``: what runs that were killed have left on this machine, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lab.emu.leftovers import Leftover

EXIT_NOT_READY = 4


@click.command("clean")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(dry_run: bool) -> int:
    """Remove what runs of the kernel world have left on this machine, and say what that was.

    A run's namespaces end with it, however it ends, so there should be nothing. What there is carries the
    run's name; it is removed if the process that made the run is gone. Runs that go on are left alone.
    Exit status 4 if something could not be removed.
    """
    from lab.emu.leftovers import find_leftovers
    from lab.emu.outer.maker import MakerState

    found = find_leftovers()
    left = [one for one in found if one.state is MakerState.GONE]
    for one in found:
        if one.state is not MakerState.GONE:
            click.echo(f"left alone: {_describe(one)}")
    remaining = [thing for one in left for thing in _remove(one, dry_run=dry_run)]
    if not left:
        click.echo("nothing is left of any run that has ended")
    for thing in remaining:
        click.echo(f"callpath: not removed: {thing}", err=True)
    return EXIT_NOT_READY if remaining else 0


def _remove(one: Leftover, *, dry_run: bool) -> list[str]:
    click.echo(f"{'would remove' if dry_run else 'removing'}: {_describe(one)}")
    for thing in one.things:
        click.echo(f"  {thing}")
    return [] if dry_run else [f"{thing} (run {one.run})" for thing in one.remove()]


def _describe(one: Leftover) -> str:
    from lab.emu.outer.maker import MakerState

    who = {
        MakerState.RUNS: f"process {one.maker_number} runs it",
        MakerState.GONE: f"process {one.maker_number}, which made it, is gone",
        MakerState.ELSEWHERE: "who made it cannot be told from here",
    }[one.state]
    return f"{len(one.things)} {one.kind} of run {one.run}: {who}"

"""``callpath replay RUN [TRIAL]``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lab.cli.stored import RESULTS_OPTION, replay_trial


@click.command("replay")
@click.argument("run")
@click.argument("trial", default="", metavar="[TRIAL|CELL]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write a capture (pcapng) of all its packets there; - is standard output.",
)  # fmt: skip
@click.option(
    "--node", "nodes", multiple=True, metavar="NODE",
    help="Capture only what this node saw; may be repeated. (Of two nodes, packets are in it twice.)",
)  # fmt: skip
@RESULTS_OPTION
def command(run: str, trial: str, output: Path | None, nodes: tuple[str, ...], results: Path) -> None:
    """Run a stored trial again, make sure that it is the same to the byte, and write its capture.

    RUN and TRIAL are named as for "callpath ladder"; of a cell the first repetition is run. A trial that
    comes out otherwise is told with the first event that differs, and ends with 3.
    """
    _, stored, _, replay = replay_trial(run, trial, results, capture=output is not None, nodes=nodes)
    events = len(replay.events)
    click.echo(f"{stored.title}\n{events} events, each byte for byte as it is stored", err=True)
    if output is not None:
        _write(output, replay.result.pcapng)


def _write(output: Path, capture: bytes) -> None:
    from lab.results.document import write_whole

    if str(output) == "-":
        sys.stdout.buffer.write(capture)
        sys.stdout.buffer.flush()
        return
    write_whole(output, capture, of_run=False)
    click.echo(f"written to {output}", err=True)

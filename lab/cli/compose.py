"""``callpath compose TOPOLOGY``: a topology as a Compose file."""

from __future__ import annotations

import click

from lab.cli.options import SET_OPTION
from lab.cli.parameters import parse_assignments


@click.command("compose")
@click.argument("topology")
@SET_OPTION
def command(topology: str, assignments: tuple[str, ...]) -> int:
    """Write a topology as a Compose file, to standard output.

    `docker-compose up` makes a standing lab of it, on networks that lead nowhere: the images are those of
    `make images`. Parameters of the topology are variables of the environment; what --set gives is their
    default. `callpath run --attach compose SCENARIO` runs a scenario on it.
    """
    from lab.emu.standing.compose import compose_text
    from lab.spec.find import load_topology, open_topology

    given = {name: values[0] for name, values in parse_assignments(assignments).items()}
    network = load_topology(topology, given)
    parameters = {**open_topology(topology).parameters, **given}
    click.echo(compose_text(network, topology, parameters), nl=False)
    return 0

"""``callpath show TOPOLOGY``."""

from __future__ import annotations

import click

from lab.cli.parameters import parse_assignments


@click.command("show")
@click.argument("topology")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A parameter of the topology."
)
def command(topology: str, assignments: tuple[str, ...]) -> None:
    """Print a topology as it will be built: nodes, addresses, links, routes."""
    from lab.report.network_text import format_network
    from lab.spec.find import load_topology

    parameters = {name: values[0] for name, values in parse_assignments(assignments).items()}
    click.echo(format_network(load_topology(topology, parameters)))

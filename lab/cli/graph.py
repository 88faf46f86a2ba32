"""``callpath graph TOPOLOGY``: a picture of a network."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli.parameters import parse_parameters


@click.command("graph")
@click.argument("topology")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A parameter of the topology."
)
@click.option("--mermaid", is_flag=True, help="Print it in Mermaid's language, which GitHub draws.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write a picture there; - prints it.",
)  # fmt: skip
def command(topology: str, assignments: tuple[str, ...], mermaid: bool, svg: Path | None) -> None:
    """Draw a topology as it will be built: nodes, NAT kinds, addresses, links with what they do to packets.

    As a picture (--svg), or as text that others draw (--mermaid).
    """
    from lab.errors import HostNotReady
    from lab.report.graph import graph_mermaid, graph_of
    from lab.report.graph_svg import graph_svg
    from lab.spec.find import load_topology

    if mermaid == (svg is not None):
        raise click.UsageError("--mermaid or --svg FILE")
    graph = graph_of(load_topology(topology, parse_parameters(assignments)))
    if svg is None or str(svg) == "-":
        click.echo(graph_mermaid(graph) if svg is None else graph_svg(graph), nl=False)
        return
    try:
        svg.write_text(graph_svg(graph), encoding="utf-8")
    except OSError as error:
        raise HostNotReady(f"{svg}: cannot be written ({error.strerror})") from None
    click.echo(f"written to {svg}", err=True)

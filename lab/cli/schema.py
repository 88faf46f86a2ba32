"""``callpath schema``: the JSON Schemas of what others write, for editors and other programs."""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("kind", type=click.Choice(["scenario", "serve"]), default="scenario")
def command(kind: str) -> None:
    """Print the JSON Schema of scenario files, or of the requests and answers of `callpath serve`."""
    if kind == "serve":
        from lab.serve.schema import serve_schema_text

        click.echo(serve_schema_text(), nl=False)
    else:
        from lab.spec.scenario_schema import scenario_schema_text

        click.echo(scenario_schema_text(), nl=False)

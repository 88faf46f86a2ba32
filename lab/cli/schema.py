"""``callpath schema``: the JSON Schema of scenario files, for editors and other programs."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of scenario files."""
    from lab.spec.scenario_schema import scenario_schema_text

    click.echo(scenario_schema_text(), nl=False)

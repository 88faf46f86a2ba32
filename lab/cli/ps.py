"""``callpath ps``: the running labs of this user."""

from __future__ import annotations

import json

import click


@click.command("ps")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def command(as_json: bool) -> None:
    """List running labs: what they are called, their topology, their world."""
    from lab.cli.running import running_labs

    labs = running_labs()
    if as_json:
        click.echo(json.dumps([{**lab.about, "socket": str(lab.path)} for lab in labs], indent=2))
        return
    rows = [("LAB", "WORLD", "TOPOLOGY", "PARAMETERS")]
    for lab in labs:
        values = ", ".join(f"{name}={value}" for name, value in lab.about["parameters"].items())
        rows.append((lab.name, lab.about["world"], lab.about["topology"], values))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows if labs else ():
        click.echo(
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        )
    if not labs:
        click.echo("no lab runs", err=True)

"""``callpath down``: end a running lab."""

from __future__ import annotations

import click

from lab.cli.running import LAB_OPTION, connected


@click.command("down")
@LAB_OPTION
def command(lab_name: str) -> None:
    """End a running lab, and whatever runs in it."""
    with connected(lab_name) as (client, name):
        # A server that `callpath up` is ends with its only lab; one that serves others goes on.
        if len(client.hello["labs"]) == 1 and client.hello["single"]:
            client.ask("down")
        else:
            client.ask("close", lab=name)
    click.echo(f"{name} has ended", err=True)

"""``callpath doctor``: whether this machine can run the kernel world, and what to do where it cannot."""

from __future__ import annotations

import json

import click

EXIT_NOT_READY = 4


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(as_json: bool) -> int:
    """Find out what this machine has of what the kernel world needs.

    Everything is tried in namespaces of its own: the machine's network is neither touched nor changed. The
    virtual-time world needs none of it. Exit status 0 if the kernel world runs here, 4 if not.
    """
    from lab.emu.doctor import as_data, describe, examine

    diagnosis = examine()
    click.echo(json.dumps(as_data(diagnosis), indent=2) if as_json else describe(diagnosis))
    return 0 if diagnosis.ready else EXIT_NOT_READY

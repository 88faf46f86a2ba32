"""``callpath exec NODE -- COMMAND`` and ``callpath shell NODE``: programs on a node of a running lab."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import click

from lab.cli.running import LAB_OPTION, connected


@click.command("exec", context_settings={"ignore_unknown_options": True})
@LAB_OPTION
@click.argument("node")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def exec_command(node: str, program: tuple[str, ...], lab_name: str) -> int:
    """Run a program of this machine on a node, as `callpath exec alice -- ip route`.

    It has this terminal, the node's network, and the names that the node's programs see; the exit status is
    its own. It ends with the lab. Labs of the kernel world only.
    """
    return _run(lab_name, node, program)


@click.command("shell")
@LAB_OPTION
@click.argument("node")
def shell_command(node: str, lab_name: str) -> int:
    """Open a shell on a node: $SHELL, or sh. Labs of the kernel world only."""
    shell = os.environ.get("SHELL", "/bin/sh")
    if os.path.basename(shell) == "bash":  # noqa: PTH119 - of a name, no path is meant
        return _run(lab_name, node, [shell, "--norc", "-i"], {"PS1": f"{node}:\\w\\$ "})
    return _run(lab_name, node, [shell, "-i"])


def _run(
    lab_name: str, node: str, program: Sequence[str], environment: Mapping[str, str] | None = None
) -> int:
    from lab.emu.entering import run_on_node

    with connected(lab_name) as (client, name):
        way = client.ask("enter", lab=name, node=node)
    return run_on_node(way["pid"], node, way["files"], program, environment)

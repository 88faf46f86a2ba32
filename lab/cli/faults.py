"""``callpath impair``, ``cut``, ``heal``, ``reset`` and ``reboot-nat``: break a running lab, and mend it."""

from __future__ import annotations

from typing import Any

import click

from lab.cli.running import LAB_OPTION, connected


def _ask(lab_name: str, do: str, **fields: Any) -> None:
    with connected(lab_name) as (client, name):
        client.ask(do, lab=name, **fields)


@click.command("impair")
@click.argument("link")
@click.argument("options", nargs=-1, required=True, metavar="NAME=VALUE...")
@LAB_OPTION
def impair_command(link: str, options: tuple[str, ...], lab_name: str) -> None:
    """Impair a link from now on: delay=20ms, loss=1%, rate=2Mbit/s ...; what is not given is off.

    The options are those of a topology's links.
    """
    from lab.cli.parameters import parse_options

    _ask(lab_name, "impair", link=link, options=parse_options(options))


@click.command("cut")
@click.argument("link")
@LAB_OPTION
def cut_command(link: str, lab_name: str) -> None:
    """Let nothing through a link, both ways, until `callpath heal`."""
    _ask(lab_name, "cut", link=link)


@click.command("heal")
@click.argument("link")
@LAB_OPTION
def heal_command(link: str, lab_name: str) -> None:
    """Undo `callpath cut`."""
    _ask(lab_name, "heal", link=link)


@click.command("reset")
@click.argument("link")
@LAB_OPTION
def reset_command(link: str, lab_name: str) -> None:
    """Give a link back the impairments of the topology."""
    _ask(lab_name, "reset", link=link)


@click.command("reboot-nat")
@click.argument("box")
@LAB_OPTION
def reboot_nat_command(box: str, lab_name: str) -> None:
    """Power-cycle a NAT box: its mappings, and whatever else it remembers, are lost."""
    _ask(lab_name, "reboot_nat", node=box)

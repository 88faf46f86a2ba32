"""``callpath up TOPOLOGY``: build a network, and keep it running for other terminals."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lab.cli.options import NAT_PLANE_OPTION, PROGRAM_OPTION, SEED_OPTION, WORLD_OPTION
from lab.cli.parameters import parse_parameters, parse_programs
from lab.errors import HostNotReady
from lab.spec.roles import RELAY_PROGRAMS
from lab.spec.trial import KERNEL, VIRTUAL_TIME

if TYPE_CHECKING:
    from lab.live import LiveLab
    from lab.spec.event import Event

SHOWN: Final = (
    "call.", "ice.connected", "ice.failed", "link.", "nat.rebooted", "nat.flushed", "role.", "host.",
)  # fmt: skip
"""How the types of events begin that are told while a lab runs."""


@click.command("up")
@click.argument("topology")
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A parameter of the topology."
)
@WORLD_OPTION
@SEED_OPTION
@NAT_PLANE_OPTION
@click.option("--relay", type=click.Choice(RELAY_PROGRAMS), help="What every relay is; coturn on the kernel.")
@PROGRAM_OPTION
@click.option("--name", default="", help="What the lab is called; else the topology's name.")
@click.option("--quiet", is_flag=True, help="Do not tell what happens.")
def command(
    topology: str,
    program: tuple[str, ...],
    assignments: tuple[str, ...],
    world: str,
    seed: int,
    nat_plane: str,
    relay: str | None,
    programs: tuple[str, ...],
    name: str,
    quiet: bool,
) -> int:
    """Build a topology and keep it running; Ctrl-C ends it, and everything in it.

    In other terminals `callpath call`, `cut`, `impair` and so on act on it, and in the kernel world
    (--world emu) `callpath exec` and `shell` run programs on its nodes. With a COMMAND the lab runs as long
    as that does, and nothing else is printed: `callpath up two_homes -- callpath call alice bob`.
    """
    from lab.cli.serving import serve
    from lab.live import LabSpec
    from lab.report.network_text import format_network
    from lab.serve.places import listen
    from lab.serve.verbs import Labs

    spec = LabSpec(
        topology=topology, parameters=parse_parameters(assignments), world=world, seed=seed,
        nat_plane="" if world == VIRTUAL_TIME else nat_plane, relay=relay or "",
        programs=parse_programs(programs),
        keeps_packets=world == VIRTUAL_TIME,
    )  # fmt: skip
    place = free_place(name, Path(topology).name.partition(":")[0].removesuffix(".py"))
    labs = Labs(is_single=True)
    with closing(listen(place)) as listening:
        try:
            name, opened = labs.add(spec, place.stem)
            os.environ["CALLPATH_LAB"] = name  # for the command
            teller = _Teller(opened, is_quiet=quiet or bool(program))
            if program:
                return serve(listening, labs, ready=lambda: None, meanwhile=teller.tell, command=program)
            click.echo(format_network(opened.network))
            return serve(
                listening, labs,
                ready=lambda: click.echo(f"\nlab {name} runs {spec.place}; Ctrl-C ends it\n{_hints(world)}"),
                meanwhile=teller.tell,
            )  # fmt: skip
        finally:
            labs.close_all()
            place.unlink(missing_ok=True)


def free_place(name: str, otherwise: str) -> Path:
    """Return where to listen: at a name that was asked for, or at the first free one like another.

    Raises:
        UsageError: it is no name for a lab, or a lab of that name runs.
    """
    import re

    from lab.errors import Problem, UsageError
    from lab.serve.places import is_alive, place_of

    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", name):
        expected = "up to 40 letters, digits, _, . and -"
        raise UsageError(Problem(f"--name {name}", "no name for a lab", expected))
    if name and is_alive(place_of(name)):
        raise UsageError(Problem(f"--name {name}", "a lab of that name runs", "another name"))
    if name:
        return place_of(name)
    number = 1
    while is_alive(place_of(otherwise if number == 1 else f"{otherwise}-{number}")):
        number += 1
    return place_of(otherwise if number == 1 else f"{otherwise}-{number}")


def _hints(world: str) -> str:
    inside = "  callpath shell NODE      callpath exec NODE -- ip route\n" if world == KERNEL else ""
    return f"in another terminal:\n  callpath call CALLER CALLEE      callpath impair LINK loss=5%\n{inside}"


class _Teller:
    """Tells what happened since it was last asked."""

    def __init__(self, lab: LiveLab, *, is_quiet: bool) -> None:
        self._lab = lab
        self._is_quiet = is_quiet
        self._events = lab.world.lab.events
        self._told = len(self._events)

    def tell(self) -> None:
        """Print the events that a person wants to see.

        Raises:
            HostNotReady: the lab has ended by itself.
        """
        for event in self._events[self._told :]:
            if event.type.value.startswith(SHOWN) and not self._is_quiet:
                click.echo(_words(event))
            self._told += 1
        if self._lab.spec.world == KERNEL and not self._lab.world.pid:
            raise HostNotReady("the lab has ended: somebody has killed its namespace's first process")


def _words(event: Event) -> str:
    data = ", ".join(f"{key} {value}" for key, value in event.data.items() if value not in ("", None))
    where = " ".join(filter(None, (event.node, event.call)))
    return f"{event.time:10.3f} s  {event.type.value:14} {where}  {data}"

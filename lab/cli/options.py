"""Options that several commands take, each written once, so that it means the same everywhere."""

from __future__ import annotations

from typing import Final

import click

from lab.spec.roles import RELAY_PROGRAMS
from lab.spec.trial import WORLDS

NAT_PLANES: Final = ("auto", "nft", "engine", "kernel")
"""As lab.emu.nat_planes has them, which is not imported for help; a test compares."""

SEED_OPTION: Final = click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    envvar="CALLPATH_SEED",
    show_envvar=True,
    help="Seed of the run.",
)
REPEAT_OPTION: Final = click.option(
    "--repeat",
    type=click.IntRange(min=1),
    envvar="CALLPATH_REPEAT",
    show_envvar=True,
    help="Repetitions a cell, in place of the scenario's.",
)
JOBS_OPTION: Final = click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=0,
    envvar="CALLPATH_JOBS",
    show_envvar=True,
    help="Processes; 0 is one a core.",
)
SET_OPTION: Final = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE[,VALUE...]", help="Values of a parameter."
)
PROGRAM_OPTION: Final = click.option(
    "--program",
    "programs",
    multiple=True,
    metavar="NODE=PROGRAM",
    help="What runs on a node, or on all of a role: an adapter, a command, or lab; in the kernel world.",
)
NAT_PLANE_OPTION: Final = click.option(
    "--nat-plane",
    type=click.Choice(NAT_PLANES),
    default=NAT_PLANES[0],
    show_default=True,
    envvar="CALLPATH_NAT_PLANE",
    show_envvar=True,
    help="What carries out NAT boxes in the kernel world; auto: for each the first that can.",
)
RELAY_OPTION: Final = click.option(
    "--relay",
    type=click.Choice(RELAY_PROGRAMS),
    envvar="CALLPATH_RELAY",
    show_envvar=True,
    help="What every relay is, in place of the topology's choice; coturn in the kernel world alone.",
)
WORLD_OPTION: Final = click.option(
    "--world",
    type=click.Choice(WORLDS),
    default=WORLDS[0],
    show_default=True,
    envvar="CALLPATH_WORLD",
    show_envvar=True,
    help="Virtual time, or the kernel.",
)

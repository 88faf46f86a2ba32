"""Running labs, for the commands that act on one: which there are, and which one is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lab.errors import HostNotReady, NothingSelected, Problem, UsageError, did_you_mean

if TYPE_CHECKING:
    from lab.serve.client import Client

LAB_OPTION: Final = click.option(
    "--lab", "lab_name", default="", metavar="NAME", envvar="CALLPATH_LAB", show_envvar=True,
    help="Which running lab; not needed where there is one.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunningLab:
    """A lab, and the socket of its server; ``about`` is what the server says of it."""

    name: str
    path: Path
    about: Mapping[str, Any]


def running_labs() -> list[RunningLab]:
    """Return the labs of this user's servers; sockets that nobody listens on are removed, and told.

    A server that does not answer is told, too, and left alone.
    """
    from lab.serve.client import Client
    from lab.serve.places import remove_dead, servers

    for name in remove_dead():
        click.echo(f"callpath: removed the socket of {name}, whose process has ended", err=True)
    found = []
    for server in servers():
        try:
            with Client(server.path) as client:
                labs = client.hello["labs"]
        except (HostNotReady, NothingSelected) as error:
            click.echo(f"callpath: {error}", err=True)
            continue
        found += [RunningLab(name=about["lab"], path=server.path, about=about) for about in labs]
    return found


@contextmanager
def connected(lab_name: str) -> Iterator[tuple[Client, str]]:
    """Connect to the server of a lab; yield the connection and the lab's name.

    Raises:
        NothingSelected: no lab runs.
        UsageError: none of that name does, or several and no name was given.
    """
    from lab.serve.client import Client

    chosen = _choose(running_labs(), lab_name)
    with Client(chosen.path) as client:
        yield client, chosen.name


def _choose(labs: list[RunningLab], name: str) -> RunningLab:
    if not labs:
        raise NothingSelected(Problem("", "no lab runs", "one that `callpath up TOPOLOGY` keeps running"))
    fitting = [lab for lab in labs if name in {"", lab.name}]
    if len(fitting) == 1:
        return fitting[0]
    names = sorted(lab.name for lab in labs)
    if not fitting:
        raise UsageError(Problem(f"--lab {name}", "no such lab runs", suggestion=did_you_mean(name, names)))
    raise UsageError(
        Problem("", f"{len(fitting)} labs run", "--lab and the name of one", f"known: {', '.join(names)}")
    )

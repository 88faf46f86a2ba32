"""Whether the programs that a run asks for are installed here, and which versions they are."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from lab.adapters import node_packages
from lab.emu.programs.external_program import command_of
from lab.emu.programs.versions import said_version
from lab.errors import HostNotReady, UsageError
from lab.spec.adapters import ADAPTERS
from lab.spec.program import Program


def require_installed(node: str, program: Program) -> None:
    """Make sure that this machine has what a node's program needs.

    Raises:
        UsageError: an image that the Docker engine does not have.
        HostNotReady: it has not; with the remedy.
    """
    if program.image:
        _require_image(program)
    elif program.adapter:
        if (lacks := lacking(program.adapter)) is not None:
            raise HostNotReady(f"{node}: {lacks}")
    elif not _is_there(program):
        word, place = program.command[0], program.directory
        where = f"in {place}" if "/" in word else "in any directory of PATH"
        raise HostNotReady(
            f"{node}: no program {word!r} {where}\n"
            "  a path is from the scenario's directory; the file must be executable (chmod +x)"
        )


def lacking(adapter: str) -> str | None:
    """Return what an adapter needs and this machine has not, with the remedy; None if it has everything."""
    for needed, package in ADAPTERS[adapter].needs.items():
        if shutil.which(needed) is None:
            return (
                f"{adapter} needs the program {needed!r}, which is not installed\n"
                f"  on Debian or Ubuntu: apt-get install {package}"
            )
    if ADAPTERS[adapter].node_package and not node_packages.is_installed():
        return (
            f"{adapter} is a package of npm, which is not installed\n"
            f"  {sys.executable} -m lab.adapters.node_packages"
        )
    return None


def _require_image(program: Program) -> None:
    from lab.emu.containers.engine import Engine  # noqa: PLC0415 - the SDK takes a while to import

    with Engine() as engine:
        try:
            engine.require_image(program.image)
        except UsageError:
            if not program.runs_roles:
                raise
            raise HostNotReady(
                f"the engine has no image of the lab's programs as they are here: {program.image}\n"
                "  `make images` builds them"
            ) from None


def _is_there(program: Program) -> bool:
    word = command_of(program)[0]
    return shutil.which(str(Path(program.directory or ".", word)) if "/" in word else word) is not None


def version_of(adapter: str) -> str:
    """Return which version an adapter's program is: what npm was told, or the first number that it says."""
    if package := ADAPTERS[adapter].node_package:
        wanted: str = json.loads((node_packages.LISTS / "package.json").read_bytes())["dependencies"][package]
        return wanted
    return said_version(ADAPTERS[adapter].version)

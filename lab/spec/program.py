"""Which program plays a node's part: the lab's own, a shipped adapter, a command of the user's, an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from lab.spec.event import JsonValue

LAB_PROGRAM: Final = "lab"
"""What the lab's own program is called where another could stand."""

READY_SECONDS: Final = 60.0
"""In which a program has to say that it is ready, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What runs on a node in place of the lab's own program: an adapter, a command, or a container's image.

    ``directory`` is where a command is started (empty: in a directory of the node's own); ``ready_within`` is
    in seconds. Of a container, ``memory`` in bytes and ``cpus`` in processors are limits, 0 for none. An
    image that ``runs_roles`` is the lab's own, and runs whatever program a role has. ``typed`` is what stood
    on the command line, empty for what the scenario says. With none of adapter, command and image it is the
    lab's own program after all.
    """

    adapter: str = ""
    command: tuple[str, ...] = ()
    image: str = ""
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    directory: str = ""
    ready_within: float = READY_SECONDS
    runs_roles: bool = False
    memory: int = 0
    cpus: float = 0.0
    typed: str = ""

    @property
    def name(self) -> str:
        """What it is called in events and tables."""
        if self.runs_roles:
            return LAB_PROGRAM
        if self.command and not self.image:
            return PurePath(self.command[0]).name
        return self.adapter or self.image or LAB_PROGRAM

    @property
    def is_the_labs(self) -> bool:
        """Whether it is the lab's own program."""
        return not (self.adapter or self.command or self.image)

    def to_data(self) -> dict[str, JsonValue]:
        """Return it as JSON values; :func:`program_of_data` gives it back."""
        return {
            "adapter": self.adapter,
            "command": [*self.command],
            "image": self.image,
            "options": dict(self.options),
            "directory": self.directory,
            "ready_within": self.ready_within,
            "runs_roles": self.runs_roles,
            "memory": self.memory,
            "cpus": self.cpus,
            "typed": self.typed,
        }


def program_of_data(data: Mapping[str, JsonValue]) -> Program:
    """Return what :meth:`Program.to_data` made JSON of.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    command, options = data["command"], data["options"]
    if not isinstance(command, list) or not isinstance(options, dict):
        raise TypeError("a program's command is a list, and its options are a mapping")
    return Program(
        adapter=str(data["adapter"]),
        command=tuple(map(str, command)),
        image=str(data["image"]),
        options=options,
        directory=str(data["directory"]),
        ready_within=float(str(data["ready_within"])),
        runs_roles=data["runs_roles"] is True,
        memory=int(str(data["memory"])),
        cpus=float(str(data["cpus"])),
        typed=str(data["typed"]),
    )

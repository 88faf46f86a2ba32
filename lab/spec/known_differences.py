"""The differences between the two worlds whose cause is known: ``worlds.yaml`` beside this module.

Nothing else explains a cell that came out otherwise on the kernel than in virtual time. Each entry names the
test that switches its cause on and off, and so flips the cell: without it an explanation is an opinion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import Problem, UsageError
from lab.spec.event import JsonValue
from lab.spec.yaml_loader import load_yaml

KNOWN: Final = Path(__file__).with_name("worlds.yaml")

_Text = Annotated[str, Field(min_length=1)]


class KnownDifference(BaseModel):
    """One cause, and the cells that it makes differ.

    ``nat_planes`` are those that have it, ``when`` the values of parameters that a cell must have, one of
    each list. ``about`` is what differs, ``virtual_time`` and ``kernel`` the classes that each world may then
    have. ``test`` is ``path::name``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: _Text
    about: Literal["validated", "selected"]
    nat_planes: list[_Text] = Field(min_length=1)
    when: dict[str, list[str | int | float | bool]] = Field(min_length=1)
    virtual_time: list[_Text] = Field(min_length=1)
    kernel: list[_Text] = Field(min_length=1)
    cause: _Text
    test: Annotated[str, Field(pattern=r"^tests/[\w/]+\.py::test_\w+$")]

    def is_of(self, nat_plane: str, values: Mapping[str, JsonValue]) -> bool:
        """Return whether a cell with these parameters, run on this plane, is one of its cells."""
        return nat_plane in self.nat_planes and all(
            name in values and _is_among(values[name], allowed) for name, allowed in self.when.items()
        )

    def explains(self, about: str, virtual_time: Mapping[str, int], kernel: Mapping[str, int]) -> bool:
        """Return whether these classes, by what differs, are those that the cause brings about."""
        return (
            about == self.about
            and set(virtual_time) <= set(self.virtual_time)
            and set(kernel) <= set(self.kernel)
        )


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    differences: list[KnownDifference]


def read_known(path: Path = KNOWN) -> Sequence[KnownDifference]:
    """Return the known differences of a file.

    Raises:
        UsageError: it is not what it should be.
    """
    document = load_yaml(path)
    try:
        known = _Known.model_validate(document.value).differences
    except ValidationError as error:
        places = [(document, fault["loc"], fault["msg"]) for fault in error.errors()]
        raise UsageError(*(file.problem(trail, message) for file, trail, message in places)) from None
    names = [difference.name for difference in known]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(Problem(str(path), f"{twice[0]} is there twice"))
    return known


def _is_among(value: JsonValue, allowed: Sequence[JsonValue]) -> bool:
    """Return whether a value is one of several; True is not 1, as it is in Python."""
    return any(type(value) is type(other) and value == other for other in allowed)

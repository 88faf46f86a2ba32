"""A :class:`~nat_models.model.NatModel` from nested mappings, as YAML files and overrides give them.

The dataclasses of :mod:`nat_models.model` are the schema: their fields are the keys, and keys may be dotted
(``lifetimes.udp``). Everything that is wrong is reported at once.
"""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from nat_models import values
from nat_models.contradictions import contradictions
from nat_models.errors import InvalidModel, ModelProblem, did_you_mean
from nat_models.model import FirewallRule, NatModel
from nat_models.values import WrongValueError

Path = tuple[str, ...]
Where = Callable[[Path], str]
"""Says where a key stands, for people: ``symmetric.yaml:7: lifetimes.udp``."""


def dotted(path: Path) -> str:
    """Return a path of keys as people write it."""
    return ".".join(path)


def read_model(data: Mapping[str, object], base: NatModel, where: Where = dotted) -> NatModel:
    """Return ``base`` with the axes that ``data`` names set to its values.

    Raises:
        InvalidModel: unknown axes, values that they cannot have, or values that contradict each other.
    """
    reader = _Reader(where)
    model: NatModel = reader.fill(base, data, ())
    problems = reader.problems or [
        ModelProblem(where(path), found, expected) for path, found, expected in contradictions(model)
    ]
    if problems:
        raise InvalidModel(*problems)
    return model


class _Reader:
    def __init__(self, where: Where) -> None:
        self._where = where
        self.problems: list[ModelProblem] = []

    def fill(self, record: Any, data: Mapping[str, object], above: Path) -> Any:
        """Return a dataclass instance with the fields that ``data`` names replaced."""
        for key, value in data.items():
            record = self._set(record, tuple(str(key).split(".")), value, above)
        return record

    def _set(self, record: Any, path: Path, value: object, above: Path) -> Any:
        name, rest = path[0], path[1:]
        here = (*above, name)
        kinds = typing.get_type_hints(type(record))
        if name not in kinds:
            suggestion = did_you_mean(name, kinds)
            self._wrong(here, f"unknown axis {name!r}", "", suggestion)
            return record
        current = getattr(record, name)
        if rest and not dataclasses.is_dataclass(current):
            self._wrong(here, f"{name!r} is one value, it has no {rest[0]!r}")
            return record
        if rest:
            changed = self._set(current, rest, value, here)
        elif dataclasses.is_dataclass(current) and isinstance(value, Mapping):
            changed = self.fill(current, value, here)
        else:
            try:
                changed = _read(kinds[name], value)
            except WrongValueError as wrong:
                self.problems.append(wrong.at(self._where(here)))
                return record
        return dataclasses.replace(record, **{name: changed})

    def _wrong(self, path: Path, found: str, expected: str = "", suggestion: str = "") -> None:
        self.problems.append(ModelProblem(self._where(path), found, expected, suggestion))


def _read(kind: Any, value: object) -> object:
    """Return ``value`` as the type of a field."""
    if kind in _READERS:
        return _READERS[kind](value)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return values.read_word(kind, value)
    if isinstance(value, kind):
        return value
    raise WrongValueError(f"{value!r}", f"a mapping with {', '.join(typing.get_type_hints(kind))}")


def _read_words(value: object) -> tuple[str, ...]:
    return tuple(values.read_str(item) for item in values.read_list(value))


def _read_numbers(value: object) -> tuple[int, ...]:
    return tuple(values.read_int(item) for item in values.read_list(value))


def _read_by_port(value: object) -> tuple[tuple[int, float], ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, Mapping):
        raise WrongValueError(f"{value!r}", "destination ports with a lifetime each, such as {53: 60s}")
    return tuple((values.read_int(port), values.read_duration(time)) for port, time in value.items())


def _read_rules(value: object) -> tuple[FirewallRule, ...]:
    return tuple(_read_rule(item) for item in values.read_list(value))


def _read_rule(value: object) -> FirewallRule:
    if isinstance(value, FirewallRule):
        return value
    known = typing.get_type_hints(FirewallRule)
    if not isinstance(value, Mapping) or "action" not in value:
        raise WrongValueError(f"{value!r}", "a rule such as {action: drop, protocol: udp}")
    for key in value:
        if key not in known:
            raise WrongValueError(f"unknown key {key!r} in a rule", "", did_you_mean(str(key), known))
    fields: dict[str, Any] = {key: _read(known[key], item) for key, item in value.items()}
    return FirewallRule(**fields)


_READERS: Final[dict[Any, Callable[[object], object]]] = {
    float: values.read_duration,
    float | None: values.read_duration,
    bool: values.read_bool,
    int: values.read_int,
    str: values.read_str,
    tuple[str, ...]: _read_words,
    tuple[int, ...]: _read_numbers,
    tuple[tuple[int, float], ...]: _read_by_port,
    tuple[FirewallRule, ...]: _read_rules,
}


def flatten(data: Mapping[str, object], above: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield the single values of nested mappings, with their paths; dotted keys are taken apart."""
    for key, value in data.items():
        path = (*above, *str(key).split("."))
        if isinstance(value, Mapping) and path[-1] != "udp_by_port":
            yield from flatten(value, path)
        else:
            yield path, value

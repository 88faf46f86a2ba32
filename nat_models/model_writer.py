"""A :class:`~nat_models.model.NatModel` as the YAML of a preset: what the reader reads back."""

from __future__ import annotations

import dataclasses
import enum
import io
from typing import Any, Final

from ruamel.yaml import YAML

from nat_models.model import FirewallRule, Lifetimes, NatModel, TcpBehaviour

_ALWAYS: Final = ("name", "description", "sources", "transparency", "mapping", "filtering")
_MILLISECONDS: Final = 3


def write_model(model: NatModel) -> str:
    """Return the YAML of a model: what it is and by whom, and every axis that differs from the default.

    Durations are written to the millisecond. :func:`nat_models.presets.load_model_file` reads an equal model.
    """
    axes = _fields(model, NatModel(name=""), always=_ALWAYS)
    first = {name: axes.pop(name) for name in _ALWAYS}
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(first | axes, text)
    return text.getvalue()


def _fields(record: Any, default: Any, always: tuple[str, ...] = ()) -> dict[str, object]:
    """Return the fields of a dataclass that differ from another instance's, in plain values."""
    found: dict[str, object] = {}
    for field in dataclasses.fields(record):
        value, usual = getattr(record, field.name), getattr(default, field.name)
        if value == usual and field.name not in always:
            continue
        is_group = dataclasses.is_dataclass(value)
        found[field.name] = _fields(value, usual) if is_group else _plain(field.name, value, type(record))
    return found


def _plain(name: str, value: object, owner: type) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if name == "udp_by_port" and isinstance(value, tuple):
        return {port: _duration(seconds) for port, seconds in value}
    if owner in {Lifetimes, TcpBehaviour} or name == "hold_down":
        return _duration(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    if isinstance(value, tuple):
        return [_rule(item) if isinstance(item, FirewallRule) else item for item in value]
    return value


def _rule(rule: FirewallRule) -> dict[str, object]:
    return {"action": rule.action} | _fields(rule, FirewallRule(action=rule.action))


def _duration(seconds: float) -> str:
    text = f"{seconds:.{_MILLISECONDS}f}".rstrip("0").rstrip(".")
    return f"{text}s"

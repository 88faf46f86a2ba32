"""Known boxes by name: one YAML file each, beside this module, naming where its values come from.

A preset is asked for as ``symmetric``, by an alias, or with axes changed in the text itself:
``symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}``. What stands in the braces is a YAML flow
mapping. Names such as ``adm-apdf`` give any pair of the mapping × filtering matrix (:func:`model_for`).

A user's own presets are files of the same form: by path (``boxes/hotel.yaml``), or by name where they lie in
``./nat_models``. They cannot redefine a name that ships: every report that says it would mean another box.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Mapping as MappingABC
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from nat_models.errors import InvalidModel, ModelProblem, NatModelError, UnknownPreset, did_you_mean
from nat_models.model import Filtering, Mapping, NatModel, PortAssignment
from nat_models.model_reader import dotted, flatten, read_model
from nat_models.values import SHORT_FILTERING, SHORT_MAPPING

__all__ = [
    "aliases",
    "load_model_file",
    "load_preset",
    "model_for",
    "own_preset_files",
    "preset_names",
    "presets",
]

DIRECTORY: Final = Path(__file__).parent
OWN_DIRECTORY: Final = "nat_models"
"""Where a user's own presets lie, below the directory that a command is given in."""


@functools.cache
def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, in alphabetical order; aliases are not among them."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.yaml")))


def presets() -> MappingABC[str, NatModel]:
    """Return every preset by name, in alphabetical order."""
    return {name: _shipped(name)[0] for name in preset_names()}


@functools.cache
def aliases() -> MappingABC[str, str]:
    """Return what each alias stands for."""
    return {alias: name for name in preset_names() for alias in _shipped(name)[1]}


def own_preset_files() -> MappingABC[str, Path]:
    """Return the user's own presets by name, in alphabetical order: those that no shipped name hides."""
    taken = {*preset_names(), *aliases()}
    files = sorted(Path(OWN_DIRECTORY).glob("*.yaml"))
    return {path.stem: path for path in files if path.stem not in taken}


def load_preset(name: str, **overrides: object) -> NatModel:
    """Return a preset, with axes changed where asked.

    Args:
        name: A preset's name or alias, a pair such as ``eim-apdf``, the name of an own file in
            ``./nat_models``, a path to one (with a slash, or ending in ``.yaml``); overrides in braces.
        **overrides: Axes of :class:`~nat_models.model.NatModel` with their values as enum members, words,
            durations or (nested) mappings. The name of the result shows them.

    Raises:
        UnknownPreset: no such name.
        InvalidModel: an override names no axis, or gives it a value it cannot have.
    """
    plain, brace, rest = name.strip().partition("{")
    plain = plain.strip()
    changes = dict(_braces(brace + rest, name)) if brace else {}
    changes.update(overrides)
    base = _named(plain)
    if not changes:
        return base
    model = read_model(changes, base, lambda path: f"{plain}: {dotted(path)}" if plain else dotted(path))
    return dataclasses.replace(model, name=base.name + _shown(changes))


def model_for(mapping: Mapping | str, filtering: Filtering | str, **axes: object) -> NatModel:
    """Return the model of one cell of the mapping × filtering matrix, named like ``adm-apdf``.

    UDP and TCP map and filter alike; ports are random, so that nothing rests on a port that happens to be
    kept.
    ``axes`` sets any other axis, as in :func:`load_preset`.

    Raises:
        InvalidModel: a value that an axis cannot have.
    """
    pair = {"mapping": mapping, "filtering": filtering}
    base = NatModel(name="", port_assignment=PortAssignment.RANDOM)
    model = read_model({**pair, "tcp": dict(pair)}, base)
    name = f"{_short(SHORT_MAPPING, model.mapping)}-{_short(SHORT_FILTERING, model.filtering)}"
    description = f"{model.mapping.value} mapping, {model.filtering.value} filtering"
    model = dataclasses.replace(model, name=name, description=description, sources=("RFC 4787 §4.1 and §5",))
    if not axes:
        return model
    return dataclasses.replace(read_model(axes, model), name=name + _shown(axes))


def load_model_file(path: Path) -> NatModel:
    """Return the model that a YAML file describes, in the form of the shipped presets.

    Raises:
        InvalidModel: the file is no YAML 1.2, or no model; every problem with its line.
        OSError: the file cannot be read.
    """
    return _read_file(path)[0]


def _named(name: str) -> NatModel:
    if "/" in name or name.endswith(".yaml"):
        return _own(Path(name))
    if name in preset_names():
        return _shipped(name)[0]
    if name in aliases():
        return _shipped(aliases()[name])[0]
    mapping, _, filtering = name.partition("-")
    if mapping in SHORT_MAPPING and filtering in SHORT_FILTERING:
        return model_for(mapping, filtering)
    own = own_preset_files()
    if name in own:
        return _own(own[name])
    known = (*preset_names(), *aliases(), *own, *(f"{m}-{f}" for m in SHORT_MAPPING for f in SHORT_FILTERING))
    suggestion = did_you_mean(name, known)
    if suggestion.startswith("known"):
        suggestion = did_you_mean(name, (*preset_names(), *own))
    raise UnknownPreset(ModelProblem("", f"no NAT preset {name!r}", "the name of a preset", suggestion))


def _own(path: Path) -> NatModel:
    """Return the model of a user's file, as it is now."""
    try:
        return load_model_file(path)
    except UnicodeDecodeError:
        raise InvalidModel(ModelProblem(str(path), "no text in UTF-8", "YAML 1.2")) from None
    except OSError as error:
        problem = ModelProblem(
            "", f"no NAT preset file {str(path)!r}", "a readable file", f"{error.strerror}"
        )
        raise UnknownPreset(problem) from None


@functools.cache
def _shipped(name: str) -> tuple[NatModel, tuple[str, ...]]:
    model, also = _read_file(DIRECTORY / f"{name}.yaml")
    if model.name != name:
        found = f"{name}.yaml calls itself {model.name!r}"
        raise InvalidModel(ModelProblem(str(DIRECTORY), found, "the name of the file"))
    return model, also


def _read_file(path: Path) -> tuple[NatModel, tuple[str, ...]]:
    document = _load_yaml(path.read_text(encoding="utf-8"), path.name)
    if not isinstance(document, MappingABC):
        raise InvalidModel(ModelProblem(path.name, "no mapping of axes", "name: ..., mapping: ..."))

    def where(keys: tuple[str, ...]) -> str:
        line = _line_of(document, keys)
        return f"{path.name}:{line}: {dotted(keys)}" if line else f"{path.name}: {dotted(keys)}"

    axes = dict(document)
    also = axes.pop("aliases", [])
    if not isinstance(also, list) or not all(isinstance(alias, str) for alias in also):
        raise InvalidModel(ModelProblem(where(("aliases",)), f"{also!r}", "a list of names"))
    for key in ("name", "description", "sources"):
        if not axes.get(key):
            raise InvalidModel(
                ModelProblem(path.name, f"no {key}", "every model says what it is and by whom")
            )
    return read_model(axes, NatModel(name=path.stem), where), tuple(also)


def _load_yaml(text: str, where: str) -> Any:
    try:
        return YAML().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = where if mark is None else f"{where}:{mark.line + 1}"
        raise InvalidModel(ModelProblem(place, str(error.problem or error.context), "YAML 1.2")) from None


def _line_of(document: Any, keys: tuple[str, ...]) -> int:
    """Return the line (from 1) where a path of keys stands, or the nearest one above it; 0 if unknown."""
    line = 0
    for key in keys:
        try:
            line = document.lc.key(key)[0] + 1
            document = document[key]
        except (AttributeError, KeyError, TypeError):
            break
    return line


def _braces(text: str, whole: str) -> MappingABC[str, object]:
    try:
        axes = _load_yaml(text, whole)
    except NatModelError as error:
        raise InvalidModel(
            ModelProblem(
                whole, error.found, "preset{axis: value, ...}", "for example symmetric{lifetimes.udp: 30s}"
            )
        ) from None
    if isinstance(axes, MappingABC):
        return axes
    raise InvalidModel(ModelProblem(whole, f"{text!r} is no mapping", "preset{axis: value, ...}"))


def _shown(changes: MappingABC[str, object]) -> str:
    """Return overrides as they are written behind a preset's name."""
    return "{" + ", ".join(f"{dotted(path)}: {_word(value)}" for path, value in flatten(changes)) + "}"


def _word(value: object) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, MappingABC):
        return "{" + ", ".join(f"{key}: {_word(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_word, value)) + "]"
    return str(value)


def _short(words: MappingABC[str, enum.Enum], member: enum.Enum) -> str:
    return next(short for short, value in words.items() if value is member)

"""What docs/nat-models.md says is so: every preset, axis and value is there, and every example loads."""

import dataclasses
import enum
import re
import typing
from pathlib import Path

import pytest

from nat_models import NatModel, load_preset, preset_names, presets
from nat_models.presets import aliases, load_model_file

PAGE = (Path(__file__).parents[2] / "docs" / "nat-models.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)


def test_every_preset_and_alias_is_listed_with_its_description():
    for name, model in presets().items():
        also = ", ".join(f"`{alias}`" for alias, of in aliases().items() if of == name)
        assert f"| `{name}` | {model.description} | {also} |" in PAGE
    assert len(re.findall(r"^\| `[a-z0-9-]+` \| .*\. \|", PAGE, re.MULTILINE)) == len(preset_names())


def fields(record):
    for name, kind in typing.get_type_hints(record).items():
        yield name, kind
        if dataclasses.is_dataclass(kind):
            yield from fields(kind)


@pytest.mark.parametrize(
    ("name", "kind"), [f for f in fields(NatModel) if f[0] not in {"name", "sources", "description"}]
)
def test_every_axis_and_its_values_are_listed(name, kind):
    assert any(name in words.split(", ") for words in CODE), name
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        assert {member.value for member in kind} <= set(CODE)


@pytest.mark.parametrize("text", [text for text in CODE if re.match(r"^[a-z-]+\{", text)])
def test_every_override_loads_and_is_shown_as_it_was_written(text):
    assert load_preset(text).name == text


def test_the_model_of_ones_own_loads(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "hotel.yaml"
    path.write_text(block, encoding="utf-8")
    model = load_model_file(path)
    assert (model.name, model.lifetimes.unreplied, model.outbound_rules[0].ports) == ("hotel", 20.0, (5060,))

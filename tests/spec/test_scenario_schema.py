"""The JSON Schema knows the keys that the reader knows, and each says what it means."""

import json
import re
from pathlib import Path

from lab.spec.scenario_schema import DIALECT, scenario_schema, scenario_schema_text


def mappings(schema):
    """Yield every object schema with its own keys."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from mappings(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from mappings(value)


def test_it_is_a_schema_of_its_dialect():
    schema = json.loads(scenario_schema_text())
    assert schema == scenario_schema()
    assert schema["$schema"] == DIALECT
    assert schema["required"] == ["callpath", "topology", "calls"]


def test_no_mapping_takes_unknown_keys():
    found = list(mappings(scenario_schema()))
    assert len(found) > 10
    assert all(schema["additionalProperties"] is False for schema in found)


def test_every_key_says_what_it_means():
    silent = [
        key
        for schema in mappings(scenario_schema())
        if "metric" not in schema["properties"]
        for key, value in schema["properties"].items()
        if not value.get("description")
    ]
    assert silent == []


def test_one_call_stands_for_a_list_of_it():
    one, several = scenario_schema()["properties"]["calls"]["anyOf"]
    assert several == {"items": one, "minItems": 1, "maxItems": 10_000, "type": "array"} | (
        {"title": several["title"]} if "title" in several else {}
    )


def test_the_page_names_every_key_of_the_format():
    page = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
    keys = {
        key
        for schema in mappings(scenario_schema())
        if "metric" not in schema["properties"]
        for key in schema["properties"]
    }
    missing = [key for key in sorted(keys) if not re.search(rf"`[^`]*\b{key}\b[^`]*`", page)]
    assert not missing


def test_the_page_lists_every_shipped_scenario():
    root = Path(__file__).parents[2]
    page = (root / "docs" / "scenarios.md").read_text(encoding="utf-8")
    shipped = {path.stem for path in (root / "scenarios").glob("*.yaml")}
    assert {name for name in shipped if f"(../scenarios/{name}.yaml)" in page} == shipped

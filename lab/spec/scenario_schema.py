"""The JSON Schema of scenario files, from the models that read them.

It helps editors to complete and to mark mistakes. What concerns several keys, or the topology, a schema
cannot say: `callpath check` does.
"""

from __future__ import annotations

import json
from typing import Any, Final

from lab.spec.metric_catalogue import CATALOGUE, Statistic
from lab.spec.scenario import ScenarioSpec

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def scenario_schema() -> dict[str, Any]:
    """Return the schema as a document."""
    schema: dict[str, Any] = ScenarioSpec.model_json_schema(by_alias=True)
    properties = schema["properties"]
    calls = properties["calls"]
    words = calls.pop("description")
    properties["calls"] = {"anyOf": [calls["items"], calls], "description": words}
    properties["expect"]["items"] = _expectation()
    properties["population"]["additionalProperties"].pop("propertyNames", None)
    return {"$schema": DIALECT, **schema, "title": "Callpath scenario, format 1"}


def scenario_schema_text() -> str:
    """Return the schema as it is committed and printed."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


def _expectation() -> dict[str, Any]:
    comparison = {"type": "string", "pattern": "^\\s*(==|!=|<=|>=|<|>)"}
    value = {"type": ["string", "number", "boolean"]}
    settings: dict[str, Any] = {
        "metric": {"enum": sorted(CATALOGUE)},
        "when": {
            "type": "object",
            "additionalProperties": {"anyOf": [value, {"type": "array", "items": value}]},
        },
        "why": {"type": "string"},
        "within": {"type": "string"},
        "confidence": {"type": "string", "pattern": "%\\s*$"},
        "severity": {"enum": ["error", "warning"]},
    }
    return {
        "type": "object",
        "properties": settings | {statistic.value: comparison for statistic in Statistic},
        "required": ["metric"],
        "additionalProperties": False,
    }

"""The JSON Schema of requests and answers, from the models that read them."""

from __future__ import annotations

import json
from typing import Any, Final

from lab.serve.requests import ADAPTER

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Final = {"type": "string"}
_PROBLEM: Final = {
    "type": "object",
    "properties": dict.fromkeys(("where", "found", "expected", "suggestion", "excerpt"), _TEXT),
}
_ID: Final = {"type": ["string", "integer", "null"]}
_ANSWERS: Final[dict[str, Any]] = {
    "Answer": {
        "type": "object",
        "properties": {"id": _ID, "ok": {"const": True}, "result": {"type": "object"}},
        "required": ["id", "ok", "result"],
        "additionalProperties": False,
    },
    "Error": {
        "type": "object",
        "properties": {
            "id": _ID,
            "ok": {"const": False},
            "error": {
                "type": "object",
                "properties": {
                    "kind": {"enum": ["usage", "host-not-ready", "invalid", "program-failed", "internal"]},
                    "exit_code": {"type": "integer"},
                    "message": _TEXT,
                    "problems": {"type": "array", "items": _PROBLEM},
                },
                "required": ["kind", "exit_code", "message", "problems"],
                "additionalProperties": False,
            },
        },
        "required": ["id", "ok", "error"],
        "additionalProperties": False,
    },
    "Event": {
        "type": "object",
        "properties": {"lab": _TEXT, "number": {"type": "integer"}, "event": {"type": "object"}},
        "required": ["lab", "number", "event"],
        "additionalProperties": False,
    },
}


def serve_schema() -> dict[str, Any]:
    """Return the schema as a document: a request, or (``$defs/Said``) what the server says."""
    requests = ADAPTER.json_schema()
    definitions = requests.pop("$defs")
    said = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in _ANSWERS]}
    return {
        "$schema": _DIALECT,
        "title": "A request to callpath serve, protocol 1",
        **requests,
        "$defs": {**definitions, **_ANSWERS, "Said": said},
    }


def serve_schema_text() -> str:
    """Return the schema as it is committed and printed."""
    return json.dumps(serve_schema(), indent=2, ensure_ascii=False) + "\n"

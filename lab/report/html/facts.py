"""What was run: versions and seed, and of every NAT model how it behaves and what a probe found of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.report.html.source import Source
from lab.units import format_duration

AXES: Final = (
    ("transparency", "what it is"),
    ("mapping", "mapping"),
    ("filtering", "filtering"),
    ("filter_scope", "filter scope"),
    ("reply_reuse", "reply reuse"),
    ("port_assignment", "ports"),
    ("pooling", "pooling"),
    ("hairpinning", "hairpinning"),
)
"""The columns of the table, after RFC 4787, by the model's field."""

_UNOBSERVABLE: Final = "unobservable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One NAT model. ``axes`` in the order of :data:`AXES`; ``more`` and ``probed`` are names with values.

    ``plane`` carried it out in the kernel world; empty in virtual time.
    """

    name: str
    description: str
    axes: Sequence[str]
    udp_lifetime: str
    sources: Sequence[str]
    more: Sequence[tuple[str, str]]
    probed: Sequence[tuple[str, str]]
    plane: str


def boxes(source: Source) -> list[Box]:
    """Return the NAT models of the run with their settings, as the manifest has them."""
    return [_box(record) for record in source.run.manifest.get("nat_boxes", ())]


def _box(record: Mapping[str, Any]) -> Box:
    model, probed = record["model"], record.get("probed", {})
    shown = {field for field, _ in AXES} | {"name", "description", "sources"}
    lifetime = model.get("lifetimes", {}).get("udp")
    return Box(
        name=str(model.get("name", "")),
        description=str(model.get("description", "")),
        axes=[str(model.get(field, "")) for field, _ in AXES],
        udp_lifetime="" if lifetime is None else format_duration(lifetime),
        sources=[str(line) for line in model.get("sources", ())],
        more=list(_flat({name: value for name, value in model.items() if name not in shown})),
        probed=[(name, str(found)) for name, found in probed.items() if _UNOBSERVABLE not in str(found)],
        plane=str(record.get("plane", "")),
    )


def _flat(record: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, value) of nested settings."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", "none" if value in (None, [], ()) else str(value)


def versions(source: Source) -> list[tuple[str, str]]:
    """Return what the run was made with, name by name."""
    manifest = source.run.manifest
    libraries = manifest.get("libraries", {})
    return [
        ("scenario", source.run.scenario),
        ("command", shlex.join(str(word) for word in manifest.get("argv", ()))),
        ("seed", str(source.run.seed)),
        ("started", str(manifest.get("started", ""))),
        ("world", {"sim": "sim: virtual time"}.get(str(manifest.get("world")), str(manifest.get("world")))),
        ("Callpath", str(manifest.get("callpath", ""))),
        ("Python", str(manifest.get("python", ""))),
        ("libraries", ", ".join(f"{name} {version}" for name, version in libraries.items())),
        ("platform", str(manifest.get("platform", ""))),
        ("plan", str(manifest.get("plan", ""))),
        ("run", source.run.path.name),
    ]

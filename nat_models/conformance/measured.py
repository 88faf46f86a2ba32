"""What boxes of the kernel world were measured as: the same statements, run against packets on real devices.

The measurements are data beside this module, written by ``tools/measure_nat_planes.py`` and measured again,
in part, by a test wherever network namespaces can be had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from nat_models.conformance.finding import Verdict

FILE: Final = Path(__file__).with_name("measured.json")

LETTERS: Final[Mapping[str, Verdict | None]] = {
    "m": Verdict.MET,
    "v": Verdict.VIOLATED,
    "n": Verdict.NOT_APPLICABLE,
    ".": None,
}
"""How a verdict is written: one letter a statement, in the order of the file's list of statements."""

Measured = Mapping[str, Mapping[str, Mapping[str, Verdict | None]]]
"""By plane, preset and requirement; None where time or the kernel allows no measurement."""


@cache
def measured() -> Measured:
    """Return everything that was measured."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        plane: {
            name: {s: LETTERS[letter] for s, letter in zip(data["statements"], letters, strict=True)}
            for name, letters in presets.items()
        }
        for plane, presets in data["planes"].items()
    }


def as_text(found: Measured) -> str:
    """Return measurements as the file's text."""
    letters = {verdict: letter for letter, verdict in LETTERS.items()}
    first = next(iter(next(iter(found.values())).values()))
    planes = {
        plane: {name: "".join(letters[v] for v in verdicts.values()) for name, verdicts in presets.items()}
        for plane, presets in found.items()
    }
    return json.dumps({"statements": list(first), "planes": planes}, indent=1) + "\n"

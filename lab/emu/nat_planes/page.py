"""The tables of docs/nat-planes.md, from what the planes themselves refuse by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from lab.emu.nat_planes.capabilities import LIMITS, check
from lab.emu.nat_planes.plane import NatPlane
from nat_models import presets

_PLACE: Final = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def nat_planes_filled(page: str) -> str:
    """Return the page with the tables between its marks written anew."""
    return _PLACE.sub(lambda place: f"{place[1]}{_TABLES[place[2]]()}\n{place[3]}", page)


def _limits() -> str:
    header = ["a model asks for", *(plane.value for plane in NatPlane)]
    rows = [[limit.what, *(limit.cannot.get(plane, "✓") for plane in NatPlane)] for limit in LIMITS]
    return _table(header, rows)


def _presets() -> str:
    header = ["preset", *(plane.value for plane in NatPlane)]
    rows = [
        [f"`{name}`", *("–" if check(plane, model) else "✓" for plane in NatPlane)]
        for name, model in presets().items()
    ]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


_TABLES: Final[Mapping[str, Callable[[], str]]] = {"limits": _limits, "presets": _presets}

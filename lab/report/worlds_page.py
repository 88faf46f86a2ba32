"""The list in docs/worlds.md: differences between the worlds whose cause is known."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from typing import Final

from lab.spec.known_differences import KnownDifference, read_known

_PLACE: Final = re.compile(r"(<!-- known differences -->\n).*?(<!-- end of known differences -->)", re.DOTALL)


def worlds_filled(page: str) -> str:
    """Return the page with the list between its marks written anew."""
    known = known_text(read_known())
    return _PLACE.sub(lambda place: f"{place[1]}\n{known}\n{place[2]}", page)


def known_text(known: Sequence[KnownDifference]) -> str:
    """Return the list as Markdown, an entry a heading."""
    return "\n".join(map(_entry, known)) if known else "None: no cell has been found to differ.\n"


def _entry(known: KnownDifference) -> str:
    planes = ", ".join(f"`{plane}`" for plane in known.nat_planes)
    cells = "; ".join(f"`{name}` {_either(values)}" for name, values in known.when.items())
    before, after = _either(known.virtual_time), _either(known.kernel)
    path, _, function = known.test.partition("::")
    return (
        f"### {known.name}\n\n{textwrap.fill(known.cause, 120)}\n\n"
        f"- cells: {cells}; NAT plane {planes}\n"
        f"- {known.about}: {before} in virtual time, {after} on the kernel\n"
        f"- switched on and off by `{function}` in [{path}](../{path})\n"
    )


def _either(values: Sequence[object]) -> str:
    texts = (value if isinstance(value, str) else json.dumps(value) for value in values)
    return " or ".join(f"`{text}`" for text in texts)

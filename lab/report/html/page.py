"""The page: every section's content put into the template, with style, script and data in the one file.

The page's own policy forbids it every request: what is not in the file cannot be in the page.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lab.measure.verdict import Outcome
from lab.report.html.calls import MOST_CALLS, page_data
from lab.report.html.cell_words import cell_words, is_missed, ways
from lab.report.html.cells import Cells
from lab.report.html.ecdf import CLASSES, ecdf_svg
from lab.report.html.facts import AXES, boxes, versions
from lab.report.html.source import Source
from lab.report.html.verdicts import expectations, first_open, headline
from lab.report.matrix_text import SYMBOLS
from lab.report.quantiles import PERCENTILES, percentiles_of, setup_times_by_path
from lab.report.shares import relay_share, relay_shares_by
from lab.spec.event import PathClass
from lab.units import format_duration

_TEMPLATES: Final = files("lab.report.html") / "templates"
_OUTCOMES: Final = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.INCONCLUSIVE: "?"}


def report_html(source: Source) -> str:
    """Return the report of a stored run: one HTML document that needs nothing else."""
    cells, models = Cells(source), boxes(source)
    script = _file("report.js")
    return _environment().get_template("report.html").render(
        source=source,
        run=source.run,
        cells=cells,
        headline=headline(source.result),
        first=first_open(source.result, cells),
        expectations=expectations(source.result, cells),
        times=_times(source),
        ecdf=Markup(ecdf_svg(setup_times_by_path(source.rows))),  # noqa: S704 - numbers and our own words
        shares=_shares(source, cells),
        has_media=not source.rows or any("path" in row or row["invalid"] for row in source.rows),
        sip=_sip(source),
        failures=_failures(source),
        boxes=models,
        on_planes=any(box.plane for box in models),
        axes=AXES,
        versions=versions(source),
        style=Markup(_file("report.css")),  # noqa: S704 - a file of the package
        script=Markup(script),  # noqa: S704 - a file of the package
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(page_data(source, cells)),  # noqa: S704 - has no "<" in it
        percentiles=PERCENTILES,
        most_calls=MOST_CALLS,
        most_damage=MOST_DAMAGE,
    )  # fmt: skip


def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lab.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": format_duration,
        "ladder": Markup,  # an SVG document that lab.report.ladder_svg wrote and escaped
        "percent": _percent,
        "quote": lambda path: shlex.quote(str(path)),
    }
    environment.globals |= {
        "PATHS": list(CLASSES),
        "CLASSES": CLASSES,
        "SYMBOLS": SYMBOLS,
        "OUTCOMES": _OUTCOMES,
        "Outcome": Outcome,
        "cell_words": cell_words,
        "ways": ways,
        "is_missed": is_missed,
    }
    return environment


def _percent(share: float) -> str:
    """Return a share as per cent with a digit, and 0 or 100 only where it is."""
    text = f"{share * 100:.1f}"
    if text in {"0.0", "100.0"} and share not in {0, 1}:
        return "< 0.1 %" if share < 0.5 else "> 99.9 %"
    return f"{text.removesuffix('.0')} %"


# Tables


def _times(source: Source) -> list[dict[str, Any]]:
    return [
        {"path": path, "n": len(times), "marks": percentiles_of(times), "max": times[-1]}
        for path, times in setup_times_by_path(source.rows).items()
    ]


def _shares(source: Source, cells: Cells) -> list[dict[str, Any]]:
    """Return the share of all calls, and by each parameter that varies."""
    whole = relay_share(source.rows)
    if not whole.n:
        return []
    found = [{"by": "", "value": "all calls", "share": whole}]
    for name in cells.varying:
        rows = [row for row in source.rows if row.get(name) is not None]
        shares = relay_shares_by(rows, name)
        found += [{"by": name, "value": value, "share": share} for value, share in shares.items()]
    return found


MOST_SIP: Final = 100
"""Rows of SIP calls that are listed; trials.parquet has them all."""


def _sip(source: Source) -> dict[str, Any]:
    """Return the rows of SIP calls, the first of them, and how many there are."""
    rows = [row for row in source.rows if "sip_completed" in row]
    return {"listed": rows[:MOST_SIP], "count": len(rows)}


MOST_DAMAGE: Final = 10
"""What is damaged in a run, told at the top of the page; "callpath show" counts the rest."""

MOST_FAILURES: Final = 50
"""Listed outside the table of calls, which has all."""


def _failures(source: Source) -> dict[str, Any]:
    """Return the calls without a path and the invalid trials, the first of them, and how many there are."""
    failed = [row for row in source.rows if row["invalid"] or row.get("path") == PathClass.NONE]
    return {"listed": failed[:MOST_FAILURES], "count": len(failed)}

"""Write the generated pages of docs/ anew: `make docs`. Tests compare the committed pages with new ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def start_offsets() -> str:
    """Who starts first: from a run of scenarios/start_offsets.py."""
    from lab.report.start_offsets import start_offsets_page
    from lab.run.collector import collect_rows
    from lab.run.plan import plan_run

    return start_offsets_page(collect_rows(plan_run(str(ROOT / "scenarios" / "start_offsets.py"), seed=1)))


def paths() -> str:
    """Which paths are possible: the tables anew, between the prose of the committed page."""
    from lab.report.possible_paths import filled

    return filled((ROOT / "docs" / "paths.md").read_text())


def coverage() -> str:
    """Requirements: which test or scenario shows each row, in which world; read from their source."""
    tools = str(ROOT / "tools")
    if tools not in sys.path:  # this file may have been loaded by its path
        sys.path.append(tools)
    from requirement_coverage import coverage_page

    return coverage_page()


def scenario_schema() -> str:
    """The JSON Schema of scenario files, from the models that read them."""
    from lab.spec.scenario_schema import scenario_schema_text

    return scenario_schema_text()


def metrics() -> str:
    """What can be measured: the tables anew, between the prose of the committed page."""
    from lab.report.metrics_page import metrics_filled

    return metrics_filled((ROOT / "docs" / "metrics.md").read_text())


PAGES: Mapping[str, Callable[[], str]] = {
    "coverage.md": coverage,
    "start-offsets.md": start_offsets,
    "paths.md": paths,
    "metrics.md": metrics,
    "schema/scenario.schema.json": scenario_schema,
}


def main() -> None:
    """Write every page, or those named on the command line."""
    for name in sys.argv[1:] or PAGES:
        (ROOT / "docs" / name).write_text(PAGES[name]())


if __name__ == "__main__":
    main()

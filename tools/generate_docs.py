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


def serve_schema() -> str:
    """The JSON Schema of requests and answers, from the models that read them."""
    from lab.serve.schema import serve_schema_text

    return serve_schema_text()


def metrics() -> str:
    """What can be measured: the tables anew, between the prose of the committed page."""
    from lab.report.metrics_page import metrics_filled

    return metrics_filled((ROOT / "docs" / "metrics.md").read_text())


def nat_planes() -> str:
    """What each NAT plane of the kernel world cannot be: the tables anew, between the prose of the page."""
    from lab.emu.nat_planes.page import nat_planes_filled

    return nat_planes_filled((ROOT / "docs" / "nat-planes.md").read_text())


def worlds() -> str:
    """Where the two worlds differ for a known cause: the list anew, between the prose of the page."""
    from lab.report.worlds_page import worlds_filled

    return worlds_filled((ROOT / "docs" / "worlds.md").read_text())


def ice_stacks() -> str:
    """ICE stacks beside each other: from the runs that docs/ice-stacks.json keeps."""
    from lab.report.ice_stacks import from_json, ice_stacks_page

    return ice_stacks_page(from_json((ROOT / "docs" / "ice-stacks.json").read_text()))


PAGES: Mapping[str, Callable[[], str]] = {
    "coverage.md": coverage,
    "start-offsets.md": start_offsets,
    "ice-stacks.md": ice_stacks,
    "paths.md": paths,
    "metrics.md": metrics,
    "nat-planes.md": nat_planes,
    "worlds.md": worlds,
    "schema/scenario.schema.json": scenario_schema,
    "schema/serve.schema.json": serve_schema,
}


def main() -> None:
    """Write every page, or those named on the command line."""
    for name in sys.argv[1:] or PAGES:
        (ROOT / "docs" / name).write_text(PAGES[name]())


if __name__ == "__main__":
    main()

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


PAGES: Mapping[str, Callable[[], str]] = {"start-offsets.md": start_offsets, "paths.md": paths}


def main() -> None:
    """Write every page, or those named on the command line."""
    for name in sys.argv[1:] or PAGES:
        (ROOT / "docs" / name).write_text(PAGES[name]())


if __name__ == "__main__":
    main()

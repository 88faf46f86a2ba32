"""``python -m nat_models.conformance [FILE]``: write the conformance of all presets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nat_models.conformance.report import COMMAND, conformance_report
from nat_models.presets import presets


def main(arguments: list[str] | None = None) -> int:
    """Write the report; return the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Check every NAT preset against the RFCs.")
    parser.add_argument("file", nargs="?", type=Path, help="where to write; standard output if left out")
    target: Path | None = parser.parse_args(arguments).file
    report = conformance_report(presets().values())
    if target is None:
        sys.stdout.write(report)
    else:
        target.write_text(report, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

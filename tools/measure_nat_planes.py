"""Measure every preset on every NAT plane that can be it, for docs/nat-conformance.md.

It takes a minute or two, in a network namespace of its own, as root or as an ordinary user who may have one:

    python tools/measure_nat_planes.py && python -m nat_models.conformance docs/nat-conformance.md
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "tests" / "emu" / "programs"


def main() -> None:
    """Measure and write."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROGRAMS), str(ROOT), os.environ.get("PYTHONPATH", "")])
    sys.path[:0] = [str(PROGRAMS), str(ROOT)]
    from nat_calls import Inside

    from lab.emu.nat_planes import NatPlane
    from lab.emu.outer import OuterNamespace
    from nat_models import presets
    from nat_models.conformance.measured import FILE, as_text

    with OuterNamespace("nat_agent") as outer:
        call = Inside(outer)
        found = {
            plane.value: call("plane_conformance", "measure_all", plane, dict(presets()))
            for plane in NatPlane
        }
    FILE.write_text(as_text(found), encoding="utf-8")


if __name__ == "__main__":
    main()

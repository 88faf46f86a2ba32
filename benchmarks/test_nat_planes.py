"""What a NAT box of the kernel world costs: packets a second and round trips, against plain routing."""

import os
import sys
from pathlib import Path

import pytest

from lab.emu.nat_planes import NatPlane
from lab.emu.outer import OuterNamespace

HERE = Path(__file__).parent
PROGRAMS = HERE.parent / "tests" / "emu" / "programs"
BOXES = [
    (NatPlane.KERNEL, "none"),
    (NatPlane.KERNEL, "linux-masquerade"),
    (NatPlane.NFT, "eim-eif"),
    (NatPlane.NFT, "eim-apdf"),
    (NatPlane.NFT, "apdm-apdf"),
    (NatPlane.ENGINE, "eim-apdf"),
]
ROUNDS = 3


@pytest.fixture(scope="module")
def inside():
    sys.path.insert(0, str(PROGRAMS))
    from nat_calls import Inside  # noqa: PLC0415 - its place is known only now

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROGRAMS), str(HERE), before])
    try:
        outer = OuterNamespace("nat_agent")
    finally:
        os.environ["PYTHONPATH"] = before
    with outer:
        yield Inside(outer)


def test_planes_against_plain_routing(inside):
    """Every box in turn, ROUNDS times over, so that a slow moment of the machine meets all alike."""
    rounds = [[inside("nat_plane_speed", "speed", *box) for box in BOXES] for _ in range(ROUNDS)]
    best = [
        {
            "kpps": max(r[i]["kpps"] for r in rounds),
            **{key: min(r[i][key] for r in rounds) for key in ("lost", "p50_us", "p99_us")},
        }
        for i in range(len(BOXES))
    ]
    routing, masquerade = best[0], best[1]
    columns = f"{'of routing':>10} {'of masquerade':>13} {'lost':>6} {'p50':>8} {'added':>7} {'p99':>8}"
    print(f"\n{'box':28} {'kpps':>6} {columns}")
    for (plane, name), found in zip(BOXES, best, strict=True):
        share, of_masquerade = (found["kpps"] / other["kpps"] for other in (routing, masquerade))
        added = found["p50_us"] - routing["p50_us"]
        print(
            f"{plane.value + ' ' + name:28} {found['kpps']:6.0f} {share:10.0%} {of_masquerade:13.0%} "
            f"{found['lost']:6.1%} "
            f"{found['p50_us']:6.0f}us {added:5.0f}us {found['p99_us']:6.0f}us"
        )
    assert all(found["kpps"] > 0.02 * routing["kpps"] for found in best)

"""An outer namespace that stays for a session, and functions called in it."""

import fcntl
import os
import pickle
import sys
from pathlib import Path

import pytest

from lab.emu.outer import OuterNamespace

PROGRAMS = Path(__file__).parents[1] / "programs"
sys.path.insert(0, str(PROGRAMS))


@pytest.fixture(scope="session")
def inside():
    """Call a function of tests/emu/programs inside: ``inside(module, function, *arguments)``."""
    from nat_calls import Inside  # noqa: PLC0415 - its place is known only now

    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROGRAMS), before])
    try:
        outer = OuterNamespace("nat_agent")
    finally:
        os.environ["PYTHONPATH"] = before
    with outer:
        yield Inside(outer)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Compute something once however many processes test: ``once(name, function)``.

    Measurements take seconds, and their tests may be spread over several processes (pytest-xdist).
    """
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent

    def compute(name, function):
        kept = place / f"{name}.pickle"
        with (place / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                kept.write_bytes(pickle.dumps(function()))
        return pickle.loads(kept.read_bytes())  # noqa: S301 - written above

    return compute

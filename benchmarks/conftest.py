"""Benchmarks (`make bench`): how fast the lab is, measured on one core and apart from the tests.

Every figure belongs to the machine it was measured on, so a benchmark prints ratios to something known in the
same run wherever there is one. The wall clock and CPU time are read here; the lab itself never reads either.
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # benchmarks share a program, and a child process imports one of them
sys.path.insert(0, str(HERE.parent / "tests" / "emu"))  # and networks with the tests of the kernel world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a benchmark the time it needs: the limit of a test is for tests."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1800))

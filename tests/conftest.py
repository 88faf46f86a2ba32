"""What every test relies on: markers that name what it needs, and a CI on which nothing is skipped silently.

A test says what it needs from the machine by `@pytest.mark.system("tshark")` or `@pytest.mark.root`. Where
that is absent the test is skipped with the reason in pytest's summary. On CI (`CI=true`, or
`CALLPATH_REQUIRE_ALL=1`), where all of it is installed, any skip is a failure: a green run there means that
everything ran.
"""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The rows of each source of requirements, by the numbers they have.
REQUIREMENTS = {
    "Z0": (range(1, 15), range(20, 36)),
    "Z1": (range(1, 14),),
    "Z2": (range(1, 24),),
    "Z3": (range(1, 85), range(90, 105), range(110, 125)),
    "Z3X": (range(1, 11),),
    "Z4": (range(1, 23),),
}
ADMINISTRATOR_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def _nothing_may_be_skipped() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("CALLPATH_REQUIRE_ALL") == "1"


def pytest_configure(config: pytest.Config) -> None:
    """Find brctl, tcpdump and the like as an ordinary user too; choose hypothesis's profile."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(
        [*path, *(extra for extra in ADMINISTRATOR_PATH if extra not in path)]
    )
    # Deadlines measure the machine, not the code. On CI the examples are the same at every run.
    settings.register_profile("developer", deadline=None)
    settings.register_profile("ci", deadline=None, derandomize=True)
    settings.load_profile("ci" if _nothing_may_be_skipped() else "developer")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a requirement id that is not one: it would show nothing."""
    wrong = sorted(
        f"{item.nodeid}: {row!r}"
        for item in items
        for mark in item.iter_markers("requirement")
        for row in mark.args or ("(none)",)
        if not _is_requirement(row)
    )
    if wrong:
        raise pytest.UsageError("requirement marks name rows like 'Z0-9':\n  " + "\n  ".join(wrong))


def _is_requirement(row: object) -> bool:
    match = re.fullmatch(r"(Z\w+)-([1-9]\d*)", str(row))
    return match is not None and any(int(match[2]) in rows for rows in REQUIREMENTS.get(match[1], ()))


def _absent(item: pytest.Item) -> list[str]:
    programs = [
        tool for mark in item.iter_markers("system") for tool in mark.args if shutil.which(tool) is None
    ]
    absent = [f"{tool} is not installed" for tool in programs]
    if item.get_closest_marker("root") and os.geteuid() != 0:
        absent.append("needs root")
    return absent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine lacks, naming what is missing."""
    absent = _absent(item)
    if absent:
        pytest.skip("; ".join(absent))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """On CI a skipped test is a failed one; an expected failure (xfail) stays one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _nothing_may_be_skipped():
        report.outcome = "failed"
        report.longrepr = f"skipped where everything has to run: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """The same for a module that skips itself while it is imported (`pytest.importorskip`)."""
    report = yield
    if report.skipped and _nothing_may_be_skipped():
        report.outcome = "failed"
        report.longrepr = f"skipped where everything has to run: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)

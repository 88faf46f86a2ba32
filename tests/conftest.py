"""What every test relies on: markers that name what it needs, and a CI on which nothing is skipped silently.

A test says what it needs from the machine by `@pytest.mark.system("tshark")`, `@pytest.mark.root` or
`@pytest.mark.namespaces` (root, or user namespaces), `@pytest.mark.engine` (Docker, and root),
`@pytest.mark.adapter("chromium")`. Where that is absent the test is skipped with the reason in pytest's
summary. On CI (`CI=true`, or `CALLPATH_REQUIRE_ALL=1`), where all of it is installed, any skip is a failure:
a green run there means that everything ran.

`@pytest.mark.requirement("Z0-9")` says which row of docs/requirements.yaml a test shows. With
CALLPATH_COVERAGE=FILE the run writes the rows it showed to FILE, one a line: those cited by a test that
passed and by none that failed.

Where other processes and this machine's clock have a part in a test it is one of real time: by
`@pytest.mark.real_time`, or because it needs root, namespaces, an engine or an adapter. With
CALLPATH_FAILED=FILE the run writes a line for each failed test, `real_time` or `virtual_time` and its name;
tools/run_tests.py runs those of real time once more, where no others failed and not many.
"""

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from ruamel.yaml import YAML

from lab.emu.installed import lacking

REAL_TIME = ("real_time", "root", "namespaces", "engine", "adapter")
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
    # What a shell starts in the background is deaf to interrupts, and so is what it starts; tests send some.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Of several processes (pytest-xdist) the one that sees every report writes.
    if hasattr(config, "workerinput"):
        return
    for variable, writer in (("CALLPATH_COVERAGE", _ShownRows), ("CALLPATH_FAILED", _FailedTests)):
        if target := os.environ.get(variable):
            config.pluginmanager.register(writer(Path(target).absolute()))


class _ShownRows:
    """Collects the rows of the tests that passed and writes them when the run ends."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rows = {str(value) for name, value in report.user_properties if name == "requirement"}
        if report.failed:
            self.failed |= rows
        elif report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self.passed |= rows

    def pytest_sessionfinish(self) -> None:
        self.target.write_text("".join(f"{row}\n" for row in sorted(self.passed - self.failed)))


class _FailedTests:
    """Collects the tests that failed, in a setup and a teardown too, and the files that could not be read.

    They are written when a run comes to its end; one that stops before writes nothing.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.lines: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            marked = ("real_time", True) in map(tuple, report.user_properties)
            self.lines[f"{'real_time' if marked else 'virtual_time'}\t{report.nodeid}"] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.lines[f"virtual_time\t{report.nodeid}"] = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not (session.shouldfail or session.shouldstop):
            self.target.write_text("".join(f"{line}\n" for line in self.lines))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Report with each test whether it is one of real time, and the requirements that it cites.

    Raises:
        pytest.UsageError: a requirement id is none; it would show nothing.
    """
    for item in items:
        if any(item.get_closest_marker(name) for name in REAL_TIME):
            item.user_properties.append(("real_time", True))
    cited = [
        (item, row)
        for item in items
        for mark in item.iter_markers("requirement")
        for row in mark.args or ("(none)",)
    ]
    known = _requirement_ids(config.rootpath / "docs" / "requirements.yaml") if cited else set()
    wrong = sorted(f"{item.nodeid}: {row!r}" for item, row in cited if row not in known)
    if wrong:
        raise pytest.UsageError(
            "requirement marks name rows of docs/requirements.yaml, like 'Z0-9':\n  " + "\n  ".join(wrong)
        )
    for item, row in cited:
        item.user_properties.append(("requirement", row))


def _requirement_ids(path: Path) -> set[object]:
    return {row["id"] for row in YAML(typ="safe").load(path)["requirements"]}


def _absent(item: pytest.Item) -> list[str]:
    programs = [
        tool for mark in item.iter_markers("system") for tool in mark.args if shutil.which(tool) is None
    ]
    absent = [f"{tool} is not installed" for tool in programs]
    adapters = [name for mark in item.iter_markers("adapter") for name in mark.args]
    absent += [lacks for name in adapters if (lacks := lacking(name)) is not None]
    if item.get_closest_marker("root") and os.geteuid() != 0:
        absent.append("needs root")
    if item.get_closest_marker("engine") and (complaint := _why_no_engine()):
        absent.append(complaint)
    if item.get_closest_marker("namespaces") and (complaint := _why_no_namespaces()):
        absent.append(f"needs namespaces: {complaint}")
    return absent


@functools.cache
def _why_no_engine() -> str:
    """Return why no container can be wired into a network here; empty where one can."""
    from lab.emu.containers.engine import Engine  # noqa: PLC0415 - an import that most runs do without
    from lab.errors import HostNotReady  # noqa: PLC0415 - as above

    try:
        Engine().close()
    except HostNotReady as error:
        return str(error)
    return ""


@functools.cache
def _why_no_namespaces() -> str:
    """Return why this user cannot make namespaces as the kernel world does; empty where it can."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [
        "unshare",
        *user,
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "true",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() or "unshare failed" if done.returncode else ""


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

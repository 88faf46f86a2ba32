"""pytest plugin: a running network as a fixture, and what it knows in the message of a test that fails.

Loaded by every pytest of the environment, so it imports nothing of the lab until a test asks for a network.

==================================  ==================================================================
``callpath``                        fixture: the network that the test's marker describes
``callpath_open``                   fixture: opens further ones, closed when the test is over
``@pytest.mark.callpath(...)``      topology, parameters, world, seed, deadline ... of the network
``@pytest.mark.nat_presets(...)``   the test once for every combination of NAT presets
==================================  ==================================================================
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from lab.live import LiveLab

CLASSIC_PRESETS: Final = ("full-cone", "restricted", "port-restricted", "symmetric")
"""What ``nat_presets`` tries unless told otherwise: the four of RFC 3489."""

_MARKERS: Final = (
    "callpath(topology, parameters={}, world='sim', seed=1, deadline='', ...): which network the fixture is",
    "nat_presets(*parameters, presets=(...)): the test with each combination of presets for these parameters",
)
_MARKER_OPTIONS: Final = (
    "parameters", "world", "seed", "deadline", "nat_plane", "relay", "programs", "keeps_packets",
    "event_budget",
)  # fmt: skip

_LABS: Final = pytest.StashKey[list["LiveLab"]]()
_FAILED: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("callpath", "networks to test calls on")
    group.addoption(
        "--callpath-world", choices=("sim", "emu"), default=os.environ.get("CALLPATH_WORLD", "sim"),
        help="where networks are built whose marker does not say: virtual time, or the kernel",
    )  # fmt: skip
    group.addoption("--callpath-seed", type=int, default=1, help="seed of networks whose marker has none")
    group.addoption(
        "--callpath-artifacts", default="callpath-artifacts", metavar="DIR",
        help="where a failing test leaves ladder, capture, events and output; relative to the root directory",
    )  # fmt: skip
    group.addoption(
        "--callpath-no-skip", action="store_true",
        help="fail, instead of skip, where this machine cannot run the kernel world",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the markers."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)


# What a test asks for


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply a test by its NAT presets, and by its worlds where it names several."""
    mark = metafunc.definition.get_closest_marker("nat_presets")
    if mark is not None:
        if "callpath_cell" not in metafunc.fixturenames:
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: nat_presets needs the fixture `callpath`")
        cells = _cells(metafunc.definition.nodeid, mark)
        ids = [",".join(f"{name}={value}" for name, value in cell.items()) for cell in cells]
        metafunc.parametrize("callpath_cell", cells, ids=ids, indirect=True)
    network = metafunc.definition.get_closest_marker("callpath")
    worlds = network.kwargs.get("world") if network is not None else None
    if isinstance(worlds, tuple | list):
        metafunc.parametrize("callpath_world", worlds, indirect=True)


def _cells(test: str, mark: pytest.Mark) -> list[dict[str, str]]:
    """Return the values of each cell of a ``nat_presets`` marker."""
    from nat_models import NatModelError, load_preset

    presets = mark.kwargs.get("presets", CLASSIC_PRESETS)
    wrong = [name for name in mark.kwargs if name != "presets"]
    if wrong or not mark.args or not all(isinstance(name, str) for name in mark.args):
        raise pytest.UsageError(
            f"{test}: nat_presets takes names of the topology's parameters, and presets=(...):"
            ' @pytest.mark.nat_presets("alice_nat", "bob_nat")'
        )
    if isinstance(presets, str) or not presets:
        raise pytest.UsageError(
            f'{test}: presets={presets!r}: expected several, as ("full-cone", "symmetric")'
        )
    for preset in presets:
        try:
            load_preset(preset)
        except NatModelError as error:
            raise pytest.UsageError(f"{test}: nat_presets: {error}") from None
    return [
        dict(zip(mark.args, values, strict=True))
        for values in itertools.product(presets, repeat=len(mark.args))
    ]


@pytest.fixture
def callpath_cell(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The values that ``nat_presets`` gives to parameters of the topology in this run of the test."""
    return getattr(request, "param", {})


@pytest.fixture
def callpath_world(request: pytest.FixtureRequest) -> str:
    """Where this test's network is built: "sim" is virtual time, "emu" the kernel."""
    mark = request.node.get_closest_marker("callpath")
    chosen = mark.kwargs.get("world") if mark is not None else None
    default: str = request.config.getoption("--callpath-world")
    return str(getattr(request, "param", chosen or default))


@pytest.fixture
def callpath_open(request: pytest.FixtureRequest, callpath_world: str) -> Iterator[Callable[..., LiveLab]]:
    """Open a network: ``callpath_open("two_homes", parameters={...})``, with the options of the marker.

    It is closed when the test is over. A coroutine that was started on a host, failed, and was not asked for
    its result, fails the test.
    """
    labs: list[LiveLab] = request.node.stash.setdefault(_LABS, [])

    def open_one(topology: str, **options: Any) -> LiveLab:
        labs.append(_open(request, topology, {"world": callpath_world, **options}))
        return labs[-1]

    yield open_one
    errors = [error for lab in labs for task in lab.tasks if (error := task.unseen_error()) is not None]
    for lab in reversed(labs):
        lab.close()
    labs.clear()
    if errors and not request.node.stash.get(_FAILED, False):
        raise errors[0]


@pytest.fixture
def callpath(
    request: pytest.FixtureRequest,
    callpath_open: Callable[..., LiveLab],
    callpath_cell: Mapping[str, str],
    callpath_world: str,
) -> LiveLab:
    """The network of the test's marker: ``@pytest.mark.callpath("two_homes", parameters={...})``."""
    mark = request.node.get_closest_marker("callpath")
    if mark is None or len(mark.args) != 1 or not isinstance(mark.args[0], str):
        example = '@pytest.mark.callpath("two_homes", parameters={"alice_nat": "symmetric"})'
        pytest.fail(
            f"the fixture `callpath` needs a marker that names one topology: {example}", pytrace=False
        )
    parameters = {**mark.kwargs.get("parameters", {}), **callpath_cell}
    options = {**mark.kwargs, "parameters": parameters, "world": callpath_world}
    return callpath_open(mark.args[0], **options)


def _open(request: pytest.FixtureRequest, topology: str, options: Mapping[str, Any]) -> LiveLab:
    """Build a network for a test; skip where this machine cannot."""
    from lab.errors import CallpathError, HostNotReady, did_you_mean
    from lab.live import LabSpec, open_lab
    from lab.spec.program_words import read_programs
    from lab.units import parse_duration

    for name in options:
        if name not in _MARKER_OPTIONS:
            pytest.fail(f"no option {name!r}; {did_you_mean(name, _MARKER_OPTIONS)}", pytrace=False)
    try:
        deadline = options.get("deadline")
        settings = dict(options) | {"deadline": parse_duration(deadline, "deadline") if deadline else None}
        if "programs" in options:
            settings["programs"] = read_programs(
                options["programs"], directory=request.path.parent, where="programs"
            )
        spec = LabSpec(
            topology=_topology_of(request.path, topology),
            name=getattr(request.node, "originalname", "") or request.node.name,
            **{"seed": request.config.getoption("--callpath-seed"), **settings},
        )
        return open_lab(spec)
    except HostNotReady as error:
        if request.config.getoption("--callpath-no-skip"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error).replace("\n", " "))
    except CallpathError as error:
        pytest.fail(str(error), pytrace=False)


def _topology_of(test_file: Path, topology: str) -> str:
    """Return a topology's name as it is, a relative path as one from the test's file."""
    path, colon, key = topology.partition(":")
    if "/" not in path and not path.endswith(".py"):
        return topology
    return f"{test_file.parent / path}{colon}{key}"


# What a test that fails says


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None] | pytest.TestReport:
    """Keep what the networks of a failing test know, and name it in the failure's message."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]  # a hook wrapper is sent the result
    labs = item.stash.get(_LABS, [])
    if report.failed:
        item.stash[_FAILED] = True
    if report.failed and report.when != "teardown" and labs:
        root = item.config.rootpath
        directory = root / item.config.getoption("--callpath-artifacts") / _file_name(item.nodeid)
        _tell(report, _evidence(labs, root, directory, item.nodeid))
        item.user_properties.append(("callpath_artifacts", str(directory)))
    return report


def _evidence(labs: Sequence[LiveLab], root: Path, directory: Path, title: str) -> str:
    """Write down what each network knows; return what to say of it."""
    from lab.live.evidence import write_evidence

    said = []
    for number, lab in enumerate(labs, start=1):
        place = directory if len(labs) == 1 else directory / f"{number}-{lab.network.name}"
        try:
            said.append(write_evidence(lab, place, title).text(root))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test's own failure must be told
            said.append(f"{place}: not written: {type(error).__name__}: {error}")
    return "\n".join(said)


def _tell(report: pytest.TestReport, text: str) -> None:
    """Put a text into the failure's own message, which every report has, not beside it."""
    add_section = getattr(report.longrepr, "addsection", None)
    if add_section is not None:
        add_section("callpath", text)
    else:
        report.longrepr = f"{report.longrepr}\n{text}"


def _file_name(node_id: str) -> str:
    """Return a test's name as a directory's."""
    return re.sub(r"[^\w.,=-]+", "_", node_id.replace("::", "--").replace("/", ".")).strip("_")[:200]

"""The floors of the house: imports go down only, and each library stays where it belongs.

The tables below are the rule. They are read against the source (`ast`), so an import inside a function, under
`TYPE_CHECKING`, or by `importlib.import_module("...")` counts like any other: it is a dependency all the
same.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What each part may import besides itself. Parts on one floor do not import one another.
GROUND = {"nat_models", "lab.errors", "lab.units"}
DESCRIPTION = GROUND | {"lab.spec"}
PROTOCOLS = DESCRIPTION | {"lab.protocols"}
PROGRAMS = PROTOCOLS | {"lab.roles", "lab.measure"}
WORLDS = PROGRAMS | {"lab.handle", "lab.sim", "lab.emu", "lab.results"}
TOP = WORLDS | {"lab.run", "lab.report", "lab.live", "lab.serve"}
MAY_IMPORT = {
    "nat_models": set(),
    "lab": set(),
    "lab.errors": {"lab.units"},
    "lab.units": {"lab.errors"},
    "lab.spec": GROUND,
    "lab.protocols": DESCRIPTION,
    "lab.roles": PROTOCOLS,
    "lab.measure": PROTOCOLS,
    "lab.faults": DESCRIPTION,
    "lab.adapters": set(),
    "lab.handle": PROGRAMS | {"lab.faults"},
    "lab.sim": PROGRAMS | {"lab.handle"},
    "lab.emu": PROGRAMS | {"lab.handle", "lab.adapters"},
    "lab.results": PROGRAMS,
    "lab.run": WORLDS,
    "lab.report": PROGRAMS | {"lab.results"},
    "lab.live": WORLDS | {"lab.run", "lab.report"},
    "lab.serve": WORLDS | {"lab.run", "lab.report", "lab.live"},
    "lab.cli": TOP,
    "lab.pytest_plugin": TOP,
    "topologies": set(),
    "scenarios": TOP,
}
# The package itself holds nothing but its version: it is free for all of it, and imports nothing.
MAY_IMPORT |= {part: allowed | {"lab"} for part, allowed in MAY_IMPORT.items() if part.startswith("lab.")}

# The only places a library may be imported, by the longest matching prefix.
LIBRARY_HOMES = {
    "aioice": ("lab/roles/", "lab/sim/rebind"),
    "click": ("lab/cli/",),
    "docker": ("lab/emu/",),
    "dns": ("lab/sim/", "lab/emu/", "lab/protocols/"),
    "jinja2": ("lab/report/",),
    "matplotlib": ("lab/report/",),
    "mininet": ("lab/emu/",),
    "mininet.topo": ("lab/", "topologies/"),
    "pandas": ("lab/results/", "lab/report/", "lab/measure/"),
    "pyarrow": ("lab/results/", "lab/report/"),
    "pydantic": ("lab/spec/", "lab/run/", "lab/serve/"),
    "pyroute2": ("lab/emu/",),
    "rich": ("lab/cli/", "lab/report/"),
    "ruamel": ("nat_models/", "lab/spec/"),
    "scipy": ("lab/report/", "lab/measure/"),
    "simpy": ("lab/sim/",),
}
# Bytes in, bytes out: these parts hold no socket, no loop and no clock.
WITHOUT_INPUT_OUTPUT = ("nat_models/", "lab/protocols/", "lab/measure/", "lab/spec/")
INPUT_OUTPUT = {
    "asyncio",
    "multiprocessing",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
}
# Pure functions and constants that happen to live in a module of sockets.
ADDRESS_CONVERSION = {"socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop", "socket.inet_pton"}


def imported_modules(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of every import; `from a import b` yields `a.b`, module or not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parents = parts[: len(parts) - node.level + 1]
    return ".".join([*parents, node.module] if node.module else parents)


def part_of(dotted: str) -> str | None:
    """Return the part of the house a dotted name belongs to, or None for a library."""
    first, _, rest = dotted.partition(".")
    if first != "lab":
        return first if first in MAY_IMPORT else None
    part = f"lab.{rest.split('.')[0]}"
    return part if part in MAY_IMPORT else "lab"


def _is(dotted: str, prefix: str) -> bool:
    return dotted == prefix or dotted.startswith(f"{prefix}.")


def _library_complaint(path: str, dotted: str) -> str | None:
    home = max((name for name in LIBRARY_HOMES if _is(dotted, name)), key=len, default=None)
    if home is not None and not path.startswith(LIBRARY_HOMES[home]):
        return f"imports {dotted}; {home} belongs in {', '.join(LIBRARY_HOMES[home])}"
    library = dotted.partition(".")[0]
    if path.startswith(WITHOUT_INPUT_OUTPUT) and library in INPUT_OUTPUT and dotted not in ADDRESS_CONVERSION:
        return f"imports {dotted}, but holds no socket, loop or process"
    if path.startswith("topologies/") and not _is(dotted, "mininet.topo"):
        own = library in sys.stdlib_module_names
        return None if own else f"imports {dotted}; `mn --custom` has no such module"
    return None


def complaints(path: str, source: str) -> list[str]:
    """Return what is wrong with the imports of one file, as `path:line: what`."""
    dotted_path = path.removesuffix(".py").replace("/", ".")
    own = part_of(dotted_path)
    package = (
        dotted_path.removesuffix(".__init__")
        if path.endswith("__init__.py")
        else dotted_path.rpartition(".")[0]
    )
    found = []
    for line, dotted in imported_modules(source, package):
        target = part_of(dotted)
        if target is None:
            complaint = _library_complaint(path, dotted)
        elif target == own or target in MAY_IMPORT[own]:
            complaint = None
        else:
            allowed = ", ".join(sorted(MAY_IMPORT[own])) or "nothing of the house"
            complaint = f"{own} imports {dotted}; it may import only {allowed}"
        if complaint:
            found.append(f"{path}:{line}: {complaint}")
    return found


def sources() -> list[Path]:
    return sorted(
        path
        for part in ("lab", "nat_models", "topologies", "scenarios")
        for path in (ROOT / part).rglob("*.py")
    )


def test_imports_go_down_only():
    found = [
        complaint
        for path in sources()
        for complaint in complaints(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(["imports that break the order of the house:", *found])


def test_every_part_of_the_house_has_its_row():
    """A new package or module directly under lab/ is refused until its floor is written down here."""
    parts = {
        f"lab.{path.stem}"
        for path in (ROOT / "lab").iterdir()
        if (path.is_dir() and any(path.glob("*.py"))) or path.suffix == ".py"
    }
    assert parts - {"lab.__init__"} <= set(MAY_IMPORT)


def test_the_table_itself_goes_down_only():
    """No two parts may import each other, directly or round a corner; errors and units are one floor."""
    order: list[str] = []
    pending = {part: allowed - {part} for part, allowed in MAY_IMPORT.items() if part not in GROUND}
    while pending:
        ready = sorted(part for part, allowed in pending.items() if not allowed & set(pending))
        assert ready, f"a circle among {sorted(pending)}"
        order += ready
        pending = {part: allowed for part, allowed in pending.items() if part not in ready}
    assert (
        order.index("lab.spec") < order.index("lab.roles") < order.index("lab.sim") < order.index("lab.run")
    )


@pytest.mark.parametrize(
    ("path", "source", "because"),
    [
        ("nat_models/engine.py", "from lab.errors import CallpathError", "nat_models imports lab.errors"),
        ("lab/spec/scenario.py", "import lab.protocols.stun", "lab.spec imports lab.protocols.stun"),
        ("lab/roles/relay.py", "from lab.sim.clock import VirtualLoop", "lab.roles imports lab.sim"),
        ("lab/roles/relay.py", "from lab import sim", "lab.roles imports lab.sim"),
        ("lab/roles/endpoint/ice.py", "from ...sim import clock", "lab.roles imports lab.sim.clock"),
        (
            "lab/sim/world.py",
            "def build():\n    from lab.emu import kernel",
            "lab.sim imports lab.emu.kernel",
        ),
        ("lab/emu/kernel.py", "from lab.sim import clock", "lab.emu imports lab.sim.clock"),
        ("lab/sim/world.py", "from lab.results.directory import RunDirectory", "lab.sim imports lab.results"),
        ("lab/results/write.py", "from lab.sim import pcap", "lab.results imports lab.sim"),
        ("lab/report/plot.py", "from lab.run.trial import run_trial", "lab.report imports lab.run"),
        (
            "lab/run/trials.py",
            "import importlib\nimportlib.import_module('lab.cli.main')",
            "lab.run imports lab.cli",
        ),
        (
            "lab/measure/path.py",
            "if TYPE_CHECKING:\n    from lab.run import Trial",
            "lab.measure imports lab.run",
        ),
        ("lab/run/emulate.py", "from mininet.net import Mininet", "mininet belongs in lab/emu/"),
        ("lab/sim/queue.py", "import pyroute2", "pyroute2 belongs in lab/emu/"),
        ("lab/protocols/agent.py", "import aioice.stun", "aioice belongs in lab/roles/, lab/sim/rebind"),
        ("lab/sim/host.py", "from aioice import ice", "aioice belongs in lab/roles/, lab/sim/rebind"),
        ("lab/cli/matrix.py", "import matplotlib.pyplot as plt", "matplotlib belongs in lab/report/"),
        ("lab/protocols/stun.py", "import socket", "holds no socket"),
        ("nat_models/engine.py", "from asyncio import sleep", "holds no socket"),
        ("topologies/office.py", "from lab.units import Duration", "topologies imports lab.units.Duration"),
        ("topologies/office.py", "import numpy", "`mn --custom` has no such module"),
        ("topologies/office.py", "from mininet.node import Host", "mininet belongs in lab/emu/"),
    ],
)
def test_a_forbidden_import_is_found(path, source, because):
    (complaint,) = complaints(path, f"'''A module.'''\n{source}\n")
    assert because in complaint


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lab/sim/world.py", "from lab.handle import Lab\nfrom lab.roles import context\nimport asyncio\n"),
        ("lab/sim/rebind_aioice.py", "import aioice.ice\n"),
        ("lab/emu/kernel.py", "from mininet.net import Mininet\nimport pyroute2\n"),
        (
            "lab/spec/graph.py",
            "from mininet.topo import Topo\nfrom . import node_options\nfrom .event import Event\n",
        ),
        ("topologies/office.py", "import math\nfrom mininet.topo import Topo\n"),
        ("lab/protocols/stun.py", "import struct\nfrom lab.errors import WireFormatError\n"),
    ],
)
def test_an_import_downwards_is_accepted(path, source):
    assert complaints(path, source) == []


def test_help_loads_no_heavy_library():
    """`callpath --help` answers at once: what plots or tabulates is loaded by the command that needs it."""
    program = (
        "import sys\n"
        "from lab.cli.main import main\n"
        "sys.argv = ['callpath', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'matplotlib', 'pandas', 'pyarrow', 'scipy', 'numpy', 'simpy', 'aioice', 'mininet'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "sys.exit(f'--help imports {sorted(loaded)}' if loaded else 0)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Usage:" in finished.stdout

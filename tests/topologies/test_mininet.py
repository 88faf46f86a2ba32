"""Every shipped topology builds in real Mininet, as the system's `mn` loads it.

When `mn` crashes it kills processes by name and removes `*.log` and `*.out` from `/tmp`; when it starts it
raises limits of the whole machine. So each run has process, mount and network namespaces of its own: `/proc`
shows nobody else, `/tmp`, `/run` and the home directory are empty, `/proc/sys` cannot be written. Its first
process takes the rest with it when it ends.
"""

import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

import lab
from lab.spec.find import load_topology
from lab.spec.network import NodeKind

TOPOLOGIES = sorted((Path(lab.__file__).parents[1] / "topologies").glob("*.py"))
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
ALONE = """\
set -e
custom=$1; shift
mount -t tmpfs none /run
cp "$custom" /run/custom.py
mount -t tmpfs none /tmp
mount -o bind,ro /proc/sys /proc/sys
ip link set lo up
cd /run
exec "$@" --custom /run/custom.py
"""
EXPECTED_ERROR = "*** Error setting resource limits. Mininet's performance may be affected."

pytestmark = [pytest.mark.root, pytest.mark.system("mn", "mnexec", "brctl", "unshare", "ip", "ifconfig")]


def run_mn(custom: Path, topo: str) -> tuple[str, list[str]]:
    """Return what `mn` printed, and the processes it left behind (by a mark in their environment)."""
    mark = uuid.uuid4().hex
    mn = shutil.which("mn", path=os.defpath)  # the system's, not one that a virtual environment put before it
    assert mn is not None
    done = subprocess.run(
        [*NAMESPACES, "sh", "-c", ALONE, "sh", custom.resolve(),
         mn, "--topo", topo, "--switch", "lxbr", "--controller", "none", "--test", "none"],
        env={**os.environ, "HOME": "/run", "CALLPATH_TEST": mark},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )  # fmt: skip
    return done.stdout + done.stderr, processes_with(mark)


def processes_with(mark: str) -> list[str]:
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue  # it ended meanwhile
    return found


def section(output: str, title: str) -> str:
    """Return what `mn` says under a heading, without its warnings."""
    match = re.search(rf"^\*\*\* {title}:\n(.*?)^(?=\*\*\*|$)", output, re.MULTILINE | re.DOTALL)
    assert match is not None, output
    return "\n".join(line for line in match[1].splitlines() if not line.startswith("Warning: "))


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_mininet_builds_it_and_nothing_is_left(path):
    network = load_topology(str(path), {})
    switches = {name for name, node in network.nodes.items() if node.kind is NodeKind.SWITCH}
    output, left = run_mn(path, path.stem)
    # `mn` ends with 0 when it crashed as well; it says so.
    assert re.search(r"^completed in \d", output, re.MULTILINE), output
    assert "Caught exception" not in output
    assert [line for line in output.splitlines() if "Error" in line and line != EXPECTED_ERROR] == []
    assert set(section(output, "Adding hosts").split()) == network.nodes.keys() - switches
    assert set(section(output, "Adding switches").split()) == switches
    links = {frozenset(pair) for pair in re.findall(r"\((\S+), (\S+)\)", section(output, "Adding links"))}
    assert links == {frozenset((link.a, link.b)) for link in network.links.values()}
    assert left == []


def test_a_topology_that_mininet_cannot_build_is_noticed_and_nothing_of_the_machine_is_touched(tmp_path):
    """The check above would see it: a switch without a digit in its name and without a `dpid`."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from mininet.topo import Topo\n"
        "class Broken(Topo):\n"
        "    def build(self):\n"
        '        self.addSwitch("lan")\n'
        'topos = {"broken": Broken}\n'
    )
    kept = Path("/tmp") / f"callpath-{uuid.uuid4().hex}.log"  # noqa: S108 - what `mn` removes when it crashes
    kept.touch()
    try:
        output, left = run_mn(broken, "broken")
        assert kept.exists()
    finally:
        kept.unlink(missing_ok=True)
    assert "Caught exception" in output
    assert "completed in" not in output
    assert left == []

"""Outer namespaces for tests, and what the machine's own network looks like from outside them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
sys.path.insert(0, str(Path(__file__).parent))

IP = shutil.which("ip") or "ip"  # now: a test may change the path
COUNTDOWNS = {"valid_life_time", "preferred_life_time"}


def _state(command: list[str]) -> object:
    done = subprocess.run([IP, *command], capture_output=True, text=True, check=True)
    return [
        {**entry, "addr_info": [{k: v for k, v in a.items() if k not in COUNTDOWNS} for a in addresses]}
        if (addresses := entry.get("addr_info")) is not None
        else entry
        for entry in json.loads(done.stdout or "[]")
    ]


def network_of_the_machine() -> dict[str, object]:
    """Return the addresses, links, routes and neighbours' table sizes of this process's own namespace."""
    commands = [
        ["-j", "addr"],
        ["-j", "-4", "route", "show", "table", "all"],
        ["-j", "-6", "route", "show", "table", "all"],
        ["-j", "rule"],
        ["-j", "netns"],
    ]
    state = {" ".join(command): _state(command) for command in commands}
    settings = Path("/proc/sys/net/ipv4")
    values = {name: (settings / name).read_text() for name in ("ip_forward", "ip_local_port_range")}
    return {**state, **values}


@pytest.fixture
def untouched_machine():
    """Fail the test if the machine's own network is another afterwards."""
    before = network_of_the_machine()
    yield
    assert network_of_the_machine() == before


@pytest.fixture
def test_agents(monkeypatch):
    """Let namespaces find the agents that are written for tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROGRAMS), os.environ.get("PYTHONPATH", "")]))

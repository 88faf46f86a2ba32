"""`callpath doctor`: what it finds is so, and finding it changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from namespace_commands import commands_inside
from ordinary_user import as_ordinary_user

from lab.cli.main import run_command_line
from lab.emu import doctor
from lab.emu.doctor import as_data, describe, examine
from lab.emu.features import FEATURES, Feature, Finding
from lab.emu.outer import OuterNamespace

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "setpriv"),
    pytest.mark.usefixtures("untouched_machine"),
]


def by_name(data):
    return {finding["name"]: finding for finding in data["findings"]}


def forbid_namespaces(monkeypatch, tmp_path, words="unshare: unshare failed: Operation not permitted"):
    """Put a program `unshare` before the machine's that is refused by the kernel."""
    (tmp_path / "unshare").write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_a_machine_with_everything_is_ready_and_each_finding_has_evidence(capsys):
    assert run_command_line(["doctor", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["ready"] is True
    assert {feature.name for feature in FEATURES} <= by_name(data).keys()
    assert [f["name"] for f in data["findings"] if not f["evidence"]] == []
    assert [f["name"] for f in data["findings"] if not f["present"] and not f["remedy"]] == []


def test_an_ordinary_user_is_told_that_user_namespaces_do():
    command, environment = as_ordinary_user([sys.executable, "-m", "lab.cli", "doctor", "--json"])
    done = subprocess.run(
        command, env=environment, cwd=Path.cwd(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(done.stdout)
    assert data["privilege"] == "user namespaces"
    assert by_name(data)["AF_PACKET"]["present"]


@pytest.mark.usefixtures("test_agents")
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("conntrack SIP helper", "nft 'add table ip s; add ct helper ip s h { type \"sip\" protocol udp; }'"),
        ("bridge", "ip link add br0 type bridge"),
        ("nft NAT", "nft 'add table ip n; add chain ip n c { type nat hook postrouting priority 100; }'"),
    ],
)
def test_what_it_says_of_the_kernel_is_what_a_namespace_shows(name, command):
    found = by_name(as_data(examine()))[name]["present"]
    with OuterNamespace("command_agent") as outer, commands_inside(outer) as run:
        run(command, fails=not found)


def test_without_root_and_user_namespaces_the_exit_status_is_4_and_nothing_else_is_tried(
    monkeypatch, tmp_path, capsys
):
    forbid_namespaces(monkeypatch, tmp_path)
    assert run_command_line(["doctor"]) == 4
    text = capsys.readouterr().out
    assert text.startswith("not ready for the kernel world, for want of: ")
    assert "Operation not permitted" in text
    assert "not tried: it takes a namespace" in text


def test_the_switch_that_forbids_user_namespaces_is_named(monkeypatch, tmp_path):
    switch = tmp_path / "max_user_namespaces"
    switch.write_text("0\n")
    monkeypatch.setattr(doctor, "_SWITCHES", ((str(switch), "0", "sysctl -w max=1"),))
    remedies = list(doctor._namespace_remedies(doctor.Privilege.USER_NAMESPACES))
    assert remedies == [f"{switch} is 0: as root, sysctl -w max=1", "or run as root"]


def test_a_needed_program_that_is_absent_is_told_with_its_package(monkeypatch, capsys):
    absent = doctor._Program("no-such-program", "its-package", "does it", needed=True)
    monkeypatch.setattr(doctor, "_PROGRAMS", (absent,))
    assert run_command_line(["doctor"]) == 4
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "not ready for the kernel world, for want of: no-such-program"
    assert "apt-get install its-package" in text


def test_a_feature_that_is_only_useful_may_be_absent(monkeypatch):
    absent = doctor._Program("no-such-program", "its-package", "does it")
    monkeypatch.setattr(doctor, "_PROGRAMS", (absent,))
    diagnosis = examine()
    assert diagnosis.ready
    assert "no   no-such-program" in describe(diagnosis)


def test_a_kernel_that_refuses_a_feature_is_quoted():
    def refused() -> str:
        raise PermissionError(1, "Operation not permitted", "/dev/net/tun")

    found = Feature(name="tunnels", attempt=refused, remedy="another way").find()
    assert found == Finding(
        name="tunnels",
        present=False,
        needed=False,
        evidence="[Errno 1] Operation not permitted: '/dev/net/tun'",
        remedy="another way",
    )

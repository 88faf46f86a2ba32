"""What this machine offers the kernel world: privilege, kernel features, programs, each with its evidence.

Nothing of the machine's own is touched: whatever has to be tried is tried in an outer namespace.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.emu.features import FEATURES, Finding
from lab.emu.outer import OuterNamespace, Privilege
from lab.emu.outer.namespace import ADMINISTRATORS_PATH, default_privilege
from lab.errors import HostNotReady


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings, in groups: how namespaces are made, what the kernel has, which programs there are.

    ``privilege`` is None where this user can make no namespaces.
    """

    privilege: Privilege | None
    kernel: str
    groups: tuple[tuple[str, tuple[Finding, ...]], ...]

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What the kernel world needs and does not have here."""
        return tuple(f for _, group in self.groups for f in group if f.needed and not f.present)

    @property
    def ready(self) -> bool:
        """Whether the kernel world runs here."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class _Program:
    name: str
    package: str
    purpose: str
    needed: bool = False


_PROGRAMS: Final = (
    _Program("unshare", "util-linux", "makes namespaces", needed=True),
    _Program("ip", "iproute2", "makes links, addresses and routes", needed=True),
    _Program("mnexec", "mininet", "starts Mininet's nodes", needed=True),
    _Program("nft", "nftables", "loads the rules of NAT boxes", needed=True),
    _Program("conntrack", "conntrack", "empties a NAT box that is rebooted", needed=True),
    _Program("turnserver", "coturn", "is the relay where a scenario asks for coturn"),
    _Program("kamailio", "kamailio", "is the SIP proxy of a network that has one"),
    _Program("baresip", "baresip-core", "is a SIP phone where a scenario asks for it"),
    _Program("sipp", "sip-tester", "makes and answers many SIP calls where a scenario asks for it"),
)


def examine() -> Diagnosis:
    """Look at this machine, as this user."""
    privilege, kernel_features = _try_features()
    found = any(finding.present for finding in kernel_features)
    groups = (
        ("namespaces", (privilege,)),
        ("kernel", kernel_features),
        ("programs", (*map(_find_program, _PROGRAMS), _mininet(), _docker())),
    )
    return Diagnosis(
        privilege=default_privilege() if privilege.present and found else None,
        kernel=f"{platform.system()} {platform.release()}",
        groups=groups,
    )


# Namespaces and the kernel


def _try_features() -> tuple[Finding, tuple[Finding, ...]]:
    """Return how namespaces are made here, and what was found in one."""
    how = default_privilege()
    try:
        with OuterNamespace("lab.emu.features") as outer, outer.channel.makefile() as lines:
            findings = tuple(Finding(**json.loads(line)) for line in lines)
            if len(findings) == len(FEATURES):
                return _namespaces(
                    how, "one was made, as root" if how is Privilege.ROOT else "one was made"
                ), findings
            raise outer.why_it_ended()
    except HostNotReady as error:
        return _namespaces(how, str(error).partition("\n")[0], present=False), ()


def _namespaces(how: Privilege, evidence: str, *, present: bool = True) -> Finding:
    remedy = "" if present else "\n".join(_namespace_remedies(how))
    return Finding(name=how.value, present=present, needed=True, evidence=evidence, remedy=remedy)


_SWITCHES: Final = (
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)
"""Below /proc/sys: a setting, its value that forbids user namespaces, what an administrator does about it."""


def _namespace_remedies(how: Privilege) -> Iterator[str]:
    """Yield what could be done where no namespace can be made."""
    if how is Privilege.ROOT:
        yield "give the container CAP_SYS_ADMIN, or run outside of it"
        return
    for setting, forbidding, command in _SWITCHES:
        path = Path("/proc/sys", setting)
        if path.exists() and path.read_text(encoding="ascii").strip() == forbidding:
            yield f"{path} is {forbidding}: as root, {command}"
    yield "or run as root"


# Programs


def _find_program(program: _Program) -> Finding:
    path = shutil.which(program.name, path=f"{os.environ.get('PATH', os.defpath)}:{ADMINISTRATORS_PATH}")
    return Finding(
        name=program.name,
        present=path is not None,
        needed=program.needed,
        evidence=path or f"not found; it {program.purpose}",
        remedy="" if path else f"apt-get install {program.package}",
    )


def _mininet() -> Finding:
    """Import Mininet: what is installed may be for another Python."""
    try:
        importlib.import_module("lab.emu.mininet_adapter")
        complaint = ""
    except ImportError as error:
        complaint = str(error)
    return Finding(
        name="mininet (Python)",
        present=not complaint,
        needed=True,
        evidence=complaint or "imported",
        remedy="make setup, or pip install callpath's dependencies anew" if complaint else "",
    )


def _docker() -> Finding:
    """Look for Docker without asking it anything: its daemon may be started by a question."""
    service = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    reachable = os.access(service, os.R_OK | os.W_OK)
    present = reachable and os.geteuid() == 0
    words = [f"{service} {'reachable' if reachable else 'not reachable'}"]
    words += [] if os.geteuid() == 0 else ["containers take root"]
    return Finding(
        name="docker",
        present=present,
        needed=False,
        evidence=", ".join(words),
        remedy=""
        if present
        else "containers cannot be hosts; as root, `callpath engine COMMAND` starts an engine",
    )


def as_data(diagnosis: Diagnosis) -> dict[str, object]:
    """Return a diagnosis as JSON-able data."""
    return {
        "ready": diagnosis.ready,
        "privilege": diagnosis.privilege.value if diagnosis.privilege else None,
        "kernel": diagnosis.kernel,
        "findings": [
            {"group": group, "name": f.name, "present": f.present, "needed": f.needed,
             "evidence": f.evidence, "remedy": f.remedy}
            for group, findings in diagnosis.groups
            for f in findings
        ],
    }  # fmt: skip


def describe(diagnosis: Diagnosis) -> str:
    """Return a diagnosis for people."""
    lines = [_summary(diagnosis)]
    for group, findings in diagnosis.groups:
        lines += ["", f"{group} ({diagnosis.kernel})" if group == "kernel" else group, *_table(findings)]
    return "\n".join(lines)


def _summary(diagnosis: Diagnosis) -> str:
    if diagnosis.ready and diagnosis.privilege is not None:
        return f"ready for the kernel world, by {diagnosis.privilege.value}"
    names = ", ".join(finding.name for finding in diagnosis.missing)
    return f"not ready for the kernel world, for want of: {names}"


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        yield "  not tried: it takes a namespace"
    width = max((len(finding.name) for finding in findings), default=0)
    for finding in findings:
        word = "yes" if finding.present else "NO" if finding.needed else "no"
        yield f"  {word:<3}  {finding.name:<{width}}  {finding.evidence}"
        for line in finding.remedy.splitlines():
            yield f"       {'':<{width}}  {line}"

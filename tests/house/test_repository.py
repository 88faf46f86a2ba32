"""What holds for every file of the repository, whoever wrote it."""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lab

ROOT = Path(__file__).parents[2]
LARGEST_MODULE = 28_000  # bytes; beyond that a file has more than one reason to exist

# Where packages come from is the machine's business: its pip, its apt, its registry.
ADDRESSES = {
    "a package index": r"pypi\.org|pythonhosted\.org|https?://\S+/simple\b|(?<!no-emit-)(?:extra-)?index[-]url",
    "a package directory": r"(?<!no-emit-)find[-]links|file:/[/]",
    "a system mirror": r"(?:deb|security|archive|ports)\.(?:debian\.org|ubuntu\.com)",
    "an image registry": r"\b(?:docker|ghcr|quay|gcr)\.io/",
}
MACHINE_PATH = re.compile(
    r"(?<![\w.~$})/*-])/(?:work|root|opt|srv|home/\w+|tmp/bash_jobs)(?:/|\b(?=[\s'\"]))"
)


def repository_files() -> list[Path]:
    """Return what is tracked or about to be; without git, what is not hidden or built."""
    if (ROOT / ".git").exists():
        # The clone may belong to another user than the one who tests it.
        command = [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        names = [name for name in listed.split("\0") if name]
    else:
        names = [str(Path(top, name).relative_to(ROOT)) for top, _, files in os.walk(ROOT) for name in files]
        names = [
            name for name in names if not re.match(r"\.(?!ci|git)|results/|build/|dist/|.*__pycache__", name)
        ]
    return sorted(path for name in names if (path := ROOT / name).is_file())


def text_files() -> list[tuple[str, str]]:
    files = []
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content:
            files.append((path.relative_to(ROOT).as_posix(), content.decode("utf-8")))
    return files


def modules(*parts: str) -> list[Path]:
    return [
        path
        for path in repository_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in parts
    ]


def foreign_addresses(text: str) -> list[str]:
    return [
        f"{kind}: {found.group()}" for kind, rule in ADDRESSES.items() if (found := re.search(rule, text))
    ]


def test_no_file_says_where_packages_come_from():
    found = [f"{name}: {address}" for name, text in text_files() for address in foreign_addresses(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "--index-" + "url https://mirror.example/sim" + "ple",
        "--find-" + "links /wheels",
        '"resolved": "https://files.python' + 'hosted.org/x.whl"',
        "deb http://deb." + "debian.org/debian bookworm main",
        "FROM docker." + "io/library/debian:bookworm",
    ],
)
def test_such_an_address_is_found(line):
    assert foreign_addresses(line)


def test_no_file_names_a_place_on_one_machine():
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "place", ["/wo" + "rk/main/lab", "cd /ro" + "ot/x", "'/ho" + "me/alice/x'", "=/op" + "t/x"]
)
def test_such_a_place_is_found(place):
    assert MACHINE_PATH.search(place)


@pytest.mark.parametrize(
    "text", ["docs/wo" + "rk/x", "https://example.org/ro" + "ot/x", "the /workings", "~/op" + "t/x"]
)
def test_other_slashes_are_no_such_place(text):
    assert not MACHINE_PATH.search(text)


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in modules("lab", "nat_models", "topologies", "scenarios", "tests", "benchmarks")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent, "modules without a docstring: " + ", ".join(silent)


def test_no_module_has_outgrown_its_reason():
    large = [
        f"{path.relative_to(ROOT)} ({path.stat().st_size} bytes)"
        for path in modules("lab", "nat_models", "topologies", "scenarios")
        if path.stat().st_size >= LARGEST_MODULE
    ]
    assert not large, f"modules of {LARGEST_MODULE} bytes and more: " + ", ".join(large)


def test_the_licence_is_the_apache_licence():
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()


def test_the_changelog_begins_with_this_version():
    heading = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading.group(1) == lab.__version__


@pytest.mark.parametrize(
    "script", [".ci/run", *sorted(f"tools/{path.name}" for path in (ROOT / "tools").glob("*.sh"))]
)
def test_scripts_can_be_started(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    shell = path.read_text().partition("\n")[0].rpartition("/")[2].split()[-1]
    subprocess.run([shell, "-n", path], check=True)


PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==([^ \\;]+)[^\n]*((?:\n +--hash=sha256:[0-9a-f]{64}(?: \\)?)*)", re.MULTILINE
)


def pins() -> dict[str, tuple[str, int]]:
    """Return name -> (version, number of hashes) of constraints/all.txt."""
    text = (ROOT / "constraints" / "all.txt").read_text()
    entries = PIN.findall(text)
    return {canonicalize_name(name): (version, hashes.count("sha256:")) for name, version, hashes in entries}


def test_every_pin_carries_hashes_and_nothing_else_is_listed():
    lines = (ROOT / "constraints" / "all.txt").read_text().splitlines()
    named = [line for line in lines if line and not line.startswith(("#", " "))]
    assert len(named) == len(pins())
    assert [name for name, (_, hashes) in pins().items() if hashes == 0] == []


def test_every_dependency_is_pinned_to_a_version_it_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(w for e in extras for w in e),
    ]
    pinned = pins()
    for requirement in map(Requirement, wanted):
        version, _ = pinned.get(canonicalize_name(requirement.name), (None, 0))
        assert version is not None, f"{requirement} is not in constraints/all.txt: make lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} but {version} is pinned"
        )

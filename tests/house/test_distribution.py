"""What is installed from a wheel is what works from a checkout: packages, types, and the shipped content."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the checkout with the pinned build backend."""
    target = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(ROOT)]
    finished = subprocess.run([*pip, *build], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    (path,) = target.glob("callpath-*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_carries_every_module_and_the_content(names):
    modules = {
        path.relative_to(ROOT).as_posix()
        for part in ("lab", "nat_models")
        for path in (ROOT / part).rglob("*.py")
    }
    content = {
        f"lab/_content/{path.relative_to(ROOT).as_posix()}"
        for part in ("topologies", "scenarios")
        for path in (ROOT / part).glob("*.py")
    }
    assert content
    assert modules | content <= set(names)
    assert {"lab/py.typed", "nat_models/py.typed"} <= set(names)


def test_presets_are_in_the_wheel(names):
    presets = {p.relative_to(ROOT).as_posix() for p in (ROOT / "nat_models").rglob("*.yaml")}
    assert presets
    assert presets <= set(names)


def test_the_report_has_its_template_style_and_script(names):
    templates = {p.relative_to(ROOT).as_posix() for p in (ROOT / "lab/report/html/templates").iterdir()}
    assert {path.rpartition(".")[2] for path in templates} == {"css", "html", "js"}
    assert templates <= set(names)


def test_only_the_two_packages_are_installed(names):
    """No top-level `topologies`, `scenarios` or `tests` that would shadow a user's own."""
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"lab", "nat_models"}


def test_an_installed_callpath_finds_the_shipped_topologies(wheel, tmp_path):
    installed = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(installed)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); sys.argv = ['callpath', 'show', 'two_homes']\n"
        "import lab.cli.main\n"
        f"assert lab.__file__.startswith({str(installed)!r}), lab.__file__\n"
        "lab.cli.main.main()\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert "alice-nat" in finished.stdout

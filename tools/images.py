"""Make the container images of the project's parts in the Docker engine: `make base-image`, `make images`.

The base is Debian, of the release that this machine runs and from where its apt gets it, with the packages
that the parts need. It takes half a minute, and is kept in the user's cache for a month, as are the wheels.
No registry is asked, and no build has a network.
"""

from __future__ import annotations

import argparse
import datetime as dt
import fcntl
import hashlib
import importlib.resources
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.emu.containers.engine import Engine, told
from lab.emu.containers.part_images import PARTS, fingerprint, part_image
from lab.errors import CallpathError, HostNotReady

PACKAGES = ("conntrack", "coturn", "iproute2", "nftables", "python3", "usr-is-merged")
MERGED_USR = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
"""Directories are merged from the beginning: the package that does it later wants all of Perl, 50 MB."""
LEFT_OUT = (
    "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*",
    "/usr/share/zoneinfo/*", "/usr/share/bash-completion/*", "/usr/lib/*/gconv/*",
)  # fmt: skip
REPOSITORY = "callpath/base"
WHEELS = (
    "aioice", "annotated-types", "cffi", "cryptography", "dnspython", "ifaddr", "mininet", "pycparser",
    "pydantic",
    "pydantic-core", "pyee", "ruamel-yaml", "typing-extensions", "typing-inspection",
)  # fmt: skip
"""What the lab's programs import; a test builds the images and runs them."""
GLIBC = ("2_17", "2_28", "2_34")

ROOT = Path(__file__).resolve().parents[1]

RELEASE = Path("/etc/os-release")
# Everything is unpacked in memory: dpkg waits for the disk after every file.
IN_MEMORY = 'mount -t tmpfs -o mode=0755 none "$TMPDIR" && exec "$@"'


def main() -> int:
    """Make what was asked for; print each image's name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["base", "all"])
    parser.add_argument("--base", help="an image to build on, in place of one made here")
    asked = parser.parse_args()
    try:
        with Engine() as engine, _alone():
            base = asked.base or make_base_image(engine)
            made = [base] if asked.what == "base" else make_images(engine, base)
    except CallpathError as error:
        sys.stderr.write(f"images: {error}\n")
        return error.exit_code
    sys.stdout.write("".join(f"{name}\n" for name in made))
    return 0


def make_base_image(engine: Engine) -> str:
    """Return the name of the base image, which is made if the engine does not have it.

    Raises:
        HostNotReady: it cannot be made here.
    """
    codename = _codename()
    tag = f"{codename}-{_fingerprint(codename)}"
    name = f"{REPOSITORY}:{tag}"
    with told("the images of the engine"):
        if engine.client.images(name=name):
            return name
    archive = _cache() / f"base-{tag}.tar"
    if not archive.exists():
        _forget(archive.parent.glob("base-*.tar"))
        _bootstrap(codename, archive)
    with told("the base image"):
        engine.client.import_image(str(archive), repository=REPOSITORY, tag=tag)
    return name


def _codename() -> str:
    words = dict(line.split("=", 1) for line in RELEASE.read_text().splitlines() if "=" in line)
    if "VERSION_CODENAME" not in words or shutil.which("mmdebstrap") is None:
        raise HostNotReady(
            "the base image is made by mmdebstrap on Debian or Ubuntu\n"
            "  apt-get install mmdebstrap; or name an image that has "
            f"{', '.join(PACKAGES)}: docker build --build-arg BASE=..."
        )
    return words["VERSION_CODENAME"].strip('"')


def _fingerprint(codename: str) -> str:
    """Return a hash of what goes into the image; another every month, so that its packages are not older."""
    month = f"{dt.datetime.now(dt.UTC):%Y-%m}"
    return hashlib.sha256(repr((codename, PACKAGES, LEFT_OUT, month)).encode()).hexdigest()[:10]


def _cache() -> Path:
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "callpath"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _forget(old: Iterable[Path]) -> None:
    for place in old:
        shutil.rmtree(place) if place.is_dir() else place.unlink()


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time make the image."""
    with (_cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bootstrap(codename: str, archive: Path) -> None:
    """Write the archive of a Debian system with the packages."""
    with tempfile.TemporaryDirectory(prefix="callpath-base-") as place:
        partial = archive.with_suffix(".partial")
        command = ["unshare", "--mount", "sh", "-c", IN_MEMORY, "sh", "mmdebstrap", "--quiet"]
        command += ["--variant=minbase", "--format=tar", MERGED_USR, f"--include={','.join(PACKAGES)}"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        done = subprocess.run(
            [*command, codename, str(partial), "-"],
            input=_sources(codename), env={**os.environ, "TMPDIR": place}, text=True, capture_output=True,
            check=False,
        )  # fmt: skip
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise HostNotReady("\n  ".join(["the base image cannot be made:", *done.stderr.splitlines()[-8:]]))
    partial.rename(archive)


def _sources(codename: str) -> str:
    """Return where this machine's apt gets the release from, as lines of a sources.list."""
    form = "$(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", form, "Identifier: Packages"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = told.stdout.splitlines()
    own = {line.partition(" ")[2] for line in lines if line.startswith(codename)}
    if not own:
        raise HostNotReady(f"apt knows no packages of {codename} on this machine\n  apt-get update")
    return "".join(f"{line}\n" for line in sorted(own))


# The parts


def make_images(engine: Engine, base: str) -> list[str]:
    """Return the names of the parts' images, which are built where the engine does not have them.

    Raises:
        HostNotReady: one cannot be built.
    """
    names = [part_image(part) for part in PARTS]
    with told("the images of the engine"):
        missing = [part for part in PARTS if not engine.client.images(name=part_image(part))]
    if missing:
        context = _context(_wheels(_python_of(engine, base)))
        for part in missing:
            _build(engine, context, base, part)
    for part, name in zip(PARTS, names, strict=True):
        engine.client.tag(name, f"callpath/{part}", "latest")
    return names


def _python_of(engine: Engine, base: str) -> str:
    """Return the version of Python in an image, as "3.11"."""
    with told(f"Python of {base}"):
        script = ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        host = engine.client.create_host_config(network_mode="none")
        made = engine.client.create_container(base, script, entrypoint=[], host_config=host)["Id"]
        try:
            engine.client.start(made)
            engine.client.wait(made)
            return str(engine.client.logs(made).decode().strip())
        finally:
            engine.client.remove_container(made, force=True)


def _wheels(python: str) -> Path:
    """Return a directory with the wheels of other projects, by the hashes of the lock file."""
    pins = "".join(_pins((ROOT / "constraints" / "all.txt").read_text(encoding="utf-8")))
    machine = os.uname().machine
    name = hashlib.sha256(f"{python} {machine} {pins}".encode()).hexdigest()[:10]
    wheels = _cache() / f"wheels-{name}"
    if not wheels.exists():
        _forget(wheels.parent.glob("wheels-*"))
        partial = wheels.with_suffix(".partial")
        partial.mkdir(exist_ok=True)
        (partial / "pins").write_text(pins, encoding="utf-8")
        platforms = [f"--platform=manylinux_{version}_{machine}" for version in GLIBC]
        _pip(
            *("download", "--no-deps", "--require-hashes", "--only-binary=:all:"),
            f"--python-version={python}",
            *platforms, f"--dest={partial}", f"--requirement={partial / 'pins'}",
        )  # fmt: skip
        partial.rename(wheels)
    return wheels


def _pins(locked: str) -> Iterator[str]:
    """Yield the entries of the lock file for the packages that the parts need, each with its hashes."""
    for entry in re.findall(r"^\S.*?(?:\\\n .*?)*\n", locked, re.MULTILINE):
        if entry.partition("==")[0].lower().replace(".", "-").replace("_", "-") in WHEELS:
            yield entry


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostNotReady(f"pip {words[0]}: {done.stderr.strip()}")


def _context(wheels: Path) -> bytes:
    """Return what the builds are given: the Dockerfile and its neighbours, and the wheels."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, tarfile.open(fileobj=packed, mode="w") as archive:
        _pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={place}", str(ROOT))
        archive.add(ROOT / "docker", arcname="")
        for wheel in (*wheels.glob("*.whl"), *Path(place).glob("*.whl")):
            archive.add(wheel, arcname=f"wheels/{wheel.name}")
        pip = _pip_wheel()
        archive.add(pip, arcname=f"wheels/pip/{pip.name}")
    return packed.getvalue()


def _pip_wheel() -> Path:
    """Return the wheel of pip that this Python gives new environments; Debian has it in a place of its own.

    Raises:
        HostNotReady: there is none.
    """
    elsewhere = sysconfig.get_config_var("WHEEL_PKG_DIR")
    kept = Path(elsewhere or str(importlib.resources.files("ensurepip") / "_bundled"))
    found = sorted(kept.glob("pip-*.whl"))
    if not found:
        raise HostNotReady(f"no wheel of pip in {kept}: install python3-venv")
    return found[-1]


def _build(engine: Engine, context: bytes, base: str, part: str) -> None:
    labels = {"org.opencontainers.image.title": f"callpath {part}", "callpath.fingerprint": fingerprint()}
    with told(f"the image of {part}"):
        steps = list(
            engine.client.build(
                fileobj=io.BytesIO(context), custom_context=True, target=part, tag=part_image(part),
                buildargs={"BASE": base}, network_mode="none", labels=labels, rm=True, decode=True,
            )
        )  # fmt: skip
    if errors := [step["error"] for step in steps if "error" in step]:
        said = "".join(step.get("stream", "") for step in steps).splitlines()[-8:]
        raise HostNotReady("\n  ".join([f"the image of {part}: {errors[0]}", *said]))


if __name__ == "__main__":
    sys.exit(main())

"""The packages of npm that adapters in JavaScript need, in a directory of the user's cache.

``python -m lab.adapters.node_packages`` installs them: exactly the versions of ``node/package-lock.json``,
each checked by its hash, from whatever registry the machine's npm is configured for. The directory is named
by what it holds, so that another release of the lab has another.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LISTS = Path(__file__).parent / "node"
FILES = ("package.json", "package-lock.json")


def directory() -> Path:
    """Return where the packages are, or would be."""
    digest = hashlib.sha256(b"".join((LISTS / name).read_bytes() for name in FILES)).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "callpath", f"node-{digest}")


def is_installed() -> bool:
    """Return whether the packages are there."""
    return (directory() / "node_modules").is_dir()


def install() -> None:
    """Install the packages, if they are not there.

    Raises:
        FileNotFoundError: there is no npm.
        subprocess.CalledProcessError: it failed, and has said why.
    """
    if is_installed():
        return
    target = directory()
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place and then moved there, so that what is there is whole.
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        for name in FILES:
            shutil.copy(LISTS / name, made)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=made, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        Path(made).chmod(0o755)
        if not is_installed():
            Path(made).rename(target)
            Path(made).mkdir()  # for who made it to remove


def main() -> int:
    """Install, and say where; return an exit status."""
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"the packages of npm could not be installed: {error}\n")
        return 4
    sys.stdout.write(f"{directory()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

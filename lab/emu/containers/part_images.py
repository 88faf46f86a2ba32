"""The images of the project's own parts: which there are, and what they are called in an engine.

A name has a hash of the lab's source, so that a run in containers is a run of the same programs. The images
are built from docker/ by ``make images``.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final

import lab
import nat_models
from lab.spec.roles import DNS, ENDPOINT, RELAY, RENDEZVOUS, STUN

PARTS: Final = ("role", "endpoint", "relay", "nat-box", "coturn")
"""The images by name, as the Dockerfile has them."""
PART_OF_ROLE: Final = {ENDPOINT: "endpoint", RELAY: "relay", STUN: "relay", RENDEZVOUS: "role", DNS: "role"}
"""Which of them runs a role."""


def part_image(part: str) -> str:
    """Return the name of a part's image."""
    return f"callpath/{part}:{fingerprint()}"


@functools.cache
def fingerprint() -> str:
    """Return a hash of the lab's source as it is installed here."""
    digest = hashlib.sha256()
    for package in (lab, nat_models):
        place = Path(str(package.__file__)).parent
        for path in sorted(place.rglob("*")):
            if path.suffix in {".py", ".yaml"}:
                digest.update(f"{path.relative_to(place.parent)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]

"""Seeds: every random stream has a name, so that adding one never reshuffles another.

A stream is seeded by hash(run seed, trial key, entity, purpose). SHA-256 rather than ``hash()``: the same in
every process, under every PYTHONHASHSEED, on every Python.
"""

from __future__ import annotations

import hashlib
import random


def derive_seed(run_seed: int, trial_key: str, entity: str = "", purpose: str = "") -> int:
    """Return a 64-bit seed for one named stream."""
    name = "\x1f".join((str(run_seed), trial_key, entity, purpose))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def stream(run_seed: int, trial_key: str, entity: str, purpose: str) -> random.Random:
    """Return a generator of its own for one named stream."""
    return random.Random(derive_seed(run_seed, trial_key, entity, purpose))

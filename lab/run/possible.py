"""What is possible in a trial, predicted from its network's description: beside what was selected."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from lab.measure.predict import Reach, sorted_pairs
from lab.measure.predict.from_network import predict_call
from lab.spec.find import load_topology
from lab.spec.trial import Trial


class Possible(NamedTuple):
    """The best class of path, and the pairs of candidate types on which checks can succeed, best first.

    A pair is written as ``host/srflx``: the caller's address as the callee sees it, and the other way round.
    """

    reach: Reach
    pairs: tuple[str, ...]


def possible_paths(trial: Trial, caller: str, callee: str) -> Possible:
    """Return what two hosts can come to, from the boxes' models alone."""
    parameters = json.dumps(dict(trial.parameters), sort_keys=True)
    return _possible(Path.cwd(), trial.inputs, trial.topology, parameters, caller, callee)


def possible_reach(trial: Trial, caller: str, callee: str) -> Reach:
    """Return the best class of path that two hosts can come to."""
    return possible_paths(trial, caller, callee).reach


@lru_cache(maxsize=4096)
def _possible(
    _relative_to: Path, inputs: str, topology: str, parameters: str, caller: str, callee: str
) -> Possible:
    prediction = predict_call(load_topology(topology, json.loads(parameters), inputs), caller, callee)
    return Possible(prediction.reach, tuple(f"{a}/{b}" for a, b in sorted_pairs(prediction.possible)))

"""What is possible in a trial, predicted from its network's description: beside what was selected."""

from __future__ import annotations

import json
from functools import lru_cache

from lab.measure.predict import Reach
from lab.measure.predict.from_network import predict_call
from lab.spec.find import load_topology
from lab.spec.trial import Trial


def possible_reach(trial: Trial, caller: str, callee: str) -> Reach:
    """Return the best class of path that the two hosts can come to, from the boxes' models alone."""
    return _reach(trial.topology, json.dumps(dict(trial.parameters), sort_keys=True), caller, callee)


@lru_cache(maxsize=4096)
def _reach(topology: str, parameters: str, caller: str, callee: str) -> Reach:
    return predict_call(load_topology(topology, json.loads(parameters)), caller, callee).reach

"""What is possible between two peers, from the enum values of their boxes alone: no packet is ever sent.

docs/paths.md states the model and the rules. :func:`predict` gives the set of candidate-type pairs that can
work, :func:`explain` the reasons in words.
"""

from lab.measure.predict.from_network import predict_call
from lab.measure.predict.network import (
    NO_RELAY,
    CandidateType,
    Pair,
    PeerNetwork,
    PermissionKey,
    PresentFor,
    RelayPlacement,
)
from lab.measure.predict.prediction import Prediction, Reach, predict
from lab.measure.predict.words import explain, pair_words, sorted_pairs, why_not_direct

__all__ = [
    "NO_RELAY",
    "CandidateType",
    "Pair",
    "PeerNetwork",
    "PermissionKey",
    "Prediction",
    "PresentFor",
    "Reach",
    "RelayPlacement",
    "explain",
    "pair_words",
    "predict",
    "predict_call",
    "sorted_pairs",
    "why_not_direct",
]

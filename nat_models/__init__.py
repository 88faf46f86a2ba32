"""What a NAT does: a pure engine and its presets. No sockets, no clock, nothing of the lab."""

from nat_models.engine import Nat
from nat_models.errors import InvalidModel, ModelProblem, NatModelError, UnknownPreset
from nat_models.mapping_entry import MappingView
from nat_models.model import NatModel
from nat_models.outcome import Emission, NatEvent, NatEventKind, Outcome, Side
from nat_models.presets import load_preset, model_for, preset_names, presets

__all__ = [
    "Emission",
    "InvalidModel",
    "MappingView",
    "ModelProblem",
    "Nat",
    "NatEvent",
    "NatEventKind",
    "NatModel",
    "NatModelError",
    "Outcome",
    "Side",
    "UnknownPreset",
    "load_preset",
    "model_for",
    "preset_names",
    "presets",
]

"""From findings to a model: what was measured, and for the rest what is assumed and said to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from lab.protocols.behaviour_discovery.findings import AXES, Findings, Observed
from nat_models.model import Filtering, Lifetimes, Mapping, NatModel, Refresh, TcpBehaviour, Transparency

NOT_PROBED: Final[Observed[Refresh]] = Observed(tuple(Refresh), "not probed")
_OF_OPEN_PATHS: Final = ("transparency",)
_OF_FIREWALLS: Final = ("transparency", "filtering", "fragments")


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeBounds:
    """(longest idle time survived, shortest not survived) in seconds, and what refreshes.

    None: not probed.
    """

    answered: tuple[float, float] | None = None
    unanswered: tuple[float, float] | None = None
    refresh: Observed[Refresh] = NOT_PROBED


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The model that fits what was found. ``assumed``: the axes that are not settled, and why."""

    model: NatModel
    assumed: tuple[tuple[str, str], ...]


def is_classifiable(findings: Findings) -> bool:
    """Return whether the axes that decide about calls are settled: translation, mapping, filtering."""
    if findings.transparency.value is Transparency.NONE:
        return True
    needed: tuple[Observed[Any], ...] = (findings.transparency, findings.filtering)
    if findings.transparency.value is Transparency.TRANSLATE:
        needed += (findings.mapping,)
    return all(observed.is_settled for observed in needed)


def classify(findings: Findings, name: str, lifetimes: LifetimeBounds | None = None) -> Classification:
    """Return the model called ``name`` that fits the findings; unsettled axes keep the default where it fits.

    TCP is not probed: it is taken to map and filter as UDP does.
    """
    bounds = lifetimes or LifetimeBounds()
    model, assumed = NatModel(name=name), []
    for axis in _axes(findings):
        observed: Observed[Any] = getattr(findings, axis)
        if not observed.is_settled:
            assumed.append((axis, observed.why))
        default = getattr(model, axis)
        if observed.possible and default not in observed.possible:
            default = observed.possible[0]
        model = replace(model, **{axis: default})
    tcp = replace(TcpBehaviour(), mapping=model.mapping, filtering=model.filtering)
    times = _lifetimes(bounds)
    if bounds.answered is None and model.transparency is not Transparency.NONE:
        assumed.append(("lifetimes", "not probed"))
    return Classification(model=replace(model, tcp=tcp, lifetimes=times), assumed=tuple(assumed))


def alternatives(findings: Findings, model: NatModel) -> list[NatModel]:
    """Return the model with every translation, mapping and filtering that fits: one where all are settled."""
    kinds = findings.transparency.possible or (model.transparency,)
    mappings: tuple[Mapping, ...] = findings.mapping.possible or tuple(Mapping)
    filters: tuple[Filtering, ...] = findings.filtering.possible or tuple(Filtering)
    found: dict[NatModel, None] = {}
    for kind in kinds:
        for mapping in mappings if kind is Transparency.TRANSLATE else (model.mapping,):
            for filtering in filters if kind is not Transparency.NONE else (model.filtering,):
                found[replace(model, transparency=kind, mapping=mapping, filtering=filtering)] = None
    return list(found)


def _axes(findings: Findings) -> tuple[str, ...]:
    if findings.transparency.value is Transparency.NONE:
        return _OF_OPEN_PATHS
    return _OF_FIREWALLS if Transparency.TRANSLATE not in findings.transparency.possible else AXES


def _lifetimes(bounds: LifetimeBounds) -> Lifetimes:
    """Return lifetimes that the box surely keeps: the longest idle times survived.

    Where not even the shortest was, that one.
    """
    times = Lifetimes()
    if bounds.answered is None:
        return times
    udp = _rounded(bounds.answered)
    times = replace(times, udp=udp, udp_refresh=bounds.refresh.value or times.udp_refresh)
    if bounds.unanswered and bounds.unanswered[1] <= bounds.answered[0]:
        times = replace(times, udp_unreplied=_rounded(bounds.unanswered))
    return times


def _rounded(bounds: tuple[float, float]) -> float:
    """Return whole tenths of a second, downward: more would be the clock's, not the box's."""
    survived, gone = bounds
    return max(0.1, math.floor((survived or gone) * 10 + 1e-6) / 10)

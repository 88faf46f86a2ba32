"""From findings back to a model: whatever a probe found of a box fits the model that is made of it."""

import dataclasses
import itertools
import math

import pytest

from lab.protocols.behaviour_discovery import (
    Findings,
    LifetimeBounds,
    Observed,
    alternatives,
    classify,
    compare,
    is_classifiable,
)
from lab.sim.certify import certify
from nat_models.model import Filtering, Mapping, Refresh, Transparency
from nat_models.presets import load_preset, model_for, preset_names

SILENT = {"udp-blocked", "tcp-443-only"}
BOXES = [load_preset(name) for name in preset_names() if name not in SILENT]
BOXES += [model_for(mapping, filtering) for mapping, filtering in itertools.product(Mapping, Filtering)]
FOUND = Findings(server=("192.0.2.1", 3478), local=("10.0.0.2", 5000), reachable=True)


@pytest.mark.parametrize("box", BOXES, ids=lambda box: box.name)
def test_what_is_found_of_a_box_certifies_the_model_that_is_made_of_it(box):
    """The same comparison that certifies boxes; and what is not assumed is the box's own value."""
    findings = dataclasses.replace(certify(box).findings, lifetimes=())
    made = classify(findings, "field")
    assert is_classifiable(findings)
    assert compare(findings, made.model) == []
    assert alternatives(findings, made.model) == [made.model]
    if made.model.transparency is Transparency.TRANSLATE:
        assumed = dict(made.assumed)
        for axis in ("mapping", "filtering", "filter_scope", "reply_reuse", "port_assignment", "hairpinning"):
            assert axis in assumed or getattr(made.model, axis) is getattr(box, axis), axis


def test_the_lifetime_of_the_model_is_one_that_the_box_keeps():
    bounds = LifetimeBounds(
        answered=(118.26, 121.0), unanswered=(29.97, 31.0), refresh=Observed((Refresh.BOTH,))
    )
    lifetimes = classify(FOUND, "field", bounds).model.lifetimes
    assert (lifetimes.udp, lifetimes.udp_unreplied) == (118.2, 29.9)
    assert lifetimes.udp_refresh is Refresh.BOTH


@pytest.mark.parametrize("unanswered", [(118.0, 122.0), (300.0, math.inf), None])
def test_lifetimes_whose_bounds_overlap_are_one(unanswered):
    bounds = LifetimeBounds(answered=(117.0, 121.0), unanswered=unanswered)
    assert classify(FOUND, "field", bounds).model.lifetimes.udp_unreplied is None


def test_a_mapping_that_survived_nothing_gets_the_shortest_time_tried():
    bounds = LifetimeBounds(answered=(20.0, 25.0), unanswered=(0.0, 2.5))
    assert classify(FOUND, "field", bounds).model.lifetimes.udp_unreplied == 2.5
    bounds = LifetimeBounds(answered=(0.0, 2.5), unanswered=(0.0, 2.5))
    assert classify(FOUND, "field", bounds).model.lifetimes.udp == 2.5


def test_a_contradiction_is_never_classified_and_calls_are_predicted_for_all_that_may_be():
    findings = dataclasses.replace(
        FOUND,
        transparency=Observed((Transparency.TRANSLATE,)),
        mapping=Observed((), "mappings by endpoint were odd"),
        filtering=Observed((Filtering.ADDRESS_DEPENDENT,)),
    )
    made = classify(findings, "field")
    assert not is_classifiable(findings)
    assert ("mapping", "mappings by endpoint were odd") in made.assumed
    assert {model.mapping for model in alternatives(findings, made.model)} == set(Mapping)

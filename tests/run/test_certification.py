"""A run counts only where every NAT in it, probed as in the field, is what the scenario claims."""

import dataclasses

import pytest

from lab.errors import TrialInvalid
from lab.protocols.behaviour_discovery import compare
from lab.run.certification import certify_boxes
from lab.sim.certify import certify
from lab.spec.find import load_topology
from nat_models import Nat, load_preset, model_for, preset_names
from nat_models.model import Filtering, FilterScope, Mapping, ReplyReuse

NAMES = [
    f"{mapping}-{filtering}" for mapping in ("eim", "adm", "apdm") for filtering in ("eif", "adf", "apdf")
]


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_certified_by_probe(preset):
    assert certify(load_preset(preset)).problems == ()


@pytest.mark.parametrize("scope", FilterScope)
@pytest.mark.parametrize("reuse", ReplyReuse)
def test_all_nine_combinations_are_told_apart_in_every_setting(scope, reuse):
    models = [model_for(m, f, filter_scope=scope, reply_reuse=reuse) for m in Mapping for f in Filtering]
    certificates = [certify(model) for model in models]
    assert [c.problems for c in certificates] == [()] * 9
    assert [(c.findings.mapping.value, c.findings.filtering.value) for c in certificates] == [
        (model.mapping, model.filtering) for model in models
    ]


@pytest.mark.parametrize(
    ("claimed", "built"),
    [
        ("full-cone", "restricted"),
        ("port-restricted", "symmetric"),
        ("symmetric", "apdm-adf"),
        ("none", "full-cone"),
    ],
)
def test_a_run_on_a_box_that_is_not_what_it_claims_is_refused(monkeypatch, claimed, built):
    """The engine is made to behave like another model: the probe sees it, whatever the description says."""
    honest, other = Nat.__init__, load_preset(built)
    monkeypatch.setattr(Nat, "__init__", lambda self, _model, **given: honest(self, other, **given))
    with pytest.raises(TrialInvalid, match=claimed) as refused:
        certify_boxes([load_topology("two_homes", {"alice_nat": claimed, "bob_nat": built})])
    assert "not what they claim" in str(refused.value)
    assert refused.value.exit_code == 3


def test_each_distinct_box_is_probed_once():
    networks = [
        load_topology("two_homes", {"alice_nat": a, "bob_nat": "symmetric"}) for a in ("none", "symmetric")
    ]
    assert [c.model.name for c in certify_boxes(networks)] == ["none", "symmetric"]


def test_a_shorter_lifetime_than_claimed_is_noticed():
    model = load_preset("port-restricted")
    short = dataclasses.replace(
        model.lifetimes, udp=model.lifetimes.udp / 3, udp_unreplied=model.lifetimes.udp / 3
    )
    probed = certify(dataclasses.replace(model, lifetimes=short))
    assert probed.problems == ()
    assert any("lifetime" in p or "alive" in p or "gone" in p for p in compare(probed.findings, model))

"""The statements of docs/nat-conformance.md on real devices: some measured again, the rest as committed."""

import pytest

from lab.emu.nat_planes import NatPlane, check
from nat_models import load_preset, presets
from nat_models.conformance import Verdict, check_nat_model, statements
from nat_models.conformance.measured import FILE, as_text, measured

MEASURED_AGAIN = {
    NatPlane.NFT: ["symmetric", "home-hairpin"],
    NatPlane.KERNEL: ["linux-masquerade", "linux-masquerade-input-accept"],
    NatPlane.ENGINE: ["rfc4787"],
}


@pytest.mark.namespaces
@pytest.mark.system("unshare", "ip", "nft", "conntrack")
@pytest.mark.parametrize("plane", MEASURED_AGAIN)
def test_a_plane_measures_as_it_did(inside, plane):
    """If this fails for a reason: measure with tools/measure_nat_planes.py and write the page anew."""
    models = {name: load_preset(name) for name in MEASURED_AGAIN[plane]}
    for name, verdicts in inside("plane_conformance", "measure_all", plane, models).items():
        assert verdicts == measured()[plane.value][name], name


def test_every_preset_was_measured_on_every_plane_that_can_be_it_by_every_statement():
    names = [f"{statement.document} {statement.requirement}" for statement in statements()]
    for plane in NatPlane:
        found = measured()[plane.value]
        assert list(found) == [name for name, model in presets().items() if not check(plane, model)]
        for verdicts in found.values():
            assert list(verdicts) == names


@pytest.mark.parametrize("plane", NatPlane)
def test_most_statements_were_measured(plane):
    for name, verdicts in measured()[plane.value].items():
        assert sum(verdict is not None for verdict in verdicts.values()) >= 36, name


def test_the_planes_are_what_the_models_are_but_for_what_the_page_names():
    differing = {
        (plane, name, requirement)
        for plane, found in measured().items()
        for name, verdicts in found.items()
        for finding in check_nat_model(load_preset(name))
        if (verdict := verdicts[requirement := finding.requirement]) is not None
        and verdict is not finding.verdict
    }
    # Masquerade keeps low ports low even where it draws them; these two presets do not say so.
    assert differing == {
        ("kernel", "linux-masquerade-random", "RFC 4787 REQ-3a"),
        ("kernel", "pf", "RFC 4787 REQ-3a"),
    }


def test_measurements_are_written_as_they_are_read():
    assert as_text(measured()) == FILE.read_text(encoding="utf-8")
    assert {v for found in measured().values() for verdicts in found.values() for v in verdicts.values()} == {
        None,
        *Verdict,
    }

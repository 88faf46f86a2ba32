"""``callpath probe`` from real sockets behind real boxes, with coturn as the server of RFC 5780.

What it writes must be the box: every axis that it calls settled is the model's, and the file loads.
"""

import pytest

from lab.emu.nat_planes import NatPlane
from nat_models import load_preset
from nat_models.model import Refresh
from nat_models.presets import load_model_file

pytestmark = [pytest.mark.namespaces, pytest.mark.system("unshare", "ip", "nft", "conntrack", "turnserver")]

BOXES = {
    NatPlane.NFT: [
        "full-cone",
        "restricted",
        "port-restricted",
        "symmetric",
        "symmetric-address-restricted",
        "adm-adf",
        "home-hairpin",
        "stateful-firewall",
        "none",
    ],
    NatPlane.ENGINE: ["symmetric{hairpinning: external-source, filtering: eif}", "cisco-ios"],
}
CASES = [(plane, name) for plane, names in BOXES.items() for name in names]
AXES = ("transparency", "mapping", "filtering")
DETAILS = ("filter_scope", "reply_reuse", "port_assignment", "hairpinning", "fragments")


@pytest.fixture(scope="session")
def probed(inside, once):
    """Return what the command did behind every box."""

    def measure(plane):
        models = [load_preset(name) for name in BOXES[plane]]
        found = once(f"field-probe-{plane.value}", lambda: inside("field_probe", "probe_all", plane, models))
        return dict(zip(BOXES[plane], found, strict=True))

    return measure


def written(done, tmp_path):
    assert done["code"] == 0, done["err"] + done["out"]
    path = tmp_path / "field.yaml"
    path.write_text(done["preset"])
    return load_model_file(path)


@pytest.mark.parametrize(("plane", "name"), CASES, ids=lambda value: getattr(value, "value", value))
def test_the_preset_that_is_written_is_the_box(probed, plane, name, tmp_path):
    box, done = load_preset(name), probed(plane)[name]
    found = written(done, tmp_path)
    if name == "none":
        assert found.transparency is box.transparency
        return
    axes = ("transparency", "filtering") if name == "stateful-firewall" else AXES
    assert {axis: getattr(found, axis) for axis in axes} == {axis: getattr(box, axis) for axis in axes}
    assumed = next((source for source in found.sources if source.startswith("Not measured")), "")
    for axis in DETAILS if axes is AXES else ():
        is_assumed = f"{axis.replace('_', ' ')} (" in assumed
        assert is_assumed or getattr(found, axis) == getattr(box, axis), f"{axis}\n{done['out']}"


def test_a_box_that_refuses_everything_is_not_told_as_a_classification(inside):
    done = inside("field_probe", "probe", NatPlane.NFT, load_preset("udp-blocked"), ("--pace", "0"))
    assert done["code"] == 3
    assert "no answer from 198.18.0.1:3478 by UDP" in done["err"]
    assert done["preset"] == ""


SHORT = "port-restricted{lifetimes: {udp: 6s, udp_unreplied: 3s, udp_refresh: both}}"
SEARCH = ("--pace", "0", "--lifetime", "8s", "--resolution", "500ms")


def test_a_lifetime_is_found_and_what_refreshes_it(inside, tmp_path):
    """Behind a box that forgets after 6 s, or 3 s where nobody answered: the longest time survived counts."""
    done = inside("field_probe", "probe", NatPlane.ENGINE, load_preset(SHORT), SEARCH)
    found = written(done, tmp_path)
    assert 5.0 <= found.lifetimes.udp <= 6.1, done["err"]
    assert 2.0 <= found.lifetimes.unreplied <= 3.1, done["err"]
    assert found.lifetimes.udp_refresh is Refresh.BOTH, done["out"]


def test_an_interrupt_keeps_what_was_found(inside):
    """The first idle times that were waited for are in the preset, and the classification is."""
    arguments = ("--pace", "0", "--lifetime", "10min", "--resolution", "1s")
    model = load_preset("port-restricted")
    done = inside("field_probe", "probe", NatPlane.NFT, model, arguments, "answered mapping alive")
    assert done["code"] == 130, done["err"]
    assert "Classification: port-restricted" in done["out"]
    assert "longer than" in done["out"]
    assert "mapping: endpoint-independent" in done["preset"]

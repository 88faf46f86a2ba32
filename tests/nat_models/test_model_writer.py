"""A model that is written is read back as it was; the user's own files are found by name and by path."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_models import load_preset, preset_names
from nat_models.errors import InvalidModel, UnknownPreset
from nat_models.model import (
    Filtering,
    FirewallRule,
    Hairpinning,
    Lifetimes,
    Mapping,
    NatModel,
    PortAssignment,
    PortPool,
    Refresh,
)
from nat_models.model_writer import write_model
from nat_models.presets import load_model_file, own_preset_files

seconds = st.integers(1, 10**9).map(lambda milliseconds: milliseconds / 1000)
lifetimes = st.builds(
    Lifetimes,
    udp=seconds,
    udp_unreplied=st.none() | seconds,
    udp_by_port=st.dictionaries(st.integers(1, 65535), seconds, max_size=3).map(lambda d: tuple(d.items())),
    udp_refresh=st.sampled_from(Refresh),
)
rules = st.builds(
    FirewallRule,
    action=st.sampled_from(["accept", "drop", "reject"]),
    protocol=st.sampled_from(["any", "udp", "tcp", "icmp"]),
    ports=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
    networks=st.sampled_from([(), ("10.0.0.0/8",), ("192.0.2.0/24", "fd00::/8")]),
)
models = st.builds(
    NatModel,
    name=st.just("field"),
    description=st.text("abc: #'\"-{}é\n", min_size=1),
    sources=st.lists(st.text("abc: #'\"[]&*", min_size=1), min_size=1, max_size=3).map(tuple),
    mapping=st.sampled_from(Mapping),
    filtering=st.sampled_from(Filtering),
    hairpinning=st.sampled_from(Hairpinning),
    port_assignment=st.sampled_from([PortAssignment.RANDOM, PortAssignment.PRESERVE]),
    ports=st.builds(PortPool, parity=st.booleans(), hold_down=st.just(0.0) | seconds),
    lifetimes=lifetimes,
    fragments=st.booleans(),
    outbound_rules=st.lists(rules, max_size=2).map(tuple),
)


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_is_read_back_as_it_was(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(write_model(load_preset(name)))
    assert load_model_file(path) == load_preset(name)


@given(model=models)
def test_any_model_is_read_back_as_it_was(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "field.yaml"
    path.write_text(write_model(model), encoding="utf-8")
    assert load_model_file(path) == model


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's directory with one preset of their own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nat_models").mkdir()
    model = dataclasses.replace(load_preset("symmetric"), name="hotel", sources=("on the spot",))
    (tmp_path / "nat_models" / "hotel.yaml").write_text(write_model(model))
    return model


def test_an_own_preset_is_found_by_name_and_by_path(own):
    assert load_preset("hotel") == load_preset("nat_models/hotel.yaml") == own
    assert load_preset("hotel{lifetimes.udp: 20s}").lifetimes.udp == 20
    assert list(own_preset_files()) == ["hotel"]


def test_a_name_that_ships_is_never_another_box(own, tmp_path):
    """Nor is an alias; by its path the file is what it is."""
    for taken in ("full-cone", "linux"):
        (tmp_path / "nat_models" / f"{taken}.yaml").write_text(write_model(own))
        assert load_preset(taken).mapping is Mapping.ENDPOINT_INDEPENDENT
        assert load_preset(f"./nat_models/{taken}.yaml") == own
    assert list(own_preset_files()) == ["hotel"]


def test_a_misspelt_own_name_is_suggested(own):
    with pytest.raises(UnknownPreset, match='did you mean "hotel"'):
        load_preset("hotl")


def test_a_file_that_is_not_there_or_no_text_is_told(own, tmp_path):
    with pytest.raises(UnknownPreset, match=r"no NAT preset file 'gone\.yaml'"):
        load_preset("gone.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidModel, match="UTF-8"):
        load_preset("./binary.yaml")

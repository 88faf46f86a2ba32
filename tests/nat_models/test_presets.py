"""Presets by name, alias and override, and what is said when the name or the value is wrong."""

import dataclasses
import pickle

import pytest

from nat_models import (
    InvalidModel,
    NatModelError,
    UnknownPreset,
    load_preset,
    model_for,
    preset_names,
    presets,
)
from nat_models.model import (
    Filtering,
    FilterScope,
    FirewallRule,
    Lifetimes,
    Mapping,
    NatModel,
    Pooling,
    PortAssignment,
    ReplyReuse,
    Transparency,
    Unsolicited,
)
from nat_models.presets import DIRECTORY, aliases, load_model_file

NEEDED = {
    *("none", "full-cone", "restricted", "port-restricted", "symmetric", "symmetric-address-restricted"),
    *("port-preserving-symmetric", "cgn", "cgn-cellular-symmetric", "cgn-fixed"),
    *("linux-masquerade", "linux-masquerade-input-accept", "linux-masquerade-random"),
    *("udp-blocked", "tcp-443-only", "address-filter"),
}


def test_every_preset_of_the_catalogue_is_there():
    assert set(preset_names()) >= NEEDED
    assert len(preset_names()) >= 22


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_and_where_it_is_from(name):
    model = presets()[name]
    assert model.name == name
    assert model.description.endswith(".")
    assert all(len(source) > 20 for source in model.sources)
    assert model.sources
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301 - made one line up
    assert isinstance(hash(model), int)


def test_no_alias_hides_a_preset_or_another_alias():
    seen = [alias for name in preset_names() for alias in _aliases_in(name)]
    assert len(seen) == len(set(seen))
    assert not set(seen) & set(preset_names())


def _aliases_in(name):
    return [alias for alias, preset in aliases().items() if preset == name]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("address-restricted", "restricted"),
        ("web-only", "tcp-443-only"),
        ("cgnat", "cgn"),
        ("public", "none"),
    ],
)
def test_an_alias_is_the_preset(alias, name):
    assert load_preset(alias) == load_preset(name)


@pytest.mark.parametrize(
    ("name", "mapping", "filtering"),
    [
        ("full-cone", Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT),
        ("restricted", Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT),
        ("port-restricted", Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT),
        ("symmetric", Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_the_classic_types_in_the_terms_of_rfc_4787(name, mapping, filtering):
    model = load_preset(name)
    assert (model.mapping, model.filtering) == (mapping, filtering)
    assert (model.tcp.mapping, model.tcp.filtering) == (mapping, filtering)


@pytest.mark.parametrize("mapping", Mapping)
@pytest.mark.parametrize("filtering", Filtering)
def test_each_cell_of_the_matrix_has_a_name_that_loads_it(mapping, filtering):
    model = model_for(mapping, filtering)
    assert (model.mapping, model.filtering) == (mapping, filtering)
    assert load_preset(model.name) == model
    assert model.port_assignment is PortAssignment.RANDOM


def test_cells_of_the_matrix_are_named_by_the_short_words_of_the_field():
    assert model_for("apdm", "adf").name == "apdm-adf"
    assert model_for("eim", "eif", reply_reuse="off").name == "eim-eif{reply_reuse: off}"


def test_overrides_in_the_text_and_as_arguments_are_the_same():
    text = load_preset("symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}")
    arguments = load_preset("symmetric", filter_scope=FilterScope.PER_ENDPOINT, lifetimes={"udp": "30s"})
    assert text == arguments
    assert text.name == "symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}"
    assert (text.filter_scope, text.lifetimes.udp) == (FilterScope.PER_ENDPOINT, 30.0)
    assert load_preset(text.name) == text


def test_overrides_reach_every_kind_of_value():
    model = load_preset(
        "cgn",
        pooling=Pooling.ARBITRARY,
        fragments=False,
        ports={"first": 2000, "hold_down": 0},
        lifetimes={"udp_by_port": {53: "1min"}, "tcp_established": "2h 4min"},
        outbound_rules=[{"action": "drop", "ports": [25], "networks": ["192.0.2.0/24"]}],
    )
    assert (model.pooling, model.fragments, model.ports.first) == (Pooling.ARBITRARY, False, 2000)
    assert (model.lifetimes.udp_by_port, model.lifetimes.tcp_established) == (((53, 60.0),), 7440.0)
    assert model.outbound_rules == (FirewallRule(action="drop", ports=(25,), networks=("192.0.2.0/24",)),)
    assert load_preset(model.name) == model


def test_overrides_may_be_whole_records():
    assert load_preset("cgn", lifetimes=Lifetimes(udp=5.0)).lifetimes.udp == 5.0


def test_setting_the_udp_lifetime_sets_it_for_unanswered_mappings_too():
    assert load_preset("full-cone{lifetimes.udp: 30s}").lifetimes.unreplied == 30.0
    assert load_preset("linux-masquerade{lifetimes.udp: 60s}").lifetimes.unreplied == 30.0


def test_an_unknown_preset_suggests_the_nearest_name():
    with pytest.raises(UnknownPreset) as caught:
        load_preset("symetric")
    assert caught.value.found == "no NAT preset 'symetric'"
    assert caught.value.suggestion == 'did you mean "symmetric"?'


def test_a_name_like_no_other_lists_the_presets():
    with pytest.raises(UnknownPreset, match="known: address-filter, cgn,"):
        load_preset("zzz")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("symmetric{filtring: eif}", """filtring: unknown axis 'filtring' (did you mean "filtering"?)"""),
        ("symmetric{mapping: endpoint-indep}", 'did you mean "endpoint-independent"?'),
        ("symmetric{lifetimes.udp: 30}", "write 30s"),
        ("symmetric{lifetimes.udp: true}", "True is no duration"),
        ("symmetric{lifetimes.udp: -5s}", "'-5s' is no duration"),
        ("symmetric{lifetimes.udp: 0}", "lifetimes.udp: no time at all; expected more than 0"),
        ("symmetric{lifetimes.udpp: 30s}", 'did you mean "udp"?'),
        ("symmetric{lifetimes: 30s}", "expected a mapping with udp,"),
        ("symmetric{mapping.x: 1}", "'mapping' is one value, it has no 'x'"),
        ("symmetric{fragments: 1}", "expected true or false"),
        ("symmetric{fragment_memory: many}", "expected a whole number"),
        ("symmetric{fragment_memory: -1}", "expected 0 or more fragments"),
        ("symmetric{ports.first: 70000}", "expected 1 <= first <= last <= 65535"),
        ("cgn{ports.block_size: 100000}", "expected 1 to 64512, the size of the pool"),
        ("symmetric{ports.per_host_limit: -1}", "expected 0 (no limit) or more"),
        ("symmetric{unsolicited: rst}", "UDP knows no reset"),
        ("symmetric{description: 7}", "expected text"),
        ("symmetric{sources: x}", "expected a list"),
        ("symmetric{outbound_rules: [drop]}", "a rule such as {action: drop, protocol: udp}"),
        ("symmetric{outbound_rules: [{action: deny}]}", "one of accept, drop, reject"),
        ("symmetric{outbound_rules: [{action: drop, protocol: sctp}]}", "one of any, udp, tcp, icmp"),
        ("symmetric{outbound_rules: [{action: drop, port: 7}]}", 'did you mean "ports"?'),
        ("symmetric{outbound_rules: [{action: drop, ports: [0]}]}", "ports 1 to 65535"),
        ("symmetric{outbound_rules: [{action: drop, networks: [x]}]}", "a prefix such as 203.0.113.0/24"),
        ("symmetric{lifetimes.udp_by_port: 3}", "such as {53: 60s}"),
        ("symmetric{lifetimes.udp_by_port: {70000: 3s}}", "ports 1 to 65535, more than 0"),
        ("symmetric{mapping: eim, mapping: adm}", "mapping"),
        ("symmetric{mapping: eim", "preset{axis: value, ...}"),
        ("symmetric{}}", "preset{axis: value, ...}"),
        ("symmetric{a}", "unknown axis 'a'"),
    ],
)
def test_a_bad_override_says_what_would_be_right(text, says):
    with pytest.raises(InvalidModel) as caught:
        load_preset(text)
    assert says in str(caught.value)


def test_all_problems_are_reported_at_once():
    with pytest.raises(NatModelError) as caught:
        load_preset("symmetric{mapping: x, filtering: y, lifetimes.udp: 5}")
    assert len(caught.value.problems) == 3


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


HEAD = "name: mine\ndescription: Mine.\nsources: [measured at home]\n"


def test_a_file_of_ones_own_is_read_like_a_shipped_one(tmp_path):
    model = load_model_file(write(tmp_path, HEAD + "aliases: [m]\nreply_reuse: off\ntcp: {filtering: eif}\n"))
    assert (model.name, model.reply_reuse) == ("mine", ReplyReuse.OFF)
    assert model.tcp.filtering is Filtering.ENDPOINT_INDEPENDENT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "lifetimes:\n  udp: 30\n", "mine.yaml:5: lifetimes.udp: 30 is no duration"),
        (HEAD + "mappin: eim\n", "mine.yaml:4: mappin: unknown axis"),
        (HEAD + "mapping: eim\nmapping: adm\n", "mine.yaml:5: found duplicate key"),
        (HEAD + "mapping: [eim\n", "mine.yaml:5"),
        (HEAD + "ports: {first: 0}\n", "mine.yaml:4: ports: first 0"),
        (HEAD + "aliases: m\n", "mine.yaml:4: aliases: 'm'; expected a list of names"),
        ("name: mine\n", "mine.yaml: no description"),
        ("- a list\n", "mine.yaml: no mapping of axes"),
        ("", "mine.yaml: no mapping of axes"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, text, says):
    with pytest.raises(InvalidModel) as caught:
        load_model_file(write(tmp_path, text))
    assert says in str(caught.value)


def test_presets_do_what_their_names_say():
    assert load_preset("none").transparency is Transparency.NONE
    assert load_preset("linux-masquerade-input-accept").unsolicited is Unsolicited.INPUT_ACCEPT
    assert load_preset("cgn").ports.hold_down == 120.0
    assert load_preset("cisco-ios").lifetimes.udp_by_port == ((53, 60.0),)


def test_input_accept_differs_from_linux_masquerade_in_that_alone():
    strict, accepting = load_preset("linux-masquerade"), load_preset("linux-masquerade-input-accept")
    same = dataclasses.replace(
        accepting,
        name=strict.name,
        description=strict.description,
        sources=strict.sources,
        unsolicited=strict.unsolicited,
        tcp=strict.tcp,
    )
    assert same == strict


def test_every_file_beside_the_loader_is_a_preset():
    assert {path.name for path in DIRECTORY.iterdir() if path.suffix == ".yaml"} == {
        f"{name}.yaml" for name in preset_names()
    }


def test_the_defaults_of_the_model_are_those_of_the_rfcs():
    model = NatModel(name="x")
    assert (model.lifetimes.udp, model.lifetimes.tcp_established, model.lifetimes.icmp) == (
        300.0,
        7440.0,
        60.0,
    )

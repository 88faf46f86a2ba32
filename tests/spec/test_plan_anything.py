"""Whatever an author writes, it is a network or it is refused: nothing else is ever raised."""

from hypothesis import given
from hypothesis import strategies as st
from mininet.topo import Topo

from lab.errors import UsageError
from lab.spec.network import Network
from lab.spec.node_options import LINK_OPTIONS, NODE_OPTIONS, ROLES, SWITCH_OPTIONS
from lab.spec.plan import plan_network

NODES = ("alice", "box", "core", "lan")
prefixes = st.sampled_from(
    ["10.0.0.0/24", "10.0.0.0/31", "10.0.0.1/24", "2001:db8::/64", "fd00::/127", "/", ""]
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([*ROLES, *NODES, "symmetric", "none", "symmetric{", "eim-apdf", "20ms"]),
    prefixes,
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(["delay", "loss", "forward", "rate", "x"]), st.text(max_size=4), max_size=2
    ),
)
node_names = sorted({name for rules in NODE_OPTIONS.values() for name in rules} | {"relay", "isolate", "ip"})
node_options = st.dictionaries(st.sampled_from(node_names), values, max_size=3)
link_options = st.dictionaries(st.sampled_from([*LINK_OPTIONS, "delay", "x"]), values, max_size=3)
switch_options = st.dictionaries(st.sampled_from([*SWITCH_OPTIONS, "x"]), values, max_size=2)
links = st.tuples(st.sampled_from(NODES), st.sampled_from(NODES), link_options)


def outcome(topo: Topo) -> str:
    try:
        network = plan_network(topo, "any")
    except UsageError:
        return "refused"
    assert isinstance(network, Network)
    return "planned"


@given(st.lists(node_options, min_size=3, max_size=3), switch_options, st.lists(links, max_size=6))
def test_any_options_give_a_network_or_a_refusal(nodes, switch, cables):
    topo = Topo()
    sound = ({"role": "endpoint"}, {"role": "nat", "nat": "symmetric", "uplink": "core"}, {"role": "router"})
    for name, options, given_options in zip(NODES, sound, nodes, strict=False):
        topo.addHost(name, **{**options, **given_options})
    topo.addSwitch("lan", **switch)
    for one, other, options in cables:
        topo.addLink(one, other, **options)
    outcome(topo)


@given(st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), min_size=3, max_size=8))
def test_any_wiring_gives_a_network_or_a_refusal(cables):
    topo = Topo()
    topo.addHost("alice", role="endpoint")
    topo.addHost("box", role="nat", nat="symmetric", uplink="core")
    topo.addHost("core", role="router", uplink="lan")
    topo.addSwitch("lan")
    for number, (one, other) in enumerate(cables):
        topo.addLink(one, other, label=f"link{number}")
    outcome(topo)


def test_both_outcomes_occur():
    topo = Topo()
    topo.addHost("alice", role="endpoint")
    assert outcome(topo) == "refused"
    topo.addHost("core", role="router")
    topo.addLink("alice", "core")
    assert outcome(topo) == "planned"

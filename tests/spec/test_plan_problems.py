"""What is refused, in the words that the author of a topology reads."""

import textwrap

import pytest

from lab.errors import UsageError
from lab.spec.find import load_topology

BEGINNING = """\
from mininet.topo import Topo

class Net(Topo):
    def build(self):
"""
SOUND = """\
self.addHost("alice", role="endpoint")
self.addHost("box", role="nat", nat="symmetric", uplink="core")
self.addHost("core", role="router")
self.addHost("relay", role="relay")
self.addLink("alice", "box", label="home")
self.addLink("box", "core", label="access")
self.addLink("relay", "core", label="relay")
"""


@pytest.fixture
def refusal(tmp_path, monkeypatch):
    """Return what is said about a topology whose ``build`` is these lines, from line 5 of net.py on."""
    monkeypatch.chdir(tmp_path)

    def refuse(lines):
        (tmp_path / "net.py").write_text(BEGINNING + textwrap.indent(lines, " " * 8))
        with pytest.raises(UsageError) as caught:
            load_topology("net.py", {})
        return str(caught.value)

    return refuse


def changed(old, new):
    assert SOUND.count(old) == 1
    return SOUND.replace(old, new)


CASES = {
    "no nodes": ("pass", "topology net: the topology has no nodes"),
    "a node alone": ('self.addHost("alice", role="host")\n', "net.py:5: node 'alice' has no link"),
    "unknown role": (
        changed('role="relay"', 'role="realy"'),
        """\
        net.py:8: node 'relay': unknown role 'realy'
          did you mean "relay"?""",
    ),
    "no role": (
        changed(', role="relay"', ""),
        """\
        net.py:8: node 'relay' has no role
          expected role= one of dns, endpoint, host, nat, relay, rendezvous, router, sip_proxy, stun""",
    ),
    "unknown node option": (
        changed('role="relay"', 'role="relay", permission_refrehs="coturn"'),
        """\
        net.py:8: node 'relay': unknown option 'permission_refrehs'
          did you mean "permission_refresh"?""",
    ),
    "an option of another role": (
        changed('role="endpoint"', 'role="endpoint", nat="symmetric"'),
        """\
        net.py:5: node 'alice': unknown option 'nat'
          known: addresses, relay, resolver, role, stun, udp_ports, uplink""",
    ),
    "ports that are none": (
        changed('role="endpoint"', 'role="endpoint", udp_ports="5061-5060"'),
        """\
        net.py:5: node 'alice': udp_ports='5061-5060'
          expected the ports of UDP sockets that ask for none: ports such as "5060-5063\"""",
    ),
    "a resolver that is no DNS server": (
        changed('role="endpoint"', 'role="endpoint", resolver="sttic"'),
        """\
        net.py:5: node 'alice': resolver='sttic' is no node with role 'dns'
          add a node with role='dns', or write "static\"""",
    ),
    "services that are no lists": (
        changed('role="relay"', 'role="dns", srv={"_sip._udp.example.test": "10 60 5060 relay"}'),
        """\
        net.py:8: node 'relay': srv={'_sip._udp.example.test': '10 60 5060 relay'}
          expected services and their SRV records: a dictionary of lists of texts""",
    ),
    "a delay without a unit": (
        changed('role="relay"', 'role="dns", answer_delay="20"'),
        """\
        net.py:8: node 'relay': answer_delay='20'
          expected how long it thinks before it answers: a duration in one of us, µs, ms, s, min, h
          write for example 20ms""",
    ),
    "a value that is not among the choices": (
        changed('role="relay"', 'role="relay", permission_key="ip_port"'),
        """\
        net.py:8: node 'relay': permission_key='ip_port'
          expected what a TURN permission admits: one of ip, ip-port
          did you mean "ip-port"?""",
    ),
    "a value of a wrong type": (
        changed('role="relay"', 'role="relay", addresses="2"'),
        """\
        net.py:8: node 'relay': addresses='2'
          expected how many addresses of each family: a whole number""",
    ),
    "a value out of range": (
        changed('role="relay"', 'role="relay", addresses=0'),
        """\
        net.py:8: node 'relay': addresses=0
          expected how many addresses of each family: 1 to 64""",
    ),
    "True is not a number": (
        changed('role="relay"', 'role="relay", addresses=True'),
        """\
        net.py:8: node 'relay': addresses=True
          expected how many addresses of each family: a whole number""",
    ),
    "Mininet's own node option": (
        changed('role="relay"', 'role="relay", ip="10.0.0.1/8"'),
        """\
        net.py:8: node 'relay': option 'ip' is Mininet's own and would have no effect in the lab
          addresses are derived; give the link or switch subnet="..."\
""",
    ),
    "Mininet's own link option": (
        changed('label="access"', 'label="access", delay="20ms"'),
        """\
        net.py:10: link 'access': option 'delay' is Mininet's own and would have no effect in the lab
          write impair={"delay": "20ms"}""",
    ),
    "unknown link option": (
        changed('label="access"', 'label="access", impiar={"delay": "20ms"}'),
        """\
        net.py:10: link 'access': unknown option 'impiar'
          did you mean "impair"?""",
    ),
    "unknown impairment": (
        changed('label="access"', 'label="access", impair={"dleay": "20ms"}'),
        """\
        net.py:10: link 'access': unknown option 'dleay'
          did you mean "delay"?""",
    ),
    "an impairment without unit": (
        changed('label="access"', 'label="access", impair={"delay": "20"}'),
        """\
        net.py:10: link 'access': delay: '20' has no unit
          expected a duration in one of us, µs, ms, s, min, h
          write for example 20ms""",
    ),
    "an impairment that is no dictionary": (
        changed('label="access"', 'label="access", impair="20ms"'),
        """\
        net.py:10: link 'access': impair='20ms'
          expected what the link does to packets: a dictionary""",
    ),
    "a label that cannot be written": (
        changed('label="access"', 'label="the access"'),
        """\
        net.py:10: link 'the access': the label cannot be written in a scenario
          expected letters, digits, '-', '_', '.'""",
    ),
    "a label used twice": (
        changed('label="access"', 'label="home"'),
        """\
        net.py:10: link label 'home' is used twice
          the link from 'alice' to 'box' has it already""",
    ),
    "two links without labels": (
        SOUND
        + 'self.addHost("bob", role="host")\nself.addLink("bob", "core")\nself.addLink("bob", "core")\n',
        """\
        net.py:14: 'bob' and 'core' are linked twice, and neither link has a label
          give each of the two a label="..."\
""",
    ),
    "a link to itself": (
        SOUND + 'self.addLink("core", "core", label="loop")\n',
        "net.py:12: link 'loop' joins 'core' to itself",
    ),
    "a link to a node that was never added": (
        changed('addLink("relay"', 'addLink("realy"'),
        """\
        net.py:11: a link leads to 'realy', which was not added before
          did you mean "relay"?""",
    ),
    "a node added twice": (
        SOUND + 'self.addHost("relay", role="relay")\n',
        """\
        net.py:12: node 'relay' is added twice
          first at net.py:8""",
    ),
    "a node name too long for its interfaces": (
        SOUND + 'self.addHost("a-long-name", role="host")\nself.addLink("a-long-name", "core", label="l")\n',
        """\
        net.py:12: node name 'a-long-name' is too long: its interface would be 'a-long-name-eth0'
          expected at most 10 letters (Linux allows 15 in an interface)""",
    ),
    "a node name that is none": (
        SOUND + 'self.addHost("Bob", role="host")\nself.addLink("Bob", "core", label="l")\n',
        """\
        net.py:12: node name 'Bob'
          expected lower-case letters, digits and single '-', a letter first""",
    ),
    "a node without a link": (
        SOUND + 'self.addHost("bob", role="host")\n',
        "net.py:12: node 'bob' has no link",
    ),
    "an island": (
        SOUND + 'self.addHost("bob", role="host")\nself.addHost("carol", role="host")\n'
        'self.addLink("bob", "carol")\n',
        """\
        net.py:12: node 'bob' cannot be reached from 'alice'
          link it, or one of its neighbours, towards 'alice'
        net.py:13: node 'carol' cannot be reached from 'alice'
          link it, or one of its neighbours, towards 'alice'""",
    ),
    "a NAT without a model": (
        changed('nat="symmetric", ', ""),
        """\
        net.py:6: NAT 'box' has no model
          expected nat="..."
          for example nat="port-restricted\"""",
    ),
    "an unknown NAT model": (
        changed('nat="symmetric"', 'nat="symetric"'),
        """\
        net.py:6: NAT 'box': no NAT preset 'symetric'
          expected the name of a preset
          did you mean "symmetric"?""",
    ),
    "a NAT that does not say where out is": (
        changed(', uplink="core"', ""),
        """\
        net.py:6: NAT 'box' does not say which of its neighbours is outside
          expected uplink="..." with one of alice, core""",
    ),
    "an uplink to no neighbour": (
        changed('uplink="core"', 'uplink="cor"'),
        """\
        net.py:6: node 'box': uplink 'cor' is no neighbour
          did you mean "core"?""",
    ),
    "an uplink by two links": (
        SOUND + 'self.addLink("box", "core", label="backup")\n',
        """\
        net.py:6: node 'box': more than one link leads to its uplink 'core'
          expected uplink= one of the labels access, backup""",
    ),
    "a NAT without an inside": (
        changed('"alice", "box"', '"alice", "core"'),
        """\
        net.py:6: NAT 'box' has no inside
          expected two links or more, one of them its uplink""",
    ),
    "a relay that does not exist": (
        changed('role="endpoint"', 'role="endpoint", relay="turn1"'),
        """\
        net.py:5: node 'alice': relay='turn1' is no node with role 'relay'
          known: relay""",
    ),
    "no prefix": (
        changed('label="home"', 'label="home", subnet="192.168.1"'),
        """\
        net.py:9: link 'home': subnet='192.168.1' is no IPv4 prefix
          expected for example 192.168.1.0/24""",
    ),
    "a prefix of the other family": (
        changed('label="home"', 'label="home", subnet6="192.168.1.0/24"'),
        """\
        net.py:9: link 'home': subnet6='192.168.1.0/24' is no IPv6 prefix
          expected for example 2001:db8:1::/64""",
    ),
    "an address in place of a prefix": (
        changed('label="home"', 'label="home", subnet="192.168.1.1/24"'),
        """\
        net.py:9: link 'home': subnet='192.168.1.1/24'
          expected the first address of the prefix and its length
          did you mean "192.168.1.0/24"?""",
    ),
    "a prefix on a link to a switch": (
        changed('label="home"', 'label="home", subnet="10.0.0.0/24"').replace(
            'addHost("alice", role="endpoint"', 'addSwitch("alice", dpid="1"'
        ),
        """\
        net.py:9: link 'home': subnet on a link to a switch
          give it to the switch 'alice', whose whole segment it is about""",
    ),
    "overlapping prefixes in one realm": (
        changed('label="access"', 'label="access", subnet="10.0.0.0/8"').replace(
            'label="relay"', 'label="relay", subnet="10.1.0.0/16"'
        ),
        """\
        net.py:11: segments 'access' and 'relay' overlap: 10.0.0.0/8 and 10.1.0.0/16
          expected different prefixes where no NAT lies between""",
    ),
    "one prefix on both sides of a NAT": (
        changed('label="home"', 'label="home", subnet="10.0.0.0/8"').replace(
            'label="access"', 'label="access", subnet="10.1.0.0/16"'
        ),
        """\
        net.py:6: node 'box' has 10.0.0.0/8 on 'home' and 10.1.0.0/16 on 'access'
          expected different prefixes on the two sides of a node""",
    ),
    "IPv6 prefixes overlap, whatever lies between": (
        changed('label="home"', 'label="home", subnet6="2001:db8::/56"').replace(
            'label="relay"', 'label="relay", subnet6="2001:db8:0:1::/64"'
        ),
        """\
        net.py:11: segments 'home' and 'relay' overlap: 2001:db8::/56 and 2001:db8:0:1::/64
          expected different prefixes where no NAT lies between""",
    ),
    "a router inside a NAT that does not say where out is": (
        SOUND + 'self.addHost("floor", role="router")\nself.addLink("floor", "box", label="a")\n'
        'self.addHost("desk", role="host")\nself.addLink("desk", "floor", label="b")\n',
        """\
        net.py:12: router 'floor' is inside a NAT and does not say which neighbour leads out
          expected uplink="..." with one of box, desk""",
    ),
    "a way round a NAT": (
        SOUND + 'self.addHost("back", role="router", uplink="core")\n'
        'self.addLink("back", "box", label="a")\nself.addLink("back", "core", label="b")\n',
        """\
        net.py:6: NAT 'box' has the same network inside and outside: another router joins them
          remove that link, or make the NAT the only way out""",
    ),
    "NATs inside each other": (
        (
            'self.addHost("one", role="nat", nat="symmetric", uplink="a")\n'
            'self.addHost("two", role="nat", nat="symmetric", uplink="b")\n'
            'self.addLink("one", "two", label="a")\nself.addLink("one", "two", label="b")\n'
        ),
        """\
        net.py:5: every network is inside a NAT: following uplinks from 'one' comes back to it
          give the outermost NAT an uplink towards the internet""",
    ),
    "uplinks in a circle": (
        (
            'for name, up in (("r1", "r2"), ("r2", "r3"), ("r3", "r1")):\n'
            '    self.addHost(name, role="router", uplink=up)\n'
            'for name, up in (("r1", "r2"), ("r2", "r3"), ("r3", "r1")):\n'
            "    self.addLink(name, up)\n"
        ),
        """\
        net.py:6: uplinks go round in a circle: r1 -> r2 -> r3 -> r1
          one of them has to point towards the core""",
    ),
    "two switches of one segment that both say its addresses": (
        (
            'self.addSwitch("s1", subnet="10.0.0.0/24")\nself.addSwitch("s2", subnet="10.0.1.0/24")\n'
            'self.addLink("s1", "s2")\nself.addHost("h", role="host")\nself.addLink("h", "s1")\n'
        ),
        """\
        net.py:6: switches 's1' and 's2' are one segment, and both say its addresses
          keep the options on one of them""",
    ),
    "a misspelt switch option": (
        (
            'self.addSwitch("s1", subent="10.0.0.0/24")\n'
            'self.addHost("h", role="host")\nself.addLink("h", "s1")\n'
        ),
        """\
        net.py:5: switch 's1': unknown option 'subent'
          did you mean "subnet"?""",
    ),
}


def test_the_sound_topology_that_the_cases_change_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(BEGINNING + textwrap.indent(SOUND, " " * 8))
    assert list(load_topology("net.py", {}).nodes) == ["alice", "box", "core", "relay"]


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_with_its_line_and_a_suggestion(refusal, name):
    lines, message = CASES[name]
    assert refusal(lines) == textwrap.dedent(message)


def test_everything_wrong_is_said_at_once(refusal):
    lines = (
        SOUND.replace("uplink=", "upling=")
        .replace('role="relay"', 'role="realy"')
        .replace('label="home"', 'label="home", impair={"delay": 20, "loss": "1"}')
    )
    places = [line.partition(" ")[0] for line in refusal(lines).splitlines() if line.startswith("net.py")]
    assert places == ["net.py:9:", "net.py:9:", "net.py:6:", "net.py:6:", "net.py:8:"]


def test_without_a_file_the_topology_is_the_place():
    from mininet.topo import Topo  # noqa: PLC0415

    from lab.spec.plan import plan_network  # noqa: PLC0415

    topo = Topo()
    topo.addHost("alice", role="endpiont")
    with pytest.raises(UsageError, match=r"^topology mine: node 'alice': unknown role 'endpiont'"):
        plan_network(topo, "mine")

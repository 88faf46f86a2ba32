"""Pictures of networks: everything is in them, no node covers another, equal networks equal bytes."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from lab.cli.main import run_command_line
from lab.report.graph import graph_mermaid, graph_of
from lab.report.graph_svg import graph_svg, layout
from lab.spec.find import content_names, load_topology
from lab.spec.network import NodeKind

TOPOLOGIES = sorted(content_names("topologies", ".py"))

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_node_nat_link_and_impairment_is_in_both_pictures(name):
    network = load_topology(name, {})
    svg = ET.fromstring(graph_svg(graph_of(network)))  # noqa: S314 - our own
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    mermaid = graph_mermaid(graph_of(network))
    words = [node.name for node in network.nodes.values()] + list(network.links)
    words += [f"NAT {node.nat.name}" for node in network.nodes.values() if node.nat is not None]
    assert [word for word in words if word not in texts] == []
    assert [word for word in words if word.replace('"', "#quot;") not in mermaid] == []
    assert len(list(svg.iter(f"{SVG}path"))) == len(network.links)
    assert len(list(svg.iter(f"{SVG}rect"))) == len(network.nodes)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_no_node_covers_another_and_all_are_within_the_picture(name):
    graph = graph_of(load_topology(name, {}))
    boxes = layout(graph)
    for one, other in itertools.combinations(boxes.values(), 2):
        apart_across = abs(one.x - other.x) >= (one.width + other.width) / 2
        apart_down = abs(one.y - other.y) >= (one.height + other.height) / 2
        assert apart_across or apart_down
    width, height = map(float, ET.fromstring(graph_svg(graph)).get("viewBox").split()[2:])  # noqa: S314
    for box in boxes.values():
        assert box.width / 2 <= box.x <= width - box.width / 2
        assert box.height / 2 <= box.y <= height - box.height / 2


def test_what_links_do_is_told_by_direction_where_it_differs(tmp_path):
    (tmp_path / "net.py").write_text(
        "from mininet.topo import Topo\n\n\n"
        "class Net(Topo):\n"
        '    """Two hosts."""\n\n'
        "    def build(self):\n"
        '        """Build it."""\n'
        '        self.addHost("a", role="host")\n'
        '        self.addHost("b", role="host")\n'
        '        self.addHost("r", role="router")\n'
        '        self.addLink("a", "r", label="up", impair={"forward": {"loss": "3%"}})\n'
        '        self.addLink("b", "r", label="twin", impair={"delay": "7ms"})\n'
    )
    graph = graph_of(load_topology(str(tmp_path / "net.py"), {}))
    assert [link.lines for link in graph.links] == [
        ["up", "to r: loss 3%", "to a: perfect"],
        ["twin", "delay 7 ms"],
    ]
    assert [node.kind for node in graph.nodes] == [NodeKind.HOST, NodeKind.HOST, NodeKind.ROUTER]


def test_a_place_to_move_to_is_drawn_broken():
    graph = graph_of(load_topology("handover", {}))
    assert graph_svg(graph).count('class="link loose"') == 1
    assert graph_mermaid(graph).count("-.-") == 1


def test_the_same_network_gives_the_same_bytes():
    first, second = (graph_svg(graph_of(load_topology("cgn", {}))) for _ in range(2))
    assert first == second


def test_the_command_prints_or_writes(capsys, tmp_path):
    assert run_command_line(["graph", "two_homes", "--set", "alice_nat=cgn", "--mermaid"]) == 0
    assert "NAT cgn" in capsys.readouterr().out
    assert run_command_line(["graph", "two_homes", "--svg", str(tmp_path / "x.svg")]) == 0
    assert (tmp_path / "x.svg").read_text().startswith("<svg ")
    capsys.readouterr()
    assert run_command_line(["graph", "two_homes", "--svg", "-"]) == 0
    assert capsys.readouterr().out == (tmp_path / "x.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["two_homes"], 2, "--mermaid or --svg FILE"),
        (["two_homes", "--mermaid", "--svg", "x"], 2, "--mermaid or --svg FILE"),
        (["two_hoems", "--mermaid"], 2, 'did you mean "two_homes"'),
        (["two_homes", "--mermaid", "--set", "alice_nat=a,b"], 2, "2 values"),
        (["two_homes", "--svg", "/no/such/x.svg"], 4, "/no/such/x.svg: cannot be written"),
    ],
)
def test_what_cannot_be_is_refused(capsys, arguments, code, message):
    assert run_command_line(["graph", *arguments]) == code
    assert message in capsys.readouterr().err

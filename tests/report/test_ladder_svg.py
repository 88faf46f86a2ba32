"""The ladder as a picture: all of the text's facts, in one file that needs nothing else."""

import re
from xml.etree import ElementTree as ET

import pytest

from lab.measure.trace import PacketKind
from lab.report.ladder import Ladder, Leg, Rung, Selection, ladder_of
from lab.report.ladder_svg import ladder_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def ladder(relayed_call):
    return ladder_of(relayed_call.trace, 'alice < bob & "others"')


@pytest.fixture(scope="module")
def root(ladder):
    return parsed(ladder_svg(ladder))


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own bytes


def texts(element) -> list[str]:
    return [text.text for text in element.iter(f"{SVG}text")]


def test_the_names_and_the_title_are_text(root, ladder):
    assert texts(root)[0] == ladder.title
    assert set(ladder.columns) <= set(texts(root))
    assert root.get("aria-label") == ladder.title


def test_every_rung_is_there_with_its_label_and_what_became_of_it(root, ladder):
    rungs = [group for group in root.iter(f"{SVG}g") if group.get("class").startswith("rung")]
    assert len(rungs) == len(ladder.rungs)
    for group, rung in zip(rungs, ladder.rungs, strict=True):
        shown = texts(group)
        assert shown[1] == rung.label
        assert [mark.text for mark in rung.marks] == shown[2 : 2 + len(rung.marks)]
        crosses = [path for path in group.iter(f"{SVG}path") if path.get("class") == "cross"]
        assert len(crosses) == bool(rung.reason) == ("lost" in group.get("class").split())
        assert (f"✗ #{rung.packets[0]} {rung.reason}" in shown) == bool(rung.reason)


def test_everything_lies_within_the_picture(root):
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    for line in root.iter(f"{SVG}line"):
        assert 0 <= float(line.get("x1")) <= width
        assert 0 <= float(line.get("x2")) <= width
        assert float(line.get("y2")) <= height
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("y")) < height
        if text.get("class") not in {"node", "time", "pause"}:
            assert float(text.get("x")) + 6.6 * len(text.text) < width


def test_it_refers_to_nothing_outside_itself(ladder):
    svg = ladder_svg(ladder)
    assert re.findall(r"\w+://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|<image|<use|href|url\(|@import|@font-face", svg)


def test_the_same_call_gives_the_same_bytes(relayed_call, ladder):
    again = ladder_of(relayed_call.trace, ladder.title)
    assert ladder_svg(again) == ladder_svg(ladder)


def test_an_arrow_ends_at_its_nodes_and_a_broken_one_where_the_packet_fell():
    """Columns are equally far apart: two and a half of them are twice and a half one."""
    legs = (Leg(start=0, end=1), Leg(start=0, end=2.5, passed=(1, 2)))
    rungs = [
        Rung(time=0.0, last_time=0.0, kind=PacketKind.UDP, words="w", legs=(leg,), packets=[1], reason="x")
        for leg in legs
    ]
    root = parsed(ladder_svg(Ladder(title="", columns=("a", "b", "c", "d"), rungs=rungs)))
    one, far = (
        float(line.get("x2")) - float(line.get("x1"))
        for line in root.iter(f"{SVG}line")
        if line.get("class") == "arrow"
    )
    assert far == pytest.approx(2.5 * one)
    assert sum("box" in path.get("class") for path in root.iter(f"{SVG}path")) == 2


def test_a_ladder_without_packets_is_a_picture_too(relayed_call):
    empty = ladder_of(relayed_call.trace, "", Selection(only=[PacketKind.DNS]))
    assert parsed(ladder_svg(empty)).tag == f"{SVG}svg"

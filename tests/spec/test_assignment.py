"""Values as they are typed: read, and written so that reading gives them back."""

import json
import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.spec.assignment import format_cell, format_value, parse_value, split_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        (" a , b ", ["a", "b"]),
        ("symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s},cgn", [
            "symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}", "cgn"
        ]),
        ("[1,2],3", ["[1,2]", "3"]),
        ('{"a":1,"b":{"c":2,"d":3}},x', ['{"a":1,"b":{"c":2,"d":3}}', "x"]),
        ('"a,b",c', ['"a,b"', "c"]),
        (r'"a\",b",c', [r'"a\",b"', "c"]),
        ('5",7"', ['5"', '7"']),
        ('a="x,y",b={"c": 1, "d": 2},e=1', ['a="x,y"', 'b={"c": 1, "d": 2}', "e=1"]),
        ("a},b", ["a}", "b"]),
        ("", [""]),
    ],
)  # fmt: skip
def test_a_comma_within_braces_brackets_or_a_string_is_part_of_a_value(text, values):
    assert split_values(text) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("symmetric", "symmetric"),
        ("5", 5),
        ("5%", "5%"),
        ('"5"', "5"),
        ("true", True),
        ("null", None),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_value_is_json_where_it_is_json_and_text_where_it_is_not(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(value=VALUES)
@example(value="symmetric{filter_scope: per-endpoint, lifetimes.udp: 30s}")
@example(value="a,b")
@example(value="{")
@example(value='"a')
@example(value='a="b')
@example(value="5")
@example(value=" x ")
@example(value="")
@example(value="\x00\ud800")
def test_what_is_written_is_read_as_what_it_was(value):
    text = format_value(value)
    assert split_values(f"{text},{text}") == [text, text]
    read = parse_value(text)
    assert json.dumps(read) == json.dumps(value), "with its type: true is not 1"


@settings(deadline=None)
@given(cell=st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), VALUES, min_size=1, max_size=3))
def test_a_cell_is_read_assignment_by_assignment(cell):
    read = [part.partition("=") for part in split_values(format_cell(cell))]
    assert {name: json.dumps(parse_value(text)) for name, _, text in read} == {
        name: json.dumps(value) for name, value in cell.items()
    }


@settings(deadline=None)
@given(value=VALUES)
def test_it_survives_a_shell(value):
    text = format_value(value)
    assert text.isprintable()
    assert shlex.split(shlex.join(["--set", f"name={text}"])) == ["--set", f"name={text}"]

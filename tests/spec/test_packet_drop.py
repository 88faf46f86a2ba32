"""What `drop` may say: which packets, how many; and how that reads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.spec.packet_drop import parse_drop


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        ({}, (1, 1, 1)),
        ({"nth": "first"}, (1, 1, 1)),
        ({"nth": 3}, (3, 1, 3)),
        ({"nth": 3, "count": 4}, (3, 1, 6)),
        ({"nth": "5..9"}, (5, 1, 9)),
        ({"nth": "every 3"}, (3, 3, None)),
        ({"nth": "every 3", "count": 4}, (3, 3, 12)),
        ({"nth": "every 1"}, (1, 1, None)),
    ],
)
def test_numbers_count_from_one(given, numbers):
    assert parse_drop({"link": "wire", **given}).numbers == numbers


@pytest.mark.parametrize(
    ("given", "how_many"),
    [({"nth": "5..9"}, 5), ({"nth": "every 3", "count": 4}, 4), ({"nth": "every 3"}, None)],
)
def test_it_says_how_many_are_lost(given, how_many):
    assert parse_drop({"link": "wire", **given}).numbers.how_many == how_many


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "drops number 1"),
        ({"nth": "5..9", "from": "alice"}, "drops numbers 5 to 9 from alice"),
        (
            {"nth": "every 2", "match": {"protocol": "udp", "port": 9}},
            "drops from 2 on, every 2 of udp, port 9",
        ),
        ({"nth": 2, "match": {"size": "> 1kB"}}, "drops number 2 of size > 1000B"),
        ({"packets": [3, 8], "from": "bob"}, "drops 2 packets from bob by index"),
    ],
)
def test_it_reads_as_it_is_meant(given, words):
    assert str(parse_drop({"link": "wire", **given})) == words


def test_what_is_wrong_is_told_at_once_with_its_place():
    with pytest.raises(UsageError) as refused:
        parse_drop({"link": "wire", "nth": 0, "match": {"protocol": "upd", "port": 0}}, "link wire")
    assert [(problem.where, problem.found) for problem in refused.value.problems] == [
        ("link wire.match.protocol", "'upd' is not known here"),
        ("link wire.match.port", "0"),
        ("link wire.nth", "0 says no packet"),
    ]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
MATCHES = st.dictionaries(
    st.sampled_from(
        ["protocol", "port", "source_port", "destination_port", "stun_method", "stun_class", "size", "x"]
    ),
    ANYTHING,
    max_size=4,
)


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional={
    "from": ANYTHING, "match": ANYTHING | MATCHES, "nth": ANYTHING | st.from_regex(r"(every )?\d+(\.\.\d+)?"),
    "count": ANYTHING, "packets": ANYTHING,
}))  # fmt: skip
def test_whatever_is_written_is_understood_or_refused(given_options):
    try:
        drop = parse_drop({"link": "wire", **given_options})
    except UsageError:
        return
    assert str(drop).startswith("drops ")
    first, step, last = drop.numbers
    assert first >= 1
    assert step >= 1
    assert last is None or last >= first

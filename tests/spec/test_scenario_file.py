"""What a right scenario file means, and that any other text is refused as a whole, never with a crash."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.errors import Problem, UsageError
from lab.spec.scenario_file import parse_scenario, read_scenario
from lab.spec.yaml_loader import LARGEST_FILE, MOST_VALUES, parse_yaml

SMALLEST = "callpath: 1\ntopology: two_homes\ncalls: {from: alice, to: bob}\n"


def parse(text):
    return parse_scenario(text.encode(), Path("mine.yaml"))


def test_the_smallest_scenario_is_one_call():
    file = parse(SMALLEST)
    (call,) = file.spec.calls
    assert (call.caller, call.callee, call.at, call.hold) == ("alice", "bob", 0, 0)
    assert (file.name, file.spec.repeat, file.spec.worlds) == ("mine", 1, ("sim", "emu"))


def test_times_become_seconds_and_an_offset_may_be_negative():
    call = "{from: alice, to: bob, at: 1.5min, hold: 2h, start_offset: -30ms}"
    (call,) = parse(SMALLEST.replace("{from: alice, to: bob}", call)).spec.calls
    assert (call.at, call.hold, call.start_offset) == (90, 7200, -0.03)


def test_yaml_is_read_as_version_1_2():
    """`on`, `yes` and `22:22` are text; numbers may be octal or hexadecimal; quotes make text."""
    document = parse_yaml(b"a: [on, yes, 22:22, 0o17, 0x1F, 1e3, '1', ~, True]", Path("x"))
    assert document.value["a"] == ["on", "yes", "22:22", 15, 31, 1000.0, "1", None, True]


def test_an_anchor_may_be_used_again():
    text = "callpath: 1\ntopology: two_homes\nvary: {alice_nat: &nats [none, cgn], bob_nat: *nats}\n"
    file = parse(text + "calls: {from: alice, to: bob}\n")
    assert file.spec.vary == {"alice_nat": ("none", "cgn"), "bob_nat": ("none", "cgn")}


def test_a_step_has_one_action_with_the_options_of_the_handle():
    step = "{at: 0.5s, set: {link: alice-home, loss: 1%, forward: {delay: 5ms}}}"
    (step,) = parse(f"{SMALLEST}timeline: [{step}]\n").spec.timeline
    name, settings_ = step.action
    assert (name, settings_.link) == ("set", "alice-home")
    assert settings_.options == {"loss": "1%", "forward": {"delay": "5ms"}}


def test_expectations_are_read():
    (expectation,) = parse(SMALLEST + 'expect: [{metric: ice.connected, rate: "== 100%"}]').expectations
    assert str(expectation) == "ice.connected rate == 100%"


def test_names_are_looked_up_in_the_network_that_the_parameters_make():
    """The DNS node is there only with `with_dns`: its link may be cut only then."""
    cut = "timeline: [{at: 1s, cut: {link: dns}}]\n"
    assert parse(f"{SMALLEST}parameters: {{with_dns: true}}\n{cut}").spec.timeline
    with pytest.raises(UsageError, match="no link 'dns' in two_homes"):
        parse(SMALLEST + cut)


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)  # of zeroes that the disk does not hold
    with pytest.raises(UsageError, match=r"too large for a scenario: 100000000 bytes\n.*at most 256 KiB"):
        read_scenario(path)


def test_a_pipe_without_an_end_is_refused():
    with pytest.raises(UsageError, match="too large"):
        read_scenario(Path("/dev/zero"))


def test_bytes_that_are_not_utf8_are_told_by_place():
    with pytest.raises(UsageError, match=r"x.yaml:2:4: byte 0xe9 is not UTF-8\n  save the file as UTF-8"):
        parse_yaml(b"a: 1\ncaf\xe9: 2\n", Path("x.yaml"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_scenario(tmp_path / "none.yaml")


def test_a_long_line_is_shown_around_the_place():
    text = SMALLEST + f"description: [{'x, ' * 100}]\n"
    with pytest.raises(UsageError) as refused:
        parse(text)
    (problem,) = refused.value.problems
    assert max(map(len, problem.excerpt.splitlines())) < 100


def test_a_problem_without_an_excerpt_reads_as_before():
    assert str(Problem("a", "b", "c", "d")) == "a: b\n  expected c\n  d"
    assert str(Problem("a", "b", "c", "d", "1 | x\n  | ^")) == "a: b\n1 | x\n  | ^\n  expected c\n  d"


# Whatever the text


def outcome(data):
    """Return the problems that the bytes are refused with; none for a scenario."""
    try:
        parse_scenario(data, Path("x.yaml"))
    except UsageError as error:
        return error.problems
    return ()


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_scenario_or_refused(data):
    assert outcome(data), "these bytes cannot be a scenario"


YAML_TEXT = st.text(alphabet="ab1: -[]{},&*!|>%@#'\"\n\t?~.<", max_size=80)


@settings(deadline=None, max_examples=300)
@given(YAML_TEXT)
@example("1:")
def test_any_text_that_looks_like_yaml_is_a_scenario_or_refused(text):
    outcome(text.encode())
    outcome((SMALLEST + text).encode())


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["1s", "-1s", "5%", "alice", "x"])
)
WORDS = """
    name topology parameters vary population repeat calls timeline expect deadline worlds emu matrix at set
    link loss cut from to hold policy media alice_nat metric rate when requirements event_budget flap
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def as_yaml(value):
    """Return a value as flow YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    return {None: "null", True: "true", False: "false"}.get(value, str(value))


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_values_under_known_keys_are_a_scenario_or_refused(value):
    """Every combination of right keys with wrong values gives problems with a line, and no crash."""
    text = "".join(f"{key}: {as_yaml(item)}\n" for key, item in value.items())
    base = {"callpath": "1", "topology": "two_homes", "calls": "{from: alice, to: bob}"}
    text += "".join(f"{key}: {item}\n" for key, item in base.items() if key not in value)
    for problem in outcome(text.encode()):
        assert problem.where.startswith("x.yaml:"), problem


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 8), st.integers(1, 8))
def test_aliases_are_bounded_by_what_they_expand_to(width, depth):
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth + 1)]
    text = "\n".join(lines)
    assert len(text) < LARGEST_FILE
    if sum(width**level for level in range(depth + 1)) * depth < 1000:
        parse_yaml(text.encode(), Path("x.yaml"))
    elif width**depth > MOST_VALUES:
        with pytest.raises(UsageError, match="too many values"):
            parse_yaml(text.encode(), Path("x.yaml"))

"""What users write about links: read, refused with all problems at once, described in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.spec.impairment import PERFECT, GilbertElliott, Impairment, JitterOrder
from lab.spec.impairment_options import NEEDS, PARSERS, describe_impairment, parse_impairment

EVERYTHING = {
    "delay": "20ms",
    "jitter": "5ms",
    "jitter_order": "free",
    "loss": "1%",
    "loss_burst": {"good_to_bad": "1%", "bad_to_good": "25%", "loss_good": "0.1%", "loss_bad": "90%"},
    "duplicate": "0.1%",
    "reorder": "2%",
    "reorder_gap": "5ms",
    "rate": "2Mbit/s",
    "queue": "64KiB",
    "mtu": "1400B",
}


def refused(options, where="link alice-home") -> str:
    with pytest.raises(UsageError) as caught:
        parse_impairment(options, where)
    return str(caught.value)


class TestReading:
    def test_every_option_is_read_in_its_unit(self):
        forward, backward = parse_impairment(EVERYTHING, "link")
        assert forward == backward
        chain = GilbertElliott(
            good_to_bad=0.01, bad_to_good=0.25, loss_good=pytest.approx(0.001), loss_bad=pytest.approx(0.9)
        )
        assert forward == Impairment(
            delay=pytest.approx(0.02),
            jitter=pytest.approx(0.005),
            jitter_order=JitterOrder.FREE,
            loss=0.01,
            loss_burst=chain,
            duplicate=0.001,
            reorder=0.02,
            reorder_gap=pytest.approx(0.005),
            rate=2e6,
            queue=65_536,
            mtu=1_400,
        )

    def test_no_options_are_a_perfect_wire(self):
        assert parse_impairment({}, "link") == (PERFECT, PERFECT)

    def test_an_exact_count_is_lost_of_every_block(self):
        assert parse_impairment({"loss_exactly": "1/10"}, "link")[0].loss_block == (1, 10)

    def test_a_direction_adds_to_the_common_options_and_wins_over_them(self):
        options = {"delay": "20ms", "loss": "1%", "backward": {"loss": "5%", "rate": "1Mbit/s"}}
        forward, backward = parse_impairment(options, "link")
        assert forward == Impairment(delay=0.02, loss=0.01)
        assert backward == Impairment(delay=0.02, loss=0.05, rate=1e6)

    def test_a_common_option_may_serve_one_direction_alone(self):
        options = {"queue": "1KiB", "forward": {"rate": "1Mbit/s"}}
        assert parse_impairment(options, "link")[0].queue == 1024

    @pytest.mark.parametrize("zero", [0, "0", "0ms", 0.0])
    def test_zero_may_stand_without_unit(self, zero):
        assert parse_impairment({"delay": zero}, "link")[0].delay == 0

    def test_everything_survives_json(self):
        """Options travel in files and over sockets."""
        assert parse_impairment(json.loads(json.dumps(EVERYTHING)), "") == parse_impairment(EVERYTHING, "")


class TestRefusing:
    def test_a_misspelt_option_says_what_was_meant(self):
        text = refused({"dealy": "20ms"})
        assert "link alice-home: unknown option 'dealy'" in text
        assert 'did you mean "delay"?' in text

    def test_a_misspelt_direction_says_what_was_meant(self):
        assert 'did you mean "forward"?' in refused({"foward": {"loss": "1%"}})

    @pytest.mark.parametrize(
        "name", ["delay", "jitter", "loss", "duplicate", "reorder", "rate", "queue", "mtu"]
    )
    @pytest.mark.parametrize("bare", [5, 1.5, "5"])
    def test_a_bare_number_is_refused(self, name, bare):
        text = refused({name: bare})
        assert f"link alice-home: {name}" in text
        assert "unit" in text

    @pytest.mark.parametrize(
        ("options", "place"),
        [
            ({"delay": "2h"}, "delay"),
            ({"delay": "-1ms"}, "delay"),
            ({"delay": "1e999s"}, "delay"),
            ({"loss": "101%"}, "loss"),
            ({"loss": "-1%"}, "loss"),
            ({"rate": "0bit/s"}, "rate"),
            ({"rate": "0.5bit/s"}, "rate"),
            ({"rate": "2000Gbit/s"}, "rate"),
            ({"rate": "1Mbit/s", "queue": "2000MiB"}, "queue"),
            ({"mtu": "575B"}, "mtu"),
            ({"mtu": "64KiB"}, "mtu"),
            ({"mtu": "1e999B"}, "mtu"),
            ({"loss_exactly": "2/1"}, "loss_exactly"),
            ({"loss_exactly": "0/0"}, "loss_exactly"),
            ({"loss_exactly": "1/1000001"}, "loss_exactly"),
            ({"loss_exactly": "10%"}, "loss_exactly"),
            ({"loss_burst": {"good_to_bad": "1%", "bad_to_good": "0%"}}, "loss_burst"),
            ({"loss_burst": {"good_to_bad": "1%", "bad_to_good": "120%"}}, "loss_burst.bad_to_good"),
            ({"loss_burst": {"good_to_bad": "1%"}}, "loss_burst"),
            ({"loss_burst": "5%"}, "loss_burst"),
            ({"jitter_order": "kept"}, "jitter_order"),
            ({"jitter_order": ["keep"]}, "jitter_order"),
            ({"forward": "5%"}, "forward"),
            ({"forward": {"mtu": "1B"}}, "forward.mtu"),
        ],
    )
    def test_what_is_out_of_range_is_refused_at_its_place(self, options, place):
        assert refused(options).startswith(f"link alice-home: {place}: ")

    def test_jitter_beyond_the_delay_is_refused(self):
        assert "more than the delay of 20 ms" in refused({"delay": "20ms", "jitter": "21ms"})
        assert refused({"delay": "20ms", "jitter": "10ms", "forward": {"delay": "5ms"}}).count("jitter") == 2

    def test_an_exact_count_beside_other_loss_is_refused(self):
        assert "together with loss the count is not exact" in refused({"loss": "1%", "loss_exactly": "1/10"})

    @pytest.mark.parametrize(("name", "partner"), NEEDS.items())
    @pytest.mark.parametrize("nest", [lambda options: options, lambda options: {"backward": options}])
    def test_an_option_without_effect_is_refused(self, name, partner, nest):
        assert f"{name}: does nothing without {partner}" in refused(nest({name: EVERYTHING[name]}))

    def test_all_problems_come_at_once(self):
        options = {
            "dealy": "20ms",
            "loss": 3,
            "mtu": "10B",
            "loss_burst": {"good_to_bad": "1", "bad": "2%"},
            "backward": {"queue": "1MiB", "duplicate": "200%"},
        }
        with pytest.raises(UsageError) as caught:
            parse_impairment(options, "link")
        places = [problem.where for problem in caught.value.problems]
        assert sorted(places) == [
            "link",
            "link: backward.duplicate",
            "link: backward.queue",
            "link: loss",
            "link: loss_burst",
            "link: loss_burst",
            "link: loss_burst.good_to_bad",
            "link: mtu",
        ]

    def test_a_problem_of_both_directions_is_said_once(self):
        with pytest.raises(UsageError) as caught:
            parse_impairment({"jitter": "1ms"}, "link")
        assert len(caught.value.problems) == 1

    @pytest.mark.parametrize("options", [None, [], "delay=20ms", 5])
    def test_what_is_not_a_mapping_is_refused(self, options):
        assert "is not a mapping" in refused(options)

    @given(
        st.dictionaries(
            st.sampled_from([*PARSERS, "forward", "backward", "dealy"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                lambda inner: (
                    st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
                ),
                max_leaves=6,
            ),
            max_size=5,
        )
    )
    def test_whatever_is_written_is_read_or_refused(self, options):
        try:
            read = parse_impairment(options, "link")
        except UsageError:
            return
        assert [type(impairment) for impairment in read] == [Impairment, Impairment]


class TestDescribing:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({}, "perfect"),
            ({"delay": "20ms"}, "delay 20 ms"),
            ({"delay": "20ms", "jitter": "5ms"}, "delay 20 ms ± 5 ms"),
            ({"delay": "20ms", "jitter": "5ms", "jitter_order": "free"}, "delay 20 ms ± 5 ms, any order"),
            ({"loss": "0.25%", "mtu": "1400B"}, "loss 0.25%, MTU 1400 B"),
            ({"loss_exactly": "3/100"}, "loss of exactly 3 in 100"),
            (
                {"loss_burst": {"good_to_bad": "2%", "bad_to_good": "25%"}},
                "burst loss 7.407% in bursts of 4",
            ),
            (
                {"delay": "1s", "duplicate": "0.1%", "reorder": "1%", "reorder_gap": "5ms"},
                "delay 1 s, duplicate 0.1%, reorder 1% (up to 5 ms early)",
            ),
            ({"rate": "2Mbit/s", "queue": "64KiB"}, "rate 2 Mbit/s (queue 64 KiB)"),
            ({"rate": "500bit/s", "queue": "10B"}, "rate 500 bit/s (queue 10 B)"),
            ({"rate": "1.5Gbit/s"}, "rate 1.5 Gbit/s (queue 256 KiB)"),
        ],
    )
    def test_an_impairment_reads_in_one_line(self, options, text):
        assert describe_impairment(parse_impairment(options, "link")[0]) == text

"""The conformance check tells good boxes from bad by their packets, and the committed page is true."""

from pathlib import Path

import pytest

from nat_models import load_preset, model_for, presets
from nat_models.conformance import Level, Verdict, check_nat_model, statements
from nat_models.conformance.__main__ import main
from nat_models.conformance.probe import LONGEST, in_words, longest_idle
from nat_models.conformance.report import conformance_report

PAGE = Path(__file__).parents[2] / "docs" / "nat-conformance.md"
MET, VIOLATED, NOT_APPLICABLE = Verdict.MET, Verdict.VIOLATED, Verdict.NOT_APPLICABLE


def verdicts(model):
    return {finding.requirement: finding.verdict for finding in check_nat_model(model)}


def test_the_committed_page_is_the_generated_one():
    assert PAGE.read_text(encoding="utf-8") == conformance_report(presets().values())


def test_the_page_is_written_by_the_command(tmp_path, capsys):
    assert main([str(tmp_path / "page.md")]) == 0
    assert main([]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_every_requirement_is_stated_once():
    names = [f"{s.document} {s.requirement}" for s in statements()]
    assert len(names) == len(set(names))
    assert {f"RFC 4787 REQ-{n}" for n in range(1, 15)} <= set(names)
    assert {f"RFC 5382 REQ-{n}" for n in range(1, 11)} <= set(names)


def test_the_model_box_violates_nothing_binding():
    found = [f for f in check_nat_model(load_preset("rfc4787")) if f.level.binds and f.verdict is VIOLATED]
    assert found == []


def test_no_box_at_all_is_judged_by_nothing():
    assert set(verdicts(load_preset("none")).values()) == {NOT_APPLICABLE}


# Each line breaks the model box in one way; exactly the named requirements change to violated.
BREAKS = [
    ({"mapping": "apdm"}, {"RFC 4787 REQ-1", "RFC 5508 REQ-1a"}),
    ({"pooling": "arbitrary"}, {"RFC 4787 REQ-2", "RFC 6888 REQ-2"}),
    ({"ports": {"parity": False}}, {"RFC 4787 REQ-4"}),
    ({"ports": {"first": 1024}}, {"RFC 4787 REQ-3a"}),
    ({"lifetimes": {"udp": "119s"}}, {"RFC 4787 REQ-5", "RFC 4787 REQ-5c"}),
    ({"lifetimes": {"udp_unreplied": "119s"}}, {"RFC 4787 REQ-5", "RFC 4787 REQ-5c"}),
    ({"lifetimes": {"udp": "121s"}}, {"RFC 4787 REQ-5c"}),
    ({"lifetimes": {"udp_by_port": {5060: "30s"}}}, {"RFC 4787 REQ-5a"}),
    ({"lifetimes": {"udp_refresh": "inbound"}}, {"RFC 4787 REQ-6", "RFC 7857 EIF refresh"}),
    ({"lifetimes": {"udp_refresh": "both"}}, {"RFC 7857 EIF refresh"}),
    ({"filtering": "apdf"}, {"RFC 4787 REQ-8", "RFC 6888 REQ-7"}),
    (
        {"hairpinning": "none"},
        {"RFC 4787 REQ-9", "RFC 5382 REQ-8"},
    ),
    ({"hairpinning": "internal-source"}, {"RFC 4787 REQ-9a", "RFC 5382 REQ-8a"}),
    ({"icmp_errors": False}, {
        "RFC 4787 REQ-12a", "RFC 4787 REQ-12b", "RFC 5382 REQ-9",
        "RFC 5508 REQ-4", "RFC 5508 REQ-5", "RFC 5508 REQ-7",
    }),
    ({"fragments": False}, {"RFC 4787 REQ-14"}),
    ({"fragment_memory": 0}, {"RFC 4787 REQ-14"}),
    ({"tcp": {"mapping": "apdm"}}, {"RFC 5382 REQ-1"}),
    ({"tcp": {"simultaneous_open": False}}, {"RFC 5382 REQ-2a"}),
    ({"tcp": {"filtering": "apdf"}}, {"RFC 5382 REQ-3"}),
    ({"tcp": {"syn_hold": "3s"}}, {"RFC 5382 REQ-4"}),
    ({"tcp": {"unsolicited": "rst"}}, {"RFC 5382 REQ-4a"}),
    ({"lifetimes": {"tcp_established": "2h"}}, {"RFC 5382 REQ-5"}),
    ({"lifetimes": {"tcp_transitory": "1min"}}, {"RFC 5382 REQ-5 transitory"}),
    ({"tcp": {"rst_hold": 0}}, {"RFC 7857 TCP RST"}),
    ({"lifetimes": {"icmp": "30s"}}, {"RFC 5508 REQ-2"}),
    ({"refusal_icmp": False}, {"RFC 5508 REQ-8", "RFC 6888 REQ-11"}),
]  # fmt: skip
USUAL = {"RFC 6888 REQ-8", "RFC 6888 REQ-14", "RFC 6888 REQ-15"}
"""What the model home gateway does not do, for it is no carrier's."""


def _words(value: object) -> str:
    """Name a case alike in every process: sets have no order of their own."""
    return ", ".join(sorted(value)) if isinstance(value, set) else str(value)[:40]


@pytest.mark.parametrize(("axes", "broken"), BREAKS, ids=_words)
def test_each_broken_axis_is_found_and_nothing_else_is(axes, broken):
    found = verdicts(load_preset("rfc4787", **axes))
    violated = {name for name, verdict in found.items() if verdict is VIOLATED}
    assert violated - USUAL == broken


def test_overloading_is_found_as_such_and_as_a_change_under_conflict():
    found = verdicts(load_preset("linux-masquerade"))
    assert found["RFC 4787 REQ-3"] is found["RFC 5382 REQ-7"] is found["RFC 4787 REQ-11"] is VIOLATED
    assert found["RFC 4787 REQ-1"] is MET


def test_the_hole_punch_trap_is_found_as_a_change_after_strays():
    (finding,) = [
        f
        for f in check_nat_model(load_preset("linux-masquerade-input-accept"))
        if f.requirement == "RFC 4787 REQ-11"
    ]
    shown = "after a stray from one of the remotes it showed address- and port-dependent mapping"
    assert shown in finding.evidence


@pytest.mark.parametrize(
    ("preset", "met", "violated"),
    [
        ("cgn", {"REQ-2", "REQ-4", "REQ-7", "REQ-8", "REQ-11", "REQ-14", "REQ-15"}, set()),
        ("two-second-repeater", {"REQ-2", "REQ-4"}, {"REQ-14", "REQ-15"}),
        ("full-cone", {"REQ-2", "REQ-4", "REQ-7"}, {"REQ-8", "REQ-11", "REQ-14", "REQ-15"}),
    ],
)
def test_what_carriers_are_asked_for_is_told_apart(preset, met, violated):
    found = verdicts(load_preset(preset))
    assert {found[f"RFC 6888 {name}"] for name in met} == {MET}
    assert not violated or {found[f"RFC 6888 {name}"] for name in violated} == {VIOLATED}


def test_where_udp_does_not_pass_only_tcp_is_judged():
    found = verdicts(load_preset("udp-blocked"))
    assert {v for name, v in found.items() if name.startswith("RFC 4787")} == {NOT_APPLICABLE}
    assert found["RFC 5382 REQ-1"] is MET


def test_findings_say_what_was_seen():
    finding = check_nat_model(model_for("apdm", "apdf", lifetimes={"udp": "65s"}))[5]
    assert (finding.requirement, finding.level, finding.verdict) == (
        "RFC 4787 REQ-5",
        Level.MUST_NOT,
        VIOLATED,
    )
    assert finding.evidence == "A mapping lived 65 s after one packet, 65 s after an exchange."


@pytest.mark.parametrize("lifetime", [0.3, 1.0, 17.5, 432000.0])
def test_the_search_for_a_lifetime_finds_it(lifetime):
    assert longest_idle(lambda seconds: seconds < lifetime) == pytest.approx(lifetime, abs=0.06)


def test_lifetimes_beyond_measure_are_said_to_be_so():
    assert longest_idle(lambda _: True) == LONGEST
    assert in_words(LONGEST) == "more than 10 days"

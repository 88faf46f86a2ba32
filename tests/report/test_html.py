"""The report's content, without a browser: the verdict in words, matrices, shares; nothing is fetched."""

import json
import re
import shlex
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_run import many_calls, row, source, trial

from lab.cli.main import run_command_line
from lab.cli.report import write_report
from lab.measure.metrics import Sample
from lab.measure.verdict import judge
from lab.report.html.cells import MOST_PANELS, Cells
from lab.report.html.page import report_html
from lab.report.html.source import read_source
from lab.report.html.telling import MOST_TOLD, telling_trials
from lab.report.html.verdicts import expectations, headline
from lab.spec.expectation import parse_expectation

CELL = {"alice_nat": "symmetric", "bob_nat": "cgn"}


def judged(connected, n, cell=CELL, **record):
    expectation = parse_expectation({"metric": "ice.connected", "rate": ">= 95%", **record}, "expect[0]")
    trials = [[Sample(float(number < connected), 1, "call-1")] for number in range(n)]
    return judge(expectation, cell, trials)


def one_cell(*verdicts, paths=("relay",), **more):
    trials = [trial(number, CELL, number) for number in range(len(paths))]
    return source(trials, [row(t, path) for t, path in zip(trials, paths, strict=True)], verdicts, **more)


class Page(HTMLParser):
    """The parts of a page that tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.addresses, self.tags, self.open = [], [], [], [], []
        self.texts = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        self.addresses += [
            attributes[n] for n in ("src", "href", "action", "data", "srcset") if n in attributes
        ]
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def data_of(text):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    )


# The verdict


@pytest.mark.parametrize(
    ("verdicts", "more", "words"),
    [
        ([judged(9, 9)], {}, "Pass: the one verdict holds"),
        ([judged(9, 9), judged(8, 8)], {}, "Pass: both verdicts hold"),
        ([judged(9, 9), judged(8, 8), judged(7, 7)], {}, "Pass: all 3 verdicts hold"),
        ([judged(9, 9), judged(0, 9)], {}, "Fail: 1 of 2 verdicts does not hold"),
        ([judged(0, 9)], {}, "Fail: the one verdict does not hold"),
        ([judged(9, 9), judged(0, 0)], {}, "Inconclusive: nobody can say of 1 of 2 verdicts"),
        ([judged(0, 0), judged(0, 9)], {}, "Fail: 1 of 2 verdicts does not hold"),
        ([], {}, "No verdict: the scenario expects nothing"),
        ([], {"reason": "1 of 9 trials are invalid"}, "Inconclusive: 1 of 9 trials are invalid"),
        ([judged(9, 9)], {"done": 0}, "Inconclusive: 0 of 1 trials were run"),
        ([judged(0, 9, severity="warning")], {}, "No verdict: the scenario expects nothing that counts"),
        ([judged(9, 9), judged(0, 9, severity="warning")], {}, "Pass: the one verdict holds"),
    ],
)
def test_the_verdict_is_one_sentence(verdicts, more, words):
    assert headline(one_cell(*verdicts, **more).result).words == words


def test_what_the_headline_does_not_say_is_a_note_below_it():
    result = one_cell(judged(0, 9), judged(0, 9, severity="warning"), reason="interrupted", done=0).result
    assert headline(result).notes == [
        "0 of 1 trials were run.",
        "Interrupted.",
        "1 warning: told, and not counted.",
    ]


def test_the_page_opens_at_the_verdict_and_what_failed_first():
    verdicts = [judged(9, 9), judged(4, 9, why="it is <promised>"), judged(0, 9)]
    page = Page(report_html(one_cell(*verdicts)))
    headings = [tag for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert "".join(page.texts["h1"]) == "Fail: 2 of 3 verdicts do not hold"
    assert page.texts["title"][0] == "Fail: 2 of 3 verdicts do not hold – made_up"
    assert "44.4 % (95 % interval 18.9 % to 73.3 %, n = 9)" in page.texts["dd"]
    assert "it is <promised>" in page.texts["dd"]


def test_an_expectation_is_told_once_with_its_condition_and_the_cells_where_it_fails():
    cells = [{"alice_nat": f"nat-{number}", "bob_nat": "cgn"} for number in range(40)]
    when = {"alice_nat": ["nat-0", "nat-1"]}
    verdicts = [judged(9, 9, cell, when=when) for cell in cells[:2]]
    verdicts += [judged(int(number < 5) * 9, 9, cell) for number, cell in enumerate(cells)]
    made_up = source([trial(0, CELL)], [], verdicts)
    conditioned, rest = expectations(made_up.result, Cells(made_up))
    assert (conditioned.when, conditioned.passed) == ("alice_nat is nat-0 or nat-1", 2)
    assert (rest.when, rest.passed, rest.failed, len(rest.listed), rest.unlisted) == ("", 5, 35, 30, 5)


# Matrices


def varied(**values):
    """Return a run with one call in each combination of values."""
    combinations = [{}]
    for name, options in values.items():
        combinations = [{**one, name: option} for one in combinations for option in options]
    trials = [trial(position, one) for position, one in enumerate(combinations)]
    return source(trials, [row(t) for t in trials])


@pytest.mark.parametrize(
    ("values", "rows", "columns", "panels"),
    [
        ({"a": ["x"], "b": ["y"]}, [""], [""], 1),
        ({"a": ["x", "z"], "b": ["y"]}, [""], ["x", "z"], 1),
        ({"a": ["x", "z"], "b": [1, True]}, ["x", "z"], ["1", "true"], 1),
        ({"a": ["x", "z"], "b": ["y", "w"], "c": ["0s", "1s", "2s"]}, ["x", "z"], ["y", "w"], 3),
        ({"a": ["x", "z"], "b": ["y", "w"], "c": list(range(MOST_PANELS + 1))}, ["x", "z"], ["y", "w"], 1),
    ],
)
def test_what_varies_makes_rows_columns_and_matrices(values, rows, columns, panels):
    made_up = varied(**values)
    found = Cells(made_up).panels
    assert len(found) == panels
    assert (list(found[0].rows), list(found[0].columns)) == (rows, columns)
    calls = sum(group.cell.calls for panel in found for group in panel.groups.values())
    assert calls == len(made_up.rows)


def test_rows_and_columns_are_those_that_the_scenario_names():
    values = {"a": ["x", "z"], "b": ["y", "w"], "c": ["0s", "1s"]}
    made_up = varied(**values)
    made_up.run.manifest["matrix"] = ["c", "a"]
    assert list(Cells(made_up).axes) == ["c", "a"]


def test_values_stand_in_the_scenarios_order_whatever_was_drawn_first():
    trials = [trial(number, {"a": value}) for number, value in enumerate("zxy")]
    made_up = source(trials, [row(t) for t in trials], vary={"a": ["x", "y", "z", "w"]})
    (panel,) = Cells(made_up).panels
    assert list(panel.columns) == ["x", "y", "z"]


def test_cells_say_how_many_calls_they_have_where_they_differ():
    trials = [trial(number, {"a": value}, number) for number, value in enumerate("xxy")]
    text = report_html(source(trials, [row(t) for t in trials]))
    assert re.findall(r'class="mixed">(.*?)<', text) == ["2/2", "1/1"]
    assert 'class="mixed"' not in report_html(source(trials[1:], [row(t) for t in trials[1:]]))


def test_a_cell_shows_selected_possible_and_validated_and_links_to_its_calls():
    trials = [trial(number, CELL, number) for number in range(3)]
    rows = [
        row(t, path, possible="direct") for t, path in zip(trials, ("relay", "relay", "host"), strict=True)
    ]
    text = report_html(source(trials, rows, [judged(0, 9)]))
    (cell,) = re.findall(r'<td class="cell (.*?)</td>', text, re.DOTALL)
    assert cell.startswith("p-relay fails")
    assert 'href="#cell-0"' in cell
    assert "selected relay in 2 of 3 calls, possible direct, validated relay only" in cell
    assert "median set-up 250 ms" in cell
    assert "1 failing verdict" in cell
    for shown in ("▲ R", "★", "250 ms", "2/3", "D \u203a R", "✗"):
        assert shown in cell


@pytest.mark.requirement("Z1-12")
def test_the_share_on_the_relay_has_its_interval_by_every_parameter():
    text = report_html(varied(a=["x", "z"]))
    shares = re.search(r'<section id="relay-share".*?</section>', text, re.DOTALL)[0]
    assert shares.count("1 of 1") == 2
    assert "2 of 2" in shares
    assert "34.2 % to 100 %" in shares


# Calls


def test_every_call_is_in_the_data_with_what_its_row_says():
    made_up = many_calls(3, 4)
    data = data_of(report_html(made_up))
    columns = data["columns"]
    assert columns["trial"] == [one["trial"] for one in made_up.rows]
    assert [data["paths"][n]["word"] for n in columns["path"]] == [one["path"] for one in made_up.rows]
    assert [data["reaches"][n] for n in columns["possible"]] == [one["possible"] for one in made_up.rows]
    assert [data["reaches"][n] for n in columns["validated"]] == [one["validated"] for one in made_up.rows]
    for number, parameter in enumerate(data["parameters"]):
        values = [parameter["values"][n] for n in columns["parameters"][number]]
        assert values == [one[parameter["name"]] for one in made_up.rows]
    for group, cell in zip(data["groups"], Cells(made_up).groups, strict=True):
        named = {data["parameters"][n]["name"]: data["parameters"][n]["values"][at] for n, at in group}
        assert named == cell.values


def test_an_invalid_trial_without_a_call_and_a_failed_call_say_why():
    trials = [trial(0, CELL), trial(1, CELL, 1)]
    rows = [{"trial": trials[0].key, "repeat": 0, "invalid": "the event budget is spent", **CELL}]
    text = report_html(source(trials, [*rows, row(trials[1], "none")]))
    page = Page(text)
    assert "invalid: the event budget is spent" in page.texts["td"]
    assert "no path: alice: no pair succeeded" in page.texts["td"]
    assert data_of(text)["columns"]["notes"] == [
        "",
        "invalid: the event budget is spent",
        "alice: no pair succeeded",
    ]


def test_a_run_without_a_single_row_is_still_a_page():
    page = Page(report_html(source([trial(0, CELL)], [], done=0)))
    assert "".join(page.texts["h1"]).startswith("Inconclusive: 0 of 1 trials")
    assert "No call was set up." in page.texts["p"]


def test_ten_thousand_calls_are_less_than_two_megabytes():
    assert len(report_html(many_calls(10, 100)).encode()) < 2_000_000


def test_a_run_of_any_size_is_a_page_of_bounded_size(monkeypatch):
    monkeypatch.setattr("lab.report.html.calls.MOST_CALLS", 10)
    monkeypatch.setattr("lab.report.html.page.MOST_CALLS", 10)
    monkeypatch.setattr("lab.report.html.cells.MOST_CELLS", 8)
    text = report_html(many_calls(3, 4))
    assert len(data_of(text)["columns"]["trial"]) == 10
    page = Page(text)
    assert "The first 10 of 36 calls; all are in trials.parquet." in page.texts["p"]
    assert any(words.startswith("There are more cells") for words in page.texts["p"])
    assert 'class="cell' not in text
    connected = sum(one["connected"] for one in many_calls(3, 4).rows)
    assert any(words.endswith(f" of {connected}") for words in page.texts["td"]), "all calls are counted"


# Which trials are told


def test_failures_are_told_first_then_what_makes_a_reader_ask(failing_run):
    stored = read_source(failing_run)
    told = telling_trials(stored)
    assert next(iter(told.values())) == "fails path.direct rate > 99%"
    assert "was relayed: nothing else was possible" in told.values()
    rows = {one["trial"]: one for one in stored.rows}
    assert rows[next(iter(told))]["path"] == "relay"
    assert len(told) <= MOST_TOLD


def test_a_told_trial_has_its_explanation_and_its_ladder(failing_run, tmp_path):
    text = write_report(failing_run, tmp_path / "report.html").read_text()
    ladders = re.search(r'<section id="ladders".*?</section>', text, re.DOTALL)[0]
    assert ladders.count("<svg") == ladders.count("<details") > 1
    assert "why a relay, although a direct path was possible" in ladders
    assert f"callpath ladder {failing_run} " in ladders


def test_the_commands_of_the_page_do_what_it_says(failing_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CALLPATH_RESULTS", str(tmp_path))
    text = write_report(failing_run, tmp_path / "report.html").read_text()
    commands = [unescape(found) for found in re.findall(r"<code tabindex=\"0\">(.*?)</code>", text)]
    replay = next(command for command in commands if command.startswith("callpath run"))
    ladder = next(command for command in commands if command.startswith("callpath ladder"))
    key = ladder.split()[-1]
    assert run_command_line(shlex.split(replay)[1:]) in {1, 3}
    assert "\n1 trials in" in capsys.readouterr().out
    for told, words in ((ladder, "alice-nat"), (ladder.replace("ladder", "explain"), "selected")):
        assert run_command_line(shlex.split(told)[1:]) == 0
        output = capsys.readouterr().out
        assert f"trial {key}" in output
        assert words in output


# One file


HOSTILE = "</script><!--<b onclick='alert(1)'>\"&\u2028𝄞"


def test_whatever_a_parameter_is_called_it_stays_text():
    trials = [trial(0, {HOSTILE: HOSTILE}), trial(1, {HOSTILE: "b"})]
    text = report_html(source(trials, [row(t) for t in trials], name=HOSTILE))
    page = Page(text)
    assert "b" not in set(page.tags) - {"b"} | {tag for tag in page.tags if tag == "onclick"}
    assert "onclick='alert" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert data_of(text)["parameters"] == [{"name": HOSTILE, "values": [HOSTILE, "b"]}]
    assert text.count("</script>") == 2


@settings(max_examples=20)
@given(st.text(max_size=30))
def test_data_of_any_text_can_be_read_back(text):
    trials = [trial(0, {"a": text}), trial(1, {"a": text + "x"})]
    page = report_html(source(trials, [row(t) for t in trials]))
    assert data_of(page)["parameters"] == [{"name": "a", "values": [text, text + "x"]}]


def test_the_page_asks_for_nothing(failing_run, tmp_path):
    text = write_report(failing_run, tmp_path / "report.html").read_text()
    page = Page(text)
    assert all(address.startswith("#") for address in page.addresses)
    assert {"link", "img", "iframe", "object", "base"}.isdisjoint(page.tags)
    assert not re.findall(r"@import|url\(|src\s*=", text)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}, "the name of a namespace, which nobody fetches"


def test_links_lead_to_what_is_there(failing_run, tmp_path):
    text = write_report(failing_run, tmp_path / "report.html").read_text()
    page, data = Page(text), data_of(text)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        kind, _, name = link.removeprefix("#").partition("-")
        if kind == "cell":
            assert 0 <= int(name) < len(data["groups"])
        elif kind == "trial":
            assert name in data["columns"]["trial"]
        else:
            assert link.removeprefix("#") in page.ids


def test_the_same_run_gives_the_same_bytes(failing_run, tmp_path):
    once, again = (write_report(failing_run, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert once == again


# The command


def test_a_run_ends_with_its_report_and_the_command_writes_it_anew(failing_run, tmp_path, capsys):
    written = (failing_run / "report.html").read_bytes()
    target = tmp_path / "own.html"
    assert run_command_line(["report", str(failing_run), "-o", str(target)]) == 0
    assert target.read_bytes() == written
    assert str(target) in capsys.readouterr().err


def test_a_run_that_was_not_finished_has_no_report(tmp_path, capsys, failing_run):
    (tmp_path / "manifest.json").write_bytes((failing_run / "manifest.json").read_bytes())
    assert run_command_line(["report", str(tmp_path)]) == 2
    assert "callpath resume" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.fixture
def without_events(failing_run, tmp_path):
    """Return a copy of a run without its events, which cannot be compared with a replay then."""
    copy = tmp_path / failing_run.name
    copy.mkdir()
    for name in ("manifest.json", "result.json", "trials.parquet"):
        (copy / name).write_bytes((failing_run / name).read_bytes())
    return copy


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({}, "has no events"),
        ({"callpath": "0.0.1"}, "written with callpath 0.0.1"),
        ({"world": "emu"}, "written with world emu"),
    ],
)
def test_what_cannot_be_run_again_is_said_and_the_rest_is_there(without_events, changes, because):
    manifest = without_events / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))
    page = Page(write_report(without_events).read_text())
    assert any(because in words for words in page.texts["p"])
    assert "".join(page.texts["h1"]).startswith("Fail: ")
    assert "table" in page.tags


def test_sip_calls_without_media_have_a_table_of_their_own_and_no_path():
    one = trial(0, CELL)
    load = {
        "trial": one.key, "repeat": 0, "invalid": "", **CELL, "call": "load", "caller": "alice", "callee": "",
        "sip_completed": 1998, "sip_failed": 2, "sip_reasons": "MaxUDPRetrans 2", "sip_setup_p50": 0.021,
        "sip_setup_p95": 0.024,
    }  # fmt: skip
    page = report_html(source([one], [load]))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "load, by alice 1998 2 MaxUDPRetrans 2 21 ms 24 ms" in text
    assert "No call of this run has media" in text
    assert "No call was set up." not in text
    assert "Without a path, or invalid" not in page
    assert 'id="sip"' not in report_html(one_cell())

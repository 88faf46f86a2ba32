"""The report as its reader has it: opened in Chromium, filtered, sorted, followed, printed, in the dark."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from made_up_run import many_calls, row, source, trial

from lab.report.html.page import report_html

pytestmark = [pytest.mark.real_time, pytest.mark.system("chromium")]

CONTRAST = Path(__file__).with_name("contrast.js").read_text()
SHOWN = "document.querySelectorAll('#calls tbody tr').length"
COUNT = "document.querySelector('#count').textContent"


@pytest.fixture
def page(browser, failing_run):
    """Return the browser with the report of a failing run, in light colours."""
    browser.emulate()
    browser.open(failing_run / "report.html")
    return browser


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return the report of 10,000 calls."""
    path = tmp_path_factory.mktemp("large") / "report.html"
    path.write_text(report_html(many_calls(10, 100)))
    return path


@pytest.fixture(scope="module")
def rows(failing_run):
    return pd.read_parquet(failing_run / "trials.parquet")


def type_filter(page, text):
    page.run(
        f"(() => {{const f = document.querySelector('#filter'); f.value = {json.dumps(text)};"
        "f.dispatchEvent(new Event('input'));})()"
    )


def column(page, title):
    """Return the texts of one column of the table of calls, as far as it is shown."""
    return page.run(
        f"""(() => {{
          const heads = [...document.querySelectorAll('#calls thead th')].map((th) => th.textContent);
          const at = heads.indexOf({json.dumps(title)});
          return [...document.querySelectorAll('#calls tbody tr')].map((tr) => tr.cells[at].textContent);
        }})()"""
    )


def click(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).click()")
    page.run("new Promise((done) => setTimeout(done, 50))")  # a hash change is told by an event of its own


# Opening


def test_the_first_heading_is_the_verdict(page):
    headings = page.run("[...document.querySelectorAll('h1, h2, h3')].map((h) => [h.tagName, h.innerText])")
    assert headings[0][0] == "H1"
    assert headings[0][1].replace("\n", "").startswith("✗Fail: ")
    assert headings[1] == ["H2", "First to fail"]
    assert page.run("document.title").startswith("Fail: ")
    assert page.run("document.documentElement.lang") == "en"


def test_opening_and_using_it_asks_for_nothing_and_complains_of_nothing(page, failing_run):
    click(page, "td.cell a")
    type_filter(page, "relay")
    click(page, "#calls thead button")
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.run("document.querySelector('.copy').click()")
    assert page.requests() == [(failing_run / "report.html").as_uri()]
    assert page.complaints() == []


def test_the_page_forbids_itself_every_request(page):
    page.run("fetch('https://example.org/').catch(() => 0)")
    page.run(
        "new Promise((done) => { const i = new Image(); i.onerror = done; i.src = 'https://example.org/x'; })"
    )
    refused = " ".join(page.complaints())
    for what in ("connect-src", "img-src"):
        assert f"'{what}' was not explicitly set, so 'default-src' is used" in refused


# Cells, trials, ladders


def test_a_cell_leads_to_its_calls_their_verdicts_and_how_to_see_more(page, rows, failing_run):
    click(page, "td.cell a[aria-label^='alice_nat eim-adf × bob_nat eim-adf']")
    wanted = rows[(rows.alice_nat == "eim-adf") & (rows.bob_nat == "eim-adf")]
    assert column(page, "Trial") == list(wanted.trial)
    told = page.run("document.querySelector('#cell').innerText")
    assert "alice_nat eim-adf × bob_nat eim-adf" in told
    assert "ice.connected rate == 100%" in told
    assert f"callpath explain {failing_run} {wanted.trial.iloc[0]}" in told
    assert f"callpath ladder {failing_run} " in told
    assert page.run("document.activeElement.id") == "cell"


def test_a_trial_of_the_table_leads_to_how_to_see_it(page, rows, failing_run):
    click(page, "#calls tbody a")
    key = rows.trial.iloc[0]
    assert page.run("location.hash") == f"#trial-{key}"
    assert column(page, "Trial") == [key]
    assert f"callpath ladder {failing_run} {key}" in page.run("document.querySelector('#cell').innerText")


def test_a_link_with_its_fragment_opens_at_the_cell(browser, failing_run, rows):
    browser.open(failing_run / "report.html", "#cell-0")
    assert column(browser, "Trial") == list(rows.trial[:4])
    click(browser, "#cell > p > button")
    assert browser.run(COUNT) == "36 calls"


def test_a_fragment_that_is_none_shows_everything(browser, failing_run):
    for fragment in ("#cell-99999", "#cell-x", "#trial-none", "#story-none", "#"):
        browser.open(failing_run / "report.html", fragment)
        assert browser.run(COUNT) == "36 calls"
        assert browser.complaints() == []


def test_what_failed_first_leads_to_its_packets(page):
    assert "callpath run" in page.run("document.querySelector('.first .command').innerText")
    click(page, ".first a[href^='#story-']")
    shadow = "document.querySelector(location.hash + ' .ladder').shadowRoot"
    assert page.run("document.querySelector(location.hash).open")
    assert page.run(f"{shadow}.querySelectorAll('svg .rung').length") > 10
    assert "alice-nat" in page.run(f"{shadow}.querySelector('svg').textContent")
    # The ladder's style sheet is its own: nothing of it reaches the page.
    assert page.run("getComputedStyle(document.querySelector('.ecdf .tick')).paintOrder") == "normal"


# Filter, order, pages


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("alice_nat=symmetric", lambda r: r.alice_nat == "symmetric"),
        ("SYMMETRIC udp-blocked", lambda r: (r.alice_nat == "symmetric") & (r.bob_nat == "udp-blocked")),
        ("selected=relay possible=direct", lambda r: (r.path == "relay") & (r.possible == "direct")),
        ("bob_nat=eim", lambda r: r.bob_nat == "eim"),
        ("", lambda r: r.trial != ""),
    ],
)
def test_the_filter_keeps_the_calls_that_fit(page, rows, text, fitting):
    type_filter(page, text)
    wanted = rows[fitting(rows)]
    assert column(page, "Trial") == list(wanted.trial)
    shown = f"{len(wanted)} of {len(rows)} calls" if len(wanted) < len(rows) else f"{len(rows)} calls"
    assert page.run(COUNT) == shown


def test_what_is_shown_can_be_chosen_from_a_list(page, rows):
    wanted = rows[(rows.path == "relay") & (rows.possible == "direct")]
    assert 0 < len(wanted) < len(rows)
    page.run("document.querySelector('#only').value = 'missed'")
    page.run("document.querySelector('#only').dispatchEvent(new Event('change'))")
    assert column(page, "Trial") == list(wanted.trial)
    assert all("★" in text for text in column(page, "Selected"))


def test_a_heading_sorts_and_says_so(page, rows):
    head = "#calls thead th:nth-last-child({})"
    titles = page.run("[...document.querySelectorAll('#calls thead th')].map((th) => th.innerText)")
    place = head.format(len(titles) - titles.index("Set-up"))
    click(page, f"{place} button")
    assert page.run(f"document.querySelector('{place}').ariaSort") == "ascending"
    order = rows.sort_values("setup_time", kind="stable")
    assert column(page, "Trial") == list(order.trial)
    click(page, f"{place} button")
    assert page.run(f"document.querySelector('{place}').ariaSort") == "descending"
    assert column(page, "Trial")[0] == order.trial.iloc[-1]


def test_ten_thousand_calls_come_in_pages(browser, large):
    browser.open(large)
    assert browser.run(COUNT) == "10,000 calls"
    assert browser.run(SHOWN) == 100
    assert browser.run("document.querySelector('#page').textContent") == "page 1 of 100"
    click(browser, "#pages [data-go=last]")
    assert column(browser, "Trial")[-1] == f"{9999:012x}"
    assert browser.run("document.querySelector('#pages [data-go=next]').disabled")
    type_filter(browser, "alice_nat=nat-3 selected=relay")
    wanted = sum(n * 7919 % 5 == 3 for n in range(3000, 4000))
    assert browser.run(COUNT) == f"{wanted} of 10,000 calls"
    assert browser.run("document.querySelector('#page').textContent") == "page 1 of 2"


# Everybody


def open_everything(page):
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("media", ["screen", "print"])
def test_every_text_can_be_read(browser, failing_run, scheme, media):
    browser.emulate(media=media, scheme=scheme)
    browser.open(failing_run / "report.html", "#cell-4")
    open_everything(browser)
    contrast = browser.run(CONTRAST)
    assert contrast["found"] == []
    assert contrast["seen"] > 300
    browser.emulate()


def test_the_test_of_contrast_finds_what_is_hard_to_read(page):
    page.run("document.querySelector('.run').style.color = '#ccc'")
    assert any("seed 1" in text for text in page.run(CONTRAST)["found"])


def test_paths_are_told_apart_without_colour(browser, tmp_path):
    trials = [trial(number, {"alice_nat": str(number), "bob_nat": "b"}) for number in range(5)]
    paths = ("host", "server-reflexive", "peer-reflexive", "relay", "none")
    path = tmp_path / "paths.html"
    path.write_text(report_html(source(trials, [row(t, p) for t, p in zip(trials, paths, strict=True)])))
    browser.open(path)
    signs = browser.run(
        "[...document.querySelectorAll('td.cell .path')].map((e) => e.textContent.slice(0, 3))"
    )
    bands = browser.run(
        "[...document.querySelectorAll('td.cell')].map((e) =>"
        " getComputedStyle(e, '::before').backgroundImage.replace(/rgb\\([^)]*\\)/g, 'ink'))"
    )
    strokes = browser.run(
        "[...document.querySelectorAll('.curve .line')].map((e) => getComputedStyle(e).strokeDasharray)"
    )
    assert len(set(signs)) == len(set(bands)) == 5
    assert len(set(strokes)) == 4, "a call without a path has no set-up time"


def test_the_keyboard_reaches_filter_cells_and_tables(page):
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(80):
        page.press("Tab", 9)
        reached.append(
            page.run("((e) => e.id || e.closest('[id]')?.id + ' ' + e.tagName)(document.activeElement)")
        )
    assert "paths A" in reached, "a cell"
    assert {"filter", "only"} <= set(reached)
    page.run("document.querySelector('td.cell a').focus()")
    page.press("Enter", 13, "\r")
    page.run("new Promise((done) => setTimeout(done, 50))")
    assert page.run(COUNT) == "4 of 36 calls"


def test_every_picture_and_control_has_a_name_and_every_heading_its_place(page):
    nameless = page.run(
        """[...document.querySelectorAll('svg:not([aria-hidden]), a, button, input, select, [role=region]')]
          .filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
            || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    levels = page.run("[...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = "[...document.querySelectorAll('table')].every((t) => t.querySelector('th[scope]'))"
    assert page.run(tables)


def test_it_prints_as_pages_without_controls(page, tmp_path):
    page.emulate(media="print")
    hidden = "getComputedStyle(document.querySelector('{}')).display"
    for control in ("nav", ".controls", ".copy"):
        assert page.run(hidden.format(control)) == "none"
    page.emulate()
    page.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("width", [360, 800])
def test_a_narrow_window_scrolls_tables_not_the_page(browser, failing_run, width):
    browser.emulate(width=width)
    browser.open(failing_run / "report.html", "#cell-4")
    open_everything(browser)
    assert browser.run("document.documentElement.scrollWidth") <= width
    browser.emulate()

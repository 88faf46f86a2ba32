"""The report of a run of 10,000 calls: writing it, opening it, filtering it. `make bench` prints the figures.

The calls are made up, with every path, 100 cells of 100: what the page costs depends on how many there are.
"""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests" / "report"))

from browser import Browser
from made_up_run import many_calls

from lab.report.html.page import report_html


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(many_calls(10, 100)))
    return path


@pytest.fixture(scope="module")
def browser():
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    chromium = Browser()
    yield chromium
    chromium.close()


@pytest.mark.benchmark(group="report: 10,000 calls")
def test_writing(benchmark, page):
    source = many_calls(10, 100)
    text = benchmark.pedantic(lambda: report_html(source), rounds=5, warmup_rounds=1)
    benchmark.extra_info["megabytes"] = round(len(text.encode()) / 1e6, 2)


@pytest.mark.benchmark(group="report: 10,000 calls")
def test_opening_until_it_is_painted(benchmark, page, browser):
    benchmark.pedantic(lambda: browser.open(page), rounds=10, warmup_rounds=2)


TYPE = """
(() => {
  const filter = document.querySelector('#filter');
  filter.value = %r;
  filter.dispatchEvent(new Event('input'));
  return document.body.offsetHeight;  // laid out
})()
"""


@pytest.mark.benchmark(group="report: 10,000 calls")
@pytest.mark.parametrize("words", ["a", "alice_nat=nat-3", "selected=relay nat-3", "zzz"])
def test_typing_the_last_letter_of_a_filter(benchmark, page, browser, words):
    browser.open(page)

    def without_the_last_letter():
        browser.run(TYPE % words[:-1])

    benchmark.pedantic(lambda: browser.run(TYPE % words), setup=without_the_last_letter, rounds=20)


@pytest.mark.benchmark(group="report: 10,000 calls")
def test_sorting(benchmark, page, browser):
    browser.open(page)
    click = "document.querySelector('#calls thead th:last-child button').click(); document.body.offsetHeight"
    benchmark.pedantic(lambda: browser.run(click), rounds=10, warmup_rounds=1)

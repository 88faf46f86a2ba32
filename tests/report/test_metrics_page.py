"""docs/metrics.md: its tables name every metric once, and its example can be read."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from lab.report.metrics_page import metrics_filled
from lab.spec.expectation import parse_expectation
from lab.spec.metric_catalogue import CATALOGUE, MetricKind

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_every_metric_has_one_row_under_the_heading_of_its_kind():
    marks = "".join(f"<!-- table: {kind.name.lower()} -->\n<!-- end of table -->\n" for kind in MetricKind)
    for page in (PAGE, metrics_filled(marks)):
        assert sorted(re.findall(r"^\| `([\w.]+)` \| [A-Z0-9]", page, re.MULTILINE)) == sorted(CATALOGUE)
        tables = dict(re.findall(r"<!-- table: (\w+) -->(.*?)<!-- end of table -->", page, re.DOTALL))
        for metric in CATALOGUE.values():
            assert f"| `{metric.name}` | {metric.definition} |" in tables[metric.kind.name.lower()]


def test_what_stands_between_the_marks_is_replaced_and_the_rest_kept():
    page = "before\n<!-- table: count -->\noutdated\n<!-- end of table -->\nafter\n"
    filled = metrics_filled(page)
    assert filled.startswith("before\n")
    assert filled.endswith("-->\nafter\n")
    assert "outdated" not in filled
    assert metrics_filled(filled) == filled


def test_the_example_of_an_expectation_is_one():
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (record,) = YAML(typ="safe").load(example)["expect"]
    expectation = parse_expectation(record, "expect[0]")
    assert str(expectation) == "ice.setup_time p95 < 800ms"
    assert set(record) == {"metric", "p95", "when", "why", "within", "confidence", "severity"}

"""The table of calls: a column has one type, whatever the values of a parameter are."""

import io

import pandas as pd
import pytest

from lab.results.table import table_of


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([1, 2], [1, 2]),
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([True, False], [True, False]),
        (["a", None], ["a", None]),
        ([5, "x", None], ["5", "x", "null"]),
        (["5", 5], ['"5"', "5"]),
        ([True, 1], ["true", "1"]),
        ([[1, 2], [1, "2"]], ["[1, 2]", '[1, "2"]']),
        ([{"a": 1}, {"b": [2]}], ['{"a": 1}', '{"b": [2]}']),
    ],
)
def test_values_of_any_types_are_written_and_read(values, written):
    table = table_of([{"call": "call-1", "value": value} for value in values] + [{"call": "call-2"}])
    read = pd.read_parquet(io.BytesIO(table.to_parquet(index=False)))["value"].tolist()
    assert [None if pd.isna(value) else value for value in read] == [*written, None]

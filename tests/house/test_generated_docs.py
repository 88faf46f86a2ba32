"""Generated pages are true: each equals what is generated now."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
generate_docs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate_docs)


@pytest.mark.parametrize("page", generate_docs.PAGES)
def test_a_generated_page_equals_a_new_one(page):
    committed = (ROOT / "docs" / page).read_text()
    assert generate_docs.PAGES[page]() == committed, f"docs/{page} is not up to date: run `make docs`"

"""The documentation holds together: every link leads somewhere, every page is in the index."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [ROOT / "results" / "README.md", ROOT / "notebooks" / "README.md"]
LINK = re.compile(r"(?<!!)\[[^]]*\]\((?P<target>[^)\s]+)\)|!\[[^]]*\]\((?P<image>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """Return the anchors of the headings, as GitHub and most renderers form them."""
    headings = re.findall(r"^#+ +(.+?) *$", FENCE.sub("", markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, markdown: str) -> list[str]:
    """Return the links to files or headings that do not exist; addresses elsewhere are not tried."""
    broken = []
    for match in LINK.finditer(FENCE.sub("", markdown)):
        link = match["target"] or match["image"]
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            broken.append(f"{page.name}: {link} does not exist")
        elif anchor and anchor not in anchors(markdown if not name else target.read_text(encoding="utf-8")):
            broken.append(f"{page.name}: {link} has no such heading")
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / match["target"].partition("#")[0]).resolve()
        for match in LINK.finditer(index.read_text(encoding="utf-8"))
        if match["target"]
    }
    missing = [
        path.name for path in sorted((ROOT / "docs").rglob("*.md")) if path != index and path not in linked
    ]
    assert not missing, f"docs/README.md does not link to {missing}"


@pytest.mark.parametrize(
    "markdown",
    [
        "[gone](no-such-page.md)",
        "[gone](#no-such-heading)",
        "![gone](no-such.svg)",
        "[gone](README.md#no-such-heading)",
    ],
)
def test_a_broken_link_is_found(markdown):
    assert broken_links(ROOT / "docs" / "README.md", f"# A heading\n{markdown}\n")


def test_a_link_to_a_heading_is_found():
    assert (
        broken_links(
            ROOT / "docs" / "README.md", "# A heading, `so`\n[it](#a-heading-so)\n```\n[no](gone)\n```\n"
        )
        == []
    )

"""From a number of the report to the heading that explains it: every method has one, and every heading is there."""

import re
from pathlib import Path

from modelctl.controlplane.report.measure import ANCHORS, source_of, source_of_row

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text()
WRITTEN = re.compile(r'method(?::\s*str)?\s*=\s*"([a-z-]+)"|method, n = "([a-z-]+)"')
NOT_IN_A_ROW = {"none", "delta", "wald", "bounded", "betting", "score"}


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_method_leads_to_a_heading_of_the_statistics() -> None:
    headings = {slug(line.lstrip("#")) for line in PAGE.splitlines() if line.startswith("#")}
    assert set(ANCHORS.values()) <= headings
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links <= headings


def test_every_method_that_a_row_can_have_is_in_the_table_with_its_file_and_paper() -> None:
    table = PAGE.split("## The same requests: pairs", 1)[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| `method`")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert named == set(ANCHORS) - {"stratified", "sample-ratio", "label-mix"}
    for row in rows:
        for file in re.findall(r"`(\w+\.py)`", row):
            assert (ROOT / "modelctl" / "statistics" / file).exists(), file


def test_every_method_that_the_statistics_write_has_its_heading() -> None:
    written = set()
    for path in (ROOT / "modelctl" / "statistics").glob("*.py"):
        written |= {one or other for one, other in WRITTEN.findall(path.read_text())}
    files = {"grid-betting", "coin", "arm-given-event", "normal-mixture", "equal-shares", "welch", "paired-t"}
    assert files <= written, "the pattern finds them"
    deciding = {"kolmogorov-smirnov", "approx", "exact", "asymptotic", "quantile", "pratt"}
    assert written - NOT_IN_A_ROW - deciding <= set(ANCHORS)


def test_the_normal_mixture_is_explained_where_its_unit_is() -> None:
    assert source_of_row("normal-mixture", "share").endswith("#each-its-share-a-canary-or-an-ab-test")
    assert source_of_row("normal-mixture", "value").endswith("#means-numbers-losses-rewards")
    assert source_of("none") == ""

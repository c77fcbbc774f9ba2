"""The page of promises: its events, tests and columns are those that exist."""

from __future__ import annotations

import re

from soak.books import PROMISED
from soak.plan import KINDS
from tests.docs.support_docs import ROOT, read


def test_every_kind_of_event_is_described() -> None:
    rows = [line for line in read("reliability.md").splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert named == {kind.name for kind in KINDS}


def test_every_complaint_names_tests_that_exist_and_every_test_is_named() -> None:
    named = set(re.findall(r"`(test_pain_\d\d_\w+)`", read("reliability.md")))
    source = (ROOT / "tests" / "pains" / "test_pains.py").read_text(encoding="utf-8")
    assert named == set(re.findall(r"^def (test_pain_\w+)", source, re.MULTILINE))
    assert {name[:12] for name in named} == {f"test_pain_{number:02d}" for number in range(1, 16)}


def test_the_report_is_that_of_this_storm_and_kept_every_promise() -> None:
    page = read("reliability.md")
    assert "| run | " + " | ".join(PROMISED) + " | other disagreements |" in page
    block = page.split("<!-- soak: zeros -->", 1)[1].split("<!-- soak: end -->", 1)[0]
    rows = [line for line in block.splitlines() if re.match(r"\| (sqlite|postgres),", line)]
    assert len(rows) == 4
    for row in rows:
        assert {cell.strip() for cell in row.split("|")[2:-1]} == {"0"}, row

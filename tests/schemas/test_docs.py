from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas import CATALOGUE, docs
from schemas.feeds import FEEDS


def test_the_page_is_in_step() -> None:
    assert docs.main(["--check"]) == 0


def test_a_page_out_of_step_is_said_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "tables.md"
    monkeypatch.setattr(docs, "PAGE", page)
    assert docs.main(["--check"]) == 1  # not there
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8") + "by hand\n", encoding="utf-8")
    assert docs.main(["--check"]) == 1
    assert "run `python -m schemas.docs`" in capsys.readouterr().err


def test_another_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--chek"]) == 2
    assert "usage: python -m schemas.docs [--check]" in capsys.readouterr().err


def test_every_table_column_and_feed_is_on_the_page() -> None:
    page = docs.render()
    sections = dict(re.findall(r"^## (\S+)\n\n(.*?)(?=^## |\Z)", page, flags=re.M | re.S))
    for table in CATALOGUE.values():
        section = sections[table.name]
        assert f"- One row: {table.row}\n" in section
        for column in table.columns:
            assert f"| `{column.name}` | {column.type} | {'yes' if column.nullable else 'no'} |" in section
            assert column.about in section
    assert all(f"\n### {name}\n" in page for name in FEEDS)


def test_every_link_leads_somewhere() -> None:
    page = docs.render()
    anchors = {
        heading.lower().replace(" ", "-").replace(".", "") for heading in re.findall(r"^#+ (.+)$", page, flags=re.M)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert links
    assert links <= anchors


def test_cells_of_a_row_are_as_many_as_its_head() -> None:
    for row in re.findall(r"^\|.*\|$", docs.render(), flags=re.M):
        assert len(re.split(r"(?<!\\)\|", row)) == 9, row

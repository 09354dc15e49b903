"""Lists as files: the same bytes for the same rows, nothing half-written, and cells that no spreadsheet runs."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import list_files
from jobs.csv_text import from_cell
from jobs.errors import Failed
from jobs.list_files import Content, ListFile, arrow_schema, publish, read_manifest, write_generation
from schemas.table import Column

ALL = ("parquet", "jsonl", "csv")
TYPES = {
    "trigger_id": "string",
    "send_date": "date",
    "send_not_before": "timestamp",
    "priority": "int",
    "offer_id": "string",
    "icons": "array<string>",
}
COLUMNS = [Column(name=name, type=type_, about="Made up.") for name, type_ in TYPES.items()]
SCHEMA = arrow_schema(COLUMNS)
ROWS = [
    {
        "trigger_id": "a1",
        "send_date": date(2026, 2, 1),
        "send_not_before": datetime(2026, 2, 1, 4, 30, tzinfo=UTC),
        "priority": 1,
        "offer_id": 'cash, back "100"',
        "icons": ["wallet", "shop"],
    },
    {"trigger_id": "a2", "send_date": date(2026, 2, 1), "priority": -2, "offer_id": None, "icons": []},
]


def table(rows: list[dict[str, Any]] = ROWS) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def written(folder: Path, generation: int, rows: pa.Table, formats: Sequence[str]) -> list[ListFile]:
    return write_generation(folder, generation, {"part": Content(COLUMNS, rows.to_batches())}, formats)["part"]


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")


def test_every_format_says_the_same(tmp_path: Path) -> None:
    files = {file.format: file for file in written(tmp_path, 1, table(), ALL)}
    assert {file.name for file in files.values()} == {
        "gen-1/part-00000.parquet",
        "gen-1/part-00000.jsonl.gz",
        "gen-1/part-00000.csv.gz",
    }
    for file in files.values():
        content = (tmp_path / file.name).read_bytes()
        assert (file.rows, file.bytes, file.sha256) == (2, len(content), hashlib.sha256(content).hexdigest())
    assert pq.read_table(tmp_path / files["parquet"].name).to_pylist() == table().to_pylist()
    assert lines(tmp_path / files["jsonl"].name) == [
        '{"trigger_id":"a1","send_date":"2026-02-01","send_not_before":"2026-02-01T04:30:00Z","priority":1,'
        '"offer_id":"cash, back \\"100\\"","icons":["wallet","shop"]}',
        '{"trigger_id":"a2","send_date":"2026-02-01","send_not_before":null,"priority":-2,"offer_id":null,"icons":[]}',
        "",
    ]
    assert lines(tmp_path / files["csv"].name) == [
        "trigger_id,send_date,send_not_before,priority,offer_id,icons",
        'a1,2026-02-01,2026-02-01T04:30:00Z,1,"cash, back ""100""","[""wallet"",""shop""]"',
        "a2,2026-02-01,,-2,,[]",
        "",
    ]


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "a", 1, table(), ALL)
    assert [file.sha256 for file in written(tmp_path / "b", 1, table(), ALL)] == [file.sha256 for file in first]


FORMULAS = ("+919876543210", "=1+1", "-5", "@sum", "\tx", "\rx", "'=1", "''+1")
PLAIN = ("'", "it's", "", "a=b", "आशा", "a\nb", 'say "hi"')


@pytest.mark.parametrize("text", (*FORMULAS, *PLAIN))
def test_texts_come_back_as_they_were_and_none_begins_a_formula(tmp_path: Path, text: str) -> None:
    rows = [{"trigger_id": text, "icons": []}]
    [file] = written(tmp_path, 1, table(rows), ("csv",))
    with gzip.open(tmp_path / file.name, "rt", encoding="utf-8", newline="") as opened:
        _, [cell, *_] = csv.reader(opened)
    assert from_cell(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_many_rows_are_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of batches of any size, each file but the last is full, and all rows are there in their order."""
    monkeypatch.setattr(list_files, "ROWS_OF_A_FILE", 3)
    ids = [f"a{n}" for n in range(8)]
    whole = table([{"trigger_id": each, "icons": []} for each in ids])
    batches = [part for start, size in ((0, 1), (1, 5), (6, 2)) for part in whole.slice(start, size).to_batches()]
    files = write_generation(tmp_path, 1, {"part": Content(COLUMNS, batches)}, ("jsonl",))["part"]
    assert [(file.name, file.rows) for file in files] == [
        ("gen-1/part-00000.jsonl.gz", 3),
        ("gen-1/part-00001.jsonl.gz", 3),
        ("gen-1/part-00002.jsonl.gz", 2),
    ]
    told = [json.loads(line)["trigger_id"] for file in files for line in lines(tmp_path / file.name) if line]
    assert told == ids
    [full] = written(tmp_path, 2, whole.slice(0, 3), ("csv",))
    assert full.rows == 3


def test_a_list_of_nobody_has_its_header(tmp_path: Path) -> None:
    [file] = written(tmp_path, 1, table([]), ("csv",))
    assert (file.rows, lines(tmp_path / file.name)) == (0, [",".join(SCHEMA.names), ""])


def test_what_a_killed_run_left_is_written_anew(tmp_path: Path) -> None:
    for leftover in (".gen-3", "gen-3"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "part-00007.csv.gz").write_bytes(b"half")
    written(tmp_path, 3, table(), ("csv",))
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["gen-3", "part-00000.csv.gz"]


def test_the_manifest_is_replaced_in_one_step_and_two_generations_stay(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    (tmp_path / ".gen-2").mkdir()
    # Numbers are drawn by runs that then failed, too.
    for generation in (1, 3, 7):
        files = written(tmp_path, generation, table(), ("csv",))
        publish(tmp_path, {"generation": generation, "files": list_files.described(files)})
        told = read_manifest(tmp_path)
        assert told is not None
        assert (told["generation"], told["files"][0]["name"]) == (generation, f"gen-{generation}/part-00000.csv.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gen-3", "gen-7", "manifest.json"]
    assert json.loads((tmp_path / "manifest.json").read_text())["files"][0]["rows"] == 2


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, {"generation": 1, "files": []})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Failed, match=r"file cannot be written \(.+\); the list before this one stays as it was"):
        written(tmp_path / "file", 1, table(), ("csv",))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(list_files.FORMATS, "jsonl", ("jsonl.gz", full))  # type: ignore[arg-type]
    with pytest.raises(Failed, match="No space left on device"):
        written(tmp_path, 2, table(), ALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "manifest.json"]

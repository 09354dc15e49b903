"""The reader of docs/reading_lists.md takes a list in safely, whatever the writer does meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.list_files import Content, arrow_schema, read_manifest
from jobs.list_manifest import ROWS, ListOfNight, Stamp, State, bring_up_to_date
from schemas.table import Column

DOCUMENT = Path(__file__).parents[1] / "docs" / "reading_lists.md"
COLUMNS = [Column(name=name, type="string", about="Made up.") for name in ("trigger_id", "action", "offer_id")]
STAMP = Stamp(datetime(2026, 2, 1, 2, tzinfo=UTC), "a-run", "abc")
Reader = Callable[[Path, dict[str, str]], list[dict[str, str]]]


@pytest.fixture(scope="module")
def take_in() -> Reader:
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) <= 25
    found: dict[str, Reader] = {}
    exec(code, found)
    return found["take_in"]


def write(folder: Path, actions: dict[str, str], state: State = "ready", reason: str | None = None) -> None:
    rows = [{"trigger_id": each, "action": action, "offer_id": f"+{each}"} for each, action in sorted(actions.items())]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(COLUMNS))
    counts = {action: list(actions.values()).count(action) for action in ("send", "cancel")}
    told = ListOfNight("trigger_list_v1", {"trigger": "offer"}, date(2026, 1, 31), state, reason, counts, COLUMNS)
    contents = {ROWS: Content(COLUMNS, table.to_batches())} if actions else {}
    bring_up_to_date(folder, told, contents, ["parquet", "csv"], STAMP)


def test_each_message_is_acted_on_once(tmp_path: Path, take_in: Reader) -> None:
    known: dict[str, str] = {}
    write(tmp_path, {"a": "send", "b": "send"})
    # The formula guard is taken off.
    assert take_in(tmp_path, known) == [
        {"trigger_id": "a", "action": "send", "offer_id": "+a"},
        {"trigger_id": "b", "action": "send", "offer_id": "+b"},
    ]
    assert take_in(tmp_path, known) == []
    # Two generations later: b was cancelled; c came and went unseen.
    write(tmp_path, {"a": "send", "b": "cancel", "c": "send"})
    write(tmp_path, {"a": "send", "b": "cancel", "c": "cancel", "d": "send"})
    assert [(row["trigger_id"], row["action"]) for row in take_in(tmp_path, known)] == [("b", "cancel"), ("d", "send")]


def test_nobody_is_not_the_same_as_held(tmp_path: Path, take_in: Reader) -> None:
    write(tmp_path / "nobody", {}, "empty")
    assert take_in(tmp_path / "nobody", {}) == []
    write(tmp_path / "held", {}, "held", "9 are eligible, and at most 1 are expected")
    with pytest.raises(RuntimeError, match="offer is held: 9 are eligible"):
        take_in(tmp_path / "held", {})


def test_a_file_that_was_changed_is_refused(tmp_path: Path, take_in: Reader) -> None:
    write(tmp_path, {"a": "send"})
    [file] = tmp_path.rglob("*.csv.gz")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(RuntimeError, match="is not what its manifest says"):
        take_in(tmp_path, {})


def listed(folder: Path) -> dict[str, str]:
    """trigger_id → action, as the list has it; none where there is no list yet."""
    manifest = read_manifest(folder) or {"files": []}
    names = [file["name"] for file in manifest["files"] if file["format"] == "parquet"]
    return {row["trigger_id"]: row["action"] for name in names for row in pq.read_table(folder / name).to_pylist()}


def write_for_ever(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    told = listed(folder)
    while True:
        for _ in range(50):
            told[f"{chance.randrange(2000):04}"] = chance.choice(("send", "cancel"))
        write(folder, told)


def test_a_reader_survives_a_writer_at_work_and_its_kill(tmp_path: Path, take_in: Reader) -> None:
    """Whenever it looks it sees a whole list, and in the end it knows what the last whole one says."""
    known: dict[str, str] = {}
    looks = 0
    for seed in range(3):
        before = read_manifest(tmp_path) or {"generation": 0}
        writer = multiprocessing.get_context("spawn").Process(target=write_for_ever, args=(tmp_path, seed))
        writer.start()
        until = time.monotonic() + 60
        while (read_manifest(tmp_path) or before)["generation"] < before["generation"] + 20:
            assert time.monotonic() < until
            if (tmp_path / "manifest.json").exists():
                take_in(tmp_path, known)
                looks += 1
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    assert looks > 20
    take_in(tmp_path, known)
    last = listed(tmp_path)
    assert {each for each, action in known.items() if action == "send"} == {
        each for each, action in last.items() if action == "send"
    }
    # What the killed writer left is no list, and the next run writes over it.
    write(tmp_path, {**dict.fromkeys(last, "cancel"), "a": "send"})
    assert {row["action"] for row in take_in(tmp_path, known)} == {"send", "cancel"}
    assert [each for each, action in known.items() if action == "send"] == ["a"]

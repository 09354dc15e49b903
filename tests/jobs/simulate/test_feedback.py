"""Feedback for lists: checked, repeatable, and with exactly the uplift that was planted."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.errors import DataRefused, Usage
from jobs.simulate.feedback import tell

DAY = date(2026, 1, 31)
COLUMNS = ("trigger_id", "action", "trigger", "rule_version", "as_of_date", "send_date", "customer_id", "subject")
SENT = 400


def _list(folder: Path, trigger: str, *, file_format: str = "jsonl", cancelled: int = 0) -> Path:
    """A hand-written list: SENT triggers, of which the first are cancelled again."""
    rows = [
        {
            "trigger_id": hashlib.md5(f"{trigger}/{n}".encode()).hexdigest(),
            "action": action,
            "trigger": trigger,
            "rule_version": "3f9c0a12bd44",
            "as_of_date": str(DAY),
            "send_date": "2026-02-01",
            "customer_id": f"U{n:09d}",
            "subject": "",
        }
        for action, count in (("send", SENT), ("cancel", cancelled))
        for n in range(count)
    ]
    if file_format == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        lines = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
        text = "".join(",".join(line) + "\n" for line in lines)
    place = folder / "trigger_list_v1" / trigger / f"date={DAY}"
    file = place / "gen-1" / f"part-00000.{file_format}.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    name = str(file.relative_to(place))
    entry = {"name": name, "format": file_format, "rows": len(rows), "bytes": file.stat().st_size, "sha256": sha256}
    manifest = {
        "format": "clm-list-1",
        "list": "trigger_list_v1",
        "trigger": trigger,
        "state": "ready",
        "files": [entry],
    }
    (place / "manifest.json").write_text(json.dumps(manifest))
    return file


def _deliveries(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def _feedback(out: Path) -> list[dict[str, str]]:
    files = sorted(out.glob("campaign_feedback/*/part-*"))
    return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


def _payments(out: Path) -> list[dict[str, str]]:
    files = sorted(out.glob("payments/*/part-*"))
    return [row for file in files for row in csv.DictReader(gzip.decompress(file.read_bytes()).decode().splitlines())]


def test_who_is_sent_to_gives_feedback_and_some_act(spark: SparkSession, tmp_path: Path) -> None:
    lists, out = tmp_path / "lists", tmp_path / "out"
    _list(lists, "recharge_expiring", cancelled=100)
    # A delivery of that date is there already: another is added to it.
    (out / "payments" / "2026-02-01").mkdir(parents=True)
    told = tell(spark, lists, out, seed=1, uplift=0.5)
    assert (told.lists, told.sent) == (1, SENT - 100)
    assert told.persuaded == pytest.approx(0.5 * told.sent, rel=0.15)
    feedback = _feedback(out)
    triggers = {row["trigger_id"] for row in feedback}
    assert triggers == {hashlib.md5(f"recharge_expiring/{n}".encode()).hexdigest() for n in range(100, SENT)}
    assert all(row["at"] >= "2026-02-01T10:00" for row in feedback)
    payments = _payments(out)
    assert 0.95 * told.persuaded <= len(payments) <= told.persuaded
    assert {(row["product"], row["state"], row["flow"]) for row in payments} == {("recharge", "OK", "debit")}
    converted = {row["trigger_id"][:16].upper() for row in feedback if row["outcome"] == "converted"}
    assert {row["payment_id"][2:] for row in payments} <= converted | {
        row["trigger_id"][:16].upper() for row in feedback if row["outcome"] == "bounced"
    }
    names = {path.parent.name for path in out.glob("payments/*/manifest.json")}
    assert "2026-02-01-2" in names
    manifest = json.loads((out / "payments" / "2026-02-01-2" / "manifest.json").read_text())
    assert (manifest["date"], manifest["delivery_id"]) == ("2026-02-01", "payments-2026-02-01-2")


def test_without_uplift_nobody_acts_because_of_it(spark: SparkSession, tmp_path: Path) -> None:
    lists, out = tmp_path / "lists", tmp_path / "out"
    _list(lists, "win_back", file_format="csv")
    out.mkdir()
    told = tell(spark, lists, out, seed=1, uplift=0)
    assert (told.sent, told.persuaded) == (SENT, 0)
    assert _payments(out) == []
    assert len(_feedback(out)) > SENT


def test_the_same_lists_give_the_same_deliveries(spark: SparkSession, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    _list(lists, "win_back")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tell(spark, lists, tmp_path / name, seed=1)
    assert _deliveries(tmp_path / "one") == _deliveries(tmp_path / "two") != {}


def test_a_list_that_was_changed_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    file = _list(tmp_path, "win_back")
    file.write_bytes(gzip.compress(b"{}\n"))
    with pytest.raises(DataRefused, match="its sha256 is not the manifest's"):
        tell(spark, tmp_path, tmp_path, seed=1)


def test_a_folder_without_lists_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="holds no list"):
        tell(spark, tmp_path, tmp_path, seed=1)

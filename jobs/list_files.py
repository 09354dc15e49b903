"""Lists as files that a campaign system reads: whole generations, and a manifest that is replaced in one step.

`<list>/<name>/date=<D>/gen-<g>/part-00000.csv.gz` and so on lie there before `date=<D>/manifest.json` names them; a
reader who follows the manifest never sees half a list. Files of a generation never change; the last two stay.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from jobs import csv_text
from jobs.errors import Failed
from schemas.table import Column

MANIFEST = "manifest.json"
KEPT_GENERATIONS = 2
ROWS_OF_A_FILE = 1_000_000
DAMAGED = (
    "Restore its folder from a backup; or move it out of exports/ and deliver its night again: nobody is told twice."
)
DATED = re.compile(r"date=(\d{4}-\d{2}-\d{2})")
ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "array<string>": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class ListFile:
    """One file of a generation, by its name below the folder of the manifest."""

    name: str
    format: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """Rows in their order; read once."""

    columns: Sequence[Column]
    rows: Iterable[pa.RecordBatch]


def write_generation(
    folder: Path, generation: int, contents: Mapping[str, Content], formats: Sequence[str]
) -> dict[str, list[ListFile]]:
    """Each content as files of its name, once in each format; raises Failed where that cannot be, leaving nothing.

    A folder of this generation that is there already belongs to a run that was killed before any manifest named it.
    """
    whole, aside = folder / f"gen-{generation}", folder / f".gen-{generation}"
    published = read_manifest(folder)
    if published is not None and published["generation"] >= generation:
        raise Failed(f"{folder} has a list of generation {published['generation']} already; {generation} is older.")
    try:
        for leftover in (aside, whole):
            shutil.rmtree(leftover, ignore_errors=True)
        aside.mkdir(parents=True)
        files = {
            name: [
                _write_file(aside, whole.name, f"{name}-{number:05}", form, part)
                for number, part in enumerate(_parts(arrow_schema(content.columns), content.rows))
                for form in formats
            ]
            for name, content in contents.items()
        }
        aside.replace(whole)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise Failed(
            f"{folder} cannot be written ({error.strerror}); the list before this one stays as it was. "
            "Make room or give the folder back, then run this again."
        ) from None
    return files


def publish(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest in one step, then let go of generations before the last two."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    aside = folder / f".{MANIFEST}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        aside.replace(folder / MANIFEST)
        _sync(folder)
    except OSError as error:
        raise Failed(f"{folder / MANIFEST} cannot be written ({error.strerror}). Run this again.") from None
    generations = sorted(int(each.name.removeprefix("gen-")) for each in folder.glob("gen-*"))
    named = [generation for generation in generations if generation <= manifest["generation"]]
    gone = {*generations} - {*named[-KEPT_GENERATIONS:]}
    for old in (*(folder / f"gen-{generation}" for generation in gone), *folder.glob(".gen-*")):
        shutil.rmtree(old, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a list of one date; None where none was published yet. Raises Failed where it is damaged."""
    path = folder / MANIFEST
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError:
        raise Failed(f"{path} is no manifest. {DAMAGED}") from None


def dated(root: Path) -> list[tuple[date, Path]]:
    """The folders of dates below `root`, oldest first; what has another name is no list."""
    found = ((DATED.fullmatch(path.name), path) for path in root.rglob("date=*"))
    return sorted((date.fromisoformat(name[1]), path) for name, path in found if name)


def intact(folder: Path, manifest: Mapping[str, Any], form: str, key: str = "files") -> list[Path]:
    """The files of one format that a manifest names; raises Failed where one is gone or was cut short."""
    named = [file for file in manifest.get(key, ()) if file["format"] == form]
    for file in named:
        path = folder / file["name"]
        if not path.exists() or path.stat().st_size != file["bytes"]:
            raise Failed(f"{path} is not the file that its manifest names. {DAMAGED}")
    return [folder / file["name"] for file in named]


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """The columns of a list as Arrow has them; times are in UTC."""
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in columns])


def drop_generation(folder: Path, generation: int) -> None:
    """Take away a generation that no manifest names."""
    shutil.rmtree(folder / f"gen-{generation}", ignore_errors=True)


def described(files: Sequence[ListFile]) -> list[dict[str, Any]]:
    """The files as a manifest names them."""
    return [asdict(file) for file in files]


# ---- formats


def _parts(schema: pa.Schema, rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows a file's worth at a time; of nobody one part without rows."""
    held: list[pa.RecordBatch] = []
    room, is_first = ROWS_OF_A_FILE, True
    for batch in rows:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, room)
            held.append(piece)
            start, room = start + piece.num_rows, room - piece.num_rows
            if not room:
                yield pa.Table.from_batches(held, schema)
                held, room, is_first = [], ROWS_OF_A_FILE, False
    if held or is_first:
        yield pa.Table.from_batches(held, schema)


def _write_file(folder: Path, shown_as: str, stem: str, form: str, rows: pa.Table) -> ListFile:
    extension, write = FORMATS[form]
    path = folder / f"{stem}.{extension}"
    with path.open("wb") as opened:
        write(rows, opened)
        opened.flush()
        os.fsync(opened.fileno())
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return ListFile(f"{shown_as}/{path.name}", form, rows.num_rows, path.stat().st_size, sha256)


def _write_parquet(rows: pa.Table, opened: BinaryIO) -> None:
    pq.write_table(rows, opened, compression="zstd")


def _write_jsonl(rows: pa.Table, opened: BinaryIO) -> None:
    with _zipped(opened) as text:
        for row in _told(rows):
            told = {name: csv_text.plain(value) for name, value in row.items()}
            text.write(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n")


def _write_csv(rows: pa.Table, opened: BinaryIO) -> None:
    with _zipped(opened) as text:
        text.write(csv_text.line(rows.schema.names))
        for row in _told(rows):
            text.write(csv_text.line(row.values()))


FORMATS: Mapping[str, tuple[str, Callable[[pa.Table, BinaryIO], None]]] = {
    "parquet": ("parquet", _write_parquet),
    "jsonl": ("jsonl.gz", _write_jsonl),
    "csv": ("csv.gz", _write_csv),
}


def _zipped(opened: BinaryIO) -> io.TextIOWrapper:
    # Without a name and a time in it, the same rows are the same bytes.
    return io.TextIOWrapper(gzip.GzipFile("", "wb", fileobj=opened, mtime=0), encoding="utf-8", newline="")


def _told(rows: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in rows.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

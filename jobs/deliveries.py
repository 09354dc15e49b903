"""Deliveries: folders with a manifest below the landing folder, found and checked.

A delivery is checked before a row of it is read: names, bytes and sha256 here, rows once they are counted
(`jobs.land`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from conf import Source
from jobs.errors import DataRefused, Usage
from jobs.ledger_records import Delivery

MANIFEST = "manifest.json"
# Spark reads glob characters as patterns and skips names that begin with _ or . without a word.
SAFE_NAME = re.compile(r"^(?:[A-Za-z0-9][A-Za-z0-9._=-]{0,199}/)*[A-Za-z0-9][A-Za-z0-9._=-]{0,199}$")
DATED = r"(?P<date>\d{4}-\d{2}-\d{2})(?:[-._][A-Za-z0-9]+)?"
CHUNK = 1 << 20


class File(BaseModel):
    """One file of a delivery; `rows` without the header, None until they are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[int, Field(ge=0)] | None


class Manifest(BaseModel):
    """What a delivery says it is: `manifest.json`, format `clm-delivery-1`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["clm-delivery-1"]
    source: str
    date: date | None
    delivery_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=-]{0,199}$")]
    replaces: str | None = None
    files: tuple[File, ...]


@dataclass(frozen=True)
class Part:
    """What one night takes of one delivery; of a dump, the rows of that night."""

    delivery: Delivery
    manifest: Manifest
    folder: Path

    @property
    def night(self) -> date:
        return self.delivery.night


def find(source: Source, landing: Path) -> list[tuple[Path, date | None]]:
    """The source's delivery folders with their dates, in order; a dump is one folder without a date."""
    if source.is_dump:
        base = landing / _fixed_part(source.files.path)
        return [(base, None)] if base.is_dir() and _files(source, base) else []
    before, dated, _ = _split(source)
    pattern = re.compile(re.escape(dated).replace(re.escape("{date}"), DATED))
    base = landing / before
    if not base.is_dir():
        return []
    named = ((folder, pattern.fullmatch(folder.name)) for folder in sorted(base.iterdir()) if folder.is_dir())
    return [(folder, _date_of(folder, match.group("date"))) for folder, match in named if match]


def _date_of(folder: Path, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DataRefused(f"{folder}: {text} is not a date. Rename the folder, or move it away.") from None


def _split(source: Source) -> tuple[str, str, str]:
    parts = source.files.path.split("/")
    at = next(i for i, part in enumerate(parts) if "{date}" in part)
    if at == len(parts) - 1:
        raise Usage(f"{source.location}: [files] path: {{date}} must name a folder, since a delivery is a folder.")
    return "/".join(parts[:at]), parts[at], "/".join(parts[at + 1 :])


def _fixed_part(path: str) -> str:
    parts = path.split("/")[:-1]
    globbed = next((i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts))
    return "/".join(parts[:globbed])


def _files(source: Source, folder: Path) -> list[str]:
    """Names below the delivery's folder that the source's path asks for."""
    if source.is_dump:
        fixed = _fixed_part(source.files.path)
        pattern = source.files.path[len(fixed) :].lstrip("/")
    else:
        pattern = _split(source)[2]
    return sorted(str(file.relative_to(folder)) for file in folder.glob(pattern) if file.name != MANIFEST)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_manifest(source: Source, folder: Path, day: date | None) -> Manifest | None:
    """The delivery's manifest, given or computed, without looking into the files; None while it is not complete."""
    if source.files.manifest == "computed":
        return _computed(source, folder, day)
    file = folder / MANIFEST
    if not file.exists():
        return None
    try:
        manifest = Manifest.model_validate(json.loads(file.read_text("utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataRefused(f"{file}: not JSON ({error}). Ask {source.owner} to deliver it again.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DataRefused(f"{file}: {key}: {first['msg']}. Ask {source.owner} to deliver it again.") from None
    if manifest.source != source.name:
        raise DataRefused(f"{file}: it says source {manifest.source!r} and lies where {source.name!r} delivers.")
    if manifest.date != day and not source.is_dump:
        raise DataRefused(f"{file}: it says date {manifest.date} and lies in the folder of {day}.")
    if manifest.replaces is not None and source.is_dump:
        raise DataRefused(f"{file}: a dump replaces nothing. Load it into an empty lake, and leave `replaces` out.")
    return manifest


def _computed(source: Source, folder: Path, day: date | None) -> Manifest | None:
    names = _files(source, folder)
    if not names:
        return None
    _refuse_unsafe(folder, names)
    files = [
        File(name=name, bytes=(folder / name).stat().st_size, sha256=_sha256(folder / name), rows=None)
        for name in names
    ]
    empty = next((file.name for file in files if not file.bytes), None)
    if empty is not None:
        # Nothing says that it is empty on purpose, as a given manifest would.
        raise DataRefused(f"{folder / empty}: 0 bytes, so its upload failed. Ask {source.owner} to deliver it again.")
    content = hashlib.sha256("".join(f"{file.name} {file.sha256}\n" for file in files).encode()).hexdigest()
    delivery_id = "-".join([source.name, *([day.isoformat()] if day else []), content[:12]])
    return Manifest(
        format="clm-delivery-1",
        source=source.name,
        date=day,
        delivery_id=delivery_id,
        replaces=None,
        files=tuple(files),
    )


def _refuse_unsafe(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if not SAFE_NAME.fullmatch(name) or any(part == ".." for part in name.split("/")):
            raise DataRefused(
                f"{folder}: the file name {name!r} has characters that are not taken (letters, digits, . _ = -)."
            )


def verify(source: Source, folder: Path, manifest: Manifest, *, is_fresh: bool = False) -> None:
    """Compare every file with the manifest, byte for byte; raises DataRefused naming file and difference.

    `is_fresh`: a computed manifest was made of these very bytes just now, so they are not hashed again.
    """
    again = f"Ask {source.owner} to deliver it again."
    names = [file.name for file in manifest.files]
    if len(set(names)) < len(names):
        raise DataRefused(f"{folder / MANIFEST}: it names a file twice. {again}")
    _refuse_unsafe(folder, names)
    unnamed = sorted(set(_files(source, folder)) - set(names))
    if unnamed:
        raise DataRefused(f"{folder / unnamed[0]}: not in the manifest. {again}")
    if folder.is_symlink():
        raise DataRefused(f"{folder}: a link is not followed; a delivery is a folder. {again}")
    root = folder.resolve()
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            raise DataRefused(f"{path}: the manifest names it and it is not there. {again}")
        if path.is_symlink() or not path.resolve().is_relative_to(root):
            raise DataRefused(f"{path}: a link out of the delivery is not followed. {again}")
        size = path.stat().st_size
        if size != file.bytes:
            raise DataRefused(f"{path}: {size} bytes, the manifest says {file.bytes}. {again}")
        if not is_fresh and _sha256(path) != file.sha256:
            raise DataRefused(f"{path}: its sha256 is not the manifest's. {again}")


def refuse_broken_archives(source: Source, parts: Iterable[Part], suffix: Literal[".gz", ".zst"]) -> None:
    """Raises DataRefused for a file of that kind that ends too soon or does not unpack.

    Spark reads both kinds itself. It stops at a broken .gz, so that one is looked for after a failure; but a .zst of
    several frames whose last one is cut off it may take for whole, so these are read through before it sees them.
    """
    files = {part.folder / file.name for part in parts for file in part.manifest.files}
    for path in sorted(file for file in files if file.suffix == suffix):
        try:
            with pa.input_stream(str(path)) as unpacked:
                while unpacked.read(CHUNK):
                    pass
        except OSError as error:
            raise DataRefused(
                f"{path}: it does not unpack to its end ({error}). Ask {source.owner} to deliver it again."
            ) from None

"""Which deliveries a night takes: those dated up to it that no night before took.

What was taken is kept in `deliveries.json` beside the oracle's tables; of nights before those, `ops.deliveries` tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conf import Source
from tests.oracle.night import Night

MANIFEST = "manifest.json"


class Refused(ValueError):
    """A delivery that is not what it says it is."""


@dataclass(frozen=True)
class Delivery:
    """One delivery of a source, and the night that took it. Of a dump, `delivered` is null and `night` the first."""

    delivery_id: str
    source: str
    night: str
    delivered: str | None
    folder: str
    files: dict[str, int | None]  # below the landing folder, with the rows that the manifest tells


def of_night(night: Night, source: Source) -> list[Delivery]:
    """What the night takes of a source, by date and name; it is noted, so that the night again takes the same."""
    noted = _noted(night)
    known = [delivery for delivery in noted if delivery.source == source.name]
    taken = [delivery for delivery in known if source.is_dump or delivery.night == str(night.day)]
    found = taken or list((_dump if source.is_dump else _new)(night, source, known))
    if new := [delivery for delivery in found if delivery not in known]:
        _file(night).parent.mkdir(parents=True, exist_ok=True)
        _file(night).write_text(json.dumps([asdict(delivery) for delivery in (*noted, *new)], indent=1))
    return found


def _new(night: Night, source: Source, known: list[Delivery]) -> Iterator[Delivery]:
    """The deliveries of folders dated up to the night that nobody has taken."""
    before, _, pattern = source.files.path.partition("{date}/")
    taken_folders = {delivery.folder for delivery in known}
    taken = _taken_beneath(night)
    for folder in sorted((night.landing / before).glob("[0-9]*-[0-9]*-[0-9]*")):
        if folder.name[:10] > str(night.day) or folder.name in taken_folders:
            continue
        yield from _delivered(night, source, folder, pattern, taken)


def _dump(night: Night, source: Source, _: list[Delivery]) -> Iterator[Delivery]:
    """The one delivery of a dump; its folder is what its path says before anything is left open."""
    parts = source.files.path.split("/")
    depth = next((i for i, part in enumerate(parts[:-1]) if set(part) & set("*?[")), len(parts) - 1)
    yield from _delivered(night, source, night.landing.joinpath(*parts[:depth]), "/".join(parts[depth:]), set())


def _delivered(night: Night, source: Source, folder: Path, pattern: str, taken: set[str]) -> Iterator[Delivery]:
    """The delivery of a folder, if it is there and was not taken."""
    if source.files.manifest == "given":
        delivery = _given(night, source, folder, taken)
    else:
        delivery = _made(night, source, folder, folder.glob(pattern))
    if delivery and delivery.delivery_id not in taken:
        yield delivery


def _given(night: Night, source: Source, folder: Path, taken: set[str]) -> Delivery | None:
    """The delivery that a manifest tells of; none where it is not there yet, was taken, or stands in for another."""
    manifest = folder / MANIFEST
    told: dict[str, Any] = json.loads(manifest.read_text()) if manifest.exists() else {"replaces": "nothing yet"}
    if told["replaces"] or told["delivery_id"] in taken:
        return None
    for file in told["files"]:
        path = folder / file["name"]
        if path.stat().st_size != file["bytes"] or _sum(path) != file["sha256"]:
            raise Refused(f"{path} is not the file that its manifest tells of")
    files = {str((folder / file["name"]).relative_to(night.landing)): file["rows"] for file in told["files"]}
    return Delivery(told["delivery_id"], source.name, str(night.day), told["date"], folder.name, files)


def _made(night: Night, source: Source, folder: Path, files: Iterator[Path]) -> Delivery | None:
    """The delivery that a folder's files are without a manifest, a dump too; an empty folder is missing."""
    paths = sorted(files)
    sums = "".join(f"{path.relative_to(folder)} {_sum(path)}\n" for path in paths)
    delivered = None if source.is_dump else folder.name[:10]
    parts = (source.name, delivered, hashlib.sha256(sums.encode()).hexdigest()[:12])
    told: dict[str, int | None] = {str(path.relative_to(night.landing)): None for path in paths}
    name = "-".join(part for part in parts if part)
    return Delivery(name, source.name, str(night.day), delivered, folder.name, told) if paths else None


@cache
def _sum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _noted(night: Night) -> list[Delivery]:
    return [Delivery(**told) for told in json.loads(_file(night).read_text())] if _file(night).exists() else []


def _taken_beneath(night: Night) -> set[str]:
    """What nights before the oracle's own took."""
    if night.tables.beneath is None:
        return set()
    rows = night.sql.execute(
        f"select distinct delivery_id from {night.tables.read('ops.deliveries', until=night.before)}"
    )
    return {delivery_id for (delivery_id,) in rows.fetchall()}


def _file(night: Night) -> Path:
    return night.tables.root / "deliveries.json"

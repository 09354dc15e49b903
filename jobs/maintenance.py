"""`clm maintain`: lets go of what is kept no longer, clears up after killed runs, and says when the disk is full."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from conf import Settings
from jobs import night_audiences
from jobs.errors import Failed
from jobs.ledger import Ledger
from jobs.list_files import MANIFEST, dated
from jobs.pipeline import table_of
from jobs.places import local_path
from jobs.progress import Progress
from jobs.runner import Night, opened
from jobs.status import last_night
from schemas.lists import KEEP as KEEP_LISTS
from schemas.retention import oldest_kept
from schemas.table import PARTITION, Table

# A table grows by what its newest nights hold.
MEASURED_NIGHTS = 7
# Who reads that the disk is full in a month can still do something about it.
SOON = 30


@dataclass(frozen=True)
class Maintained:
    """What became of one table, or of one kind of list: days let go, bytes freed, and how it grows.

    `nightly`: bytes that a night adds, by the newest nights; of a snapshot, of which most leave again, the thirtieth
    part of one, since those of month ends stay.
    """

    name: str
    expired: Sequence[date]
    freed: int
    bytes: int
    nightly: int


@dataclass(frozen=True)
class Outlook:
    """What there is of room, and for how many more nights it lasts; None where nothing grows."""

    done: Sequence[Maintained]
    free: int
    nights_left: int | None

    def __str__(self) -> str:
        left = "for ever" if self.nights_left is None else f"for {self.nights_left} more nights"
        return f"{self.free >> 20} MiB are free: enough {left}, at what the newest nights have added"


def maintain(settings: Settings, *, progress: Progress, tell: Callable[[Outlook], None]) -> None:
    """Let go of partitions and lists that are kept no longer, then of files that no table names any more.

    Killed and repeated it goes on. Raises Busy where a run holds the lake; Failed where nothing is published yet, and,
    once all is done and told, where the disk will soon be full.
    """
    root = local_path(settings.lake.root)
    if root is None:
        raise Failed(f"{settings.lake.root}: a lake on an object store is not supported yet; give a local folder.")
    last = last_night(settings, Ledger.open(settings.ledger_url))
    if last is None:
        raise Failed("Nothing is published yet, so there is nothing to maintain: run `clm run --date …` first.")
    with opened(settings, "maintain", last, last, None, progress) as night:
        done = [_table(night, table, last) for table in _tables(night)]
        done += _lists(root / "exports", last)
        nightly, free = sum(each.nightly for each in done), shutil.disk_usage(root).free
        outlook = Outlook(done, free, free // nightly if nightly else None)
        tell(outlook)
        if outlook.nights_left is not None and outlook.nights_left < SOON:
            raise Failed(f"{outlook}. Give the lake more room.")


def _tables(night: Night) -> Iterator[Table]:
    for name in night.ledger.published_tables():
        try:
            yield table_of(night.settings, name)
        except KeyError:
            night.progress.note(f"{name} stays as it is: conf has no such source any more, so nothing says how long")


def _table(night: Night, table: Table, last: date) -> Maintained:
    name, oldest = table.name, oldest_kept(table.keep, last)
    expired = night.ledger.kept_days(name, last=oldest - timedelta(days=1))
    folder = Path(night.lake.path(name))
    before = _size(folder, f"{PARTITION}=*")
    with night.progress.step(f"maintain {name}"):
        if expired:
            night.lake.let_go(table, expired)
        night.lake.clear_up(table)
    newest = night.ledger.kept_days(name)[-MEASURED_NIGHTS:]
    nightly = sum(_size(folder / f"{PARTITION}={day}") for day in newest) // max(1, len(newest))
    freed = before - _size(folder, f"{PARTITION}=*")
    return Maintained(name, expired, freed, _size(folder), nightly // SOON if table.kind == "snapshot" else nightly)


def _lists(root: Path, last: date) -> Iterator[Maintained]:
    """Lists by kind; the newest audience of each name stays, for the next is told against it."""
    oldest = oldest_kept(KEEP_LISTS, last)
    for kind in sorted(root.glob("*")):
        before, gone = _size(kind), set[date]()
        for day, folder in dated(kind):
            if day < oldest and not (kind.name == night_audiences.LIST and _is_newest(folder)):
                shutil.rmtree(folder)
                gone.add(day)
        after = _size(kind)
        left = dated(kind)
        nightly = sum(_size(folder) for day, folder in left if day == left[-1][0])
        yield Maintained(f"exports/{kind.name}", sorted(gone), before - after, after, nightly)


def _is_newest(folder: Path) -> bool:
    """Whether no later date of the same list has been told."""
    later = (path for _, path in dated(folder.parent) if path.name > folder.name)
    return not any((path / MANIFEST).exists() for path in later)


def _size(folder: Path, below: str = "*") -> int:
    """Bytes of what lies in the folder, or in those of its folders whose names match; 0 where there is none."""
    inside = (path for found in folder.glob(below) for path in (found, *found.rglob("*")))
    return sum(path.stat().st_size for path in inside if path.is_file())

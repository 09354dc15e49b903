"""Whether a run has few rows before it, told before Spark starts: by the ledger, and by the sizes of deliveries."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from conf import Settings
from jobs.deliveries import find
from jobs.errors import ClmError
from jobs.ledger import Ledger

# Up to so many rows of a table on a day a session for few rows has a night done sooner, by a third and more.
MOST_ROWS = 50_000
# As delivered, packed: nights of a thousand customers have 200 kB each.
MOST_BYTES = 16 << 20


def has_few_rows(settings: Settings, ledger: Ledger, first: date | None = None, last: date | None = None) -> bool:
    """Whether no table has many rows on its newest day, nor the nights first … last many bytes delivered."""
    newest = (ledger.last_published(table) for table in ledger.published_tables())
    if any(each is not None and each.rows > MOST_ROWS for each in newest):
        return False
    return first is None or last is None or _delivered(settings, first, last) <= MOST_BYTES


def _delivered(settings: Settings, first: date, last: date) -> int:
    """Bytes of the files that are there for these nights; a dump's whole. What is wrong with them landing says."""
    landing = Path(settings.landing)
    folders = (
        folder
        for source in settings.sources
        for folder, day in find(source, landing)
        if day is None or first <= day <= last
    )
    try:
        return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    except (ClmError, OSError):
        return 0

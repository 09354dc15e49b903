"""One source with its landing folder and its ledger: what is delivered, and which night takes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

from conf import Settings, Source
from jobs import taking
from jobs.deliveries import Part
from jobs.ledger import Ledger
from tests.conftest import Place
from tests.jobs.sources import HEADER

SAT, SUN, MON, TUE = date(2026, 1, 24), date(2026, 1, 25), date(2026, 1, 26), date(2026, 1, 27)
ROW = "p1,c1,2026-01-26 10:00:00,10.00"
COMPUTED = 'format = "csv"\nmanifest = "computed"\n'


class Landing:
    """One source, its landing folder and its ledger."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self.place = place
        self.source: Source = settings.sources[0]
        self.ledger = Ledger.open(settings.ledger_url)

    def deliver(self, day: date, suffix: str = "", **changes: object) -> Path:
        return self.place.deliver("payments", day, [HEADER, ROW], suffix=suffix, changes=changes)

    def take(self, *nights: date, replaces: bool = False) -> list[Part]:
        return taking.take(self.source, self.place.landing, self.ledger, nights, replaces=replaces)

    def ids(self, *nights: date, replaces: bool = False) -> list[tuple[str, date]]:
        parts = self.take(*nights, replaces=replaces)
        return [(part.delivery.delivery_id.removeprefix("payments-"), part.night) for part in parts]


def rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest["files"][0])
    (folder / "manifest.json").write_text(json.dumps(manifest))


def wrong_bytes(folder: Path) -> None:
    rewrite(folder, lambda file: file.update(bytes=1))


def changed_after(folder: Path) -> None:
    content = bytearray((folder / "part-0001.csv.gz").read_bytes())
    content[-1] ^= 1
    (folder / "part-0001.csv.gz").write_bytes(content)

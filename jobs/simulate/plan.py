"""What a simulation is asked for, and what came of it. Imports no pyspark."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from jobs.errors import Usage

Format = Literal["csv", "jsonl", "parquet"]

# Which packaged source delivers a feed of the simulated app.
SOURCE_OF = {
    "customers": "customers",
    "transactions": "payments",
    "app_events": "app_events",
    "devices": "devices",
    "contacts": "contacts",
    "consents": "consents",
    "bills": "bills",
    "campaign_feedback": "campaign_feedback",
}
WORLDS = ("causal", "keen", "hidden")

# Shares of `Mess` of which a payment has at most one.
KINDS = ("late", "very_late", "touched", "duplicate", "broken", "changed", "early")

# What a file holds of a day: some hundred thousand rows, made and sorted by one task.
CUSTOMERS_PER_FILE = 500_000
# Ids hold the customer's number in nine digits.
MOST_CUSTOMERS = 999_999_999


@dataclass(frozen=True)
class Mess:
    """What goes wrong, as shares of payments (of versions, for customers, as far as it can happen to them).

    A payment has at most one of KINDS; `pending_first`, `failed` and `reversed` are ordinary life and
    come on top, except that an early or broken payment has neither a pending row nor a reversal.
    """

    late: float = 0.01  # delivered 1 to 6 days after its day
    very_late: float = 0.001  # 8 to 40 days
    touched: float = 0.02  # delivered again with nothing new but a later `changed`
    duplicate: float = 0.005  # the same row twice, in one delivery or again the next day
    broken: float = 0.002  # cannot be accepted; the reasons of `flaws` take equal parts
    changed: float = 0.0005  # a known payment again, with another amount
    early: float = 0.0005  # five past midnight, already in the delivery of the day before
    pending_first: float = 0.03  # pending at first, its outcome the same day or up to two days later
    failed: float = 0.05
    reversed: float = 0.003  # of successful debits, 1 to 12 days later; thrice as many of recharges and bills
    unknown: float = 0.002  # of app events: not in the tracking plan
    skewed: float = 0.03  # of devices: their clock is wrong
    odd: float = 0.005  # accepted though odd: bills paid before they were issued, consents that end before they begin

    @classmethod
    def none(cls) -> Mess:
        """Each payment once, on its day, and successful."""
        return cls(**{share.name: 0.0 for share in fields(cls)})


@dataclass(frozen=True)
class Simulation:
    """The story to tell: `customers` people, those who come after `last` included, from `first` to `last`.

    `format` None is what each packaged source declares. `out` is a folder of a local disk.
    """

    customers: int
    first: date
    last: date
    seed: int
    out: Path
    format: Format | None = None
    feeds: tuple[str, ...] = tuple(SOURCE_OF)
    mess: Mess = field(default_factory=Mess)
    world: str = "causal"

    @property
    def first_day(self) -> int:
        return day_number(self.first)

    @property
    def last_day(self) -> int:
        return day_number(self.last)

    @property
    def dates(self) -> tuple[date, ...]:
        return tuple(self.first + timedelta(days=n) for n in range(self.last_day - self.first_day + 1))

    @property
    def parts(self) -> int:
        """How many files a delivery has; it says nothing of the machine, so that the same story is the same files."""
        return math.ceil(self.customers / CUSTOMERS_PER_FILE)

    def format_of(self, source: Source) -> Format:
        # What stands deeper in a line cannot be told in another format.
        return source.format if source.paths else self.format or source.format

    def check(self) -> None:
        """Raise Usage, in one sentence, if this cannot be told."""
        if not 1 <= self.customers <= MOST_CUSTOMERS:
            raise Usage(f"customers is {self.customers}; give a number from 1 to {MOST_CUSTOMERS:,}.")
        if self.last < self.first:
            raise Usage(f"The last day {self.last} is before the first day {self.first}; swap them.")
        if self.format is not None and self.format not in get_args(Format):
            raise Usage(f"Unknown format {self.format!r}; choose one of {', '.join(get_args(Format))}.")
        if self.world not in WORLDS:
            raise Usage(f"Unknown world {self.world!r}; choose one of {', '.join(WORLDS)}.")
        if not self.feeds:
            raise Usage(f"No feed is asked for; name at least one of {', '.join(SOURCE_OF)}.")
        for feed in self.feeds:
            if feed not in SOURCE_OF:
                raise Usage(f"The simulator has no feed {feed!r}; choose from {', '.join(SOURCE_OF)}.")
        shares = {share.name: getattr(self.mess, share.name) for share in fields(Mess)}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise Usage(f"Mess {name} is {share}; a share lies between 0 and 1.")
        if sum(shares[name] for name in KINDS) > 1:
            raise Usage(f"The shares of {', '.join(KINDS)} add up to more than 1; a payment has at most one of them.")
        if self.out.exists() and not self.out.is_dir():
            raise Usage(f"{self.out} is not a folder; choose an empty one.")
        for name in (*SOURCE_OF.values(), "truth"):
            if (self.out / name).exists():
                raise Usage(f"{self.out} already holds {name}/; choose an empty folder.")


@dataclass(frozen=True)
class Source:
    """What the packaged conf says of a source: the format, and the column types that a delivery must hold."""

    name: str
    format: Format
    columns: Mapping[str, str]
    late_days: int
    paths: Mapping[str, str] = field(default_factory=dict[str, str])


def packaged_source(feed: str) -> Source:
    name = SOURCE_OF[feed]
    declared = tomllib.loads((files("conf") / "sources" / f"{name}.toml").read_text(encoding="utf-8"))
    paths = declared.get("paths", {})
    return Source(name, declared["files"]["format"], declared["columns"], declared["late_days"], paths)


@dataclass(frozen=True)
class SourceSummary:
    """Rows delivered by one source: in all, by kind of mess, by the answer due (see `mess`), by delivery date."""

    rows: int
    kinds: Mapping[str, int]
    answers: Mapping[str, int]
    days: Mapping[date, int]


@dataclass(frozen=True)
class Summary:
    """What a simulation delivered, by source name."""

    days: int
    deliveries: int
    sources: Mapping[str, SourceSummary]


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days

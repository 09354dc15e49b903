"""A source: who delivers what, in which files, and how its columns become a feed's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from conf.model import Frozen, Text, Zone, spelt
from schemas.feeds import FEEDS, Feed
from schemas.raw import raw_table
from schemas.table import Table

PLAIN_TYPES = ("string", "boolean", "int", "bigint", "double", "date", "timestamp", "timestamp_ns")
CSV_OPTIONS = ("header", "delimiter", "quote", "encoding", "null")
# Letters of Spark's datetime patterns; others (Y for the year, w for the week) it refuses when the job runs.
PATTERN_LETTERS = frozenset("GyMLdDQqEFahKkHmsSVzOXx")


@dataclass(frozen=True)
class ColumnType:
    """The declared type of a source column, as in `[columns]`; `str()` gives the declaration back."""

    kind: str
    pattern: str | None = None
    precision: int | None = None
    scale: int | None = None

    @classmethod
    def parse(cls, declaration: str) -> ColumnType:
        """`decimal(14,2)`, `timestamp dd/MM/yyyy HH:mm:ss`, `date yyyyMMdd`, …; raises ValueError."""
        if decimal := re.fullmatch(r"decimal\((\d+), ?(\d+)\)", declaration):
            precision, scale = int(decimal[1]), int(decimal[2])
            if not (1 <= precision <= 38 and scale <= precision):
                raise ValueError(f"{declaration!r}: a decimal has at most 38 digits, all its decimals among them")
            return cls("decimal", precision=precision, scale=scale)
        kind, _, pattern = declaration.partition(" ")
        if kind in ("date", "timestamp") and pattern.strip():
            return cls(kind, pattern=_checked_pattern(pattern.strip()))
        if declaration not in PLAIN_TYPES:
            valid = ", ".join((*PLAIN_TYPES, "decimal(p,s)", "date <pattern>", "timestamp <pattern>"))
            raise ValueError(f"{declaration!r} is no type; types are {valid}")
        return cls(declaration)

    @property
    def spark_type(self) -> str:
        """The Spark type that `[map]` expressions see."""
        return {"decimal": f"decimal({self.precision},{self.scale})", "timestamp_ns": "timestamp"}.get(
            self.kind, self.kind
        )

    def __str__(self) -> str:
        if self.kind == "decimal":
            return self.spark_type
        return f"{self.kind} {self.pattern}" if self.pattern else self.kind


def _checked_pattern(pattern: str) -> str:
    if pattern.count("'") % 2:
        raise ValueError(f"the pattern {pattern!r} has a quote that is not closed")
    letters = {letter for letter in re.sub(r"'[^']*'", "", pattern) if letter.isalpha()}
    if unknown := sorted(letters - PATTERN_LETTERS):
        raise ValueError(f"the pattern {pattern!r} has {', '.join(unknown)}, which Spark does not know (year is yyyy)")
    return pattern


def _column_type(declaration: object) -> ColumnType:
    if isinstance(declaration, ColumnType):
        return declaration
    if not isinstance(declaration, str):
        raise ValueError("should be a type in quotes")
    return ColumnType.parse(declaration)


# The encodings that Spark 4 reads.
Encoding = Annotated[
    Literal["utf-8", "us-ascii", "iso-8859-1", "utf-16", "utf-16be", "utf-16le", "utf-32"],
    BeforeValidator(lambda name: name.lower() if isinstance(name, str) else name),
]


class Files(Frozen):
    """Where a source's files are, below the landing folder, and how they are written.

    `path` with `{date}` is one delivery per day, without it a historical dump. `zone` is of times that carry
    no offset. The options from `header` on are for csv only.
    """

    path: Text
    format: Literal["csv", "jsonl", "parquet"]
    manifest: Literal["given", "computed"]
    zone: Zone
    header: bool = True
    delimiter: str = ","
    quote: str = '"'
    encoding: Encoding = "utf-8"
    null: str = ""

    @field_validator("path")
    @classmethod
    def _stays_below_landing(cls, path: str) -> str:
        if path.startswith(("/", "\\", "~")) or "://" in path or ".." in re.split(r"[/\\]", path):
            raise ValueError(f"{path!r} should be relative to the landing folder and stay below it")
        if path.count("{date}") > 1:
            raise ValueError(f"{path!r} has {{date}} more than once")
        if unknown := re.findall(r"\{[^{},]*\}", path.replace("{date}", "")):
            raise ValueError(f"{path!r} has {unknown[0]}; the one thing filled in is {{date}}")
        return path

    @field_validator("delimiter")
    @classmethod
    def _one_character_or_whitespace(cls, delimiter: str) -> str:
        if len(delimiter) != 1 and delimiter != "whitespace":
            raise ValueError(f"{delimiter!r} should be one character, or whitespace for runs of blanks and tabs")
        return delimiter

    @field_validator("quote")
    @classmethod
    def _one_character_or_none(cls, quote: str) -> str:
        if len(quote) > 1:
            raise ValueError(f"{quote!r} should be one character, or empty where nothing is quoted")
        return quote


class Limits(Frozen):
    """How much of a delivery may be refused, as a share of its source rows, and what is said of zero amounts."""

    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.01
    zero_amounts: Literal["quarantine", "accept"] = "quarantine"


class Source(Frozen):
    """One file of `conf/sources`. `location` is that file, for messages.

    `late_days` is how many nights back a posting already known is looked for. With `group_by`, the rows of one
    delivery that agree in these columns make one record. `paths` are of JSON lines: where a column stands in the
    line, through nested objects; a column named there may be absent.
    """

    name: Annotated[str, spelt(r"[a-z][a-z0-9_]*", "lower_snake: letters, digits and _, a letter first")]
    feed: str
    owner: Text
    about: Text
    required: bool = True
    late_days: Annotated[int, Field(ge=0)]
    cadence: Literal["daily", "continuous"] = "daily"
    group_by: tuple[str, ...] = ()
    files: Files
    columns: dict[str, Annotated[ColumnType, BeforeValidator(_column_type)]]
    paths: dict[str, Text] = {}
    personal: dict[str, Literal["phone", "email", "contact", "account", "text"]] = {}
    map: dict[str, Text]
    limits: Limits = Limits()
    location: str = Field(default="", exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _late_days_of_feed(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "late_days" in data:
            return data
        return {**data, "late_days": 7 if data.get("feed") == "transactions" else 3}

    @property
    def is_dump(self) -> bool:
        """One delivery with the rows of many dates, and not one delivery per day."""
        return "{date}" not in self.files.path

    @property
    def feed_spec(self) -> Feed:
        return FEEDS[self.feed]

    @property
    def has_key(self) -> bool:
        """The source names its records itself; otherwise the lake makes the feed's identifier."""
        return not self.feed_spec.identifier or self.feed_spec.identifier in self.map

    @property
    def delivered_names(self) -> tuple[str, ...]:
        """The columns as a file names them: of a column that stands deeper, the name at the top of the line."""
        return tuple(dict.fromkeys(self.path(name)[0] for name in self.columns))

    @property
    def asked_names(self) -> tuple[str, ...]:
        """Of these, the ones without which a file is refused."""
        return tuple(name for name in self.columns if name not in self.paths)

    def path(self, column: str) -> tuple[str, ...]:
        """Where a column stands in what is delivered, from the top."""
        return tuple(self.paths.get(column, column).split("."))

    @property
    def own_contacts(self) -> dict[str, str]:
        """The columns that hold a customer's own phone number or e-mail address, with which of the two."""
        mapped = {self.map.get(name, "").strip("` ") for name in ("phone", "email")} if self.feed == "customers" else ()
        return {name: kind for name, kind in self.personal.items() if name in mapped and kind in ("phone", "email")}

    def raw_types(self) -> dict[str, str]:
        """The Spark type of each column in raw.<source>.

        Text formats, and columns with a pattern, keep the text as delivered, so that nothing is lost by a wrong
        type. Parquet keeps its types; nanosecond timestamps are read as BIGINT, because Spark refuses them.
        """
        return {name: self._raw_type(column) for name, column in self.columns.items()}

    def _raw_type(self, column: ColumnType) -> str:
        if self.files.format != "parquet" or column.pattern:
            return "string"
        return "bigint" if column.kind == "timestamp_ns" else column.spark_type

    def raw_table(self) -> Table:
        """The declaration of raw.<source>."""
        return raw_table(self.name, self.owner, self.raw_types())

"""What a figure, an expectation and a suite are. Spark gathers the figures of a day, check.py judges them.

Every figure is a count, a sum or a share, and 0 where there are no rows; no value of a row is ever one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

Severity = Literal["fail", "warn"]
Number = int | Decimal


@dataclass(frozen=True)
class Figure:
    """One number about the rows of a table on a day.

    `sql` is a Spark SQL aggregate over the table's columns; None where one aggregate cannot tell, and the
    caller fills it in. Its time zone is the session's, which is UTC.
    """

    name: str
    sql: str | None


ROWS = Figure("rows", "count(*)")
# Rows less distinct keys of a day: needs a shuffle of its own.
DUPLICATE_KEYS = Figure("duplicate_keys", None)
# The length of derived.schema_differences(...).
SCHEMA_DIFFERENCES = Figure("schema_differences", None)


@dataclass(frozen=True)
class Expectation:
    """`minimum` <= figure <= `maximum`, and the same as the figure named by `equals`; None asks nothing.

    `fail` publishes nothing, `warn` publishes and says so. `about` is the sentence a person reads.
    """

    name: str
    figure: str
    about: str
    minimum: Number | None = None
    maximum: Number | None = None
    equals: str | None = None
    severity: Severity = "fail"

    def __post_init__(self) -> None:
        if (self.minimum, self.maximum, self.equals) == (None, None, None):
            raise ValueError(f"expectation {self.name} expects nothing: it could not fail")
        if self.equals is not None and (self.minimum, self.maximum) != (None, None):
            raise ValueError(f"expectation {self.name} has bounds and an equal: make two of it")

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures it looks at."""
        return (self.figure,) if self.equals is None else (self.figure, self.equals)


@dataclass(frozen=True)
class Suite:
    """What is expected of one table on one day, and the figures that takes.

    `key`: columns whose values together occur once a day, where `duplicate_keys` is among the figures.
    """

    name: str
    table: str
    figures: tuple[Figure, ...]
    expectations: tuple[Expectation, ...]
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [expectation.name for expectation in self.expectations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"suite {self.name} of {self.table} declares {', '.join(twice)} more than once")
        known = {figure.name for figure in self.figures}
        unknown = sorted({name for expectation in self.expectations for name in expectation.figures} - known)
        if unknown:
            raise ValueError(f"suite {self.name} of {self.table} has no figure {', '.join(unknown)}")

    def expecting(self, *more: Expectation | None) -> Suite:
        """The same suite with `more` expectations of this one day; None is skipped."""
        found = tuple(expectation for expectation in more if expectation is not None)
        return replace(self, expectations=self.expectations + found)


@dataclass(frozen=True)
class NoRow:
    """No row meets `condition` (Spark SQL): a figure and its expectation in one, both called `name`."""

    name: str
    condition: str
    about: str
    severity: Severity = "fail"

    @property
    def figure(self) -> Figure:
        return Figure(self.name, f"count_if({self.condition})")

    @property
    def expectation(self) -> Expectation:
        return Expectation(self.name, self.name, self.about, maximum=0, severity=self.severity)


def suite_of(name: str, table: str, rules: Iterable[NoRow], figures: Sequence[Figure] = ()) -> Suite:
    """The suite that refuses every one of `rules`, with `figures` gathered beside them."""
    rules = tuple(rules)
    return Suite(
        name=name,
        table=table,
        figures=(*figures, *(rule.figure for rule in rules)),
        expectations=tuple(rule.expectation for rule in rules),
    )


def gather_sql(suites: Sequence[Suite]) -> list[str]:
    """The aggregates to select, as "expression as `name`", each figure once, `rows` always among them.

    The suites are of one table. Raises ValueError where one name means two things.
    """
    return [f"{sql} as `{name}`" for name, sql in _gathered(suites).items()]


def nothing_gathered(suites: Sequence[Suite]) -> dict[str, int]:
    """The figures of a day without rows, for which a grouped aggregate returns no line at all."""
    return dict.fromkeys(_gathered(suites), 0)


def literal(text: str) -> str:
    """`text` as a Spark SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _gathered(suites: Sequence[Suite]) -> dict[str, str]:
    if len({suite.table for suite in suites}) > 1:
        raise ValueError("the figures of one aggregate are of one table")
    gathered: dict[str, str] = {}
    for figure in (ROWS, *(figure for suite in suites for figure in suite.figures)):
        if figure.sql is not None and gathered.setdefault(figure.name, figure.sql) != figure.sql:
            raise ValueError(f"figure {figure.name} means two things")
    return gathered

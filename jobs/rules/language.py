"""The words of the rule language: what a value is, what a rule may read, and what a checked rule is."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

IN_SEGMENT = "in_segment"
FUNCTIONS = ("coalesce", "abs", "least", "greatest", "array_contains", IN_SEGMENT)


class Type(Enum):
    """What a value is, as it is called in messages."""

    NUMBER = "a number"
    MONEY = "money"
    TEXT = "a text"
    YES_NO = "yes or no"
    DATE = "a date"
    TEXTS = "a list of texts"
    NOTHING = "null"


@dataclass(frozen=True, kw_only=True)
class RuleColumn:
    """A column that rules may read.

    `sql` makes it of a row of the profile (of nothing where it is there by its own name). `is_lifetime`: it never
    falls, so who once met a rule over such columns meets it for ever. One that may not be null is 0 where there is
    nothing to count. `accepted`: the only values of a text, where they are known.
    """

    name: str
    type: Type
    about: str
    unit: str = ""
    is_nullable: bool = True
    is_lifetime: bool = False
    is_fraction: bool = False
    accepted: tuple[str, ...] = ()
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What a rule may read: `columns`; with `segments` also in_segment('name'). `currency` names money: inr(5000).

    `decided`: what this layer or a later one decides, so no rule of it can read it.
    """

    columns: Mapping[str, RuleColumn]
    currency: str
    decided: Collection[str] = ()
    segments: Collection[str] | None = None

    @property
    def money(self) -> str:
        return self.currency.lower()


@dataclass(frozen=True)
class Predicate:
    """A checked predicate: what it reads, and the SQL that two engines answer alike; never null.

    `text` is the rule as it was understood, whatever its blanks and capitals. `parts` are its conditions that must
    all be met, each a predicate of its own: what `clm explain` tells one by one.
    """

    text: str
    spark: str
    duckdb: str
    columns: tuple[str, ...]
    segments: tuple[str, ...] = ()
    parts: tuple[Predicate, ...] = ()


@dataclass(frozen=True)
class Amount:
    """A checked number or amount of money, null where it cannot be told: what it reads, and how two engines say it."""

    text: str
    spark: str
    duckdb: str
    columns: tuple[str, ...]


class RuleFault(ValueError):
    """What is wrong with a rule, in one sentence."""


def version_of(*texts: str) -> str:
    """12 hex digits over the texts of a rule as they were understood."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]

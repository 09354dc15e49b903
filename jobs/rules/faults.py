"""What can be wrong with any rule of conf, found before anything runs and said with its file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeVar

from conf import Written
from conf.errors import hint
from jobs.rules.language import Layer, RuleFault, Type

Found = TypeVar("Found")

# What an example may say of a column of each type.
TYPES: Mapping[Type, type] = {
    Type.NUMBER: int,
    Type.MONEY: int,
    Type.TEXT: str,
    Type.YES_NO: bool,
    Type.DATE: date,
    Type.TEXTS: tuple,
}


def named_twice(what: str, rules: Sequence[Written]) -> list[str]:
    """A name that stands twice, at each place after the first."""
    first: dict[str, str] = {}
    faults: list[str] = []
    for rule in rules:
        if rule.name in first:
            faults.append(
                f"{rule.location}: {what} {rule.name}: the name is taken in {first[rule.name]}; names are unique."
            )
        first.setdefault(rule.name, rule.location)
    return faults


def checked(
    check: Callable[[str, Layer], Found], rule: Written, key: str, text: str, layer: Layer, faults: list[str]
) -> Found | None:
    """What `check` makes of the text that stands at `key`; or None, with what is wrong added to `faults`."""
    try:
        return check(text, layer)
    except RuleFault as fault:
        faults.append(f"{rule.location}: {rule.name}: {key} {fault}.")
        return None


def without_examples(rules: Iterable[Written]) -> list[str]:
    """Where an example is missing: of somebody in, or of somebody out."""
    return [
        f"{rule.location}: {rule.name}: {key} is empty; give an example, which is run as a test."
        for rule in rules
        for key in ("matches", "excludes")
        if not getattr(rule, key)
    ]


def in_examples(rules: Iterable[Written], layer: Layer) -> list[str]:
    """What is wrong with the examples themselves; whether rules answer them rightly is jobs.rules.examples'."""
    return [f"{rule.location}: {rule.name}: {fault}." for rule in rules for fault in _of_examples(rule, layer)]


def _of_examples(rule: Written, layer: Layer) -> Iterator[str]:
    for key in ("matches", "excludes"):
        for number, example in enumerate(getattr(rule, key), start=1):
            for name, value in example.items():
                column = layer.columns.get(name)
                if column is None:
                    yield f"{key} {number}: there is no column {name}{hint(name, layer.columns)}"
                elif type(value) not in (float, int) if column.is_fraction else type(value) is not TYPES[column.type]:
                    yield f"{key} {number}: {name} is {column.type.value}, not {value!r}"
                elif column.accepted and value not in column.accepted:
                    yield f"{key} {number}: {name} is never {value!r}{hint(str(value), column.accepted)}"
                elif isinstance(value, int) and abs(value) >= 2**63:
                    yield f"{key} {number}: {name} is a number of at most 18 digits"

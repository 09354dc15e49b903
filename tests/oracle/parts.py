"""The parts of the oracle's night, in order, and the tables that each writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import import_module
from types import ModuleType

from tests.oracle.night import Night

PARTS = (
    "land",
    "conform",
    "states",
    "identity",
    "devices",
    "daily",
    "profile",
    "retention",
    "dues",
    "upgrade",
    "scores",
    "segments",
    "selection",
    "outcomes",
)


def modules(names: Collection[str] = PARTS) -> Iterator[ModuleType]:
    """The modules of these parts in the order of the night; each has writes(settings) and run(night)."""
    return (import_module(f"tests.oracle.{name}") for name in PARTS if name in names)


def run(night: Night, names: Collection[str] = PARTS) -> list[str]:
    """One night, or some parts of it; the tables that these parts tell, whether or not they have rows tonight."""
    told: list[str] = []
    for module in modules(names):
        module.run(night)
        told += module.writes(night.settings)
    if unsaid := {name for name, day in night.tables.written if day == night.day} - set(told):
        raise AssertionError(f"{', '.join(sorted(unsaid))}: written, and no part says so")
    return told

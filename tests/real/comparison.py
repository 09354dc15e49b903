"""Figures by name, and where two ways of finding them disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table


def differences(found: Mapping[str, object], expected: Mapping[str, object]) -> list[str]:
    """One sentence for each figure that is not as expected; one that either side lacks is a difference."""
    names = dict.fromkeys([*expected, *found])
    return [
        f"{name}: {found.get(name, 'nothing')}, expected {expected.get(name, 'nothing')}"
        for name in names
        if name not in found or name not in expected or found[name] != expected[name]
    ]


def print_side_by_side(title: str, columns: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> None:
    """The figures `names` on stdout, one column for each way of finding them; what a way does not say stays blank."""
    table = Table("", title=title, title_justify="left", box=None, header_style="bold")
    for heading in columns:
        table.add_column(heading, justify="right")
    for name in names:
        table.add_row(name, *(f"{figures[name]:,}" if name in figures else "" for figures in columns.values()))
    Console(highlight=False).print(table)

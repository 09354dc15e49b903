"""`docs/tables.md`, written from the catalogue.

python -m schemas.docs            writes it
python -m schemas.docs --check    exits 1 where the file is out of step
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from schemas import CATALOGUE
from schemas.feeds import FEEDS, Feed
from schemas.raw import PROVENANCE, raw_table
from schemas.table import Column, Table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tables.md"
COMMAND = "python -m schemas.docs"

INTRODUCTION = f"""\
# Tables of the lake

Written from `schemas/` by `{COMMAND}`; do not edit by hand.

Every table is partitioned by `as_of_date`, the business date whose night learned the row, and the night of a date
writes only its partition. A **log** holds what each night learned: all partitions up to a date are what was known
then. A **snapshot** holds everyone in each partition: read one.

- *null?*: yes where a value may be missing.
- *unit*: money is in minor units (paise, pence) of the lake's one currency; times are UTC.
- *privacy*: none, a pseudonym of a customer, personal, or about a third party.
- *erasure*: on a request to be forgotten the row is deleted, the value blanked, or kept on the legal basis named.
- Columns marked *provenance* say where a row came from and stay outside digests and comparisons."""

RAW = """\
## Raw tables

`raw.<source>` is made for each file of `conf/sources`: `as_of_date`, then the source's own columns in the order of its
`[columns]`, then the columns below. CSV and JSON lines keep every column as the text that was delivered, so that a
corrected type or mapping is replayed from raw; Parquet keeps its types, nanosecond timestamps as BIGINT. The source's
own columns count as personal, because what is in them is not the lake's to know. They may not bear a name below."""


def render() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        _contents(),
        "## Feeds\n\nA source is mapped to one of these; several may deliver the same.",
        *map(_feed, FEEDS.values()),
        _raw(),
        *map(_table, CATALOGUE.values()),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    return keep_in_step(arguments, PAGE, render, COMMAND)


def keep_in_step(arguments: Sequence[str], page: Path, render: Callable[[], str], command: str) -> int:
    """Write a generated page, or with --check say whether it is in step; returns the exit code of `command`."""
    if list(arguments) not in ([], ["--check"]):
        print(f"usage: {command} [--check]", file=sys.stderr)
        return 2
    text = render()
    if not arguments:
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    elif not page.is_file() or page.read_text(encoding="utf-8") != text:
        print(f"docs/{page.name} is not what the code says: run `{command}`, and commit it.", file=sys.stderr)
        return 1
    return 0


def _contents() -> str:
    feeds = [f"  - {_link(feed.name)}: {feed.row}" for feed in FEEDS.values()]
    tables = [f"- {_link(table.name)}: {table.row}" for table in CATALOGUE.values()]
    lines = [f"- {_link('Feeds')}: what a source is mapped to", *feeds]
    return "\n".join([*lines, f"- {_link('Raw tables')}: one row as delivered by a source", *tables])


def _feed(feed: Feed) -> str:
    facts = {
        "One row": feed.row,
        "Kind": {
            "events": "events, posted once under their key and never changed",
            "states": "states, versions of a thing of which the newest counts",
        }[feed.kind],
        "Key": _names(feed.key),
        "Must be there": _names(feed.required),
        "Made by the lake where not mapped": _names([feed.identifier] if feed.identifier else []),
        "May not change once posted": _names(feed.fixed),
        "Stands in for an `updated_at` that is not mapped": _names(feed.updated_from),
        "Columns": _names(feed.column_names) + f"; described at {_link(f'core.{feed.name}')}",
    }
    return f"### {feed.name}\n\n{_list(facts)}"


def _raw() -> str:
    table = raw_table("<source>", "the source's owner", {})
    return f"{RAW}\n\n{_list(_facts(table))}\n\n{_columns(PROVENANCE)}"


def _table(table: Table) -> str:
    return f"## {table.name}\n\n{_list(_facts(table))}\n\n{_columns(table.columns)}"


def _facts(table: Table) -> dict[str, str]:
    return {
        "One row": table.row.replace("<source>", "`<source>`"),
        "Key": _names(table.key),
        "Kind": table.kind + (", may be empty" if table.may_be_empty else ""),
        "Owner": table.owner,
        "Kept": table.keep or "without limit",
        "Version": str(table.version),
    }


def _columns(columns: Iterable[Column]) -> str:
    head = ("column", "type", "null?", "unit", "about", "privacy", "erasure")
    rows = [
        (
            f"`{column.name}`",
            column.type,
            "yes" if column.nullable else "no",
            column.unit,
            _about(column),
            column.privacy,
            f"{column.erasure}: {column.basis}" if column.basis else column.erasure,
        )
        for column in columns
    ]
    return "\n".join(_row(cells) for cells in (head, ("---",) * len(head), *rows))


def _about(column: Column) -> str:
    said = [column.about]
    if column.accepted:
        said.append(f"One of {_names(column.accepted)}.")
    if column.minimum is not None:
        said.append(f"At least {column.minimum}.")
    if column.maximum is not None:
        said.append(f"At most {column.maximum:,}.")
    if column.provenance:
        said.append("*Provenance.*")
    return " ".join(said)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _list(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items() if fact)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _link(heading: str) -> str:
    # An anchor is its heading in lower case, with - for blanks and without dots.
    return f"[{heading}](#{heading.lower().replace(' ', '-').replace('.', '')})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Options and helpers that commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from conf import Settings
from conf.errors import hint
from jobs import staleness
from jobs.errors import Failed, Usage
from jobs.ledger import Ledger
from schemas import CATALOGUE


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date; write it as 2026-01-31.") from None


def day_option(*names: str, about: str) -> Any:
    return typer.Option(*names, parser=_day, metavar="YYYY-MM-DD", help=about, show_default=False)


AsOf = Annotated[date, day_option("--date", about="The as-of date: the night that is meant.")]
MaybeAsOf = Annotated[date | None, day_option("--date", about="The as-of date; default: the last published night.")]
NextNight = Annotated[date | None, day_option("--date", about="The night it is for; default: the next one.")]
First = Annotated[date, day_option("--from", about="The first date.")]
Last = Annotated[date, day_option("--to", about="The last date, included.")]
Json = Annotated[bool, typer.Option("--json", help="JSON Lines on stdout.")]
Env = Annotated[
    str | None, typer.Option("--env", help="The environment of conf; wins over CLM_ENV.", show_default=False)
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing of the progress.")]
# main() looks for it in the arguments: it matters only for how a command ends.
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, which may hold values of rows.")]


def refuse_backwards(first: date, last: date) -> None:
    if last < first:
        raise Usage(f"--to {last} is before --from {first}: swap them.")


def refuse_unknown_tables(settings: Settings, names: Iterable[str]) -> None:
    known = {*staleness.tables_of(settings), *CATALOGUE}
    for name in names:
        if name not in known:
            raise Usage(f"There is no table {name!r}{hint(name, known)}.")


def find_ledger(settings: Settings) -> Ledger | None:
    """The lake's ledger; None where there is none yet, since a question must not begin a lake."""
    path = settings.ledger_url.removeprefix("sqlite:///")
    if path != settings.ledger_url and not Path(path).exists():
        return None
    return Ledger.open(settings.ledger_url)


def ledger_of(settings: Settings) -> Ledger:
    """The lake's ledger; Failed where there is no lake yet."""
    if ledger := find_ledger(settings):
        return ledger
    raise Failed(
        f"There is no lake at {settings.lake.root} yet. Begin it with `clm run --date …` or `clm backfill`, "
        "or let CLM_LAKE name another."
    )


def print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row, default=str, ensure_ascii=False))


def print_table(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    """A table for people; what is null is left blank."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    console().print(table, markup=False)


def console() -> Console:
    """stdout; where it is no terminal nothing is cut to its width."""
    return Console(width=None if sys.stdout.isatty() else 240, highlight=False, soft_wrap=False)

"""`clm plan`, `clm status` and `clm digest`: what the ledger knows, without Spark."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import conf
from jobs import planning, staleness
from jobs import status as state_of_night
from jobs.cli.options import (
    Debug,
    Env,
    First,
    Json,
    Last,
    MaybeAsOf,
    Quiet,
    find_ledger,
    ledger_of,
    print_json,
    print_table,
    refuse_backwards,
    refuse_unknown_tables,
)
from jobs.errors import Failed

OneTable = Annotated[
    list[str] | None, typer.Option("--table", help="Only this table; may be said again.", show_default=False)
]
Names = Annotated[
    list[str] | None, typer.Argument(help="Tables; default: all that a night writes.", show_default=False)
]


def plan(
    first: First,
    last: Last,
    table: OneTable = None,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """What would run for these nights, in order, and why."""
    refuse_backwards(first, last)
    settings = conf.load(env)
    refuse_unknown_tables(settings, table or ())
    steps = planning.plan(settings, find_ledger(settings), first, last, tables=table)
    rows = [{"table": s.table, "from": s.first, "to": s.last, "mode": s.mode, "why": s.why} for s in steps]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows, ("table", "from", "to", "mode", "why"))
    if not rows:
        print(f"Nothing to do: {first} to {last} is published and nothing of it is stale.", file=sys.stderr)


def status(
    date: MaybeAsOf = None, as_json: Json = False, env: Env = None, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Where each table and list of a night stands, and why. Exits 1 when anything is behind."""
    settings = conf.load(env)
    ledger = ledger_of(settings) if date is None else find_ledger(settings)
    day = date or (state_of_night.last_night(settings, ledger) if ledger else None)
    if day is None:
        raise Failed("Nothing is published yet: run `clm run --date …`, or ask for a night with --date.")
    found = [*state_of_night.statuses(settings, ledger, day), *state_of_night.lists(settings, ledger, day)]
    rows = [
        {
            "table": each.table,
            "date": each.day,
            "state": each.state,
            "generation": each.generation,
            "digest": each.digest,
            "why": each.why,
        }
        for each in found
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("table", "date", "state", "generation", "why"))
    behind = [each for each in found if each.is_behind]
    if behind:
        first = min(each.day for each in behind)
        raise Failed(
            f"{len(behind)} of {len(found)} tables and lists are behind. "
            f"`clm plan --from {first} --to {max(day, first)}` shows what would run."
        )


def digest(
    first: First,
    last: Last,
    names: Names = None,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rows and digest of each published table and day: equal digests mean equal contents."""
    refuse_backwards(first, last)
    settings = conf.load(env)
    refuse_unknown_tables(settings, names or ())
    ledger = ledger_of(settings)
    rows = [
        {"table": table, "date": day, "rows": each.rows, "digest": each.digest, "generation": each.generation}
        for table in names or staleness.tables_of(settings)
        for day, each in ledger.published(table, first, last).items()
    ]
    if not rows:
        raise Failed(
            f"Nothing of this is published from {first} to {last}. `clm plan --from {first} --to {last}` shows why."
        )
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("table", "date", "rows", "digest", "generation"))

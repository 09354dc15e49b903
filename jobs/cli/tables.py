"""`clm table`: a look at a table as it was known on a night, with personal values masked."""

from __future__ import annotations

from typing import Annotated

import typer

import conf
from conf.errors import hint
from jobs import pipeline, staleness
from jobs.cli.options import Debug, Env, MaybeAsOf, Quiet, ledger_of
from jobs.errors import Failed, Usage
from jobs.progress import progress_for
from schemas import CATALOGUE
from schemas.judgement import CUSTOMER_SEGMENTS

SHOWN = 20

Name = Annotated[str, typer.Argument(help="A table, such as core.transactions.", show_default=False)]
Night = Annotated[bool, typer.Option("--night", help="Only what that night learned, not all that was known by then.")]
Where = Annotated[
    str | None,
    typer.Option("--where", help="A condition over its columns: \"product = 'recharge'\".", show_default=False),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=0, help=f"Rows; default {SHOWN}, with --csv or --json all.", show_default=False),
]
Csv = Annotated[bool, typer.Option("--csv", help="CSV on stdout (RFC 4180, UTF-8, UTC).")]
Json = Annotated[bool, typer.Option("--json", help="JSON Lines on stdout.")]


def table(
    name: Name,
    date: MaybeAsOf = None,
    night: Night = False,
    where: Where = None,
    limit: Limit = None,
    as_csv: Csv = False,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show a snapshot on a date, or a log as it was known on it, sorted by key. Personal values are masked."""
    if as_csv and as_json:
        raise Usage("--csv and --json are two ways of writing the same rows: choose one.")
    from jobs.views import VIEWS

    settings = conf.load(env)
    view = VIEWS.get(name)
    try:
        declared = view.table if view else pipeline.table_of(settings, name)
    except KeyError:
        known = {*staleness.tables_of(settings), *CATALOGUE, *VIEWS}
        raise Usage(f"There is no table {name!r}{hint(name, known)}.") from None
    if view and night:
        raise Usage(f"{name} is made of all that was known by a night: leave --night out.")
    ledger = ledger_of(settings)
    source = view.source if view else name
    last = ledger.last_published(source)
    day = date or (last.day if last else None)
    if last is None or day is None:
        raise Failed(f"Nothing of {source} is published yet: run `clm run --date …` first.")
    # How customers were judged is told for any night, from the nearest snapshot and the moves since.
    judged = ledger.days(name) if name == CUSTOMER_SEGMENTS.name else None
    is_told = judged is not None and judged[0] <= day <= judged[1]
    if not is_told and not ledger.published(source, day, day):
        if ledger.published(source, day, day, with_dropped=True):
            raise Failed(
                f"{source} {day} is no longer kept: snapshots are for 7 days, and of month ends. "
                f"The nearest is of {ledger.nearest_kept(source, day)}."
            )
        raise Failed(f"{source} {day} is not published, the last is {last.day}: `clm status --date {day}` says why.")

    from jobs.cli import showing
    from jobs.expressions import check_condition
    from jobs.lake import Lake
    from jobs.membership import known_on
    from jobs.session import open_session
    from jobs.workload import has_few_rows

    with progress_for(quiet=quiet).step("start Spark"):
        spark = open_session(settings, few_rows=has_few_rows(settings, ledger))
    if where:
        check_condition(spark, where, showing.open_columns(declared), showing.masked_columns(declared))
    lake = Lake(spark, settings, ledger)
    is_one_day = night or (declared.kind == "snapshot" and not view)
    read = lake.read_day(name, day) if is_one_day else lake.read(name, known_on=day)
    rows = known_on(lake, day) if is_told else read
    if limit is None and not (as_csv or as_json):
        limit = SHOWN
    rows = showing.transform(rows, declared, where=where, limit=limit)
    if as_csv:
        showing.write_csv(rows)
    elif as_json:
        showing.write_json(rows)
    else:
        said = "on" if declared.kind == "snapshot" else "the night of" if night else "as known on"
        showing.print_rows(rows, title=f"{name}, {said} {day}", limit=SHOWN if limit is None else limit)

"""`clm rules check` and `clm rules columns`: for those who write segments, levels and triggers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

import conf
from jobs.cli.options import Debug, Env, Json, Quiet, print_json, print_table
from jobs.engines.base import engines, score_columns
from jobs.errors import DataRefused
from jobs.progress import progress_for
from jobs.rules.book import RuleBook, compile_book

app = typer.Typer(help="Check the rules of a configuration, and list what they may read.", no_args_is_help=True)
NoExamples = Annotated[bool, typer.Option("--no-examples", help="Leave the examples out, for which Spark is started.")]


@app.command("check")
def check(
    no_examples: NoExamples = False, as_json: Json = False, env: Env = None, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Look at every rule, and run its examples. Exits 3 with all that is wrong, 0 with what was looked at."""
    settings = conf.load(env)
    book = compile_book(settings, score_columns(engines(settings)))
    examples = "not run"
    if not no_examples:
        from jobs.rules.examples import failures
        from jobs.session import open_session

        with progress_for(quiet=quiet).step("start Spark for the examples"):
            spark = open_session(settings, few_rows=True)
        if wrong := failures(spark, settings, book):
            raise DataRefused("\n".join(wrong))
        examples = "right"
    if as_json:
        print_json(
            {"kind": kind, "name": name, "rule_version": version, "text": book.texts[kind, name]}
            for (kind, name), version in book.versions.items()
        )
        return
    replaced = [rule.name for rule in (*settings.segments, *settings.triggers) if rule.replaces]
    if replaced:
        print(f"Of your own in place of what is shipped: {', '.join(replaced)}.")
    print(
        f"{len(book.segments)} segments, {len(book.triggers)} triggers, {len(book.lifecycle)} stages, "
        f"{len(book.levels)} levels and {len(settings.risk.risk)} risks are well; their examples are {examples}."
    )


@app.command("columns")
def columns(as_json: Json = False, env: Env = None, debug: Debug = False) -> None:
    """What rules may read of a customer, and triggers of a due: names, types, units, and what each says."""
    settings = conf.load(env)
    rows = list(_rows(compile_book(settings, score_columns(engines(settings)))))
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("column", "type", "unit", "about"))


def _rows(book: RuleBook) -> Iterator[dict[str, Any]]:
    for column in book.columns_of_triggers.values():
        yield {
            "column": column.name,
            "type": column.type.value,
            "unit": column.unit,
            "may_be_null": column.is_nullable,
            "accepted": list(column.accepted),
            "about": column.about,
        }

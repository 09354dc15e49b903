"""`clm run`, `clm backfill` and `clm repair`: what steps the lake."""

from __future__ import annotations

from datetime import date as Date
from typing import Annotated, Literal

import typer

import conf
from conf.errors import hint
from jobs.cli.options import (
    AsOf,
    Debug,
    Env,
    First,
    Last,
    NextNight,
    Quiet,
    day_option,
    ledger_of,
    refuse_backwards,
)
from jobs.errors import Usage
from jobs.pipeline import STAGES
from jobs.progress import progress_for
from jobs.repair import note as note_repair

SHORTEST_REASON = 5
Reason = Annotated[str, typer.Option("--reason", help="Why; someone will ask next year.", show_default=False)]
Stage = Annotated[str | None, typer.Option("--stage", help=f"One of its stages: {', '.join(STAGES)}.")]
Until = Annotated[str | None, typer.Option("--until", help=f"Stop after this stage: {', '.join(STAGES)}.")]
StepFrom = Annotated[
    Date | None,
    day_option("--step-from", about="From where on levels are stepped night by night; default: the last 7."),
]
Contacts = Annotated[
    Literal["live", "replay"] | None,
    typer.Option(
        "--contacts",
        help="replay: of what these nights select only what is delivered is a contact; live: all of it. "
        "Default: what each night was, replay for new ones.",
    ),
]


def run(date: AsOf, stage: Stage = None, env: Env = None, quiet: Quiet = False, debug: Debug = False) -> None:
    """Run one night, or one of its stages. The same night twice is the same night."""
    _refuse_unknown_stage(stage)
    settings = conf.load(env)
    progress = progress_for(quiet=quiet)

    from jobs.runner import run_night

    run_night(settings, date, stage=stage, progress=progress)
    progress.note(f"{date}: done. `clm status --date {date}` shows what is published.")


def backfill(
    first: First,
    last: Last,
    reason: Reason,
    until: Until = None,
    step_from: StepFrom = None,
    contacts: Contacts = None,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a range of nights as one; on an empty lake this is its first load. `clm plan` shows what would run."""
    refuse_backwards(first, last)
    if len(reason.strip()) < SHORTEST_REASON:
        raise Usage("--reason is empty or too short to be understood next year: say in a sentence why.")
    _refuse_unknown_stage(until)
    settings = conf.load(env)
    progress = progress_for(quiet=quiet)

    from jobs.runner import backfill as carry_out

    carry_out(
        settings,
        first,
        last,
        reason=reason.strip(),
        until=until,
        step_from=step_from,
        contacts=contacts,
        progress=progress,
    )
    progress.note(f"{first} to {last}: done. `clm status --date {last}` shows what is published.")


def land(
    source: Annotated[str, typer.Option("--source", help="A source with cadence = continuous.", show_default=False)],
    date: NextNight = None,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Land what has come of a continuous source between nights. The night lands it again with what comes until then."""
    settings = conf.load(env)
    progress = progress_for(quiet=quiet)

    from jobs.between_nights import land as carry_out

    night, deliveries = carry_out(settings, source, date, progress=progress)
    progress.note(f"{source}: {deliveries} deliveries landed for the night of {night}.")


def fit(
    engine: Annotated[str, typer.Argument(help="An engine that runs, such as customer_score.", show_default=False)],
    through: Annotated[Date, day_option("--through", about="The last date of the data to learn from.")],
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Let an engine learn anew. What it learns is used on the nights after that date."""
    settings = conf.load(env)
    progress = progress_for(quiet=quiet)

    from jobs.engines.base import engines
    from jobs.night_score import fit as carry_out
    from jobs.runner import opened

    found = {each.name: each for each in engines(settings)}
    if engine not in found:
        raise Usage(f"There is no engine {engine!r} that runs{hint(engine, found)}.")
    with opened(settings, "fit", through, through, None, progress) as night:
        learnt = carry_out(night, found[engine])
    progress.note(f"{engine}: {learnt} parameters learnt through {through}, for the nights after it.")


def repair(env: Env = None, quiet: Quiet = False, debug: Debug = False) -> None:
    """Have the next night take the rows that wait, as Sundays do. Only notes it; that night does the work."""
    settings = conf.load(env)
    noted = note_repair(ledger_of(settings))
    said = f"{noted[1]} rows wait; the night of {noted[0]} will take them." if noted else "No row waits."
    progress_for(quiet=quiet).note(said)


def _refuse_unknown_stage(stage: str | None) -> None:
    if stage is not None and stage not in STAGES:
        raise Usage(f"There is no stage {stage!r}{hint(stage, STAGES)}.")

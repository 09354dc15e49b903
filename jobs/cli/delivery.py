"""`clm deliver`, `clm export`, `clm stop` and `clm resume`: what leaves the lake, and the emergency brake."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

import conf
from jobs.cli.options import AsOf, Debug, Env, Json, Quiet, ledger_of, print_json, print_table
from jobs.errors import Usage
from jobs.progress import progress_for

if TYPE_CHECKING:
    from jobs.night_messages import Delivered

SHORTEST_REASON = 5
COLUMNS = ("trigger", "date", "state", "generation", "send", "cancel", "changed", "reason")
Triggers = Annotated[
    list[str] | None, typer.Option("--trigger", help="Only this trigger; may be said again.", show_default=False)
]
EvenExpired = Annotated[
    bool, typer.Option("--even-expired", help="Also what is too late, and nights that a backfill made.")
]
OneTrigger = Annotated[str | None, typer.Argument(help="The name of a trigger.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every trigger.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the manifests.", show_default=False)]

export_app = typer.Typer(help="Lists that are made between two nights.", no_args_is_help=True)


def deliver(
    date: AsOf,
    triggers: Triggers = None,
    even_expired: EvenExpired = False,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Deliver a night's lists: consents are read once more, and what was told already is not told again."""
    settings = conf.load(env)
    ledger_of(settings)

    from jobs.delivering import deliver as carry_out

    told = carry_out(
        settings, date, triggers=triggers or None, even_expired=even_expired, progress=progress_for(quiet=quiet)
    )
    _show(told, as_json=as_json)


@export_app.command("revocations")
def revocations(as_json: Json = False, env: Env = None, quiet: Quiet = False, debug: Debug = False) -> None:
    """List who has withdrawn since the last night (`clm land` them first), and cancel what is out for them."""
    settings = conf.load(env)
    ledger_of(settings)
    progress = progress_for(quiet=quiet)

    from jobs.delivering import export_revocations as carry_out

    manifest, cancelled = carry_out(settings, progress=progress)
    if manifest is None:
        progress.note("No consents were landed since the last night: say `clm land --source …` first.")
    else:
        progress.note(f"{manifest['rows']} withdrawals in revocations_v1 of {manifest['as_of_date']}.")
    _show(cancelled, as_json=as_json)


def stop(
    reason: Reason,
    trigger: OneTrigger = None,
    every: All = False,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Deliver nothing more of a trigger, or of all, and cancel what is out and has not expired; until `clm resume`."""
    if (trigger is None) != every:
        raise Usage("Say which trigger to stop, or --all for every one.")
    if len(reason.strip()) < SHORTEST_REASON:
        raise Usage("--reason is empty or too short to be understood by whoever reads the list: say in a sentence why.")
    settings = conf.load(env)
    ledger_of(settings)

    from jobs.delivering import stop as carry_out

    progress = progress_for(quiet=quiet)
    cancelled = carry_out(settings, trigger, reason.strip(), progress=progress)
    progress.note(f"{trigger or 'Everything'} is stopped. `clm resume` lets it go on.")
    _show(cancelled, as_json=as_json)


def resume(trigger: OneTrigger = None, env: Env = None, quiet: Quiet = False, debug: Debug = False) -> None:
    """Take back the stop of a trigger, or with no name every stop. What was withheld goes out by `clm deliver`."""
    settings = conf.load(env)
    ledger_of(settings)

    from jobs.delivering import resume as carry_out

    resumed = ", ".join(name or "everything" for name in carry_out(settings, trigger))
    said = f"{resumed} may go out again: `clm deliver --date D` delivers what was withheld." if resumed else ""
    progress_for(quiet=quiet).note(said or "Nothing was stopped.")


def _show(told: Iterable[Delivered], *, as_json: bool) -> None:
    rows = [
        {
            "trigger": each.manifest["trigger"],
            "date": each.manifest["as_of_date"],
            "state": each.manifest["state"],
            "generation": each.manifest["generation"],
            **each.manifest["actions"],
            "changed": each.changes,
            "reason": each.manifest["reason"],
        }
        for each in told
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(rows, COLUMNS)

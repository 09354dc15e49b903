"""`clm simulate` and `clm demo`: a made-up super-app."""

from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

import conf
from jobs.cli.options import Debug, Env, Quiet, day_option, refuse_backwards
from jobs.cli.people import explained
from jobs.errors import Usage
from jobs.progress import Progress, progress_for
from jobs.simulate.plan import SOURCE_OF, WORLDS, Mess, Simulation

Customers = Annotated[int, typer.Option("--customers", min=1, help="How many people, newcomers included.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed tells the same story.")]
Out = Annotated[Path, typer.Option("--out", help="A folder without deliveries; made if need be.", show_default=False)]
Population = Annotated[
    int | None, typer.Option("--customers", min=1, help="How many people, newcomers included.", show_default=False)
]
From = Annotated[date | None, day_option("--from", about="The first date.")]
To = Annotated[date | None, day_option("--to", about="The last date, included.")]
World = Annotated[str, typer.Option("--world", help=f"Why those who send money stay: {', '.join(WORLDS)}.")]
Lists = Annotated[
    Path | None,
    typer.Option(
        "--feedback-for",
        help="A folder of lists: writes what became of them into --out, as further deliveries.",
        show_default=False,
    ),
]
Uplift = Annotated[
    float | None,
    typer.Option(
        "--uplift", min=0, max=1, help="Share of those sent to who act because of it; default: each trigger's own."
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="csv, jsonl or parquet; default: what each source declares.")
]
Feeds = Annotated[str | None, typer.Option("--feeds", help=f"Some of {','.join(SOURCE_OF)}; default: all.")]
Days = Annotated[int, typer.Option("--days", min=4, help="How many days, the last three as single nights.")]


def _share(name: str, about: str) -> Any:
    return typer.Option(f"--{name}", min=0, max=1, help=f"Share {about}.", rich_help_panel="What goes wrong")


def simulate(
    out: Out,
    customers: Population = None,
    first: From = None,
    last: To = None,
    seed: Seed = 1,
    file_format: Format = None,
    feeds: Feeds = None,
    world: World = WORLDS[0],
    feedback_for: Lists = None,
    uplift: Uplift = None,
    late: Annotated[float, _share("late", "delivered 1 to 6 days late")] = Mess.late,
    very_late: Annotated[float, _share("very-late", "delivered 8 to 40 days late")] = Mess.very_late,
    touched: Annotated[float, _share("touched", "delivered again, only touched")] = Mess.touched,
    duplicate: Annotated[float, _share("duplicate", "delivered twice")] = Mess.duplicate,
    broken: Annotated[float, _share("broken", "that cannot be accepted")] = Mess.broken,
    changed: Annotated[float, _share("changed", "delivered again with another amount")] = Mess.changed,
    early: Annotated[float, _share("early", "of five past midnight, delivered the day before")] = Mess.early,
    pending_first: Annotated[float, _share("pending-first", "pending at first")] = Mess.pending_first,
    failed: Annotated[float, _share("failed", "that fails")] = Mess.failed,
    reversed_: Annotated[float, _share("reversed", "reversed later")] = Mess.reversed,
    unknown: Annotated[float, _share("unknown", "of app events that are in no tracking plan")] = Mess.unknown,
    skewed: Annotated[float, _share("skewed", "of devices whose clock is wrong")] = Mess.skewed,
    odd: Annotated[float, _share("odd", "that is odd, and accepted")] = Mess.odd,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the deliveries of a made-up super-app, and beside them the truth about every row.

    With --feedback-for: what became of lists that were delivered, and what the customers on them did afterwards.
    """
    if feedback_for is not None:
        _tell_feedback(feedback_for, out, seed, last, uplift, env, progress_for(quiet=quiet))
        return
    if uplift is not None:
        raise Usage("--uplift is for --feedback-for: name a folder of lists.")
    if customers is None or first is None or last is None:
        raise Usage("--customers, --from and --to are needed; only --feedback-for goes without them.")
    refuse_backwards(first, last)
    simulation = Simulation(
        customers=customers,
        first=first,
        last=last,
        seed=seed,
        out=out,
        format=file_format,  # pyright: ignore[reportArgumentType]  # check() refuses any other word
        feeds=tuple(feed.strip() for feed in feeds.split(",")) if feeds is not None else tuple(SOURCE_OF),
        world=world,
        mess=Mess(
            late=late,
            very_late=very_late,
            touched=touched,
            duplicate=duplicate,
            broken=broken,
            changed=changed,
            early=early,
            pending_first=pending_first,
            failed=failed,
            reversed=reversed_,
            unknown=unknown,
            skewed=skewed,
            odd=odd,
        ),
    )
    simulation.check()
    progress = progress_for(quiet=quiet)

    from jobs.session import open_session
    from jobs.simulate.run import simulate as tell

    with progress.step("start Spark"):
        spark = open_session(conf.load(env))
    with progress.step(f"simulate {customers} customers from {first} to {last}"):
        summary = tell(spark, simulation)
    rows = ", ".join(f"{each.rows} rows of {name}" for name, each in summary.sources.items())
    progress.note(
        f"{summary.deliveries} deliveries in {out}: {rows}. Let CLM_LANDING name that folder to run its nights."
    )


def _tell_feedback(
    lists: Path, out: Path, seed: int, last: date | None, uplift: float | None, env: str | None, progress: Progress
) -> None:
    if not lists.is_dir():
        raise Usage(f"{lists} is not a folder: --feedback-for names one that holds <trigger>/date=<D>/manifest.json.")
    if not out.is_dir():
        raise Usage(f"{out} is not there: --feedback-for adds to the deliveries of an earlier `clm simulate`.")

    from jobs.session import open_session
    from jobs.simulate.feedback import tell

    with progress.step("start Spark"):
        spark = open_session(conf.load(env))
    with progress.step(f"feedback for the lists in {lists}"):
        told = tell(spark, lists, out, seed=seed, last=last, uplift=uplift)
    progress.note(
        f"{told.lists} lists, {told.sent} triggers sent, {told.persuaded} customers moved by them: "
        f"{told.deliveries} further deliveries in {out}."
    )


def demo(
    customers: Customers = 1000,
    days: Days = 153,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Simulate a small super-app in ./demo, run its nights, and say what came out and where to look."""
    if days > 366:
        raise Usage("--days is for a demonstration: 366 at most.")
    from jobs.demo import run, told

    outcome = run(customers, days, folder=Path("demo").absolute(), env=env, progress=progress_for(quiet=quiet))
    lines = explained(outcome.explanation, outcome.ends, only_met=True) if outcome.explanation else ()
    print(told(outcome, "demo", _how_clm_is_called(), lines))


def _how_clm_is_called() -> str:
    """`clm` where the shell finds it, else its place in this environment."""
    installed = Path(sys.prefix) / "bin" / "clm"
    if shutil.which("clm") or not installed.exists():
        return "clm"
    return str(installed.relative_to(Path.cwd())) if installed.is_relative_to(Path.cwd()) else str(installed)

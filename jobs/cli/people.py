"""`clm explain` and `clm preview`: why a customer is where they are, and whom a segment would have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date as Date
from typing import TYPE_CHECKING, Annotated, Any

import typer

import conf
from conf import Settings
from conf.errors import hint
from jobs.cli.options import Debug, Env, Json, MaybeAsOf, Quiet, console, ledger_of
from jobs.engines.base import Engine, engines, score_columns
from jobs.errors import Failed, Usage
from jobs.ledger import Ledger
from jobs.progress import progress_for
from jobs.rules.book import RuleBook, compile_book
from schemas.judgement import CUSTOMER_SEGMENTS

if TYPE_CHECKING:
    from jobs.explain import Condition, Explanation, Standing
    from jobs.explain_triggers import TriggerEnd
    from jobs.lake import Lake
    from jobs.preview import Preview
    from jobs.preview_trigger import FunnelPreview

# What the newest receipt says, in words; after it comes why.
TOLD = {"send": "and a list told to send it", "cancel": "and a list cancelled it:", "withheld": "and no list told it:"}
preview_app = typer.Typer(help="How many, who, and like whom: before anybody acts on it.", no_args_is_help=True)
Customer = Annotated[str, typer.Argument(help="The customer_id.", show_default=False)]
Trigger = Annotated[str, typer.Argument(help="The name of a trigger of conf.", show_default=False)]
Segment = Annotated[str, typer.Argument(help="The name of a segment of conf.", show_default=False)]


def explain(
    customer: Customer,
    date: MaybeAsOf = None,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Why this customer is where they are: level, stage, segments, scores and triggers, with what decided them."""
    rules = _rules(env)
    lake, day = _lake_on(rules.settings, date, quiet=quiet)

    from jobs.explain import explain as look
    from jobs.explain_triggers import ends

    told = look(lake, rules.book, rules.engines, customer, day)
    triggers = ends(lake, rules.book, rules.engines, customer, day)
    if as_json:
        _print_json({**asdict(told), "triggers": [asdict(end) for end in triggers]})
        return
    for line in explained(told, triggers):
        console().print(line, markup=False)


@preview_app.command("segment")
def segment(
    name: Segment,
    date: MaybeAsOf = None,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """How many customers the rule has as it is now, who would come and go, and which other segments they share."""
    rules = _rules(env)
    segments = {rule.name: rule for rule in rules.book.segments}
    if name not in segments:
        raise Usage(f"There is no segment {name!r}{hint(name, segments)}.")
    lake, day = _lake_on(rules.settings, date, quiet=quiet)

    from jobs.preview import preview

    told = preview(lake, rules.book, rules.engines, segments[name], day)
    _print(told, _previewed(told), as_json=as_json)


@preview_app.command("trigger")
def trigger(
    name: Trigger,
    date: MaybeAsOf = None,
    as_json: Json = False,
    env: Env = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Whom the trigger would write to as it is now, among all others, and at which step everybody else ends."""
    rules = _rules(env)
    triggers = {rule.name: rule for rule in rules.book.triggers}
    if name not in triggers:
        raise Usage(f"There is no trigger {name!r}{hint(name, triggers)}.")
    lake, day = _lake_on(rules.settings, date, quiet=quiet)

    from jobs.preview_trigger import preview

    told = preview(lake, rules.book, rules.engines, triggers[name], day)
    _print(told, _funnel(told), as_json=as_json)


@dataclass(frozen=True)
class _Rules:
    """The rules that are asked about, with their settings."""

    settings: Settings
    engines: list[Engine]
    book: RuleBook


def _rules(env: str | None) -> _Rules:
    settings = conf.load(env)
    found = engines(settings)
    return _Rules(settings, found, compile_book(settings, score_columns(found)))


def _lake_on(settings: Settings, date: Date | None, *, quiet: bool) -> tuple[Lake, Date]:
    """The lake, to be read, and the night that is asked about; one that is not known is refused before Spark starts."""
    ledger = ledger_of(settings)
    day = _judged_day(ledger, date)

    from jobs.lake import Lake
    from jobs.session import open_session
    from jobs.workload import has_few_rows

    with progress_for(quiet=quiet).step("start Spark"):
        spark = open_session(settings, few_rows=has_few_rows(settings, ledger))
    return Lake(spark, settings, ledger), day


def _print_json(told: Mapping[str, Any]) -> None:
    print(json.dumps(told, default=str, ensure_ascii=False))


def _print(told: Preview | FunnelPreview, lines: Iterator[str], *, as_json: bool) -> None:
    if as_json:
        _print_json(asdict(told))
        return
    for line in lines:
        console().print(line, markup=False)


def _judged_day(ledger: Ledger, day: Date | None) -> Date:
    """The night that is asked about, by default the last; raises Failed for one of which no levels are known."""
    days = ledger.days(CUSTOMER_SEGMENTS.name)
    if days is None:
        raise Failed("No night has been judged yet: run `clm run --date …` first.")
    if day is not None and not days[0] <= day <= days[1]:
        raise Failed(f"Levels and segments are known from {days[0]} to {days[1]}, not on {day}.")
    return day or days[1]


# ---- in words


def explained(told: Explanation, triggers: Sequence[TriggerEnd], *, only_met: bool = False) -> Iterator[str]:
    """The explanation in words; with `only_met` without what the customer is not in."""
    yield from _explained(told, only_met=only_met)
    yield from _triggered(triggers, only_met=only_met)


def _explained(told: Explanation, *, only_met: bool) -> Iterator[str]:
    yield f"{told.customer_id} on {told.day}"
    for standing in (told.level, told.lifecycle):
        yield f"  {standing.kind:<10}{standing.name}{_since(standing)}. {standing.about}"
        for condition in standing.conditions:
            yield f"      {_told(condition)}"
    for score in told.scores:
        reasons = f", because of {', '.join(score.reasons)}" if score.reasons else ""
        yield f"  {'score':<10}{score.engine} {score.score} ({score.band}){reasons}"
        if score.values:
            yield f"      {_values(score.values)}"
    yield "  is in" if any(segment.is_in for segment in told.segments) else "  is in no segment"
    for segment in told.segments:
        if segment.is_in:
            yield f"    + {segment.name}{_since(segment)}. {segment.about}"
            for condition in segment.conditions:
                yield f"        {_told(condition)}"
    others = [] if only_met else [segment for segment in told.segments if not segment.is_in]
    if others:
        yield "  is not in"
    for segment in others:
        failing = [condition for condition in segment.conditions if condition.is_met is False]
        yield f"    - {segment.name}: " + ("; ".join(map(_told, failing)) or segment.about)
    if not told.has_facts:
        yield f"The facts of {told.day} are no longer kept (7 days and month ends are): no values can be told."


def _triggered(triggers: Sequence[TriggerEnd], *, only_met: bool) -> Iterator[str]:
    met = [end for end in triggers if end.step is not None]
    if triggers:
        yield "  meets the triggers" if met else "  meets no trigger"
    for end in met:
        about = f" about {end.subject}" if end.subject else ""
        over = f" over {end.channel}" if end.channel else ""
        action, _, why = (end.receipt or "").partition(":")
        told = f", {TOLD[action]}{why}" if action else ""
        yield f"    + {end.name}{about}: {end.step}{over}{told}. {end.about}"
        for condition in end.conditions:
            yield f"        {_told(condition)}"
        if end.decided:
            yield f"        {_values(end.decided)}"
    others = [] if only_met else [end for end in triggers if end.step is None]
    if others:
        yield "  does not meet"
    for end in others:
        failing = [condition for condition in end.conditions if condition.is_met is False]
        nothing = "nothing of theirs falls due" if not end.conditions else end.about
        yield f"    - {end.name}: " + ("; ".join(map(_told, failing)) or nothing)


def _since(standing: Standing) -> str:
    if standing.since is None:
        return ""
    before = f", before that {standing.before}" if standing.before else ""
    return f" since {standing.since}{before}" if standing.cause != "start" else f" since {standing.since} or earlier"


def _told(condition: Condition) -> str:
    met = {True: "is met", False: "is not met", None: "cannot be told"}[condition.is_met]
    values = f" ({_values(condition.values)})" if condition.values else ""
    return f"{condition.text} {met}{values}"


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {'nothing' if value is None else value}" for name, value in values.items())


def _previewed(told: Preview) -> Iterator[str]:
    share = f" of {told.customers:,} customers ({100 * told.members / told.customers:.1f} %)" if told.customers else ""
    yield f"{told.name} on {told.day}: {told.members:,} members{share}"
    yield f"  {told.about}"
    yield f"  {told.text}"
    if told.entering is None:
        yield "  against the night before: not known, it was not judged"
    else:
        yield f"  against the night before: {told.entering:,} come, {told.leaving:,} go"
    for what, counted in (("level", told.levels), ("stage", told.stages), ("also in", told.overlap)):
        if counted:
            yield f"  {what:<9}" + ", ".join(f"{name} {count:,}" for name, count in counted.items())
    for member in told.sample:
        values = {name: value for name, value in member.items() if name != "customer"}
        yield f"  such as  {member['customer']}: {_values(values) or 'nothing is asked of them'}"


def _funnel(told: FunnelPreview) -> Iterator[str]:
    before = "" if told.before is None else f" ({told.before:,} the night before)"
    yield f"{told.name} on {told.day}: {told.eligible:,} eligible{before}"
    yield f"  {told.about}"
    yield f"  {told.text}"
    if told.held:
        yield f"  held back: {told.held}"
    for step, customers in told.steps.items():
        if customers:
            yield f"  {step:<16}{customers:>9,}"
    if told.channels:
        yield "  over      " + ", ".join(f"{channel} {customers:,}" for channel, customers in told.channels.items())
    for row in told.sample:
        yield f"  such as   {row['customer']} over {row['channel']}: {_values(json.loads(row['evidence']))}"

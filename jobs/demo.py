"""The demonstration: a small made-up super-app, its first load, three single nights, and what came out."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

import conf
from conf import Settings
from jobs.engines.base import engines, score_columns
from jobs.errors import Usage
from jobs.explain import Explanation, explain
from jobs.explain_triggers import TriggerEnd, ends
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.list_files import read_manifest
from jobs.progress import Progress
from jobs.rules.book import compile_book
from jobs.runner import backfill, run_night
from jobs.session import open_session
from jobs.simulate.plan import SOURCE_OF, Simulation
from jobs.simulate.run import simulate_deliveries

# With this last night and 153 days the windows of the first month have closed.
LAST = date(2026, 2, 5)
SINGLE_NIGHTS = 3
# From so many days before the single nights on levels are stepped night by night.
STEPPED_DAYS = 14
# So long the other feeds have been there: what the app tells is ten times as much as the payments. Who has not opened
# the app for a month can be told only where it was there for longer.
APP_DAYS, OTHERS_DAYS = 45, 21
SEED = 7
# Of more, who have some 22 contacts each, `jobs.workload` would not speak of few rows.
FEW_CUSTOMERS = 2_000
# The windows of the retention table, in days after the first active date.
BRACKETS = ("days_1_29", "days_30_59", "days_60_89", "days_90_119")
# Only a folder that this made is ever emptied.
MARK = ".made-by-clm-demo"
KEYS = "token_keys.toml"


@dataclass(frozen=True)
class Cohort:
    """Customers by the month of their first active date; the share retained in each bracket that is complete."""

    month: date
    customers: int
    rates: Mapping[str, Decimal]


@dataclass(frozen=True)
class Compared:
    """One group of mart.upgrade_retention, or the difference: the share retained and its 95 % interval."""

    customers: int
    rate: Decimal | None
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True)
class Outcome:
    """What the lake knows at the end. Rows are source rows; `sources`: source → what became of its rows."""

    first: date
    last: date
    customers: int
    payments: Mapping[str, int]
    sources: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, int]
    active: int
    transacting: int
    expectations: int
    not_met: Mapping[str, int]
    retention: Sequence[Cohort]
    links: Mapping[str, int]
    contacts_linked: int
    dues: Mapping[str, int]
    levels: Sequence[tuple[str, int]]
    upgrades: Mapping[tuple[str, str], int]
    downgrades: int
    stepped_from: date
    segments: Mapping[str, int]
    upgraded: Mapping[tuple[str, str], Compared]
    lists: Sequence[Mapping[str, Any]]
    example: str | None
    explanation: Explanation | None
    ends: Sequence[TriggerEnd]


def run(customers: int, days: int, *, folder: Path, env: str | None, progress: Progress) -> Outcome:
    """Make deliveries and a lake in `folder`, anew each time. Raises Usage where it holds something else."""
    first = LAST - timedelta(days=days - 1)
    nights = [LAST - timedelta(days=n) for n in reversed(range(SINGLE_NIGHTS))]
    _empty(folder)
    settings = _settings(folder, env)
    with progress.step("start Spark"):
        spark = open_session(settings, few_rows=customers <= FEW_CUSTOMERS)
    with progress.step(f"simulate {customers} customers from {first} to {LAST}"):
        out = folder / "landing"
        began = max(first, LAST - timedelta(days=OTHERS_DAYS - 1))
        others = {feed: began for feed in SOURCE_OF if feed not in ("customers", "transactions")}
        others["app_events"] = max(first, LAST - timedelta(days=APP_DAYS - 1))
        simulate_deliveries(spark, Simulation(customers, first=first, last=LAST, seed=SEED, out=out), others)
    reason = "first load of the demonstration"
    with progress.step("first load"):
        last = nights[0] - timedelta(days=1)
        step_from = max(first, nights[0] - timedelta(days=STEPPED_DAYS))
        backfill(settings, first, last, reason=reason, step_from=step_from, progress=progress)
    for night in nights:
        with progress.step(f"the night of {night}"):
            # Its messages are of a made-up winter, long past by now.
            run_night(settings, night, now=_morning_after(night, settings.lake.zone), progress=progress)
    with progress.step("count what came out"):
        lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
        return _outcome(lake, first, LAST)


def _morning_after(night: date, zone: str) -> datetime:
    return datetime.combine(night + timedelta(days=1), time(3), ZoneInfo(zone))


def _empty(folder: Path) -> None:
    if folder.exists() and not (folder / MARK).exists():
        raise Usage(f"{folder} is there and was not made by `clm demo`: move it away, or start this in another folder.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    # As docs/onboarding_a_source.md has it made: nobody else may read it.
    with os.fdopen(os.open(folder / KEYS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as keys:
        keys.write(f'current = 1\n[keys]\n1 = "{secrets.token_hex(32)}"\n')


def _settings(folder: Path, env: str | None) -> Settings:
    """The packaged configuration, whatever else the environment names: the simulator delivers its sources."""
    others = {key: value for key, value in os.environ.items() if key not in ("CLM_CONF", "CLM_LEDGER_URL")}
    own = {"CLM_LAKE": folder / "lake", "CLM_LANDING": folder / "landing", "CLM_TOKEN_KEYS": folder / KEYS}
    return conf.load(env, {**others, **{key: str(path) for key, path in own.items()}})


def _outcome(lake: Lake, first: date, last: date) -> Outcome:
    ladder = [rung.name for rung in lake.settings.levels.level]
    payments = lake.read("core.transactions", known_on=last).groupBy("status").count().collect()
    figures = ("delivered", "accepted", "quarantined", "duplicate", "waiting")
    deliveries = lake.read("ops.deliveries", known_on=last).groupBy("source")
    accounts = deliveries.agg(*(F.sum(figure).alias(figure) for figure in figures)).collect()
    refused = lake.read("core.quarantine", known_on=last).select(F.explode("reasons").alias("reason"))
    reasons = refused.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    daily = lake.read("core.customer_daily", known_on=last).where(F.col("event_date") == F.lit(last))
    quality = lake.read("ops.quality", known_on=last)
    [activity] = daily.agg(
        F.count_distinct(F.when(F.col("is_active"), F.col("customer_id"))).alias("active"),
        F.count_distinct(F.when(F.col("is_transacting"), F.col("customer_id"))).alias("transacting"),
    ).collect()
    moves = lake.read("mart.segment_transitions", known_on=last).where("kind = 'level' and cause = 'customer'")
    moved = moves.groupBy("move", "from_value", "to_value").count().collect()
    status = lake.read_day("mart.segment_status", last).collect()
    compared = lake.read_day("mart.upgrade_retention", last).collect()
    judged = lake.read_day("mart.customer_segments", last)
    members = {(row["kind"], row["name"]): row["members"] for row in status}
    example = _lapsed_sender(judged, lake.read_day("mart.customer_profile", last))
    found = engines(lake.settings)
    book = compile_book(lake.settings, score_columns(found))
    not_met = quality.where("not success").groupBy("table", "expectation").count().orderBy("table", "expectation")
    return Outcome(
        first=first,
        last=last,
        customers=lake.read_day("core.customers_state", last).where("not coalesce(is_deleted, false)").count(),
        payments={row["status"]: row["count"] for row in payments},
        sources={row["source"]: {figure: row[figure] for figure in figures} for row in accounts},
        reasons={row["reason"]: row["count"] for row in reasons},
        active=activity["active"],
        transacting=activity["transacting"],
        expectations=quality.count(),
        not_met={f"{row['table']} {row['expectation']}": row["count"] for row in not_met.collect()},
        retention=_retention(lake, last),
        links=_counts(lake.read_day("core.identity_links_state", last).where("valid_to is null"), "id_type"),
        contacts_linked=lake.read("core.contact_links", known_on=last).count(),
        dues=_counts(lake.read_day("mart.dues", last).where("state = 'open'"), "kind"),
        levels=[(level, members["level", level]) for level in ladder],
        upgrades={
            (row["from_value"], row["to_value"]): row["count"]
            for row in sorted(moved, key=lambda row: -row["count"])
            if row["move"] == "upgraded"
        },
        downgrades=sum(row["count"] for row in moved if row["move"] == "downgraded"),
        stepped_from=(lake.ledger.days("mart.customer_segments") or (last, last))[0],
        segments={name: count for (kind, name), count in members.items() if kind == "segment"},
        upgraded={
            (row["method"], row["grp"]): Compared(row["customers"], row["rate"], row["low"], row["high"])
            for row in compared
        },
        lists=_lists(Path(lake.settings.lake.root) / "exports"),
        example=example,
        explanation=explain(lake, book, found, example, last) if example else None,
        ends=ends(lake, book, found, example, last) if example else [],
    )


def _lists(folder: Path) -> list[dict[str, Any]]:
    """The manifests of all lists, as a campaign system finds them."""
    paths = sorted(folder.rglob("date=*/manifest.json"))
    return [told for path in paths if (told := read_manifest(path.parent)) is not None]


def _lapsed_sender(judged: DataFrame, profile: DataFrame) -> str | None:
    """A premium customer who has not opened the app for a month, the largest sender first; else any premium one."""
    premium = judged.where("level = 'premium'").join(
        profile.select("customer_id", "largest_transfer_minor"), "customer_id"
    )
    is_lapsed = F.array_contains("segments", "premium_dormant")
    found = premium.orderBy(is_lapsed.desc(), F.desc("largest_transfer_minor"), "customer_id").first()
    return found["customer_id"] if found else None


def _counts(frame: DataFrame, column: str) -> dict[str, int]:
    return {row[column]: row["count"] for row in frame.groupBy(column).count().orderBy(column).collect()}


def _retention(lake: Lake, last: date) -> list[Cohort]:
    """The months whose first window is complete."""
    told = lake.read("mart.retention", known_on=last).where("grain = 'month' and slice = 'all' and is_complete")
    rows = told.where(F.col("period").isin(*BRACKETS)).collect()
    return [
        Cohort(
            month=month,
            customers=max(row["customers"] for row in rows if row["cohort_start"] == month),
            rates={row["period"]: row["rate"] for row in rows if row["cohort_start"] == month},
        )
        for month in sorted({row["cohort_start"] for row in rows})
    ]


def told(outcome: Outcome, folder: str, command: str, explained: Iterable[str] = ()) -> str:
    """The outcome in words, and commands to go on with; `command` is how `clm` is called here.

    `explained` are the lines of the example's explanation.
    """
    explained = list(explained)
    payments = ", ".join(f"{count:,} {status}" for status, count in sorted(outcome.payments.items()))
    reasons = ", ".join(f"{reason} {count}" for reason, count in outcome.reasons.items())
    not_met = ", ".join(f"{what} ({nights} nights)" for what, nights in outcome.not_met.items())
    accounts = [
        f"  {source:<18}{each['delivered']:>9,} delivered = {each['accepted']:,} accepted "
        f"+ {each['quarantined']:,} quarantined + {each['duplicate']:,} duplicate + {each['waiting']:,} waiting"
        for source, each in sorted(outcome.sources.items())
    ]
    retained = [
        f"  {cohort.month:%Y-%m}{cohort.customers:>11,}"
        + "".join(f"{f'{100 * cohort.rates[each]:.0f} %' if each in cohort.rates else '–':>13}" for each in BRACKETS)
        for cohort in outcome.retention
    ]
    links = ", ".join(f"{count:,} {kind}s" for kind, count in outcome.links.items())
    dues = ", ".join(f"{count:,} {kind}s" for kind, count in outcome.dues.items())
    heading = "  first month customers" + "".join(f"{each.replace('_', ' '):>13}" for each in BRACKETS)
    example = [f"  {command} explain {outcome.example}"] if outcome.example else []
    return "\n".join(
        [
            f"The lake knows {outcome.first} to {outcome.last}.",
            f"  customers   {outcome.customers:>9,}",
            f"  payments    {sum(outcome.payments.values()):>9,} postings: {payments}",
            f"  known       {links}; {outcome.contacts_linked:,} address-book entries are customers",
            f"  open on {outcome.last}: {dues}",
            f"  on {outcome.last}    {outcome.active:,} customers active, {outcome.transacting:,} of them paying",
            "What became of every row delivered:",
            *accounts,
            f"  quarantined because of: {reasons or 'nothing'}",
            f"  {outcome.expectations:,} expectations were looked at; not met: {not_met or 'none'}",
            *(
                ["Who came back, by the month of the first payment (– not closed yet):", heading, *retained]
                if retained
                else []
            ),
            *_told_levels(outcome),
            *_told_upgraded(outcome),
            *_told_lists(outcome, folder),
            *(["One customer, explained:", *(f"  {line}" for line in explained)] if explained else []),
            "Look further:",
            f"  export CLM_LAKE={folder}/lake CLM_LANDING={folder}/landing CLM_TOKEN_KEYS={folder}/{KEYS}",
            f"  {command} status",
            *example,
            f"  {command} preview segment ready_for_first_transfer",
            f"  {command} preview trigger lapsed_premium_sender",
            f"  {command} deliver --date {outcome.last} --even-expired",
            f"  {command} table mart.segment_transitions --night --where \"kind = 'level'\"",
            f"  {command} table core.customer_daily --night --limit 5",
            f"  {command} table mart.retention --where \"grain = 'month' and slice = 'first_product'\"",
            f"  {command} table mart.dues --where \"state = 'open'\" --limit 5",
            f"  {command} table core.transactions --where \"status = 'reversed'\" --limit 5",
        ]
    )


def _told_levels(outcome: Outcome) -> list[str]:
    """Who moved up, and who is slipping away."""
    levels = ", ".join(f"{name} {count:,}" for name, count in outcome.levels)
    moved = ", ".join(f"{count:,} from {before} to {now}" for (before, now), count in outcome.upgrades.items())
    away = ("slipping_away", "dormant_payer", "premium_dormant")
    slipping = ", ".join(f"{name} {outcome.segments[name]:,}" for name in away if name in outcome.segments)
    others = ", ".join(f"{name} {count:,}" for name, count in outcome.segments.items() if name not in away)
    return [
        f"Where customers stand on {outcome.last}: {levels}",
        f"  moved up since {outcome.stepped_from}: {moved or 'nobody'}; came down: {outcome.downgrades:,}",
        f"  slipping away: {slipping}",
        f"  segments: {others}",
    ]


def _told_lists(outcome: Outcome, folder: str) -> list[str]:
    """Which lists went out: of messages how many each night, and the funnel of the last one."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for told in outcome.lists:
        by_name.setdefault(told.get("trigger") or f"{told['list']} {told.get('audience', '')}".strip(), []).append(told)

    def line(name: str, nights: Sequence[Mapping[str, Any]]) -> str:
        newest = nights[-1]
        if "funnel" not in newest:
            counts = "; ".join(
                ", ".join(f"{action} {count:,}" for action, count in each["actions"].items()) for each in nights
            )
            return f"  {name}: {counts}"
        sent = ", ".join(f"{each['actions']['send']:,}" for each in nights)
        ended = ", ".join(f"{step} {count:,}" for step, count in newest["funnel"].items() if count)
        return f"  {name:<22}{newest['state']:<7}sent {sent:<14}{ended or 'nobody met it'}"

    nights = sorted({told["as_of_date"] for told in outcome.lists}) or ["no night"]
    return [
        f"Which lists went out after {nights[0]} to {nights[-1]}, with the funnel of the last ({folder}/lake/exports):",
        *(line(name, nights) for name, nights in by_name.items()),
    ]


def _told_upgraded(outcome: Outcome) -> list[str]:
    """What the three methods say of moving up to sending money."""

    def share(rate: Decimal | None) -> str:
        return "–" if rate is None else f"{100 * rate:.0f} %"

    def row(method: str) -> str:
        stayed, upgraded, difference = (outcome.upgraded[method, grp] for grp in ("stayed", "upgraded", "difference"))
        told = "no difference can be told"
        if difference.rate is not None and difference.low is not None and difference.high is not None:
            points = (f"{100 * each:+.0f}" for each in (difference.rate, difference.low, difference.high))
            told = "{} points ({} to {})".format(*points)
        return (
            f"  {method:<9} stayed {share(stayed.rate):>5} of {stayed.customers:>5,}   "
            f"moved up {share(upgraded.rate):>5} of {upgraded.customers:>5,}   {told}"
        )

    return [
        "Active again in days 90 to 119: who stayed with recharges, and who moved up to sending money (95 % interval):",
        *(row(method) for method in ("naive", "landmark", "matched")),
        "  naive counts who lived long enough as moved up; matched compares the equally active (docs/retention.md).",
    ]

"""The funnel over the tables of a lake: what the selection reads of them, for the night and for a preview alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.triggers import LONGEST
from jobs import acting, eligible, rule_rows, selection
from jobs.engines.base import Engine, score_columns
from jobs.frames import local_frame
from jobs.lake import Lake
from jobs.pipeline import has_table, stepped_on
from jobs.rules.book import RuleBook
from jobs.rules.columns import dues, read
from jobs.size_guard import why_held
from schemas.acting import CONTACT_HISTORY, SELECTIONS
from schemas.core import POSTED, STATES
from schemas.dues import DUES
from schemas.judgement import CUSTOMER_SEGMENTS, SCORES, SEGMENT_TRANSITIONS
from schemas.mart import CUSTOMER_PROFILE
from schemas.ops import EXPORTS

ONE_DAY, WEEK = timedelta(days=1), timedelta(days=7)
# Night → trigger → how many are eligible.
Counted = Mapping[date, Mapping[str, int]]


def eligible_on(
    lake: Lake, book: RuleBook, engines: Sequence[Engine], days: Sequence[date], customer: str | None = None
) -> DataFrame:
    """Who meets which trigger on the days, of all customers or of one, as jobs.eligible tells it."""
    return eligible.transform(rows_on(lake, book, engines, days, customer), open_dues(lake, days), book.triggers)


def rows_on(
    lake: Lake, book: RuleBook, engines: Sequence[Engine], days: Sequence[date], customer: str | None = None
) -> DataFrame:
    """What triggers see of the customers, or of one of them, on the days."""

    def read_days(table: str) -> DataFrame:
        frame = lake.read_days(table, days)
        return frame if customer is None else frame.where(F.col("customer_id") == F.lit(customer))

    names = {name for trigger in book.triggers for name in trigger.columns}
    rows = rule_rows.transform(
        read_days(CUSTOMER_PROFILE.name),
        read_days(CUSTOMER_SEGMENTS.name),
        read_days(SCORES.name) if names & score_columns(list(engines)).keys() else None,
        columns=book.columns,
        names=names,
        engines=engines,
        also=sorted({f"last_{trigger.policy.goal}_date" for trigger in book.triggers}),
    )
    moves = lake.read(SEGMENT_TRANSITIONS.name, known_on=days[-1], since=days[0])
    upgraded = moves.where("kind = 'level' and move = 'upgraded' and cause = 'customer'")
    return rows.join(
        upgraded.selectExpr(*rule_rows.OF_NIGHT, "from_value as upgraded_from"), rule_rows.OF_NIGHT, "left"
    )


def open_dues(lake: Lake, days: Sequence[date]) -> DataFrame | None:
    """The open bills and plans of the days as triggers see them; None where no trigger asks for them."""
    if not has_table(lake.settings, DUES.name) or DUES.name not in stepped_on(lake.settings):
        return None
    found = lake.read_days(DUES.name, days).where("state = 'open'")
    columns = dues()
    return found.selectExpr(*rule_rows.OF_NIGHT, "due_id", *read(columns, set(columns)))


def counted(found: DataFrame, days: Sequence[date]) -> Counted:
    """How many are eligible; a day without anybody has no triggers."""
    counts: dict[date, dict[str, int]] = {day: {} for day in days}
    for row in found.groupBy("as_of_date", "trigger").count().collect():
        counts[row["as_of_date"]][row["trigger"]] = row["count"]
    return counts


@dataclass(frozen=True)
class Standing:
    """A trigger on a night: its state, why it does not compete, and how many met it, then and before."""

    state: str
    why: str | None
    eligible: int
    before: int | None


def standings(
    lake: Lake, book: RuleBook, engines: Sequence[Engine], counts: Counted
) -> dict[tuple[date, str], Standing]:
    """(night, trigger) → how it stands, of every trigger that counts on the night.

    Held is who the size guard holds back; failed, who reads an engine that said nothing that night.
    """
    usual = _usual_before(lake, min(counts))
    failed = _without_scores(lake, book, engines, list(counts))
    found: dict[tuple[date, str], Standing] = {}
    for day in sorted(counts):
        for trigger in book.triggers:
            since = trigger.policy.effective_from
            if since is not None and since > day:
                continue
            eligible, before = counts[day].get(trigger.name, 0), usual.get(trigger.name)
            if why := failed.get((day, trigger.name)):
                found[day, trigger.name] = Standing("failed", why, eligible, before)
            elif why := why_held(trigger.policy, eligible, before):
                found[day, trigger.name] = Standing("held", why, eligible, before)
            else:
                found[day, trigger.name] = Standing("ok", None, eligible, before)
                if eligible:
                    usual[trigger.name] = eligible
    return found


def guarded(standing: Mapping[tuple[date, str], Standing]) -> dict[tuple[date, str], str]:
    """(night, trigger) → why it does not compete."""
    return {key: each.why for key, each in standing.items() if each.why is not None}


def selections_of(
    lake: Lake, book: RuleBook, found: DataFrame, held: Collection[tuple[date, str]], days: Sequence[date]
) -> DataFrame:
    """Where everyone eligible ends, as jobs.selection tells it."""
    return selection.transform(prepared_of(lake, book, found, held, days), book.triggers, lake.settings.caps)


def prepared_of(
    lake: Lake, book: RuleBook, found: DataFrame, held: Collection[tuple[date, str]], days: Sequence[date]
) -> DataFrame:
    """What decides of the eligible before they compete."""
    return selection.prepared(
        found,
        book.triggers,
        zone=lake.settings.lake.zone,
        consents=versions(lake, "consents", days),
        unreachable=_unreachable(lake, days),
        contacts=_contacts(lake, book, days),
        guarded=held,
    )


def _usual_before(lake: Lake, day: date) -> dict[str, int]:
    """Trigger → how many were eligible on the newest night of the week before that did not hold it back."""
    if not lake.ledger.published(SELECTIONS.name, day - WEEK, day - ONE_DAY):
        return {}
    told = lake.read(SELECTIONS.name, known_on=day - ONE_DAY, since=day - WEEK).where("step <> 'size_guard'")
    rows = told.groupBy("as_of_date", "trigger").count().orderBy("as_of_date").collect()
    return {row["trigger"]: row["count"] for row in rows}


def _without_scores(
    lake: Lake, book: RuleBook, engines: Sequence[Engine], days: Sequence[date]
) -> dict[tuple[date, str], str]:
    reading = {
        (trigger.name, engine.name)
        for trigger in book.triggers
        for engine in engines
        if trigger.columns & score_columns([engine]).keys()
    }
    if not reading:
        return {}
    told = lake.read_days(SCORES.name, days).select("as_of_date", "engine").distinct().collect()
    there = {(row["as_of_date"], row["engine"]) for row in told}
    return {
        (day, trigger): f"it reads what {engine} says, and {engine} said nothing that night"
        for trigger, engine in sorted(reading)
        for day in days
        if (day, engine) not in there
    }


def versions(lake: Lake, feed: str, days: Sequence[date]) -> DataFrame:
    """Versions of a states feed that tell how things stood on each of the days: a snapshot, and all told since."""
    log, snapshot = POSTED[feed], STATES[feed]
    if not lake.settings.sources_of(feed) or not lake.ledger.days(log.name):
        return local_frame(lake.spark, [], log.ddl(nullable=True))
    nearest = nearest_snapshot(lake, feed, days[0])
    names = [name for name in snapshot.column_names if name in log.column_names]
    if nearest is None:
        return lake.read(log.name, known_on=days[-1]).select(*names)
    kept = lake.read_day(snapshot.name, nearest).select(*names)
    if nearest == days[-1]:
        return kept
    return kept.unionByName(lake.read(log.name, known_on=days[-1], since=nearest + ONE_DAY).select(*names))


def nearest_snapshot(lake: Lake, feed: str, day: date) -> date | None:
    """The newest day until `day` of which the states feed has a snapshot."""
    return max(lake.ledger.kept_days(STATES[feed].name, date.min, day), default=None)


def _unreachable(lake: Lake, days: Sequence[date]) -> DataFrame:
    """Who was deleted, and over which channel a message came back or was objected to."""
    gone = versions(lake, "customers", days).selectExpr(
        "customer_id",
        "cast(null as string) as key",
        "coalesce(is_deleted, false) as is_closed",
        "updated_at",
        "row_hash",
        "as_of_date",
    )
    if not lake.settings.sources_of("campaign_feedback") or not lake.ledger.days(CONTACT_HISTORY.name):
        return gone
    since = days[0] - timedelta(days=selection.COMPLAINED_DAYS)
    feedback = lake.read("core.campaign_feedback", known_on=days[-1], since=since)
    history = lake.read(CONTACT_HISTORY.name, known_on=days[-1] - ONE_DAY, since=since - timedelta(days=LONGEST))
    return gone.unionByName(acting.complaints(feedback, history))


def _contacts(lake: Lake, book: RuleBook, days: Sequence[date]) -> DataFrame:
    """The contacts that count for these nights: of nights before the first, so that a replay sees none of its own."""
    if not lake.ledger.days(CONTACT_HISTORY.name):
        return local_frame(lake.spark, [], CONTACT_HISTORY.ddl(nullable=True))
    before = days[0] - ONE_DAY
    known = lake.read(CONTACT_HISTORY.name, known_on=before)
    # What is said once, or until the goal, is remembered as long as the history is kept.
    for_long = [trigger.name for trigger in book.triggers if trigger.policy.repeat.kind != "cooldown"]
    since = days[0] - timedelta(days=LONGEST)
    known = known.where((F.col("as_of_date") >= F.lit(since)) | F.col("trigger").isin(for_long))
    receipts = lake.read(EXPORTS.name, known_on=before) if lake.ledger.days(EXPORTS.name) else None
    return acting.that_count(known, receipts)

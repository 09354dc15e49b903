"""The stage conform: raw rows become postings and versions, the refused are set aside, every row is accounted for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial, reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Source
from jobs import accounts, audit, conform, mapping, night_identity
from jobs.accounts import Account, Counts, Tally
from jobs.calendar import LONGEST_WAIT, days_between, taken_on
from jobs.deliveries import Manifest
from jobs.dump import above_limit, is_above_limit
from jobs.errors import DataRefused
from jobs.frames import local_frame
from jobs.lake import Staged
from jobs.ledger_records import Upstream
from jobs.night_states import of_feed
from jobs.runner import Night
from jobs.taking import in_force
from schemas.core import FOLDED, QUARANTINE
from schemas.feeds import FEEDS, Feed

BROADCAST_KEYS = 2_000_000
# From so many on, one more pass over their keys is less than sorting all of them.
MANY_RECORDS = 100_000


@dataclass(frozen=True)
class Conformed:
    """One feed of the nights: staged, with its verdicts, what they were made from and what was set aside."""

    feed: Feed
    staged: Staged
    verdicts: DataFrame
    tallies: list[Tally]
    accepted: Mapping[tuple[date, str], tuple[int, int]]
    refused: Sequence[DataFrame]
    looked_into: Mapping[date, date]


def run(night: Night) -> None:
    """Conform every feed, audit everything, then publish; a day's deliveries are fixed with it."""
    balance = _waiting(night)
    waited: dict[str, set[date]] = defaultdict(set)
    for account in balance:
        waited[account.source].add(account.taken_from)
    feeds = [FEEDS[name] for name in FEEDS if night.settings.sources_of(name)]
    conformed = night.side_by_side(partial(_conform, night, feed, waited) for feed in feeds)
    refusing = {group.source for each in conformed for group in each.tallies if group.outcome == conform.QUARANTINED}
    with night.compiled(night.rows(f"raw.{source}" for source in refusing)):
        quarantine = night.stage("core.quarantine", _quarantine(night, conformed))
    counts = _account(night, conformed, quarantine)
    feed_of = {source.name: source.feed for source in night.settings.sources}
    deliveries = night.stage("ops.deliveries", accounts.transform(night.spark, counts, feed_of))
    _refuse_above_limit(night, counts)
    _refuse_left_waiting(night, balance, counts)
    empty = _announced_empty(counts, feed_of, night)
    judged = [said for each in conformed for said in night.judge(each.staged, empty[each.feed.name])]
    audit.refuse_failures([*judged, *night.judge(quarantine), *night.judge(deliveries)])
    night.side_by_side(
        partial(night.publish, each.staged, _lineage(night, each, waited), empty[each.feed.name]) for each in conformed
    )
    raw = night.upstreams([f"raw.{source.name}" for source in night.settings.sources])
    night.publish(quarantine, raw, announced_empty=night.days)
    states = {feed: partial(of_feed(feed).publish, night) for each in conformed if (feed := each.feed.name) in FOLDED}
    others = [publish for feed, publish in states.items() if feed not in night_identity.STATES]
    night.side_by_side([partial(night_identity.run, night), *others])
    night.side_by_side(publish for feed, publish in states.items() if feed in night_identity.STATES)
    night.publish(deliveries, raw, announced_empty=night.days)
    for source in night.settings.sources:
        night.ledger.fix(source.name, night.days)
    for each in conformed:
        each.verdicts.unpersist()


# ---- one feed


def _records(night: Night, source: Source, waited: Mapping[str, set[date]], *, with_rows: bool = False) -> DataFrame:
    """The source's records of these nights, and of earlier ones that still have rows waiting."""
    raw = night.lake.read_days(f"raw.{source.name}", {*night.days, *waited[source.name]})
    lake = night.settings.lake
    made = mapping.records(
        raw, source, night.mappings[source.name], zone=lake.zone, currency=lake.currency, with_rows=with_rows
    )
    return conform.due(made, source, first_night=night.first_night, repairs=night.repairs)


def _conform(night: Night, feed: Feed, waited: Mapping[str, set[date]]) -> Conformed:
    sources = night.settings.sources_of(feed.name)
    with night.compiled(night.rows(f"raw.{source.name}" for source in sources)):
        records = _union(_records(night, source, waited) for source in sources)
        with night.progress.step(f"tell the keys of {feed.name} apart"):
            prospects = conform.prospects(records, feed, first=night.first, last=night.last).persist()
            known, looked_into = _known(night, feed, prospects)
            contested = _contested(night, feed, prospects, known)
            verdicts = conform.verdicts(prospects, known, feed, _broadcast(contested)).persist()
            tallies = accounts.tally(verdicts)
            prospects.unpersist()
            if contested is not None:
                contested.unpersist()
        has_implied = any(group.outcome == conform.IMPLIED for group in tallies)
        posted = conform.transform(records, verdicts, feed, first=night.first, has_implied=has_implied)
        staged = night.stage(f"core.{feed.name}", posted)
        accepted = accounts.accepted(staged.frame)
    refused = [
        conform.quarantine(_records(night, source, waited, with_rows=True), verdicts, source)
        for source in sources
        if any((group.source, group.outcome) == (source.name, conform.QUARANTINED) for group in tallies)
    ]
    return Conformed(feed, staged, verdicts, tallies, accepted, refused, looked_into)


def _known(night: Night, feed: Feed, prospects: DataFrame) -> tuple[DataFrame | None, dict[date, date]]:
    """What earlier nights know of tonight's keys, and for each night the first that it looked into."""
    if night.first <= night.first_night:
        return None, {}
    keys = conform.late_keys(prospects, feed)
    rows = keys.groupBy("due").agg(F.min("since").alias("since"), F.count(F.lit(1)).alias("keys")).collect()
    looked_into = {
        conform.EPOCH + timedelta(days=row["due"]): max(conform.EPOCH + timedelta(days=row["since"]), night.first_night)
        for row in rows
    }
    if not rows:
        return None, {}
    wanted = keys.select(*feed.key).distinct()
    if sum(row["keys"] for row in rows) < BROADCAST_KEYS:
        wanted = F.broadcast(wanted)
    if feed.kind == "states":
        before = of_feed(feed.name).before(night)
        return (conform.known(before, wanted, feed) if before is not None else None), {}
    since = min(looked_into.values())
    posted = night.lake.read(f"core.{feed.name}", known_on=night.first - timedelta(days=1), since=since)
    return conform.known(posted, wanted, feed), looked_into


def _contested(night: Night, feed: Feed, prospects: DataFrame, known: DataFrame | None) -> DataFrame | None:
    """The keys that have to be told apart, where there are so many rows that it pays to look for them first."""
    if night.rows(f"raw.{source.name}" for source in night.settings.sources_of(feed.name)) < MANY_RECORDS:
        return None
    return conform.contested(prospects, known, feed).persist()


def _broadcast(keys: DataFrame | None) -> DataFrame | None:
    return F.broadcast(keys) if keys is not None and keys.count() < BROADCAST_KEYS else keys


# ---- what was set aside, and the accounts


def _quarantine(night: Night, conformed: Iterable[Conformed]) -> DataFrame:
    frames = [frame for each in conformed for frame in each.refused]
    return _union(frames) if frames else local_frame(night.spark, [], QUARANTINE.ddl(nullable=True))


def _union(frames: Iterable[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionByName, frames)


def _waiting(night: Night) -> dict[Account, int]:
    """Deliveries of earlier nights with the source rows of them that still wait."""
    if not night.lake.exists("ops.deliveries"):
        return {}
    yesterday = night.first - timedelta(days=1)
    accounts_ = night.lake.read("ops.deliveries", known_on=yesterday, since=night.first - LONGEST_WAIT)
    balance = accounts_.groupBy("source", "delivery_id", "taken_from").agg(F.sum("waiting").alias("waiting"))
    configured = {source.name for source in night.settings.sources}
    return {
        Account(yesterday, row["source"], row["delivery_id"], row["taken_from"]): row["waiting"]
        for row in balance.where("waiting > 0").collect()
        if row["source"] in configured
    }


def _account(night: Night, conformed: Iterable[Conformed], quarantine: Staged) -> dict[Account, Counts]:
    delivered: dict[Account, int] = {}
    landed_on: dict[str, set[date]] = defaultdict(set)
    for source in night.settings.sources:
        for part in in_force(night.ledger.deliveries_of(source.name, night.first - LONGEST_WAIT, night.last)):
            landed_on[part.delivery_id].add(part.night)
            if part.night >= night.first:
                account = Account(part.night, source.name, part.delivery_id, part.night)
                delivered[account] = sum(file.rows or 0 for file in Manifest.model_validate(part.manifest).files)
    with night.progress.step("account for every row"):
        tallies: list[Tally] = []
        accepted: dict[tuple[date, str], tuple[int, int]] = {}
        for each in conformed:
            tallies += each.tallies
            accepted.update(each.accepted)
        return accounts.settle(delivered, landed_on, tallies, accepted, accounts.refused(quarantine.frame))


def _refuse_above_limit(night: Night, counts: Mapping[Account, Counts]) -> None:
    """Raises DataRefused for a delivery of which more is refused than its source allows.

    Dumps are judged as a whole, at landing.
    """
    for account, each in counts.items():
        source = night.settings.source(account.source)
        if source.is_dump or not is_above_limit(source, each.quarantined, each.delivered) or not each.delivered:
            continue
        names = mapping.reasons(source, source.feed_spec)
        by_reason: dict[str, int] = defaultdict(int)
        for bits, rows in each.by_bits.items():
            for position, name in enumerate(names):
                if bits >> position & 1:
                    by_reason[name] += rows
        raise DataRefused(above_limit(source, account.delivery_id, each.quarantined, each.delivered, by_reason))


def _refuse_left_waiting(night: Night, balance: Mapping[Account, int], counts: Mapping[Account, Counts]) -> None:
    """Raises DataRefused where rows that waited for one of these nights are taken by none: they would never be."""
    for account, waiting in balance.items():
        taken = taken_on(account.taken_from, night.repairs)
        if not night.first <= taken <= night.last:
            continue
        key = account.delivery_id, account.taken_from
        left = waiting + sum(each.waiting for of, each in counts.items() if (of.delivery_id, of.taken_from) == key)
        if left:
            raise DataRefused(
                f"{left} rows of {account.delivery_id} (landed {account.taken_from}) waited for {taken}, and no night "
                f"takes them: late_days or [map] of {account.source} changed since they were landed. "
                f"Set it back in {night.settings.source(account.source).location}, run {taken}, then change it again."
            )


def _announced_empty(
    counts: Mapping[Account, Counts], feed_of: Mapping[str, str], night: Night
) -> dict[str, set[date]]:
    """Feed → nights on which its manifests say that nothing came and nothing that waited was taken."""
    handled: dict[tuple[str, date], int] = defaultdict(int)
    for account, each in counts.items():
        handled[feed_of[account.source], account.night] += each.records
    return {feed: {day for day in night.days if not handled[feed, day]} for feed in FEEDS}


def _lineage(night: Night, each: Conformed, waited: Mapping[str, set[date]]) -> dict[date, list[Upstream]]:
    """For each night: the raw days it read, and the postings of earlier nights that it looked into."""
    sources = night.settings.sources_of(each.feed.name)
    made_from = night.upstreams([f"raw.{source.name}" for source in sources])
    for source in sources:
        name = f"raw.{source.name}"
        in_range = {
            group.landed for group in each.tallies if group.outcome == conform.WAITING and group.source == source.name
        }
        for landed in sorted(waited[source.name] | in_range):
            for day in {landed + timedelta(days=1), taken_on(landed, night.repairs)} - {landed}:
                if day in made_from:
                    made_from[day] += night.digests(name, landed, landed).values()
    table = f"core.{each.feed.name}"
    if each.feed.kind == "states":
        # Each night was judged against the state before it, and so on back to the first.
        before = night.first - timedelta(days=1)
        versions = night.digests(table, before, before)
        versions |= {day: Upstream(table=table, day=day, digest=each.staged.digest(day)) for day in each.staged.days}
        for day in night.days:
            made_from[day] += [versions[then] for then in (day - timedelta(days=1),) if then in versions]
    if each.looked_into:
        start = min(each.looked_into.values())
        known = night.digests(table, start, night.first - timedelta(days=1))
        known |= {day: Upstream(table=table, day=day, digest=each.staged.digest(day)) for day in each.staged.days}
        for day, since in each.looked_into.items():
            made_from[day] += [known[then] for then in days_between(since, day - timedelta(days=1)) if then in known]
    return made_from

"""Conform: records of all sources of a feed become postings or versions, or are set aside with a reason.

A first, narrow pass finds the *verdicts*: one row for each record that is not simply posted on the night that
landed it. They are few, so the wide rows are posted in a second pass without a shuffle.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from conf import Source
from jobs.frames import hash_of, select_contract
from jobs.mapping import CHANGED_AFTER_POSTING, KEY_OF_ANOTHER_SOURCE, SHARED_REASONS, reasons, reasons_of
from schemas.core import POSTED, QUARANTINE
from schemas.feeds import Feed

REFUSED, CONTENDER = "refused", "contender"
QUARANTINED, DUPLICATE, WAITING, TAKEN, IMPLIED = "quarantined", "duplicate", "waiting", "taken", "implied"
IDENTITY = ("source", "landed_date", "record_id")
# Which of identical rows is posted: a row_id is another number when its delivery is landed again.
ARRIVAL = ("landed_date", "delivery_id", "record_id")
EPOCH = date(1970, 1, 1)


def due(records: DataFrame, source: Source, *, first_night: date, repairs: Collection[date] = ()) -> DataFrame:
    """Adds `known_since`, from when on a record's key is looked for, and `posting_date`, the night that posts it.

    That is the night that landed it; for a row of just past midnight the next; and for one so late that its
    key might be known from before the look-back the next Sunday, or the next of `repairs`, when all of the past
    is looked at.
    """
    landed = F.col("landed_date")
    if source.feed_spec.kind == "states":
        return records.withColumns({"known_since": landed, "posting_date": landed})
    if source.is_dump:
        return records.withColumns({"known_since": F.coalesce("known_from_date", landed), "posting_date": landed})
    earliest = F.date_sub(landed, source.late_days)
    is_early = F.col("learned_date") > landed
    is_looked_up = (F.col("learned_date") >= earliest) | (earliest <= F.lit(first_night))
    taken_on = F.date_add(landed, (F.lit(8) - F.dayofweek(landed)) % 7)
    for repair in repairs:
        taken_on = F.when(F.lit(repair).between(landed, taken_on), F.lit(repair)).otherwise(taken_on)
    posting_date = (
        F.when(F.col("bits") != 0, landed)
        .when(is_early, F.date_add(landed, 1))
        .when(is_looked_up, landed)
        .otherwise(taken_on)
    )
    return records.withColumns({"known_since": F.coalesce("learned_date", landed), "posting_date": posting_date})


def _is_landed(first: date, last: date) -> Column:
    return F.col("landed_date").between(F.lit(first), F.lit(last))


def _day(column: str) -> Column:
    return F.datediff(F.col(column), F.lit(EPOCH))


def prospects(records: DataFrame, feed: Feed, *, first: date, last: date) -> DataFrame:
    """The records of the nights first … last, narrow: one row for each thing that can become of one.

    `prospect` is refused (it carries bits), waiting (it is for a later night than landed it) or contender (one
    of these nights would post it; with `is_implied`, a success that it implies). Days are numbers since 1970.
    Made by one explode, which also keeps Spark from pushing a filter through the whole mapping.
    """
    is_clean = F.col("bits") == 0
    is_late = F.col("posting_date") > F.col("landed_date")
    is_contender = is_clean & F.col("posting_date").between(F.lit(first), F.lit(last))
    chances = [
        F.when(~is_clean & _is_landed(first, last), _prospect(REFUSED)),
        F.when(is_clean & is_late & _is_landed(first, last), _prospect(WAITING)),
        F.when(is_contender, _prospect(CONTENDER)),
    ]
    if feed.takes_states:
        is_undone = (F.col("status") == "reversed") & (F.col("direction") == "debit")
        chances.append(F.when(is_contender & is_undone, _prospect(CONTENDER, is_implied=True)))
    fixed = hash_of(feed.fixed) if feed.fixed else F.lit(0).cast("bigint")
    rows = records.select(
        *feed.key,
        _day("posting_date").alias("due"),
        _day("known_since").alias("since"),
        *IDENTITY,
        "delivery_id",
        "source_rows",
        _version_time(feed).alias("updated_at"),
        "row_hash",
        fixed.alias("fixed_hash"),
        "bits",
        F.explode(F.array_compact(F.array(*chances))).alias("chance"),
    )
    rows = rows.select("*", "chance.*").drop("chance").withColumn("is_new", F.lit(True))
    if not feed.takes_states:
        return rows
    success = F.when(F.col("is_implied"), F.lit("success")).otherwise(F.col("status"))
    own_rows = F.when(F.col("is_implied"), F.lit(0).cast("bigint")).otherwise(F.col("source_rows"))
    return rows.withColumns({"status": success, "source_rows": own_rows})


def _version_time(feed: Feed) -> Column:
    """What rows of one key are ordered by; feeds without it go by their row hash."""
    return F.col("updated_at") if "updated_at" in feed.column_names else F.lit(None).cast("timestamp")


def _prospect(name: str, *, is_implied: bool = False) -> Column:
    return F.struct(F.lit(name).alias("prospect"), F.lit(is_implied).alias("is_implied"))


def late_keys(prospects: DataFrame, feed: Feed) -> DataFrame:
    """Keys that have to be looked for in earlier nights, by which night, and from which day on."""
    is_late = F.col("since") < F.col("due") if feed.kind == "events" else F.lit(True)
    late = prospects.where((F.col("prospect") == CONTENDER) & is_late)
    return late.groupBy(*feed.key, "due").agg(F.min("since").alias("since"))


def known(earlier: DataFrame, keys: DataFrame, feed: Feed) -> DataFrame:
    """The rows of `keys` among earlier postings, or in the state of the night before, in the shape of prospects."""
    none = F.lit(None)
    is_event = feed.kind == "events"
    return earlier.join(keys, list(feed.key), "left_semi").select(
        *feed.key,
        _day("as_of_date").alias("due"),
        _day("as_of_date").alias("since"),
        F.col("source") if is_event else none.cast("string").alias("source"),
        none.cast("date").alias("landed_date"),
        none.cast("bigint").alias("record_id"),
        none.cast("string").alias("delivery_id"),
        F.lit(0).cast("bigint").alias("source_rows"),
        _version_time(feed).alias("updated_at"),
        F.lit(0).cast("bigint").alias("row_hash") if is_event else F.col("row_hash"),
        (hash_of(feed.fixed) if feed.fixed else F.lit(0).cast("bigint")).alias("fixed_hash"),
        F.lit(0).cast("bigint").alias("bits"),
        F.lit(CONTENDER).alias("prospect"),
        F.col("is_implied") if feed.takes_states else F.lit(False).alias("is_implied"),
        F.lit(False).alias("is_new"),
    )


def _judge_events(rows: DataFrame, feed: Feed) -> DataFrame:
    """Adds is_posted and faults: which contender of each key is posted, and what is wrong with the others.

    Within a night the least (source, updated_at, row hash) is posted, a real row before an implied one. A
    night sees the postings of earlier nights from the least `since` of its rows of the key on, so the last
    posting a night can see is found by walking the key's nights in order.
    """
    night = Window.partitionBy(*feed.key, "prospect", "due")
    in_order = night.orderBy("is_new", "source", "is_implied", "updated_at", "row_hash", *ARRIVAL)
    before = Window.partitionBy(*feed.key, "prospect").orderBy("due").rangeBetween(Window.unboundedPreceding, -1)
    rows = rows.withColumns({"place": F.row_number().over(in_order), "night_since": F.min("since").over(night)})
    rows = rows.withColumn(
        "head", F.struct("due", F.col("night_since").alias("since"), "is_new", "source", "fixed_hash")
    )
    rows = rows.withColumns(
        {
            "own": F.first("head").over(in_order),
            "earlier": F.collect_list(F.when(F.col("place") == 1, F.col("head"))).over(before),
        }
    )
    nothing = F.lit(None).cast("struct<due:int,since:int,is_new:boolean,source:string,fixed_hash:bigint>")

    def last_posted(posted: Column, head: Column) -> Column:
        is_posted = ~head["is_new"] | posted.isNull() | (posted["due"] < head["since"])
        return F.when(is_posted, head).otherwise(posted)

    rows = rows.withColumn("seen", F.when(F.size("earlier") > 0, F.aggregate("earlier", nothing, last_posted)))
    is_known = F.coalesce(F.col("seen.due") >= F.col("night_since"), F.lit(False))
    reference = F.when(is_known, F.col("seen")).otherwise(F.col("own"))
    changed, other = (1 << SHARED_REASONS.index(name) for name in (CHANGED_AFTER_POSTING, KEY_OF_ANOTHER_SOURCE))
    is_changed = reference["fixed_hash"] != F.col("fixed_hash")
    is_others = reference["source"] != F.col("source")
    faults = F.when(is_changed, F.lit(changed)).otherwise(F.lit(0)) + F.when(is_others, F.lit(other)).otherwise(
        F.lit(0)
    )
    return rows.withColumns({"is_posted": ~is_known & (F.col("place") == 1), "faults": faults.cast("bigint")})


def _judge_states(rows: DataFrame, feed: Feed) -> DataFrame:
    """Adds is_posted and faults: a version that repeats the one in state, or another of its night, is not posted.

    Neither is one that says otherwise than the first that was posted, where the feed lets nothing change (`fixed`).
    """
    twins = Window.partitionBy(*feed.key, "prospect", "due", "row_hash").orderBy(*ARRIVAL)
    before = Window.partitionBy(*feed.key, "prospect").orderBy("due").rangeBetween(Window.unboundedPreceding, -1)
    first = Window.partitionBy(*feed.key, "prospect").orderBy("due", "updated_at", "row_hash")
    rows = rows.withColumns(
        {
            "place": F.row_number().over(twins),
            "newest": F.max(F.struct("updated_at", "row_hash")).over(before),
        }
    )
    # A window with an order of its own is another sort: only where something is fixed.
    is_changed = F.col("fixed_hash") != F.first("fixed_hash").over(first) if feed.fixed else F.lit(False)
    faults = F.when(is_changed, F.lit(1 << SHARED_REASONS.index(CHANGED_AFTER_POSTING))).otherwise(F.lit(0))
    is_known = F.coalesce(F.col("newest.row_hash") == F.col("row_hash"), F.lit(False))
    is_posted = ~is_known & (F.col("place") == 1) & ~is_changed
    return rows.withColumns({"is_posted": is_posted, "faults": faults.cast("bigint")})


def contested(prospects: DataFrame, known: DataFrame | None, feed: Feed) -> DataFrame:
    """One row is the hash (key_hash) of a key that more than one contender has."""
    rows = _together(prospects, known).where(F.col("prospect") == CONTENDER)
    return rows.groupBy(hash_of(feed.key).alias("key_hash")).count().where("count > 1").select("key_hash")


def _together(prospects: DataFrame, known: DataFrame | None) -> DataFrame:
    return prospects if known is None else prospects.unionByName(known)


def verdicts(
    prospects: DataFrame, known: DataFrame | None, feed: Feed, contested: DataFrame | None = None
) -> DataFrame:
    """One row is one record that is not simply posted on the night that landed it.

    Columns: night, source, landed_date, record_id, delivery_id, source_rows, outcome, bits. Outcomes:
    quarantined, duplicate, waiting (for a later night), taken (posted on a later night than landed it),
    implied (a success that a reversal made necessary). A record that waits and is taken has both.

    `contested`, where many rows are worth it: of the others most have a key of their own, and need no judging.
    """
    rows = _together(prospects, known)
    if contested is not None:
        landed = f"datediff(landed_date, date'{EPOCH}')"
        is_plain = f"prospect = '{CONTENDER}' and is_new and not is_implied and due = {landed}"
        looked_up = rows.withColumn("key_hash", hash_of(feed.key)).join(
            contested.withColumn("is_contested", F.lit(True)), "key_hash", "left"
        )
        rows = looked_up.where(f"is_contested or not ({is_plain})").drop("key_hash", "is_contested")
    rows = rows.repartition(*feed.key)
    judged = (_judge_events if feed.kind == "events" else _judge_states)(rows, feed).where("is_new")
    outcome = (
        F.when(F.col("prospect") == REFUSED, F.lit(QUARANTINED))
        .when(F.col("prospect") == WAITING, F.lit(WAITING))
        .when(F.col("is_implied"), F.when(F.col("is_posted"), F.lit(IMPLIED)))
        .when(F.col("is_posted"), F.when(F.col("due") > _day("landed_date"), F.lit(TAKEN)))
        .when(F.col("faults") != 0, F.lit(QUARANTINED))
        .otherwise(F.lit(DUPLICATE))
    )
    is_contender = F.col("prospect") == CONTENDER
    posting_date = F.date_add(F.lit(EPOCH), F.col("due"))
    return judged.select(
        F.when(is_contender, posting_date).otherwise(F.col("landed_date")).alias("night"),
        *IDENTITY,
        "delivery_id",
        "source_rows",
        outcome.alias("outcome"),
        F.when(is_contender, F.col("faults")).otherwise(F.col("bits")).alias("bits"),
    ).where("outcome is not null")


def transform(records: DataFrame, verdicts: DataFrame, feed: Feed, *, first: date, has_implied: bool) -> DataFrame:
    """core.<feed>: one row is one posting or version, in the partition of the night that posts it."""
    decided = verdicts.where(F.col("outcome") != IMPLIED).groupBy(*IDENTITY)
    fates = decided.agg(
        F.max(F.when(F.col("outcome") == TAKEN, F.col("night"))).alias("taken_on"), F.lit(True).alias("is_decided")
    )
    posted_on = F.when(F.col("is_decided"), F.col("taken_on")).when(
        F.col("landed_date") >= F.lit(first), F.col("landed_date")
    )
    posted = (
        records.join(fates, list(IDENTITY), "left").withColumn("as_of_date", posted_on).where("as_of_date is not null")
    )
    if feed.takes_states:
        posted = posted.withColumn("is_implied", F.lit(False))
    if has_implied:
        needed = verdicts.where(F.col("outcome") == IMPLIED).select(*IDENTITY, F.col("night").alias("as_of_date"))
        posted = posted.unionByName(_implied(records.join(needed, list(IDENTITY), "inner")), allowMissingColumns=True)
    return select_contract(posted, POSTED[feed.name])


def _implied(reversals: DataFrame) -> DataFrame:
    """The successes that reversals imply, dated by when the customer paid."""
    return reversals.withColumns(
        {
            "status": F.lit("success"),
            "event_date": F.col("learned_date"),
            "updated_at": F.col("occurred_at"),
            "source_rows": F.lit(0).cast("bigint"),
            "is_implied": F.lit(True),
        }
    )


def quarantine(records: DataFrame, verdicts: DataFrame, source: Source) -> DataFrame:
    """core.quarantine for one source: one row is one refused source row. `records` carry their raw rows."""
    refused = verdicts.where((F.col("outcome") == QUARANTINED) & (F.col("source") == source.name)).select(
        "night", "landed_date", "record_id", "bits"
    )
    rows = (
        records.select("landed_date", "record_id", "delivery_id", "rows")
        .join(F.broadcast(refused), ["landed_date", "record_id"], "inner")
        .select("*", F.explode("rows").alias("raw"))
    )
    delivered = F.to_json(F.struct(*(F.col(f"raw.`{name}`") for name in sorted(source.columns))))
    return select_contract(
        rows.select(
            F.col("night").alias("as_of_date"),
            F.lit(source.feed).alias("feed"),
            F.lit(source.name).alias("source"),
            "delivery_id",
            reasons_of(F.col("bits"), reasons(source, source.feed_spec)).alias("reasons"),
            F.when(~F.col("raw.is_unparsable"), delivered).alias("row"),
            F.col("raw.file").alias("file"),
            F.col("raw.position").alias("position"),
            F.lit(None).cast("binary").alias("payload"),
            F.concat_ws("/", F.col("landed_date").cast("string"), F.col("raw.row_id").cast("string")).alias("record"),
        ),
        QUARANTINE,
    )

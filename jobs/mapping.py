"""From raw rows to records of a feed: types, the source's [map], and the row rules as bits.

Every rule is declared once, sets a bit, and is evaluated in the one pass that also maps. The bits have
names only for the few rows that carry any (`reasons_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf import ColumnType, Source
from jobs.expressions import Expression
from jobs.frames import hash_of
from schemas.feeds import FEEDS, Feed
from schemas.table import Column as Declared

UNPARSABLE = "unparsable"
CHANGED_AFTER_POSTING = "changed_after_posting"
KEY_OF_ANOTHER_SOURCE = "key_of_another_source"
IN_THE_FUTURE = "in_the_future"
# The first bits mean the same in every source of every feed.
SHARED_REASONS = (UNPARSABLE, CHANGED_AFTER_POSTING, KEY_OF_ANOTHER_SOURCE, IN_THE_FUTURE)

# Marks a column as it was delivered, beside the one of its declared type.
AS_DELIVERED = "delivered:"
PROVENANCE = (
    *("as_of_date", "row_id", "delivery_id", "file", "delivered_date"),
    *("known_from_date", "occurrence", "is_unparsable"),
)

# Something follows the time: Z, an offset in any spelling, the name of a zone.
HAS_OFFSET = r"[T ]\d{1,2}:[\d:.]*\s*[^\d:.\s]"
OFFSET_LETTERS = set("XxZVOz")


def reasons(source: Source, feed: Feed) -> tuple[str, ...]:
    """The names of the source's bits, bit 0 first. What all sources of a feed share stands first, in one order."""
    judged = [column.name for column in feed.columns if _is_judged(column) or column.name == "currency"]
    shared = [
        *SHARED_REASONS,
        "before_1970",
        "amount_zero",
        "amount_negative",
        "amount_fraction",
        *(f"{column}_missing" for column in (*([feed.identifier] if feed.identifier else []), *feed.required)),
        *([feed.missing_either] if feed.either else []),
        *(f"{column}_invalid" for column in judged),
    ]
    own = [f"{name}_invalid" for name, type_ in source.columns.items() if type_.kind != "string"]
    return tuple(dict.fromkeys([*shared, *own]))


def _is_judged(column: Declared) -> bool:
    """Values that the feed does not take are `<column>_invalid`; amounts below zero have a reason of their own."""
    return bool(column.accepted) or column.maximum is not None or _floor(column) is not None


def _floor(column: Declared) -> int | None:
    return None if column.name == "amount_minor" else column.minimum


def reasons_of(bits: Column, names: Sequence[str]) -> Column:
    """The names of the bits that are set, as array<string>."""
    named = [F.when(bits.bitwiseAND(F.lit(1 << bit)) != 0, F.lit(name)) for bit, name in enumerate(names)]
    return F.array_compact(F.array(*named))


# ---- types


def _timestamp(text: Column, type_: ColumnType, zone: str) -> Column:
    if type_.pattern is not None:
        parsed = F.try_to_timestamp(text, F.lit(type_.pattern))
        return parsed if OFFSET_LETTERS & set(type_.pattern) else F.to_utc_timestamp(parsed, zone)
    # A bare time or year would be completed from the clock or with January; a date is the least that is asked.
    local = F.to_utc_timestamp(text.try_cast("timestamp_ntz").cast("timestamp"), zone)
    instant = F.when(text.rlike(HAS_OFFSET), text.try_cast("timestamp")).otherwise(local)
    return F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}"), instant)


def _from_text(column: Column, type_: ColumnType, zone: str) -> Column:
    text = F.trim(column)
    match type_.kind:
        case "string":
            return column
        case "timestamp":
            return _timestamp(text, type_, zone)
        case "date" if type_.pattern is not None:
            return F.try_to_timestamp(text, F.lit(type_.pattern)).cast("date")
        case "date":
            return F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}$"), text.try_cast("date"))
        case "decimal":
            exact = text.try_cast("decimal(38,12)")
            rounded = text.try_cast(type_.spark_type)
            return F.when(exact == rounded, rounded)
        case "double":
            return _finite(text.try_cast("double"))
        case _:
            return text.try_cast(type_.spark_type)


def _finite(number: Column) -> Column:
    return F.when(~F.isnan(number) & (F.abs(number) != float("inf")), number)


def _from_parquet(column: Column, type_: ColumnType, zone: str) -> Column:
    match type_.kind:
        case "timestamp_ns":
            return F.to_utc_timestamp(F.timestamp_micros(F.floor(column / 1000).cast("bigint")), zone)
        case "double":
            return _finite(column)
        case _:
            return column


def _typed(source: Source) -> dict[str, Column]:
    def convert(name: str, type_: ColumnType) -> Column:
        is_text = source.files.format != "parquet" or type_.pattern is not None
        return (_from_text if is_text else _from_parquet)(F.col(f"`{name}`"), type_, source.files.zone)

    return {name: convert(name, type_) for name, type_ in source.columns.items()}


# ---- records


def records(
    raw: DataFrame,
    source: Source,
    mapping: Mapping[str, Expression],
    *,
    zone: str,
    currency: str,
    with_rows: bool = False,
) -> DataFrame:
    """One row is one record of the feed, with its bits; a grouped source makes one of several source rows.

    Columns: landed_date, record_id, source, delivery_id, file, source_rows, known_from_date, the feed's
    columns, event_date, learned_date (the earlier of the dates it speaks of: what late and early go by),
    row_hash, bits; and, on request, rows: the raw rows it was made of, as an array of structs.
    """
    feed = FEEDS[source.feed]
    bit = {name: 1 << position for position, name in enumerate(reasons(source, feed))}
    made_key = [] if feed.identifier in mapping or not feed.identifier else [_made_key(source).alias("made_key")]
    typed_rows = raw.select(
        *PROVENANCE,
        F.lit(1).cast("bigint").alias("source_rows"),
        *made_key,
        *([F.struct(*raw.columns).alias("raw_row")] if with_rows else []),
        *(column.alias(name) for name, column in _typed(source).items()),
        *(
            F.col(f"`{name}`").alias(AS_DELIVERED + name)
            for name, type_ in source.columns.items()
            if type_.kind != "string"
        ),
    )
    typed_rows = typed_rows.withColumn("type_bits", _type_bits(source, mapping, bit))
    mapped = _mapped(typed_rows, source, feed, mapping, with_rows=with_rows)
    judged = _judged(mapped, source, feed, mapping, bit, zone=zone, currency=currency)
    return judged if with_rows else judged.drop("rows")


def _type_bits(source: Source, mapping: Mapping[str, Expression], bit: Mapping[str, int]) -> Column:
    """Bits of what can be said of a source row before it is mapped: it does not split, a value does not cast."""
    fractions = _fractions(source, mapping)
    rules = [(bit[UNPARSABLE], F.col("is_unparsable"))]
    for name, type_ in source.columns.items():
        if type_.kind != "string":
            is_unread = F.col(f"`{AS_DELIVERED}{name}`").isNotNull() & F.col(f"`{name}`").isNull()
            rules.append((bit[f"{name}_invalid"], is_unread & ~fractions[name] if name in fractions else is_unread))
    rules += [(bit["amount_fraction"], is_fraction) for is_fraction in fractions.values()]
    return _any_bit(rules)


def _fractions(source: Source, mapping: Mapping[str, Expression]) -> dict[str, Column]:
    """For each decimal column of text that the amount is made from: does it carry more decimals than declared?"""
    amount = mapping.get("amount_minor")
    if amount is None or source.files.format == "parquet":
        return {}
    found: dict[str, Column] = {}
    for name in sorted(amount.columns):
        type_ = source.columns[name]
        if type_.kind == "decimal":
            exact = F.trim(F.col(f"`{AS_DELIVERED}{name}`")).try_cast("decimal(38,12)")
            found[name] = F.coalesce(exact != exact.try_cast(type_.spark_type), F.lit(False))
    return found


def _made_key(source: Source) -> Column:
    """The key of a source without ids: its name, all its columns, and which of the identical rows this is."""
    parts = [F.coalesce(F.col(f"`{name}`").cast("string"), F.lit("\u0000")) for name in source.columns]
    return F.md5(F.concat_ws("\u001f", F.lit(source.name), *parts, F.col("occurrence").cast("string")))


def _mapped(
    rows: DataFrame, source: Source, feed: Feed, mapping: Mapping[str, Expression], *, with_rows: bool
) -> DataFrame:
    """The feed's columns beside the provenance; `unrounded_amount` is the amount before it became whole."""

    def value(column: str, type_: str) -> Column:
        if column == feed.identifier and column not in mapping:
            return F.col("made_key")
        if column not in mapping:
            return F.lit(None).cast(type_)
        told = F.expr(mapping[column].sql)
        if type_ != "timestamp":
            return told.try_cast(type_)
        # A date is its midnight in the source's zone; typeof is settled before anything runs.
        instant = told.try_cast("timestamp")
        return F.when(F.typeof(told) == "date", F.to_utc_timestamp(instant, source.files.zone)).otherwise(instant)

    amount = mapping.get("amount_minor")
    # Text too must not raise an error here; a double tells fractions up to 90 million million.
    unrounded = F.expr(amount.unrounded).try_cast("double") if amount is not None else F.lit(None).cast("double")
    feed_columns = [value(column.name, column.type).alias(f"mapped_{column.name}") for column in feed.columns]
    if not source.group_by:
        frame = rows.select(
            F.col("as_of_date").alias("landed_date"),
            F.col("row_id").alias("record_id"),
            "delivery_id",
            "file",
            "source_rows",
            "known_from_date",
            "delivered_date",
            "type_bits",
            unrounded.alias("unrounded_amount"),
            (F.array("raw_row") if with_rows else F.lit(None)).alias("rows"),
            *feed_columns,
        )
    else:
        keys = [F.col(f"`{name}`") for name in source.group_by]
        frame = (
            rows.groupBy(F.col("as_of_date").alias("landed_date"), "delivery_id", *keys)
            .agg(
                F.min("row_id").alias("record_id"),
                F.min("file").alias("file"),
                F.sum("source_rows").alias("source_rows"),
                F.min("known_from_date").alias("known_from_date"),
                F.min("delivered_date").alias("delivered_date"),
                F.bit_or("type_bits").alias("type_bits"),
                unrounded.alias("unrounded_amount"),
                (F.collect_list("raw_row") if with_rows else F.lit(None)).alias("rows"),
                *feed_columns,
            )
            .drop(*source.group_by)
        )
    renamed = {f"mapped_{column.name}": column.name for column in feed.columns}
    return frame.withColumnsRenamed(renamed)


def _judged(
    mapped: DataFrame,
    source: Source,
    feed: Feed,
    mapping: Mapping[str, Expression],
    bit: Mapping[str, int],
    *,
    zone: str,
    currency: str,
) -> DataFrame:
    times = [column.name for column in feed.columns if column.type == "timestamp"]
    if "updated_at" in times:
        delivered = F.coalesce("delivered_date", "landed_date").cast("timestamp")
        stand_ins = [F.col(name) for name in feed.updated_from] + [F.to_utc_timestamp(delivered, source.files.zone)]
        mapped = mapped.withColumn("updated_at", F.coalesce(F.col("updated_at"), *stand_ins))
    mapped = mapped.withColumns(_dates(feed, zone))
    landed = F.col("landed_date")
    amount = F.col("amount_minor") if "amount_minor" in feed.column_names else F.lit(None).cast("bigint")
    row_rules: list[tuple[str, Column]] = [
        # A row of a dump comes on the night of its own date, whenever that is.
        (IN_THE_FUTURE, F.lit(not source.is_dump) & (F.col("latest_date") > F.date_add(landed, 1))),
        (
            "before_1970",
            reduce(
                or_, [F.coalesce(F.col(name) < F.lit("1970-01-01").cast("timestamp"), F.lit(False)) for name in times]
            ),
        ),
        ("amount_negative", amount < 0),
        ("amount_fraction", F.col("unrounded_amount") != F.floor("unrounded_amount")),
    ]
    if source.limits.zero_amounts == "quarantine":
        row_rules.append(
            ("amount_zero", (amount == 0) & ~(F.abs(F.col("unrounded_amount")) > 0).eqNullSafe(F.lit(True)))
        )
    for column in feed.columns:
        if column.accepted:
            row_rules.append((f"{column.name}_invalid", ~F.col(column.name).isin(*column.accepted)))
        if (floor := _floor(column)) is not None:
            row_rules.append((f"{column.name}_invalid", F.col(column.name) < floor))
        if column.maximum is not None:
            row_rules.append((f"{column.name}_invalid", F.col(column.name) > column.maximum))
    if "currency" in feed.column_names:
        row_rules.append(("currency_invalid", F.col("currency") != currency))
    for name in (*([feed.identifier] if feed.identifier else []), *feed.required):
        # What is null because a source column could not be read is `<source column>_invalid`, not missing too.
        read = mapping[name].columns if name in mapping else frozenset()
        unread = sum(bit[f"{column}_invalid"] for column in read if f"{column}_invalid" in bit) | bit[
            "amount_fraction"
        ] * (name == "amount_minor")
        is_missing = F.col(name).isNull() & (F.col("type_bits").bitwiseAND(F.lit(unread)) == 0)
        row_rules.append((f"{name}_missing", is_missing))
    if feed.either:
        is_missing = reduce(and_, [F.col(name).isNull() for name in feed.either])
        row_rules.append((feed.missing_either, is_missing))
    row_bits = _any_bit([(bit[name], rule) for name, rule in row_rules])
    unparsable = F.lit(bit[UNPARSABLE]).cast("bigint")
    bits = F.when(F.col("type_bits").bitwiseAND(F.lit(bit[UNPARSABLE])) != 0, unparsable).otherwise(
        F.col("type_bits").bitwiseOR(row_bits)
    )
    return mapped.select(
        "landed_date",
        "record_id",
        F.lit(source.name).alias("source"),
        "delivery_id",
        "file",
        "source_rows",
        "known_from_date",
        *feed.column_names,
        "event_date",
        "learned_date",
        hash_of(feed.column_names).alias("row_hash"),
        bits.alias("bits"),
        "rows",
    )


def _dates(feed: Feed, zone: str) -> dict[str, Column]:
    def date_of(name: str) -> Column:
        return F.from_utc_timestamp(F.col(name), zone).cast("date")

    told = date_of(feed.dated_by)
    if not feed.takes_states:
        return {"event_date": told, "learned_date": told, "latest_date": told}
    # What the customer did is dated by when she did it; a reversal by when it was made.
    changed = date_of("updated_at")
    event = F.when(F.col("status") == "reversed", changed).otherwise(told)
    return {"event_date": event, "learned_date": F.least(told, event), "latest_date": F.greatest(told, changed)}


def _any_bit(rules: Sequence[tuple[int, Column]]) -> Column:
    """The sum of the bits whose rule is true; a rule that is null is not broken."""
    set_bits = [F.when(rule, F.lit(bit).cast("bigint")).otherwise(F.lit(0).cast("bigint")) for bit, rule in rules]
    return reduce(lambda left, right: left.bitwiseOR(right), set_bits)

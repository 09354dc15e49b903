"""mart.customer_profile: every customer's history in one row, folded from the snapshot before and the nights since.

Kinds of field, and no other: sum, min, max, OR of bits, newest, and what is derived from those. So any order and
any split of the same rows over nights gives the same profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import local_frame, select_contract
from jobs.masks import BITS_63, DAYS, WORD, aged, bits, from_position, position_bit
from jobs.signals import APP_SUMS, DEVICE_SUMS, FACTS, SEEN, newest_device_per
from schemas.core import FAMILIES
from schemas.mart import ACTIVITIES, CUSTOMER_PROFILE, HABITS, PAID_FAMILIES

# Rows of the nights that one fold takes: a month at most, each telling of dates up to 127 days before it.
LONGEST_FOLD = 31
WORDS = 3
# The day of a snapshot, where several are folded in one pass.
SNAPSHOT = "snapshot_date"
SUMS = (
    *(f"{family}_{what}" for family in PAID_FAMILIES for what in ("count", "amount_minor")),
    *(f"{habit}_count" for habit in HABITS),
    *("reversed_count", "reversed_amount_minor", "failed_count", "pending_count"),
    *("received_count", "received_amount_minor"),
    *APP_SUMS,
    *DEVICE_SUMS,
    *("bill_version_count", "bill_paid_count", "contact_linked_count"),
)
LARGEST = (
    *("largest_transfer_minor", "app_last_at", "bill_last_due_date"),
    *(f"last_{habit}_date" for habit in HABITS),
)


def _total(what: str) -> str:
    """Over all families; null where none has any."""
    some = ", ".join(f"{family}_{what}" for family in FAMILIES)
    total = " + ".join(f"coalesce({family}_{what}, 0)" for family in FAMILIES)
    return f"if(coalesce({some}) is null, null, {total})"


def _told(daily: DataFrame, as_of: str, key: Sequence[str]) -> DataFrame:
    """One row is what the nights told about one customer, in bits that count back from `as_of` (SQL).

    `<activity>_<j>`: the words of its mask. `rising_<j>`: the words of all activity with bit 0 the oldest date
    that can be told, by which `first_days` is found. A date told more than 127 days late has no bit.
    """
    on_date = {**{family: f"{family}_count is not null" for family in FAMILIES}}
    on_date |= {"transacting": "is_transacting", "app": "foreground_event_count is not null", "any": "is_active"}
    habits = [f"if({counted} is not null, event_date, null) as last_{habit}_date" for habit, counted in HABITS.items()]
    rows = daily.selectExpr(
        "*",
        *habits,
        # What the day counts under the name that it has here.
        *(f"{counted} as {habit}_count" for habit, counted in HABITS.items() if counted != f"{habit}_count"),
        f"{_total('count')} as transacting_count",
        f"{_total('amount_minor')} as transacting_amount_minor",
        f"datediff({as_of}, event_date) as position",
        f"datediff(event_date, {_oldest(as_of)}) as rising_position",
        f"datediff(as_of_date, event_date) between 0 and {DAYS - 1} as has_bit",
    )

    def words(name: str, is_active: str, position: str) -> list[str]:
        bit = position_bit(position)
        return [
            f"bit_or(if({is_active} and has_bit and {position} div {WORD} = {j}, {bit}, null)) as {name}_{j}"
            for j in range(WORDS)
        ]

    aggregates = [
        "min(registered_at) as registered_at",
        *(f"max({name}) as {name}" for name in LARGEST),
        *(f"sum({name}) as {name}" for name in SUMS),
        *words("rising", "is_active", "rising_position"),
    ]
    for activity, is_active in on_date.items():
        aggregates += [
            f"min(if({is_active}, event_date, null)) as first_{activity}_date",
            f"max(if({is_active}, event_date, null)) as last_{activity}_date",
            *words(activity, is_active, "position"),
        ]
    told = rows.groupBy(*key).agg(*(F.expr(text) for text in aggregates))
    return told.join(newest_device_per(daily, key), list(key), "left")


def transform(previous: DataFrame | None, daily: DataFrame, *, since: date | None, days: Sequence[date]) -> DataFrame:
    """One row is one customer ever seen, as known on one of `days`: each is folded from `previous`, in one pass.

    `previous` is the profile of the day `since`, `daily` what the nights after it told; without a previous one
    `daily` begins with the lake. Raises ValueError where the nights are more than a month.
    """
    if since and (max(days) - since).days > LONGEST_FOLD:
        raise ValueError(f"a fold from {since} to {max(days)} is more than {LONGEST_FOLD} days")
    if previous is None:
        previous = local_frame(daily.sparkSession, [], CUSTOMER_PROFILE.ddl(nullable=True))
    if len(days) == 1:
        # The nightly case, without a column for the one day there is.
        daily, as_of, key = daily.where(f"as_of_date <= date'{days[0]}'"), f"date'{days[0]}'", ("customer_id",)
    else:
        as_of, key = SNAPSHOT, ("customer_id", SNAPSHOT)
        each_day = ", ".join(f"date'{day}'" for day in sorted(days))
        daily = daily.selectExpr("*", f"explode(array({each_day})) as {SNAPSHOT}").where(f"as_of_date <= {SNAPSHOT}")
        previous = previous.selectExpr("*", f"explode(array({each_day})) as {SNAPSHOT}")
    joined = _told(daily, as_of, key).alias("t").join(previous.alias("p"), list(key), "full")
    passed = f"datediff({as_of}, date'{since}')" if since else "0"
    merged = joined.selectExpr(*_merged(passed, as_of))
    return select_contract(merged.selectExpr("*", *_derived()), CUSTOMER_PROFILE)


def _oldest(as_of: str) -> str:
    """The oldest date that can be told."""
    return f"date_sub({as_of}, {WORDS * WORD - 1})"


def _merged(passed: str, as_of: str) -> list[str]:
    """Both sides of the fold in one row, with what is still needed of each for `first_days` and `active_days`.

    `passed`: days from the profile before to `as_of`, both SQL.
    """
    columns = [
        f"{as_of} as as_of_date",
        "customer_id",
        "least(p.registered_at, t.registered_at) as registered_at",
        *(f"greatest(p.{name}, t.{name}) as {name}" for name in LARGEST),
        *(f"coalesce(p.{name} + t.{name}, p.{name}, t.{name}) as {name}" for name in SUMS),
        "least(p.first_date, t.first_any_date) as first_date",
        "p.first_date as earlier_first_date",
        "p.first_days as earlier_first_days",
        "p.active_days as earlier_active_days",
        *(f"t.rising_{j}" for j in range(WORDS)),
    ]
    is_newer = f"struct({_both('t', SEEN)}) > struct({_both('p', SEEN)})"
    is_told = f"t.{SEEN[0]} is not null and (p.{SEEN[0]} is null or {is_newer})"
    columns += [f"if({is_told}, t.{name}, p.{name}) as {name}" for name in (*SEEN, *FACTS)]
    for activity in ACTIVITIES:
        stored = [f"p.{activity}_days_0_63", f"p.{activity}_days_64_127"]
        known = aged(stored, passed, into=WORDS)
        columns += [
            f"least(p.first_{activity}_date, t.first_{activity}_date) as first_{activity}_date",
            f"greatest(p.last_{activity}_date, t.last_{activity}_date) as last_{activity}_date",
            *(
                f"nullif({known[j]} | coalesce(t.{activity}_{j}, 0L), 0L) as {activity}_days_{span}"
                for j, span in enumerate(("0_63", "64_127"))
            ),
        ]
        if activity == "any":
            columns += [f"coalesce(t.any_{j}, 0L) & ~{known[j]} as new_{j}" for j in range(WORDS)]
    return columns


def _both(side: str, names: Sequence[str]) -> str:
    return ", ".join(f"{side}.{name}" for name in names)


def _derived() -> list[str]:
    rising = [f"rising_{j}" for j in range(WORDS)]
    start = f"datediff(first_date, {_oldest('as_of_date')})"
    # A first date older than what can be told tonight: tonight's dates lie that much further from it.
    before = f"if({start} > -63, shiftleft(coalesce(rising_0, 0L), cast(-{start} as int)), 0L)"
    told = f"if({start} >= 0, {from_position(rising, start)[0]}, {before})"
    earlier_by = "datediff(earlier_first_date, first_date)"
    known = f"if({earlier_by} < 63, shiftleft(earlier_first_days, cast({earlier_by} as int)), 0L)"
    first_product = " ".join(f"when first_{family}_date = first_date then '{family}'" for family in FAMILIES)
    return [
        f"nullif((coalesce({known}, 0L) | coalesce({told}, 0L)) & {BITS_63}, 0L) as first_days",
        f"nullif(coalesce(earlier_active_days, 0L) + {bits([f'new_{j}' for j in range(WORDS)])}, 0L) as active_days",
        f"case when first_date is null then null {first_product} else 'app' end as first_product",
    ]

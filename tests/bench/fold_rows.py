"""Made-up rows for the benchmark of the fold: yesterday's profiles and what tonight told, by hashes of a number.

Masks, dates and counts of a customer agree, as the audit asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from jobs.frames import select_contract
from jobs.masks import DAYS, WORD, bits
from schemas.core import CUSTOMER_DAILY, FAMILIES
from schemas.mart import CUSTOMER_PROFILE
from schemas.table import Table

TONIGHT = date(2026, 1, 28)
YESTERDAY = TONIGHT - timedelta(days=1)
# Percent of the customers that ever used it: of the families a quarter on average. The app counts towards `any` only.
USED = {"recharge": 60, "bill": 25, "transfer": 25, "merchant": 20, "marketplace": 8, "wallet": 10, "app": 70}
OLDEST = 900
SPANS = ("0_63", "64_127")
ONE_NEW_IN = 50
CUSTOMER = "concat('U', lpad(id, 9, '0'))"


def _chance(outcomes: int, of: str) -> str:
    return f"pmod(xxhash64(id, '{of}'), {outcomes}L)"


def _contract(frame: DataFrame, table: Table, columns: Mapping[str, str]) -> DataFrame:
    """The columns that are given and, null, those that are not."""
    given = (f"{columns.get(column.name, 'null')} as {column.name}" for column in table.columns)
    return select_contract(frame.selectExpr(*given), table)


def profiles(spark: SparkSession, customers: int) -> DataFrame:
    """Everyone as known yesterday, in files as a fold leaves them: spread and sorted by customer."""
    rows = spark.range(customers)
    # Days before yesterday of the first and of the last date; no first, no last.
    firsts = [
        f"if({_chance(100, name)} < {share}, {_chance(OLDEST, f'first {name}')}, null)" for name, share in USED.items()
    ]
    rows = rows.selectExpr("id", *(f"{first} as {name}_from" for name, first in zip(USED, firsts, strict=True)))
    lasts = [f"cast({name}_from * pow({_chance(1000, f'last {name}')} / 1000, 3) as bigint)" for name in USED]
    rows = rows.selectExpr("*", *(f"{last} as {name}_to" for name, last in zip(USED, lasts, strict=True)))
    words = [f"{_word(name, j)} as {name}_{j}" for name in USED for j in range(len(SPANS))]
    older = [f"if({name}_from >= {DAYS}, 1L + {_chance(30, f'older {name}')}, 0L) as {name}_older" for name in USED]
    rows = rows.selectExpr("*", *words, *older)
    rows = rows.selectExpr("*", *_all_of("transacting", tuple(FAMILIES)), *_all_of("any", tuple(USED)))
    counts = [f"{_active_days(family)} as {family}_count" for family in FAMILIES]
    amounts = [
        f"{_active_days(family)} * (1000L + {_chance(200_000, f'amount {family}')}) as {family}_amount_minor"
        for family in FAMILIES
    ]
    rows = rows.selectExpr("*", *counts, *amounts, f"{_first_days()} as first_days")
    registered = f"coalesce(any_from, {_chance(OLDEST, 'registered')})"

    columns = {
        "as_of_date": f"date'{YESTERDAY}'",
        "customer_id": CUSTOMER,
        "registered_at": f"cast({_date(registered)} as timestamp)",
        "first_date": _date("any_from"),
        "first_product": "case when any_from is null then null "
        + " ".join(f"when {family}_from = any_from then '{family}'" for family in FAMILIES)
        + " else 'app' end",
        "active_days": f"greatest({_active_days('any')}, cast(bit_count(first_days) as bigint))",
        "first_days": "first_days",
        "transacting_count": _sum("count"),
        "transacting_amount_minor": _sum("amount_minor"),
        "largest_transfer_minor": f"if(transfer_from is null, null, 1000L + {_chance(200_000, 'largest')})",
        **_now_and_then({"reversed": 4, "failed": 10, "pending": 3, "received": 15}),
    }
    for family in FAMILIES:
        columns |= {f"{family}_{what}": f"{family}_{what}" for what in ("count", "amount_minor")}
    for name in (*FAMILIES, "transacting", "any"):
        columns |= {f"first_{name}_date": _date(f"{name}_from"), f"last_{name}_date": _date(f"{name}_to")}
        columns |= {f"{name}_days_{span}": f"nullif({name}_{j}, 0L)" for j, span in enumerate(SPANS)}
    found = _contract(rows, CUSTOMER_PROFILE, columns)
    return found.repartition("customer_id").sortWithinPartitions("customer_id")


def _word(name: str, j: int) -> str:
    """Word j of a mask: one day in eight between the first and the last, and these two."""
    lowest, highest = WORD * j, WORD * j + WORD - 1
    first, last = f"{name}_from", f"{name}_to"
    since_last = (
        f"case when {last} > {highest} then 0L when {last} <= {lowest} then -1L "
        f"else shiftleft(-1L, cast({last} - {lowest} as int)) end"
    )
    until_first = (
        f"case when {first} < {lowest} then 0L when {first} >= {highest} then -1L "
        f"else shiftrightunsigned(-1L, cast({highest} - {first} as int)) end"
    )
    some = " & ".join(f"xxhash64(id, '{name} {j} {n}')" for n in range(3))
    ends = " | ".join(
        f"if({end} between {lowest} and {highest}, shiftleft(1L, cast({end} - {lowest} as int)), 0L)"
        for end in (first, last)
    )
    return f"if({first} is null, null, ({since_last}) & ({until_first}) & {some} | {ends})"


def _all_of(name: str, parts: tuple[str, ...]) -> list[str]:
    def listed(what: str) -> str:
        return ", ".join(f"{part}_{what}" for part in parts)

    some_word = [" | ".join(f"coalesce({part}_{j}, 0L)" for part in parts) for j in range(len(SPANS))]
    return [
        f"greatest({listed('from')}) as {name}_from",
        f"least({listed('to')}) as {name}_to",
        f"greatest({listed('older')}) as {name}_older",
        *(f"{word} as {name}_{j}" for j, word in enumerate(some_word)),
    ]


def _active_days(name: str) -> str:
    """Null for none, as the sum of nulls is; each day of a family is one payment."""
    return f"if({name}_from is null, null, {bits([f'{name}_{j}' for j in range(len(SPANS))])} + {name}_older)"


def _first_days() -> str:
    """Some of the days between the first and the last active date, and the first."""
    some = " & ".join(f"xxhash64(id, 'first days {n}')" for n in range(3))
    until_last = "shiftrightunsigned(-1L, cast(63 - least(any_from - any_to, 62) as int))"
    return f"if(any_from is null, null, 1L | {some} & {until_last})"


def _date(days_before: str) -> str:
    return f"date_sub(date'{YESTERDAY}', cast({days_before} as int))"


def _sum(what: str) -> str:
    total = " + ".join(f"coalesce({family}_{what}, 0L)" for family in FAMILIES)
    return f"if(transacting_from is null, null, {total})"


def _now_and_then(percent: Mapping[str, int]) -> dict[str, str]:
    """Counts that few rows have, with their amounts."""
    counts = {
        name: f"if({_chance(100, name)} < {share}, 1L + {_chance(3, f'{name} count')}, null)"
        for name, share in percent.items()
    }
    amounts = {
        f"{name}_amount_minor": f"{counts[name]} * (100L + {_chance(50_000, f'{name} amount')})"
        for name in ("reversed", "received")
    }
    return {f"{name}_count": count for name, count in counts.items()} | amounts


def told(spark: SparkSession, customers: int, active: int) -> DataFrame:
    """What tonight told of `active` customers, one in fifty of them new: one event date or two, some late."""
    known = f"if(id % {ONE_NEW_IN} = 0, {customers}L + id, id * {customers // active}L)"
    rows = spark.range(active).selectExpr(f"{known} as id", f"id % {ONE_NEW_IN} = 0 as is_new")
    days_ago = (
        f"case when {_chance(100, 'ago')} < 85 then 0L when {_chance(100, 'ago')} < 97 then 1L + {_chance(7, 'late')} "
        f"else 1L + {_chance(300, 'very late')} end"
    )
    again = f"if({_chance(5, 'again')} = 0, array(0L, 1L + {_chance(3, 'between')}), array(0L))"
    rows = rows.selectExpr("*", f"{days_ago} as days_ago", f"explode({again}) as earlier")
    # Of a hundred rows 75 tell of payments, 10 of the app alone, and the rest of what is no activity.
    kind = "pmod(xxhash64(id, earlier, 'kind'), 100L)"
    rows = rows.selectExpr("*", f"{kind} as kind", f"pmod(xxhash64(id, earlier, 'family'), {len(FAMILIES)}L) as family")
    columns = {
        "as_of_date": f"date'{TONIGHT}'",
        "customer_id": CUSTOMER,
        "event_date": f"date_sub(date'{TONIGHT}', cast(days_ago + earlier as int))",
        "is_active": "kind < 85",
        "is_transacting": "kind < 75",
        "registered_at": f"if(is_new, timestamp'{TONIGHT} 03:00:00', null)",
        **_now_and_then({"reversed": 2, "failed": 8, "pending": 8, "received": 10}),
    }
    for number, family in enumerate(FAMILIES):
        paid = f"kind < 75 and (family = {number} or {_chance(6, f'also {family}')} = 0)"
        count = f"if({paid}, 1L + {_chance(3, f'{family} count')}, null)"
        columns |= {
            f"{family}_count": count,
            f"{family}_amount_minor": f"{count} * (1000L + {_chance(200_000, f'{family} amount')})",
        }
    columns["largest_transfer_minor"] = columns["transfer_amount_minor"]
    return _contract(rows, CUSTOMER_DAILY, columns)

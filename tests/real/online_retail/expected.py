"""What must come out of the Online Retail dump: the known counts, and a second computation of them in DuckDB.

DuckDB reads the shop's Parquet file itself and shares no code with the lake: what it says is derived from what
the source file promises (one invoice is one transaction, C begins a cancellation, …), not from how it is done.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)

KNOWN = {
    "delivered, rows": 541_909,
    "delivered, invoices": 25_900,
    "dates with invoices": 305,
    "accepted, rows": 406_822,
    "accepted, invoices": 22_186,
    "accepted, sales": 18_532,
    "accepted, cancellations": 3_654,
    "quarantined, rows": 135_087,
    "quarantined, invoices": 3_714,
    "quarantined for customer_id_missing, invoices": 3_710,
    "quarantined for amount_zero, invoices": 2_102,
    "quarantined for both, invoices": 2_098,
    "duplicate, rows": 0,
    "waiting, rows": 0,
}

INVOICES = """
create temp table invoices as
select
    InvoiceNo as invoice,
    count(*) as lines,
    max(CustomerID)::bigint as customer,
    InvoiceNo[1] = 'C' as is_cancellation,
    -- A sale is dated by its first line, a cancellation by its last.
    cast(if(is_cancellation, max(InvoiceDate), min(InvoiceDate)) as date) as day,
    cast(round(100 * abs(sum(cast(UnitPrice as decimal(18, 4)) * Quantity))) as bigint) as pence,
    customer is null as has_no_customer,
    pence = 0 as is_free
from read_parquet(?)
group by InvoiceNo
having day >= ?
"""

TOTALS = """
select
    sum(lines) as "delivered, rows",
    count(*) as "delivered, invoices",
    count(distinct day) as "dates with invoices",
    coalesce(sum(lines) filter (not has_no_customer and not is_free), 0) as "accepted, rows",
    count(*) filter (not has_no_customer and not is_free) as "accepted, invoices",
    count(*) filter (not has_no_customer and not is_free and not is_cancellation) as "accepted, sales",
    count(*) filter (not has_no_customer and not is_free and is_cancellation) as "accepted, cancellations",
    coalesce(sum(lines) filter (has_no_customer or is_free), 0) as "quarantined, rows",
    count(*) filter (has_no_customer or is_free) as "quarantined, invoices",
    coalesce(sum(lines) filter (has_no_customer), 0) as "quarantined for customer_id_missing, rows",
    count(*) filter (has_no_customer) as "quarantined for customer_id_missing, invoices",
    coalesce(sum(lines) filter (is_free), 0) as "quarantined for amount_zero, rows",
    count(*) filter (is_free) as "quarantined for amount_zero, invoices",
    coalesce(sum(lines) filter (has_no_customer and is_free), 0) as "quarantined for both, rows",
    count(*) filter (has_no_customer and is_free) as "quarantined for both, invoices",
    -- An invoice number is delivered once, and a dump waits for nothing.
    0 as "duplicate, rows",
    0 as "waiting, rows"
from invoices
"""

MONTHS = """
select
    strftime(day, '%Y-%m') as month,
    count(distinct customer) filter (not is_cancellation) as "customers with a sale",
    count(*) filter (not is_cancellation) as "sales",
    coalesce(sum(pence) filter (not is_cancellation), 0) as "sales, pence",
    count(*) filter (is_cancellation) as "cancellations",
    coalesce(sum(pence) filter (is_cancellation), 0) as "cancellations, pence"
from invoices
where not has_no_customer and not is_free
group by month
order by month
"""


# Every window of every month of first sales, counted customer by customer; nothing is shared with the lake's masks.
RETENTION = """
with sales as (
    select distinct customer, day from invoices where not is_cancellation and not has_no_customer and not is_free
),
customers as (select customer, min(day) as first from sales group by customer),
periods as (
    select * from (values
        ('day_1', 1, 1), ('day_3', 3, 3), ('day_7', 7, 7), ('day_14', 14, 14), ('day_30', 30, 30), ('day_60', 60, 60),
        ('day_90', 90, 90), ('days_1_29', 1, 29), ('days_30_59', 30, 59), ('days_60_89', 60, 89),
        ('days_90_119', 90, 119), ('day_30_plus', 30, 119)
    ) as periods(period, a, b)
),
windows as (
    select customer, first, period, first + a::integer as begins, first + b::integer as ends,
        last_day(first) + b::integer as cohort_ends
    from customers cross join periods
    union all
    select customer, first, 'month_' || n, date_trunc('month', first) + to_months(n::integer),
        last_day(date_trunc('month', first) + to_months(n::integer)),
        last_day(date_trunc('month', first) + to_months(n::integer))
    from customers cross join range(13) as months(n)
)
select
    strftime(first, '%Y-%m') as cohort,
    period,
    count(*) as customers,
    count(*) filter (
        exists (from sales where sales.customer = windows.customer and sales.day between begins and ends)
    ) as retained
from windows
where cohort_ends + ?::integer <= ?
group by cohort, period
order by cohort, period
"""


def retention(parquet: Path, *, close_after: int, known_on: date, since: date = FIRST) -> dict[str, int]:
    """Customers and retained of every month of first sales and window that is complete by `known_on`."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.execute(INVOICES, [str(parquet), since])
        rows = connection.execute(RETENTION, [close_after, known_on]).fetchall()
    return {
        f"{cohort} {period} {name}": count
        for cohort, period, *counts in rows
        for name, count in zip(("customers", "retained"), counts, strict=True)
    }


def computed(parquet: Path, since: date = FIRST) -> dict[str, int]:
    """The figures of `since` and later by name, those of a month as "2010-12 sales"; money in pence."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.execute(INVOICES, [str(parquet), since])
        totals = connection.execute(TOTALS)
        figures = {
            _name(column): int(value) for column, value in zip(totals.description, totals.fetchall()[0], strict=True)
        }
        months = connection.execute(MONTHS)
        names = [_name(column) for column in months.description]
        for month, *values in months.fetchall():
            figures |= {f"{month} {name}": int(value) for name, value in zip(names[1:], values, strict=True)}
    return figures


def _name(column: tuple[object, ...]) -> str:
    return str(column[0])

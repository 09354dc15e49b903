"""A lake of one's own, as its owner makes it: three files of configuration, a log without header and ids, two commands.

The log is a look-alike of the CDNOW purchases, 300 lines of four months. Every row of the retention table is
compared with what DuckDB counts in the text file, customer by customer, without any of the lake's code.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from jobs.__main__ import main
from tests.conftest import Place

# A range of five months: three minutes on two cores.
pytestmark = pytest.mark.slow

# The last window of 31 January, days 90 to 119, closes on 30 May; those of February and later are still open.
FIRST, LAST = date(1997, 1, 1), date(1997, 5, 31)

BASE = """\
[lake]
zone = "America/New_York"
currency = "USD"
close_after = 0
[conf]
packaged = { sources = false, segments = false, triggers = false }
"""
COHORTS = """\
n_day = [1, 3, 7, 14, 30, 60, 90]
bracket = [[1, 29], [30, 59], [60, 89], [90, 119]]
unbounded = [[30, 119]]
calendar_month = 12
slices = ["first_product"]
"""
CDNOW = """\
name  = "cdnow"
feed  = "transactions"
owner = "growth"
about = "CDNOW purchases, 1997-01 to 1998-06: one purchase a line."
late_days = 0

[files]
path      = "cdnow/CDNOW_master.txt"
format    = "csv"
header    = false
delimiter = "whitespace"
manifest  = "computed"
zone      = "America/New_York"

[columns]
customer = "string"
day      = "date yyyyMMdd"
units    = "int"
dollars  = "decimal(10,2)"

[map]
customer_id  = "customer"
occurred_at  = "day"
product      = "'marketplace_order'"
direction    = "'debit'"
status       = "'success'"
amount_minor = "cast(dollars * 100 as bigint)"
currency     = "'USD'"

[limits]
zero_amounts = "accept"
"""

COLUMNS = (
    "definition",
    "period",
    "slice",
    "slice_value",
    "grain",
    "cohort_start",
    "customers",
    "retained",
    "rate",
    "is_complete",
)
# $1 the log, $2 the night; every window closes on its last day. The rate is counted in whole millionths.
EXPECTED = f"""
with lines as (
    select regexp_split_to_array(trim(line), ' +') as cells
    from (select unnest(string_split(content, chr(10))) as line from read_text($1))
    where line <> ''
),
active as (select distinct cells[1] as customer, strptime(cells[2], '%Y%m%d')::date as day from lines),
customers as (select customer, min(day) as first from active group by customer),
periods as (
    select * from (values
        ('n_day', 'day_1', 1, 1), ('n_day', 'day_3', 3, 3), ('n_day', 'day_7', 7, 7), ('n_day', 'day_14', 14, 14),
        ('n_day', 'day_30', 30, 30), ('n_day', 'day_60', 60, 60), ('n_day', 'day_90', 90, 90),
        ('bracket', 'days_1_29', 1, 29), ('bracket', 'days_30_59', 30, 59), ('bracket', 'days_60_89', 60, 89),
        ('bracket', 'days_90_119', 90, 119), ('unbounded', 'day_30_plus', 30, 119)
    ) as periods(definition, period, a, b)
),
windows as (
    select customer, first, definition, period, grain, date_trunc(grain, first)::date as cohort_start,
        first + a::integer as begins, first + b::integer as ends,
        case grain when 'day' then cohort_start when 'week' then cohort_start + 6 else last_day(first) end
            + b::integer as complete_on
    from customers cross join periods cross join (values ('day'), ('week'), ('month')) as grains(grain)
    union all
    select customer, first, 'calendar_month', 'month_' || n, 'month', date_trunc('month', first)::date,
        (date_trunc('month', first) + to_months(n::integer))::date as begins, last_day(begins) as ends, ends
    from customers cross join range(13) as months(n)
),
counted as (
    select definition, period, grain, cohort_start, complete_on <= $2 as is_complete,
        count(*) as customers,
        count(*) filter (
            exists (from active where active.customer = windows.customer and active.day between begins and ends)
        ) as retained
    from windows
    where ends <= $2
    group by all
)
select {", ".join(COLUMNS)}
from counted
    cross join (values ('all', ''), ('first_product', 'marketplace')) as slices(slice, slice_value)
    cross join lateral (
        select case when is_complete then (2000000 * retained + customers) // (2 * customers) end as rate
    )
"""


def purchases() -> list[str]:
    """300 lines: most customers buy once, some come back within days or after months."""
    chance = random.Random(1997)
    bought: list[tuple[int, date, int, float]] = []
    while len(bought) < 297:
        customer, day = len(bought), FIRST + timedelta(days=chance.randrange(90))
        while day <= date(1997, 4, 30):
            bought.append((customer, day, chance.randrange(1, 5), chance.randrange(599, 9999) / 100))
            if chance.random() < 0.35:
                break
            day += timedelta(days=chance.choice((1, 2, 6, 7, 13, 29, 30, 31, 45, 60, 75, 90)))
    customer, day, units, dollars = bought[0]
    # Twice the same on one day are two purchases; and what costs nothing is one too.
    bought = [*bought[:297], *[(customer, day, units, dollars)] * 2, (customer + 1, day, 1, 0.0)]
    return [f" {customer:05} {day:%Y%m%d} {units:2} {dollars:7.2f}" for customer, day, units, dollars in sorted(bought)]


def expected(log: Path) -> list[tuple[str, ...]]:
    with duckdb.connect() as connection:
        rows = connection.execute(EXPECTED, [str(log), LAST]).fetchall()
    return [
        (*map(str, row[:-2]), "" if rate is None else f"{rate // 10**6}.{rate % 10**6:06}", str(is_complete).lower())
        for row in rows
        for rate, is_complete in [row[-2:]]
    ]


def test_every_cohort_of_a_log_without_header_and_ids(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = place.root / "conf"
    log = place.landing / "cdnow" / "CDNOW_master.txt"
    for file, text in {
        own / "base.toml": BASE,
        own / "cohorts.toml": COHORTS,
        own / "sources" / "cdnow.toml": CDNOW,
        own / "tiny.toml": "[spark]\nshuffle_partitions = 2\n",  # So that it is soon done; it changes no row.
        log: "\n".join(purchases()) + "\n",
    }.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for name, value in {**place.environ, "CLM_ENV": "tiny"}.items():
        monkeypatch.setenv(name, value)

    load = ["backfill", "--from", str(FIRST), "--to", str(LAST), "--until", "know", "--reason", "first load"]
    assert main([*load, "--quiet"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main(["table", "ops.deliveries", "--csv", "--quiet"]) == 0
    accounts = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert sum(int(row["accepted"]) for row in accounts) == sum(int(row["delivered"]) for row in accounts) == 300

    assert main(["table", "mart.retention", "--csv", "--quiet"]) == 0
    told = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["as_of_date"] for row in told} == {str(LAST)}
    found = Counter(tuple(row[name] for name in COLUMNS) for row in told)
    due = Counter(expected(log))
    assert (found - due, due - found) == (Counter(), Counter())
    assert {row["is_complete"] for row in told} == {"true", "false"}
    assert max(found.values()) == 1

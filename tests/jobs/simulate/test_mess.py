"""Which answer conform owes a row, and on which night."""

from __future__ import annotations

from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.simulate.clock import DAY
from jobs.simulate.mess import with_answer
from jobs.simulate.plan import day_number

FIRST = date(2026, 1, 1)
# A Wednesday; the Sunday after it is the 25th.
DELIVERED = date(2026, 1, 21)
SUNDAY = date(2026, 1, 25)
SENT = "delivery_day int, created bigint, created_text string, changed bigint, state string, kind string, flaw string"


ROWS = [
    # created, delivered, kind, flaw, first night of the lake; expected answer, night, reasons
    (DELIVERED, DELIVERED, "clean", None, FIRST, "accepted", DELIVERED, []),  # on its day
    (date(2026, 1, 14), DELIVERED, "late", None, FIRST, "accepted", DELIVERED, []),  # the oldest looked up
    (date(2026, 1, 13), DELIVERED, "late", None, FIRST, "accepted", SUNDAY, []),  # too old: waits
    (date(2026, 1, 10), SUNDAY, "very_late", None, FIRST, "accepted", SUNDAY, []),  # a Sunday looks back further
    (date(2026, 1, 12), DELIVERED, "late", None, date(2026, 1, 14), "accepted", DELIVERED, []),  # all looked up
    (date(2026, 1, 12), DELIVERED, "late", None, date(2026, 1, 13), "accepted", SUNDAY, []),  # one night too many
    (date(2026, 1, 22), DELIVERED, "early", None, FIRST, "accepted", date(2026, 1, 22), []),  # waits for its date
    (DELIVERED, DELIVERED, "touched", None, FIRST, "duplicate", DELIVERED, []),
    (date(2026, 1, 13), DELIVERED, "duplicate", None, FIRST, "duplicate", SUNDAY, []),  # known only once looked up
    (DELIVERED, DELIVERED, "changed", None, FIRST, "quarantined", DELIVERED, ["changed_after_posting"]),
    (DELIVERED, DELIVERED, "broken", "amount_zero", FIRST, "quarantined", DELIVERED, ["amount_zero"]),
    # quarantined at once, however old or young its date says it is
    (date(1969, 12, 31), DELIVERED, "broken", "before_1970", FIRST, "quarantined", DELIVERED, ["before_1970"]),
    (date(2026, 2, 9), DELIVERED, "broken", "in_the_future", FIRST, "quarantined", DELIVERED, ["in_the_future"]),
]


def test_the_answer_due(spark: SparkSession) -> None:
    sent = spark.createDataFrame(
        [
            (n, day_number(delivered), day_number(created) * DAY, None, 0, "OK", kind, flaw, day_number(first))
            for n, (created, delivered, kind, flaw, first, *_) in enumerate(ROWS)
        ],
        f"n int, {SENT}, first_day int",
    )
    told = with_answer(sent, F.col("first_day"), late_days=7).orderBy("n").collect()
    for row, (created, *_, answer, answered_on, reasons) in zip(told, ROWS, strict=True):
        assert (row["answer"], row["answered_on"], row["reasons"]) == (answer, answered_on, reasons), ROWS[row["n"]]
        assert row["event_date"] == created


def test_a_reversal_is_dated_by_when_it_was_reversed_but_looked_up_by_when_it_was_paid(spark: SparkSession) -> None:
    paid, reversed_on = day_number(date(2026, 1, 12)), day_number(DELIVERED)
    sent = spark.createDataFrame(
        [(reversed_on, paid * DAY, None, reversed_on * DAY, "BACK", "clean", None)],
        SENT,
    )
    row = with_answer(sent, F.lit(day_number(FIRST)), late_days=7).first()
    assert row is not None
    assert (row["event_date"], row["answered_on"]) == (DELIVERED, SUNDAY)

"""The rows of a dump are told apart and judged as a whole, and each comes on the night of its own date."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession

from conf import Source
from jobs import conform, dump
from jobs.errors import DataRefused
from jobs.expressions import check_mapping
from jobs.land import read
from jobs.ledger import Ledger
from jobs.mapping import records
from jobs.taking import take
from schemas.feeds import TRANSACTIONS
from tests.conftest import Place
from tests.jobs.rows import cells, conform_nights
from tests.jobs.sources import PAYMENT_COLUMNS, payments

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 4)
ROWS = [
    "p1,c1,2026-01-02 10:00:00,10.00",
    "p2,c1,2026-01-02 23:59:59,10.00",
    "p2,c1,2026-01-04 10:00:00,10.00",  # The same key two days later: a duplicate of the 2nd.
    "p3,c2,2025-12-31 10:00:00,10.00",  # Before the lake's first night.
    "p4,c2,2025-02-30 10:00:00,10.00",  # No date.
    "p5,c2,2026-01-03 10:00:00,0.00",  # Refused, and still of its night.
]


def load(
    spark: SparkSession,
    place: Place,
    rows: list[str],
    *,
    top: str = "",
    limits: str = "",
    columns: str = PAYMENT_COLUMNS,
    changed_map: str = "",
) -> tuple[Source, DataFrame]:
    files = 'format = "csv"\nmanifest = "computed"\n'
    header = ",".join(line.split(" = ")[0] for line in columns.splitlines())
    settings = place.configure(
        payments(path="old/*.csv", files=files, top=top, columns=columns, limits=limits, changed_map=changed_map)
    )
    (place.landing / "old").mkdir(parents=True)
    (place.landing / "old" / "all.csv").write_text("\n".join([header, *rows]) + "\n")
    (source,) = settings.sources
    parts = take(source, place.landing, Ledger.open(settings.ledger_url), [FIRST])
    dated = dump.dated(
        read(spark, source, parts),
        source,
        check_mapping(spark, source),
        zone="Asia/Kolkata",
        currency="INR",
        first_night=FIRST,
    )
    return source, dated


def nights(raw: DataFrame) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in raw.select("payment", "as_of_date", "known_from_date").collect())


def test_every_row_comes_on_the_night_of_its_date(spark: SparkSession, place: Place) -> None:
    source, dated = load(spark, place, ROWS)
    # In two ranges, as nights do that come later: together they are the dump, without what lies before.
    early = dump.transform(dated, source, first=FIRST, last=date(2026, 1, 2))
    late = dump.transform(dated, source, first=date(2026, 1, 3), last=LAST)
    assert nights(early) == [
        ("p1", date(2026, 1, 2), date(2026, 1, 2)),
        ("p2", date(2026, 1, 2), date(2026, 1, 2)),
        ("p4", FIRST, FIRST),
    ]
    assert nights(late) == [
        ("p2", date(2026, 1, 4), date(2026, 1, 2)),  # Known over the whole dump, however many nights lie between.
        ("p5", date(2026, 1, 3), date(2026, 1, 3)),
    ]


def test_a_reversal_comes_on_the_night_it_was_made(spark: SparkSession, place: Place) -> None:
    """And knows of the payment that it takes back, which is of an earlier night: none is implied."""
    columns = f'{PAYMENT_COLUMNS}changed = "timestamp"\nstate = "string"\n'
    source, dated = load(
        spark,
        place,
        [
            "p1,c1,2026-01-02 10:00:00,10.00,2026-01-02 10:00:00,success",
            "p1,c1,2026-01-02 10:00:00,10.00,2026-01-04 09:00:00,reversed",
            "p2,c1,2026-01-03 10:00:00,10.00,2026-01-04 09:00:00,reversed",  # Its success is implied.
        ],
        columns=columns,
        changed_map='updated_at = "changed"\nstatus = "state"',
    )
    # As it is stored: its rows are numbered once.
    raw = dump.transform(dated, source, first=FIRST, last=LAST).localCheckpoint()
    assert nights(raw) == [
        ("p1", date(2026, 1, 2), date(2026, 1, 2)),
        ("p1", date(2026, 1, 4), date(2026, 1, 2)),
        ("p2", date(2026, 1, 4), date(2026, 1, 3)),
    ]
    made = records(raw, source, check_mapping(spark, source), zone="Asia/Kolkata", currency="INR")
    posted, _ = conform_nights(conform.due(made, source, first_night=FIRST), TRANSACTIONS, FIRST, LAST)
    told = cells(posted, "transaction_id", "status", "as_of_date", "event_date", "is_implied")
    assert told == [
        ("p1", "reversed", "2026-01-04", "2026-01-04", "false"),
        ("p1", "success", "2026-01-02", "2026-01-02", "false"),
        ("p2", "reversed", "2026-01-04", "2026-01-04", "false"),
        ("p2", "success", "2026-01-04", "2026-01-03", "true"),
    ]


def test_rows_of_a_record_share_the_night_and_the_occurrence_stays(spark: SparkSession, place: Place) -> None:
    grouped = (
        'customer_id = "max(customer)"\noccurred_at = "min(paid)"\namount_minor = "cast(sum(rupees) * 100 as bigint)"\n'
        "product = \"'recharge'\"\n"
    )
    rows = ["p1,c1,2026-01-02 23:59:00,10.00", "p1,c1,2026-01-03 00:01:00,5.00", "p2,c1,2026-01-03 00:01:00,5.00"]
    source, dated = load(spark, place, rows, top='group_by = ["payment"]', changed_map=grouped)
    raw = dump.transform(dated, source, first=FIRST, last=LAST)
    assert [night[:2] for night in nights(raw)] == [
        ("p1", date(2026, 1, 2)),
        ("p1", date(2026, 1, 2)),
        ("p2", date(2026, 1, 3)),
    ]
    judgement = dump.judge(dated, source, FIRST)
    assert (judgement.source_rows, judgement.refused_rows) == (3, 0)


def test_a_dump_is_judged_as_a_whole(spark: SparkSession, place: Place) -> None:
    source, dated = load(spark, place, ROWS, limits="max_quarantined = 0.33")
    judgement = dump.judge(dated, source, FIRST)
    assert judgement == dump.Judgement(
        source_rows=6, refused_rows=2, rows_before=1, by_reason={"paid_invalid": 1, "amount_zero": 1}
    )
    with pytest.raises(DataRefused) as refused:
        dump.refuse_above_limit(source, judgement)
    for part in (
        "payments: 2 of 6 rows of the dump",
        "amount_zero 1",
        "paid_invalid 1",
        "max_quarantined = 0.33",
        "payments.toml",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("limit", "rows", "refused", "is_above"),
    [
        (0.29, 100, 29, False),  # as floats, 0.29 * 100 is less than 29
        (0.29, 100, 30, True),
        (0.01, 3, 1, False),  # one row is no share of so few
        (0.01, 3, 2, True),
        (0.0, 3, 1, True),  # none at all may be refused
    ],
)
def test_the_limit_itself_is_allowed_and_one_row_where_any_is(
    place: Place, limit: float, rows: int, refused: int, is_above: bool
) -> None:
    source = place.configure(payments(limits=f"max_quarantined = {limit}")).sources[0]
    assert dump.is_above_limit(source, refused, rows) is is_above


def test_the_sentence_names_the_four_worst_reasons(place: Place) -> None:
    source = place.configure(payments()).sources[0]
    by_reason: Mapping[str, int] = {"a": 1, "b": 5, "c": 3, "d": 2, "e": 4}
    said = dump.above_limit(source, "payments-2026-01-26-1", 15, 100, by_reason)
    assert "payments: 15 of 100 rows of payments-2026-01-26-1 would be quarantined (b 5, e 4, c 3, d 2)" in said

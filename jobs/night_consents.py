"""What is known at the moment of delivery of those who would be told something: also what no night has posted yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import consent, mapping
from jobs.funnel import versions
from jobs.runner import Night
from schemas.core import POSTED

ONE_DAY = timedelta(days=1)


def newest_customers(night: Night, asked: DataFrame) -> DataFrame:
    """One row is one customer of `asked`, as they are known now: language, phone, email, is_deleted."""
    told = _known(night, "customers")
    facts = "struct(language, phone, email, coalesce(is_deleted, false) as is_deleted)"
    of_them = told.join(asked.select("customer_id"), "customer_id", "left_semi").groupBy("customer_id")
    found = of_them.agg(F.expr(f"max_by({facts}, struct(updated_at, row_hash)) as newest"))
    return found.selectExpr("customer_id", "newest.*")


def customers_with(night: Night, tokens: DataFrame) -> DataFrame:
    """One row is one customer (customer_id) who has, or once had, one of the `tokens` of phones and addresses."""
    told = _known(night, "customers")
    had = told.selectExpr("customer_id", "explode(array(phone, email)) as token")
    return had.join(tokens.select("token"), "token", "left_semi").select("customer_id").distinct()


def consented(night: Night, asked: DataFrame, day: date, now: datetime) -> DataFrame:
    """What the customers of `asked` consent to, by all that is known now: also what was landed between nights.

    `now` counts, and at the earliest the end of the night `day`, so that nobody is asked before it is over.
    """
    told = _known(night, "consents")
    customers = asked.select("customer_id").distinct().selectExpr("date'9999-12-31' as as_of_date", "customer_id")
    return consent.given(customers, told, at=moment(max(midnight(night, day + ONE_DAY), now)))


def _known(night: Night, feed: str) -> DataFrame:
    """Versions of a states feed that tell how things stand now: those of its nights, and those landed since."""
    told = versions(night.lake, feed, [_last_night(night, feed)])
    landed = landed_versions(night, feed)
    return told if landed is None else told.unionByName(landed.select(*told.columns))


def moment(at: datetime) -> str:
    """A moment as SQL."""
    return f"timestamp'{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z'"


def landed_versions(night: Night, feed: str) -> DataFrame | None:
    """The versions of a states feed that were landed since its last night, as it would post them; None where none."""
    last, lake = _last_night(night, feed), night.settings.lake
    found: DataFrame | None = None
    for source in night.settings.sources_of(feed):
        raw = f"raw.{source.name}"
        if landed := [day for day in night.ledger.kept_days(raw) if day > last]:
            rows = night.lake.read_days(raw, landed)
            made = mapping.records(rows, source, night.mappings[source.name], zone=lake.zone, currency=lake.currency)
            told = made.where("bits = 0").withColumnRenamed("landed_date", "as_of_date")
            found = told if found is None else found.unionByName(told)
    return found


def _last_night(night: Night, feed: str) -> date:
    known = night.ledger.days(POSTED[feed].name)
    return known[1] if known else night.last


def midnight(night: Night, day: date) -> datetime:
    """When the day begins in the lake's zone."""
    return datetime.combine(day, time(), ZoneInfo(night.settings.lake.zone))

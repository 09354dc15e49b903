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
    told = versions(night.lake, "customers", [_last_night(night, "customers")])
    facts = "struct(language, phone, email, coalesce(is_deleted, false) as is_deleted)"
    of_them = told.join(asked.select("customer_id"), "customer_id", "left_semi").groupBy("customer_id")
    found = of_them.agg(F.expr(f"max_by({facts}, struct(updated_at, row_hash)) as newest"))
    return found.selectExpr("customer_id", "newest.*")


def consented(night: Night, asked: DataFrame, at: datetime) -> DataFrame:
    """What the customers of `asked` consent to, by all that is known now: also what was landed between nights."""
    told = versions(night.lake, "consents", [_last_night(night, "consents")])
    if (landed := landed_consents(night)) is not None:
        told = told.unionByName(landed.select(*told.columns))
    customers = asked.select("customer_id").distinct().selectExpr("date'9999-12-31' as as_of_date", "customer_id")
    return consent.given(customers, told, at=moment(at))


def moment(at: datetime) -> str:
    """A moment as SQL."""
    return f"timestamp'{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z'"


def landed_consents(night: Night) -> DataFrame | None:
    """The versions of consents that were landed since the last night, as it would post them; None where none were."""
    last, lake = _last_night(night, "consents"), night.settings.lake
    found: DataFrame | None = None
    for source in night.settings.sources_of("consents"):
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


def within_send_date(night: Night, day: date, now: datetime) -> datetime:
    """The moment whose consents count for the night of `day`: now, within the day on which its messages go out."""
    return max(midnight(night, day + ONE_DAY), min(now, midnight(night, day + 2 * ONE_DAY)))

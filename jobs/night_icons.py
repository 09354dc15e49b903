"""The list icon_order_v1 of a night: whose taps it told of, and in the first one everybody."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from jobs import icon_order
from jobs.exporting import batches, exports, scratch, stamp, write_sorted
from jobs.list_files import MANIFEST, Content, dated
from jobs.list_manifest import ROWS, ListOfNight, bring_up_to_date
from jobs.runner import Night
from schemas.core import CUSTOMER_DAILY
from schemas.judgement import CUSTOMER_SEGMENTS
from schemas.lists import ICON_ORDER_V1
from schemas.mart import CUSTOMER_PROFILE

LIST = "icon_order_v1"
# It can be as long as there are customers, and its reader is a program.
FORMATS = ("parquet",)


def export(night: Night, day: date, now: datetime) -> dict[str, Any] | None:
    """The list's manifest; None in a lake that no app tells anything."""
    if not night.settings.sources_of("app_events"):
        return None
    root = exports(night) / LIST
    earlier = [path for before, path in dated(root) if before < day and (path / MANIFEST).exists()]
    lake = night.lake
    rows = icon_order.transform(lake.read_day(CUSTOMER_PROFILE.name, day), lake.read_day(CUSTOMER_SEGMENTS.name, day))
    if earlier:
        told = lake.read_day(CUSTOMER_DAILY.name, day).where(f"coalesce({', '.join(icon_order.COUNTS)}) is not null")
        rows = rows.join(told.select("customer_id"), "customer_id", "left_semi")
    with scratch(root) as written:
        write_sorted(rows, written, "customer_id")
        counts = night.spark.read.parquet(f"file://{written}").groupBy("basis").count().collect()
        by_basis = {row["basis"]: row["count"] for row in sorted(counts)}
        count = sum(by_basis.values())
        told_list = ListOfNight(
            LIST,
            {},
            day,
            "ready" if count else "empty",
            None,
            {"set": count},
            ICON_ORDER_V1,
            {"baseline": not earlier, "basis": by_basis},
        )
        contents = {ROWS: Content(ICON_ORDER_V1, batches(written, ICON_ORDER_V1))} if count else {}
        return bring_up_to_date(root / f"date={day}", told_list, contents, FORMATS, stamp(night, now))

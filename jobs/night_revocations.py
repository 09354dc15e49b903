"""The list of revocations: what was withdrawn since the last night, for those who hold older lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyspark.sql import functions as F

from jobs import revocations
from jobs.exporting import batches, exports, scratch, stamp, write_sorted
from jobs.list_files import FORMATS, Content
from jobs.list_manifest import ROWS, ListOfNight, bring_up_to_date
from jobs.night_consents import landed_versions, moment
from jobs.runner import Night
from schemas.lists import REVOCATIONS_V1

LIST = "revocations_v1"


def export(night: Night, now: datetime) -> dict[str, Any] | None:
    """The manifest of the list of the next night; None where nothing was landed for it."""
    landed = landed_versions(night, "consents")
    if landed is None:
        return None
    rows = revocations.transform(landed, at=moment(now))
    root = exports(night) / LIST
    with scratch(root) as written:
        day = landed.agg(F.max("as_of_date")).collect()[0][0]
        write_sorted(rows, written, "customer_id", "purpose", "channel")
        count = night.spark.read.parquet(f"file://{written}").count()
        told = ListOfNight(LIST, {}, day, "ready" if count else "empty", None, {"revoke": count}, REVOCATIONS_V1)
        contents = {ROWS: Content(REVOCATIONS_V1, batches(written, REVOCATIONS_V1))} if count else {}
        return bring_up_to_date(root / f"date={day}", told, contents, list(FORMATS), stamp(night, now))

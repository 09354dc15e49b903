"""A ledger told of nights that never ran: what `status`, `plan` and `digest` look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import conf
from conf import Settings
from jobs.ledger import Delivery, Ledger, Publication, Upstream
from jobs.staleness import tables_of
from tests.conftest import Place
from tests.jobs.sources import CUSTOMERS, payments


def conf_of(folder: Path) -> str:
    """A configuration folder in `folder` of two sources, customers and payments; its path."""
    place = Place(folder)
    place.configure(CUSTOMERS, payments(name="payments", top="late_days = 7"))
    return place.environ["CLM_CONF"]


def settings_of(folder: Path) -> Settings:
    """The settings of a lake in `folder` with two sources."""
    return conf.load(environ={"CLM_LAKE": str(folder), "CLM_CONF": conf_of(folder)})


def publish(
    ledger: Ledger,
    table: str,
    day: date,
    *,
    digest: str = "d1",
    made_from: Sequence[tuple[str, date, str]] = (),
    run_id: str = "r1",
    conf_digest: str = "c0",
    waiting_rows: int = 0,
    rows: int = 10,
) -> None:
    """One more generation of one day, made from these (table, day, digest)."""
    generation = ledger.draw(run_id, table, [day])[day]
    ledger.record(
        [
            Publication(
                table=table,
                day=day,
                generation=generation,
                version=generation,
                rows=rows,
                digest=digest,
                conf_digest=conf_digest,
                run_id=run_id,
                figures={"rows": rows, "waiting_rows": waiting_rows},
                upstreams=tuple(Upstream(table=name, day=then, digest=was) for name, then, was in made_from),
                commit_sha256=f"{table}-{day}-{generation}",
            )
        ]
    )


def publish_night(ledger: Ledger, settings: Settings, day: date, run_id: str = "r1") -> None:
    """Every table of the night of `day`."""
    for table in tables_of(settings):
        publish(ledger, table, day, run_id=run_id)


def replace_on(ledger: Ledger, night: date) -> None:
    """A delivery of the night, and one that has come to replace it."""
    for delivery_id, replaces in (("p-1", None), ("p-2", "p-1")):
        delivery = Delivery(
            source="payments",
            delivery_id=delivery_id,
            folder=f"payments/{delivery_id}",
            date=night,
            night=night,
            is_fixed=False,
            replaces=replaces,
            manifest={},
        )
        ledger.take([delivery])
        if replaces is None:
            ledger.fix("payments", [night])

"""ops.*: what the lake says about itself."""

from __future__ import annotations

from schemas.columns import AS_OF_DATE, FEED, SOURCE
from schemas.table import Column, Table


def _rows(name: str, about: str) -> Column:
    return Column(name=name, type="bigint", about=about, unit="source rows", nullable=False)


DELIVERIES = Table(
    name="ops.deliveries",
    row="one delivery in one night: that landed it, or that took rows of it which had waited",
    kind="log",
    key=("as_of_date", "delivery_id", "taken_from"),
    owner="lake",
    keep="8 years",
    may_be_empty=True,
    columns=(
        AS_OF_DATE,
        Column(name="delivery_id", type="string", about="The delivery.", nullable=False),
        SOURCE,
        FEED,
        Column(name="taken_from", type="date", about="The night that first landed the delivery.", nullable=False),
        Column(
            name="records",
            type="bigint",
            about="Records made of the rows that this night handled.",
            unit="records",
            nullable=False,
        ),
        _rows("delivered", "Rows delivered; 0 for a night that only takes what waited."),
        _rows("accepted", "Rows that were posted."),
        _rows("quarantined", "Rows refused, with their reasons in core.quarantine."),
        _rows("duplicate", "Rows that say again what is known."),
        _rows("waiting", "Rows left for a later night; negative where this night took them."),
        _rows("erased", "Rows of people who asked to be forgotten."),
    ),
)

QUALITY = Table(
    name="ops.quality",
    row="one expectation about one table on one night",
    kind="log",
    key=("as_of_date", "table", "suite", "expectation"),
    owner="lake",
    keep="25 months",
    may_be_empty=True,
    columns=(
        AS_OF_DATE,
        Column(name="table", type="string", about="The table looked at.", nullable=False),
        Column(name="suite", type="string", about="The suite of expectations.", nullable=False),
        Column(name="expectation", type="string", about="What was expected.", nullable=False),
        Column(
            name="severity",
            type="string",
            about="fail: nothing is published; warn: published and said.",
            nullable=False,
            accepted=("fail", "warn"),
        ),
        Column(name="success", type="boolean", about="The expectation was met.", nullable=False),
        Column(name="observed", type="string", about="The figure observed, never a value of a row."),
    ),
)

TABLES = (DELIVERIES, QUALITY)

"""raw.*: what was delivered, with where it came from. One table per source, made from its [columns]."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.columns import AS_OF_DATE, DELIVERY_ID, FILE
from schemas.table import Column, Table

# Names that a source may not give to its own columns: these say where a row came from.
PROVENANCE = (
    DELIVERY_ID,
    FILE,
    Column(
        name="delivered_date",
        type="date",
        about="The date that the delivery bears; null for a dump.",
        provenance=True,
    ),
    Column(
        name="position",
        type="bigint",
        about="Row index in a Parquet file; null for text.",
        provenance=True,
    ),
    Column(
        name="row_id",
        type="bigint",
        about="Tells the rows of one landing apart; another number when it is landed again.",
        nullable=False,
        provenance=True,
    ),
    Column(
        name="occurrence",
        type="int",
        about="Of identical rows of one delivery, the how manyth; null where the source maps a key.",
        provenance=True,
    ),
    Column(
        name="known_from_date",
        type="date",
        about="Rows of a dump only: the first date on which the dump holds this row's key.",
        provenance=True,
    ),
    Column(
        name="is_unparsable",
        type="boolean",
        about="The line could not be split into columns.",
        nullable=False,
        provenance=True,
    ),
    Column(
        name="undeclared",
        type="string",
        about="Columns delivered and not declared, as a JSON object with sorted keys; the values of a source with "
        "[personal] are withheld.",
        provenance=True,
        privacy="personal",
        erasure="blank",
    ),
)


def raw_table(source: str, owner: str, columns: Mapping[str, str]) -> Table:
    """The raw table of `source`, whose own columns have the Spark types in `columns`."""
    return Table(
        name=f"raw.{source}",
        row=f"one row as delivered by {source}",
        kind="log",
        key=("as_of_date", "row_id"),
        owner=owner,
        keep="25 months",
        may_be_empty=True,
        columns=(
            AS_OF_DATE,
            *(
                Column(name=name, type=type_, about=f"{name} as delivered.", privacy="personal", erasure="delete")
                for name, type_ in columns.items()
            ),
            *PROVENANCE,
        ),
    )

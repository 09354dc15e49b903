"""restricted.contact_hashes: the hashes of customers' own phone numbers and e-mail addresses, made at landing.

They are made while the files are read, for no token can give them later. Executors run `_hashed`, as in
`jobs.tokens`.
"""

from __future__ import annotations

import hashlib
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf import Source
from jobs.frames import select_contract
from jobs.tokens import TokenMaker, e164, normalised, token_column
from schemas.restricted import CONTACT_HASHES


def transform(delivered: DataFrame, source: Source, maker: TokenMaker) -> DataFrame:
    """One row is one number or address of `delivered` (the rows before they are tokenised), on its `night`.

    It may be there more than once. What is no phone number, or no address, has no hash that anyone could match.
    """
    frames = [
        delivered.select(
            F.col("night").alias("as_of_date"),
            token_column(name, kind, maker).alias("token"),
            F.lit(kind).alias("kind"),
            _hash(name, kind, maker.region, with_plus=False).alias("sha256"),
            (_hash(name, kind, maker.region, with_plus=True) if kind == "phone" else F.lit(None)).alias("sha256_plus"),
        )
        for name, kind in source.own_contacts.items()
    ]
    rows = reduce(DataFrame.unionByName, frames).where("token is not null and sha256 is not null")
    return select_contract(rows, CONTACT_HASHES)


def _hash(name: str, kind: str, region: str, *, with_plus: bool) -> Column:
    def hashed(values: pa.Array) -> pa.Array:
        delivered = values.cast(pa.binary()).to_pylist()
        return pa.array(
            (None if value is None else _hashed(value, kind, region, with_plus) for value in delivered), pa.string()
        )

    udf = F.arrow_udf(hashed, "string")  # pyright: ignore[reportCallIssue, reportArgumentType]
    return udf(F.col(f"`{name}`"))


def _hashed(value: bytes, kind: str, region: str, with_plus: bool) -> str | None:
    text = normalised(kind, value.decode("utf-8", "replace"), region)
    if "@" not in text if kind == "email" else e164(text, region) is None:
        return None
    return hashlib.sha256((text if with_plus else text.removeprefix("+")).encode()).hexdigest()

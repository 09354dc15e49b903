"""Row hashes: xxhash64 as Spark makes it, chained over columns from the seed 42, nulls passed over.

Behind the columns comes a text of their null flags, so that a null differs from a null elsewhere.
Which nights use it says `night.is_exact`; DuckDB's own hash tells rows apart as well and is much quicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb

from schemas.table import Column

SEED = 42
MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def row_hash(columns: Iterable[Column], told: Mapping[str, str] = {}, *, is_exact: bool) -> str:
    """The hash of a row of these columns, in SQL; `prepare` comes before. `told`: other values for some of them."""
    values = [(told.get(column.name, f'"{column.name}"'), column.type) for column in columns]
    if not is_exact:
        row = ", ".join(value for value, _ in values)
        return f"cast(hash(row({row})) - 9223372036854775808::hugeint as bigint)"
    hashed = str(SEED)
    for value, type_ in values:
        hashed = _CALLS[type_].format(value, hashed)
    flags = " || ".join(f"if({value} is null, '1', '0')" for value, _ in values)
    return _CALLS["string"].format(flags, hashed)


_CALLS = {
    "string": "spark_hash_text({0}, {1})",
    "bigint": "spark_hash_long({0}, {1})",
    "timestamp": "spark_hash_long(epoch_us({0}), {1})",
    "int": "spark_hash_int({0}, {1})",
    "boolean": "spark_hash_int(cast({0} as integer), {1})",
    "date": "spark_hash_int(cast({0} - date '1970-01-01' as integer), {1})",
}


def prepare(database: duckdb.DuckDBPyConnection) -> None:
    """Makes the functions that exact hashes call, once for a database."""
    if database.execute("select 1 from duckdb_functions() where function_name = 'spark_hash_text'").fetchall():
        return
    for name, function, kind in (
        ("spark_hash_text", _text, "varchar"),
        ("spark_hash_long", _long, "bigint"),
        ("spark_hash_int", _int, "integer"),
    ):
        database.create_function(name, function, [kind, "bigint"], "bigint", null_handling="special")  # pyright: ignore


def _text(value: str | None, seed: int) -> int:
    return seed if value is None else xxh64(value.encode(), seed)


def _long(value: int | None, seed: int) -> int:
    return seed if value is None else xxh64(value.to_bytes(8, "little", signed=True), seed)


def _int(value: int | None, seed: int) -> int:
    return seed if value is None else xxh64(value.to_bytes(4, "little", signed=True), seed)


def xxh64(data: bytes, seed: int) -> int:
    """XXH64 of the bytes as a signed number, as Java has it."""
    rest = data
    if len(data) >= 32:
        lanes = [seed + P1 + P2, seed + P2, seed, seed - P1]
        whole = len(data) // 32 * 32
        for at in range(0, whole, 8):
            lane = at // 8 % 4
            lanes[lane] = _round(lanes[lane] & MASK, int.from_bytes(data[at : at + 8], "little"))
        hashed = sum(_rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            hashed = ((hashed ^ _round(0, lane)) * P1 + P4) & MASK
        rest = data[whole:]
    else:
        hashed = (seed + P5) & MASK
    hashed = (hashed + len(data)) & MASK
    while len(rest) >= 8:
        hashed = (_rotated(hashed ^ _round(0, int.from_bytes(rest[:8], "little")), 27) * P1 + P4) & MASK
        rest = rest[8:]
    if len(rest) >= 4:
        hashed = (_rotated(hashed ^ (int.from_bytes(rest[:4], "little") * P1 & MASK), 23) * P2 + P3) & MASK
        rest = rest[4:]
    for byte in rest:
        hashed = _rotated(hashed ^ (byte * P5 & MASK), 11) * P1 & MASK
    hashed = (hashed ^ hashed >> 33) * P2 & MASK
    hashed = (hashed ^ hashed >> 29) * P3 & MASK
    hashed ^= hashed >> 32
    return hashed - (1 << 64) if hashed >> 63 else hashed


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * P2) & MASK, 31) * P1 & MASK


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & MASK

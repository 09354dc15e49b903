"""Masks in SQL against Python's own whole numbers."""

from __future__ import annotations

from pyspark.sql import SparkSession

from jobs.frames import local_frame
from jobs.masks import DAYS, WORD, aged, bits, from_position, has_any, position_bit

SHIFTS = (0, 1, 31, 62, 63, 64, 65, 127, 128, 191)
# Bits at the edges of words, alone and together, the sign's among them; and a null word.
MASKS = [
    *(1 << bit for bit in (0, 1, 62, 63, 64, 65, 126, 127)),
    0,
    (1 << DAYS) - 1,
    (1 << 127) | (1 << 64) | (1 << 63) | 1,
    0x5555_5555_5555_5555_AAAA_AAAA_AAAA_AAAA,
]
WIDTHS = (1, 2, 30, 63, 64, 65, 90, 127, 128)
ALL = (1 << WORD) - 1


def signed(word: int) -> int:
    return word - (1 << WORD) if word >> (WORD - 1) else word


def words_of(mask: int, count: int) -> list[int]:
    return [mask >> (WORD * j) & ALL for j in range(count)]


def evaluated(spark: SparkSession, *expressions: str, nulls: bool = False) -> list[tuple[int, ...]]:
    """Each expression for each of MASKS, whose words are `young` and `old`."""
    rows = [[signed(word) or (None if nulls else 0) for word in words_of(mask, 2)] for mask in MASKS]
    frame = local_frame(spark, [[n, *row] for n, row in enumerate(rows)], "n int, young bigint, old bigint")
    told = frame.orderBy("n").selectExpr(*(f"{sql} as e{i}" for i, sql in enumerate(expressions))).collect()
    return [tuple(row) for row in told]


def test_a_mask_ages(spark: SparkSession) -> None:
    for into in (2, 3):
        passed = [days for days in SHIFTS if days < WORD]
        sql = [word for days in passed for word in aged(["young", "old"], f"int({days})", into=into)]
        expected = [tuple(signed(word) for days in passed for word in words_of(mask << days, into)) for mask in MASKS]
        assert evaluated(spark, *sql) == expected
        assert evaluated(spark, *sql, nulls=True) == expected


def test_a_mask_from_a_position_on(spark: SparkSession) -> None:
    sql = [word for start in SHIFTS for word in from_position(["young", "old"], f"int({start})")]
    expected = [tuple(signed(word) for start in SHIFTS for word in words_of(mask >> start, 2)) for mask in MASKS]
    assert evaluated(spark, *sql) == expected
    assert evaluated(spark, *sql, nulls=True) == expected


def test_is_anything_in_the_youngest_positions(spark: SparkSession) -> None:
    sql = [has_any(["young", "old"], f"int({width})") for width in WIDTHS]
    assert evaluated(spark, *sql) == [tuple((mask & ((1 << width) - 1)) != 0 for width in WIDTHS) for mask in MASKS]


def test_how_many_bits(spark: SparkSession) -> None:
    assert evaluated(spark, bits(["young", "old"])) == [(mask.bit_count(),) for mask in MASKS]


def test_the_bit_of_a_position(spark: SparkSession) -> None:
    positions = [bit for bit in SHIFTS if bit < DAYS]
    [row, *_] = evaluated(spark, *(position_bit(str(position)) for position in positions))
    assert row == tuple(signed(1 << position % WORD) for position in positions)

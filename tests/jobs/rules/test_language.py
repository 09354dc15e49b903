"""Every function and operator of the rule language, asked of Spark and of DuckDB: both must answer as written here.

The oracle relies on it: what is not in this table is not in the language.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from jobs.frames import local_frame
from jobs.rules import Layer, RuleColumn, Type, check
from jobs.rules.language import FUNCTIONS
from jobs.rules.parsing import ALLOWED, parse

COLUMNS = {
    "n": Type.NUMBER,
    "k": Type.NUMBER,
    "big": Type.NUMBER,
    "part": Type.NUMBER,
    "paid_minor": Type.MONEY,
    "name": Type.TEXT,
    "other": Type.TEXT,
    "is_it": Type.YES_NO,
    "on_date": Type.DATE,
    "reasons": Type.TEXTS,
    "segments": Type.TEXTS,
}
LAYER = Layer(
    columns={
        name: RuleColumn(name=name, type=type_, about="", is_fraction=name == "part") for name, type_ in COLUMNS.items()
    },
    currency="INR",
    segments=("upi_user", "sender"),
)
DDL = (
    "id int, n bigint, k bigint, big bigint, part double, paid_minor bigint, name string, other string, "
    "is_it boolean, on_date date, reasons array<string>, segments array<string>"
)
DAY = date(2026, 1, 31)
ROWS: list[tuple[Any, ...]] = [
    (0, 7, 2, 2**63 - 1, 0.25, 500000, "Redmi 9", "redmi 9", True, DAY, ["a", "b"], ["sender"]),
    (1, -7, 0, -(2**63), -1.5, 0, "Ünder", "Under", False, date(1969, 12, 31), [], []),
    (2, 0, None, 1, None, None, "", None, None, None, None, ["upi_user"]),
    (3, None, None, None, None, None, None, None, None, None, None, []),
]

# The rule, and for each of the four rows what it says; T and F, a null rule is not met.
CASES = {
    # comparisons
    "n = 7": "TFFF",
    "coalesce(n, 7) <> 7": "FTTF",
    "n > 0": "TFFF",
    "n >= 0": "TFTF",
    "n < 0": "FTFF",
    "n <= 0": "FTTF",
    "n > k": "TFFF",
    "n < 0.5": "FTTF",
    "part = 0.25": "TFFF",
    "part < n": "TFFF",
    "name = 'Redmi 9'": "TFFF",
    "name = other": "FFFF",
    "name < 'Z'": "TFTF",  # Ü comes after Z: by the bytes
    "name = ''": "FFTF",
    "coalesce(is_it, false) = true": "TFFF",
    "coalesce(is_it, true) = false": "FTFF",
    "is_it": "TFFF",
    "on_date = date '2026-01-31'": "TFFF",
    "on_date < date '1970-01-01'": "FTFF",
    "paid_minor >= inr(5000)": "TFFF",
    "paid_minor > inr(4999.99)": "TFFF",
    "paid_minor = inr(0)": "FTFF",
    # between, in, like
    "n between -7 and 0": "FTTF",
    "n between k and 9": "TFFF",
    "coalesce(n, 0) not between -7 and 0": "TFFF",
    "n in (7, 0)": "TFTF",
    "n in (-7)": "FTFF",
    "n in (0.0, 7.5)": "FFTF",
    "name in ('Redmi 9', '')": "TFTF",
    "on_date in (date '2026-01-31')": "TFFF",
    "coalesce(name, 'x') not in ('Redmi 9', 'x')": "FTTF",
    "name like 'Redmi%'": "TFFF",
    "name like 'redmi%'": "FFFF",  # capitals are told apart
    "name like '_nder'": "FTFF",  # one letter, of two bytes
    "name like '%'": "TTTF",
    "coalesce(name, '') not like 'R%'": "FTTT",
    # nulls
    "n is null": "FFFT",
    "n is not null": "TTTF",
    "(n > 0) is null": "FFFT",
    "name is null or name <> 'Redmi 9'": "FTTT",
    "name is not null and name <> 'Redmi 9'": "FTTF",
    # and, or, not
    "n > 0 and is_it": "TFFF",
    "n = 0 or is_it": "TFTF",
    "n >= 0 or is_it": "TFTF",  # null or true is true
    "is_it and n is null": "FFFF",  # null and false is false
    "not (n is null)": "TTTF",
    "not (coalesce(is_it, false) or coalesce(n, 0) = 0)": "FTFF",
    "not (coalesce(is_it, false) and true)": "FTTT",
    "true": "TTTT",
    "false": "FFFF",
    # case
    "case when n > 0 then true when n is null then true else false end": "TFFT",
    "case when n > 0 then 1 when n < 0 then 2 end = 2": "FTFF",
    "case when k = 2 then 1 else 2 end = 2": "FTTT",  # null is not 2: the next arm
    "case n when 7 then 'a' when 0 then 'b' else 'c' end = 'c'": "FTFT",
    "case when n > 0 then 1 else 0.5 end = 0.5": "FTTT",
    "case when n > 0 then null else n end = -7": "FTFF",
    # arithmetic
    "n + k = 9": "TFFF",
    "n - k = 5": "TFFF",
    "k - n = 7": "FTFF",
    "n * k = 14": "TFFF",
    "n / k = 3.5": "TFFF",
    "n / 2 = -3.5": "FTFF",
    "(n / k) is null": "FTTT",  # by zero, and by null
    "n % 2 = 1": "TFFF",
    "n % 2 = -1": "FTFF",  # the sign is the dividend's
    "(n % k) is null": "FTTT",
    "-n = 7": "FTFF",
    "- (n + 1) = 6": "FTFF",
    "n + 0.5 = 7.5": "TFFF",
    "n * 0.5 = -3.5": "FTFF",
    "part * 2 = 0.5": "TFFF",
    "part + n + 1 = 8.25": "TFFF",
    "n + k * 2 = 11": "TFFF",
    "(n + k) * 2 = 18": "TFFF",
    "10 - n - 1 = 2": "TFFF",
    "n / 2 / 2 = 1.75": "TFFF",
    "100000 * 100000 = 10000000000": "TTTT",  # not in 32 bits
    "(big + 1) is null": "TFFT",  # does not fit
    "(big - 1) is null": "FTFT",
    "(big * 2) is null": "TTFT",
    "(-big) is null": "FTFT",
    "paid_minor + inr(1) = inr(5001)": "TFFF",
    "paid_minor * 2 = inr(10000)": "TFFF",
    "0.5 * paid_minor = inr(2500)": "TFFF",
    "paid_minor / n > inr(714)": "TFFF",
    "paid_minor / inr(2) = 2500": "TFFF",
    # functions
    "coalesce(k, n, 5) = 5": "FFFT",
    "coalesce(n, 0.5) = 0.5": "FFFT",
    "coalesce(name, other, 'none') = 'none'": "FFFT",
    "coalesce(is_it, true)": "TFTT",
    "coalesce(on_date, date '2026-01-31') = date '2026-01-31'": "TFTT",
    "coalesce(paid_minor, inr(1)) = inr(1)": "FFTT",
    "abs(n) = 7": "TTFF",
    "abs(part) = 1.5": "FTFF",
    "abs(paid_minor - inr(10)) = inr(10)": "FTFF",
    "abs(n) is null": "FFFT",
    "abs(big) is null": "FTFT",  # the smallest has no counterpart
    "abs(part - 1) = 0.75": "TFFF",
    "coalesce(n <> 7, true)": "FTTT",  # what is said of null
    "coalesce(not (n < 0), true)": "TFTT",
    "case when n is not null then n <> 7 else true end": "FTTT",
    "case when n is null then false else n <> 7 end": "FTTF",
    "least(n, k) = 2": "TFFF",
    "least(n, k) = 0": "FFTF",  # null is passed over
    "least(n, k) is null": "FFFT",
    "least(n, 0.5) = 0.5": "TFFT",
    "least(on_date, date '2000-01-01') = date '2000-01-01'": "TFTT",
    "greatest(n, k) = 7": "TFFF",
    "greatest(n, k) = 0": "FTTF",
    "greatest(paid_minor, inr(1)) = inr(1)": "FTTT",
    "greatest(name, 'a') = 'a'": "TFTT",
    "array_contains(reasons, 'a')": "TFFF",
    "coalesce(array_contains(reasons, 'a'), true)": "TFTT",
    "in_segment('sender')": "TFFF",
    "not in_segment('sender')": "FTTT",
    "in_segment('sender') or in_segment('upi_user')": "TFTF",
}


@pytest.fixture(scope="module")
def answers(spark: SparkSession) -> tuple[dict[str, str], dict[str, str]]:
    """What Spark and DuckDB say of every rule."""
    checked = {text: check(text, LAYER) for text in CASES}

    def told(rows: list[tuple[Any, ...]]) -> dict[str, str]:
        by_rule = zip(*sorted(rows), strict=True)
        next(by_rule)
        return {
            text: "".join("TF?"[[True, False, None].index(one)] for one in said)
            for text, said in zip(checked, by_rule, strict=True)
        }

    frame = local_frame(spark, ROWS, DDL)
    by_spark = [tuple(row) for row in frame.selectExpr("id", *(rule.spark for rule in checked.values())).collect()]
    with duckdb.connect() as database:
        types = DDL.replace("array<string>", "varchar[]").replace("string", "varchar")
        database.execute(f"create table rows ({types})")
        database.executemany(f"insert into rows values ({', '.join('?' * len(ROWS[0]))})", ROWS)
        selected = ", ".join(rule.duckdb for rule in checked.values())
        by_duckdb = database.execute(f"select id, {selected} from rows").fetchall()
    return told(by_spark), told(by_duckdb)


@pytest.mark.parametrize("rule", CASES)
def test_both_engines_answer_as_written(rule: str, answers: tuple[dict[str, str], dict[str, str]]) -> None:
    by_spark, by_duckdb = answers
    assert (by_spark[rule], by_duckdb[rule]) == (CASES[rule], CASES[rule])


def test_every_word_of_the_language_is_asked_about() -> None:
    texts = " ".join(CASES)
    assert [name for name in FUNCTIONS if f"{name}(" not in texts] == []
    found = {type(node) for text in CASES for node in parse(text, "inr").walk()}
    assert {kind.__name__ for kind in ALLOWED} - {kind.__name__ for kind in found} == set()

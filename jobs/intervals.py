"""Intervals of 95 % of two shares and of their difference, in SQL.

In group 0 and in group 1, r of n were counted: p = r / n. z = 1.959964, without correction for continuity:

- a group: the score interval of Wilson (1927), Journal of the American Statistical Association 22:209-212;
- a difference p1 - p0: Newcombe (1998), Statistics in Medicine 17:873-890, method 10, from the two Wilson intervals.
"""

from __future__ import annotations

from pyspark.sql import DataFrame

Z = "1.959964D"
SIGNS = {"low": "-", "high": "+"}


def compared(counts: DataFrame) -> DataFrame:
    """The rows of n0, r0, n1 and r1, with p, low and high of each group; all null for a group without customers.

    `below` and `above` are how far the difference's interval reaches both ways.
    """
    shares = counts.selectExpr("*", *(f"r{group} / nullif(n{group}, 0L) as p{group}" for group in (0, 1)))
    groups = shares.selectExpr(
        "*", *(f"{_wilson(group, sign)} as {end}{group}" for group in (0, 1) for end, sign in SIGNS.items())
    )
    return groups.selectExpr(
        "*",
        "sqrt(pow(p1 - low1, 2) + pow(high0 - p0, 2)) as below",
        "sqrt(pow(high1 - p1, 2) + pow(p0 - low0, 2)) as above",
    )


def three_rows(rows: DataFrame, groups: tuple[str, str, str]) -> DataFrame:
    """Three rows for each that was compared: group 0, group 1 and the difference (grp), by these names.

    n of the difference are the customers of both, and its r is null.
    """
    told = [
        _row(groups[0], "n0", "r0", ("p0", "low0", "high0"), lowest=0),
        _row(groups[1], "n1", "r1", ("p1", "low1", "high1"), lowest=0),
        _row(
            groups[2],
            "n0 + n1",
            "cast(null as bigint)",
            ("p1 - p0", "p1 - p0 - below", "p1 - p0 + above"),
            lowest=-1,
        ),
    ]
    return rows.selectExpr("*", f"inline(array({', '.join(told)}))")


def _wilson(group: int, sign: str) -> str:
    n, r, p = (f"{name}{group}" for name in "nrp")
    return f"({r} + {Z} * {Z} / 2 {sign} {Z} * sqrt({n} * {p} * (1 - {p}) + {Z} * {Z} / 4)) / ({n} + {Z} * {Z})"


def _row(grp: str, n: str, r: str, shares: tuple[str, str, str], *, lowest: int) -> str:
    rate, low, high = (_rounded(share, lowest) for share in shares)
    return f"struct('{grp}' as grp, {n} as n, {r} as r, {rate} as rate, {low} as low, {high} as high)"


def _rounded(share: str, lowest: int) -> str:
    """Cut to what is possible and rounded half up to six decimals."""
    cut = f"case when {share} < {lowest} then {lowest} when {share} > 1 then 1 else {share} end"
    # In 14 decimals a half that doubles fall a little short of is a half again, and the order of a sum does not show.
    return f"round(cast({cut} as decimal(15,14)), 6)"

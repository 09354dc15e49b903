"""Rules of `conf/` in DuckDB's SQL: the facts that they read, one row per customer, and their texts told again.

A rule is parsed by sqlglot as Spark's SQL. Whole numbers are BIGINT and fractions DOUBLE; what cannot be computed is
null and so not met. What is not known here is refused by name: a wrong translation would be worse than none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal

import sqlglot
from sqlglot import exp

from schemas.customer_daily import DEVICE_FACTS, FAMILIES
from schemas.mart import ACTIVITIES, CUSTOMER_PROFILE, HABITS, PAID_FAMILIES
from tests.oracle.expressions import Untranslatable
from tests.oracle.night import Night

# What rules call the scores of an engine: `<prefix>_score`, `<prefix>_band`, `<prefix>_reasons`.
PREFIXES = {"customer_score": "customer", "risk": "risk"}
WINDOWS = (7, 28, 90)
MINOR_UNITS = 100  # of a unit of the currency
RETURNED_WITHIN = 14  # days, for days_away_before_return
REACH = 128  # days that a pair of masks looks back, today included
ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Abs)
KNOWN = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Cast, exp.DataType),
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE),
    *(exp.Between, exp.In, exp.Like, exp.Is, exp.Case, exp.If, exp.Coalesce, exp.Least, exp.Greatest),
    *(exp.ArrayContains, exp.Anonymous),
    *ARITHMETIC,
)


def columns_of(*texts: str) -> list[str]:
    """The columns that rules read, sorted by name."""
    trees = (sqlglot.parse_one(text, read="spark") for text in texts)
    return sorted({column.name.lower() for tree in trees for column in tree.find_all(exp.Column)})


def understood(text: str) -> str:
    """A rule as versions are made of it: blanks and capitals are told alike."""
    tree = sqlglot.parse_one(text, read="spark")
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
    return tree.sql("spark")


def version_of(*texts: str) -> str:
    """Twelve hex digits that stand for these texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def translated(text: str, currency: str) -> str:
    """A rule, a `rank_by` too, as an expression of DuckDB over the columns of `facts`; in brackets.

    `in_segment('…')` reads the column `segments`. `currency` is the lake's, of which amounts are written as `inr(5)`.
    """
    tree = exp.paren(sqlglot.parse_one(text, read="spark"), copy=False)
    for node in reversed(list(tree.walk())):  # what is inside comes first
        node.replace(_told(node, currency))
    return tree.sql("duckdb")


def evidence(columns: Iterable[str]) -> str:
    """The values of columns as JSON with sorted keys, `{}` of none."""
    pairs = ", ".join(f"'{name}': {name}" for name in sorted(columns))
    return f"cast(to_json({{{pairs}}}) as varchar)" if pairs else "'{}'"


def facts(night: Night, *, is_scored: bool = True, is_judged: bool = True) -> str:
    """A relation in brackets: one row per customer, with `customer_id` and the columns that rules may read.

    Without the scores it is what the engines are told; without the judgement, what stages and levels read. With both
    it is what triggers over profiles read: `segments` is the list that `in_segment` looks into. Only the columns that
    a query names are computed.
    """
    tables = night.tables
    told = [f"{sql} as {name}" for name, sql in _of_profile(night).items()]
    joined = ""
    for engine, prefix in PREFIXES.items() if is_scored else ():
        told += [f"{prefix}.{column} as {prefix}_{column}" for column in ("score", "band", "reasons")]
        joined += f"""
            left join (from {tables.on("mart.scores", night.day)} where engine = '{engine}') as {prefix}
            on {prefix}.customer_id = profile.customer_id"""
    if is_judged:
        told += ["judged.lifecycle", "judged.level", "judged.segments", "moved.from_value as upgraded_from"]
        joined += f"""
            left join {tables.on("mart.customer_segments", night.day)} as judged
            on judged.customer_id = profile.customer_id
            left join (
                from {tables.on("mart.segment_transitions", night.day)}
                where kind = 'level' and move = 'upgraded' and cause = 'customer'
            ) as moved on moved.customer_id = profile.customer_id"""
    columns = ",\n                ".join(told)
    return f"""(
            select profile.customer_id,
                {columns}
            from {tables.on("mart.customer_profile", night.day)} as profile{joined}
        )"""


def versions(night: Night) -> str:
    """A relation in brackets: a rule (`kind`, `name`) and its `rule_version`, as known on the night."""
    known = night.given.read("mart.rule_versions", until=night.day)
    return f"(select kind, name, arg_max(rule_version, as_of_date) as rule_version from {known} group by all)"


def _told(node: exp.Expr, currency: str) -> exp.Expr:
    """A node in DuckDB's words; those inside it are already."""
    if not isinstance(node, KNOWN):
        raise Untranslatable(f"{node.sql('spark')}: {node.key} is not known to the oracle")
    if isinstance(node, exp.Anonymous):
        return _called(node, currency)
    if isinstance(node, exp.Literal) and not node.is_string and not node.is_int:
        return exp.cast(node.copy(), "double")
    if isinstance(node, exp.Literal) and node.is_int and isinstance(_outside(node), ARITHMETIC):
        return exp.cast(node.copy(), "bigint")
    if isinstance(node, exp.Mod):
        # The divisor of a division is asked for 0 by sqlglot itself.
        node.set("expression", exp.func("nullif", node.expression, exp.Literal.number(0)))
    if isinstance(node, ARITHMETIC) and not isinstance(_outside(node), ARITHMETIC):
        return exp.func("try", node.copy())
    return node


def _outside(node: exp.Expr) -> exp.Expr | None:
    """What a node is a part of, brackets left aside."""
    outside = node.parent
    while isinstance(outside, exp.Paren):
        outside = outside.parent
    return outside


def _called(node: exp.Anonymous, currency: str) -> exp.Expr:
    (argument,) = node.expressions
    match node.name.lower():
        case "in_segment":
            return exp.func("list_contains", exp.column("segments"), argument)
        case name if name == currency.lower():
            # A fraction was cast to DOUBLE on the way; its digits are those of the text.
            number = argument.find(exp.Literal)
            return exp.cast(exp.Literal.number(int(Decimal(number.name) * MINOR_UNITS)), "bigint")
        case name:
            raise Untranslatable(f"{node.sql('spark')}: the function {name} is not known to the oracle")


def _of_profile(night: Night) -> dict[str, str]:
    """The facts of the profile by name, as SQL over it: counts and masks that are null are 0."""
    today = f"date '{night.day}'"
    totals = [
        column.name
        for column in CUSTOMER_PROFILE.columns
        if column.type == "bigint" and column.unit not in ("", "bit mask")
    ]
    activities = {"active" if activity == "any" else activity: activity for activity in ACTIVITIES}
    dates = {
        "registered": f"cast(timezone('{night.settings.lake.zone}', registered_at) as date)",
        "first": "first_date",
        "active": "last_any_date",
        "app_open": "last_app_date",
        **{name: f"last_{name}_date" for name in (*PAID_FAMILIES, *HABITS)},
    }
    device = [column for column in DEVICE_FACTS if column.name != "device_id"]
    return {
        "first_product": "first_product",
        **{name: f"coalesce({name}, 0)" for name in totals},
        **{f"{said}_days_{n}": _days_within(name, n) for said, name in activities.items() for n in WINDOWS},
        "family_count": "cast("
        + " + ".join(f"(coalesce({name}_count, 0) > 0)::int" for name in FAMILIES)
        + " as bigint)",
        **{f"days_since_{said}": f"{today} - {then}" for said, then in dates.items()},
        "days_away_before_return": _days_away(today),
        **{column.name: f"cast({column.name} as bigint)" if column.type == "int" else column.name for column in device},
    }


def _days_within(activity: str, days: int) -> str:
    """How many of the last days, today included, have their bit."""
    near, far = f"coalesce({activity}_days_0_63, 0)", f"coalesce({activity}_days_64_127, 0)"
    if days <= 64:
        return f"cast(bit_count({near} & {_lowest(days)}) as bigint)"
    return f"cast(bit_count({near}) + bit_count({far} & {_lowest(days - 64)}) as bigint)"


def _days_away(today: str) -> str:
    """From the oldest active date of the last days to the active date before it, at most to the first out of reach."""
    near, far = "coalesce(any_days_0_63, 0)", "coalesce(any_days_64_127, 0)"
    recent = f"({near} & {_lowest(RETURNED_WITHIN)})"
    earlier, farther = f"(({near} >> {RETURNED_WITHIN}) & {_lowest(64 - RETURNED_WITHIN)})", f"({far} & {_lowest(63)})"
    return f"""case when {recent} > 0 then case
                    when {earlier} > 0 then {RETURNED_WITHIN} + {_first_bit(earlier)}
                    when {farther} > 0 then 64 + {_first_bit(farther)}
                    when {far} < 0 then {REACH - 1}
                    when first_date <= {today} - {REACH} then {REACH}
                end - (length(bin({recent})) - 1) end"""


def _lowest(bits: int) -> int:
    """A mask of the lowest bits, 63 at most."""
    return (1 << bits) - 1


def _first_bit(mask: str) -> str:
    """The position of the lowest bit of a positive mask."""
    return f"bit_count(({mask} & -{mask}) - 1)"

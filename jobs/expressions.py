"""What a source's [map] may say: Spark SQL over the source's own columns, read from the parse tree by allow-list.

Nothing here is run. A name that is not on a list is refused, so what a future Spark adds is refused as well.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from conf import Source
from jobs.errors import Usage


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


NODES = _names(
    """
    UnresolvedAttribute Literal Cast UnaryMinus UnaryPositive Add Subtract Multiply Divide Remainder EqualTo
    EqualNullSafe GreaterThan GreaterThanOrEqual LessThan LessThanOrEqual Not And Or In Like IsNull IsNotNull
    CaseWhen Concat Substring StringTrim StringTrimLeft StringTrimRight UnresolvedFunction
    """
)
FUNCTIONS = _names(
    """
    abs between case cast ceil ceiling coalesce concat concat_ws date date_add date_sub date_trunc datediff day
    dayofmonth decode element_at extract floor format_number get greatest if ifnull initcap instr isnotnull isnull
    last_day least left length locate lower lpad ltrim make_date make_timestamp md5 mod month nullif nvl nvl2 pow
    power regexp_extract regexp_replace replace reverse right round rpad rtrim second sha2 sign _part startswith
    endswith contains substr substring substring_index timestamp_micros timestamp_millis timestamp_seconds to_date
    to_timestamp translate trim trunc try_add try_cast try_divide try_multiply try_subtract try_to_date
    try_to_number try_to_timestamp upper year hour minute
    """
)
AGGREGATES = _names(
    """
    bool_and bool_or count count_if max max_by min min_by sum
    """
)
LONGEST = 2000

# Literals that mean the moment at which Spark reads them.
CLOCK = re.compile(r"\b(?:date|time\w*)\s*r?['\"]\s*(?:now|today|tomorrow|yesterday)", re.IGNORECASE)

# Text that is cast to a whole number of minor units: what stands inside tells whether a fraction is lost.
WHOLE_NUMBER = re.compile(
    r"^\s*(?:try_)?cast\s*\((?P<amount>.*)\s+as\s+(?:bigint|long)\s*\)\s*$", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Expression:
    """A checked expression: its text, the source columns it reads, and `unrounded`.

    That is the amount before it is cast to a whole number, or None where the expression is no such cast.
    """

    sql: str
    columns: frozenset[str]
    unrounded: str | None = None


def _walk(node: Any) -> Iterator[Any]:
    yield node
    children = node.children()
    for i in range(children.size()):
        yield from _walk(children.apply(i))


def _function_name(node: Any) -> str:
    parts = node.nameParts()
    return ".".join(parts.apply(i) for i in range(parts.size())).lower()


def _attributes(tree: Any) -> set[str]:
    return {node.name() for node in _walk(tree) if node.getClass().getSimpleName() == "UnresolvedAttribute"}


def _outside_aggregates(node: Any) -> Iterator[str]:
    """The columns that are read for every row, and not for a group as a whole."""
    kind = node.getClass().getSimpleName()
    if kind == "UnresolvedAttribute":
        yield node.name()
    if kind != "UnresolvedFunction" or _function_name(node) not in AGGREGATES:
        children = node.children()
        for i in range(children.size()):
            yield from _outside_aggregates(children.apply(i))


def _unrounded(tree: Any, sql: str) -> str | None:
    """What is cast to a whole number, where the whole expression is such a cast."""
    cast = WHOLE_NUMBER.match(sql)
    return cast.group("amount") if cast and tree.getClass().getSimpleName() == "Cast" else None


def _faults(tree: Any, source: Source) -> Iterator[str]:
    known = {column.lower() for column in source.columns}
    keys = {column.lower() for column in source.group_by}
    attributes = _attributes(tree)
    for name in sorted(attributes):
        if name.lower() not in known:
            near = difflib.get_close_matches(name, source.columns, n=1)
            yield f"the source has no column {name}" + (f"; did you mean {near[0]}?" if near else "")
    functions = set()
    for node in _walk(tree):
        kind = node.getClass().getSimpleName()
        if kind not in NODES:
            yield f"{kind} is not allowed in a mapping"
        elif kind == "UnresolvedFunction":
            functions.add(_function_name(node))
    for name in sorted(functions):
        if name in AGGREGATES and not keys:
            yield f"{name}() needs group_by"
        elif name not in FUNCTIONS | AGGREGATES:
            yield f"the function {name}() is not allowed in a mapping"
    # A record has one value of the columns that group it; of any other it needs an aggregate.
    if keys and {name.lower() for name in _outside_aggregates(tree)} - keys:
        yield "with group_by every value is an aggregate, such as max(…)"


def check_mapping(spark: SparkSession, source: Source) -> dict[str, Expression]:
    """The source's [map], checked. Raises Usage with every fault, before anything runs."""
    session: Any = spark._jsparkSession
    parser: Any = session.sessionState().sqlParser()
    by_lower = {column.lower(): column for column in source.columns}
    checked: dict[str, Expression] = {}
    faults: list[str] = []
    for feed_column, sql in source.map.items():
        where = f"{source.location}: [map] {feed_column}"
        if len(sql) > LONGEST:
            faults.append(f"{where}: longer than {LONGEST} characters.")
            continue
        if "--" in sql or "/*" in sql:
            faults.append(f"{where}: comments are not allowed in a mapping; write them in the TOML file.")
            continue
        if CLOCK.search(sql):
            faults.append(f"{where}: a mapping reads no clock; take the time from a column.")
            continue
        try:
            tree = parser.parseExpression(sql)
        except Exception as error:
            faults.append(f"{where}: not an expression ({str(error).splitlines()[0]}).")
            continue
        faults += [f"{where}: {fault}." for fault in _faults(tree, source)]
        read = {by_lower[name.lower()] for name in _attributes(tree) if name.lower() in by_lower}
        checked[feed_column] = Expression(sql, frozenset(read), _unrounded(tree, sql))
    if faults:
        raise Usage("\n".join(faults))
    return checked


def check_condition(spark: SparkSession, sql: str, columns: Sequence[str], masked: Sequence[str] = ()) -> None:
    """A condition over one row that a person gives on the command line. Raises Usage with every fault.

    `masked` columns are there and may not be asked about: a condition would tell what the mask hides.
    """
    if len(sql) > LONGEST or "--" in sql or "/*" in sql or ";" in sql:
        raise Usage(f"--where: a condition has no comments, no semicolons and at most {LONGEST} characters.")
    session: Any = spark._jsparkSession
    parser: Any = session.sessionState().sqlParser()
    try:
        tree = parser.parseExpression(sql)
    except Exception:
        example = "status = 'success' and amount_minor >= 10000"
        raise Usage(f'--where: not a condition; write it as in "{example}".') from None
    known = {column.lower() for column in columns}
    hidden = {column.lower() for column in masked}
    faults: list[str] = []
    for name in sorted(_attributes(tree)):
        if name.lower() in hidden:
            faults.append(f"{name} is masked, so it cannot be asked about")
        elif name.lower() not in known:
            near = difflib.get_close_matches(name, columns, n=1)
            faults.append(f"there is no column {name}" + (f"; did you mean {near[0]}?" if near else ""))
    for node in _walk(tree):
        kind = node.getClass().getSimpleName()
        if kind not in NODES:
            faults.append(f"{kind} is not allowed in a condition")
        elif kind == "UnresolvedFunction" and _function_name(node) not in FUNCTIONS:
            faults.append(f"the function {_function_name(node)}() is not allowed in a condition")
    if faults:
        raise Usage("\nclm: ".join(f"--where: {fault}." for fault in faults))

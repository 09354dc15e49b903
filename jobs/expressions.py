"""What a source's [map] may say: Spark SQL over the source's own columns, read from the parse tree by allow-list.

Nothing here is run. A name that is not on a list is refused, so what a future Spark adds is refused as well.
One bad value must not stop a night: what Spark would raise an error for becomes its try_ twin, hence null, and
text that it would silently take for a number or a time is refused. Values are validated by `[columns]`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from conf import Source
from jobs.errors import Usage
from jobs.frames import java_class, local_frame


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
    last_day least left length locate lower lpad ltrim md5 mod month nullif nvl nvl2 pow
    power regexp_extract regexp_replace replace reverse right round rpad rtrim second sha2 sign _part startswith
    endswith contains substr substring substring_index timestamp_micros timestamp_millis timestamp_seconds to_date
    to_timestamp translate trim trunc unix_micros try_add try_cast try_divide try_multiply try_subtract try_to_date
    try_element_at try_mod try_to_number try_to_timestamp upper year hour minute
    """
)
AGGREGATES = _names(
    """
    bool_and bool_or count count_if max max_by min min_by sum try_sum
    """
)
LONGEST = 2000

# Literals that mean the moment at which Spark reads them.
CLOCK = re.compile(r"\b(?:date|time\w*)\s*r?['\"]\s*(?:now|today|tomorrow|yesterday)", re.IGNORECASE)

# What stands for a node that raises an error on some values; {0} and {1} are its children.
FORGIVING_NODES = {
    "Add": "try_add({0}, {1})",
    "Subtract": "try_subtract({0}, {1})",
    "Multiply": "try_multiply({0}, {1})",
    "Divide": "try_divide({0}, {1})",
    "Remainder": "try_mod({0}, {1})",
}
FORGIVING_FUNCTIONS = {
    "date": "try_cast({0} as date)",
    "element_at": "try_element_at({0}, {1})",
    "mod": "try_mod({0}, {1})",
    "timestamp_millis": "timestamp_micros(try_multiply(try_cast({0} as bigint), 1000L))",
    "timestamp_seconds": "timestamp_micros(try_cast(try_multiply({0}, 1000000L) as bigint))",
    "to_date": "try_to_date({all})",
    "to_timestamp": "try_to_timestamp({all})",
}
# Whoever writes a cast gets a try_cast, so that any other is Spark's own.
UNTRIED_CAST = re.compile(r"(?<!try_)\bcast\(")


@dataclass(frozen=True)
class Expression:
    """A checked expression as Spark is given it, the source columns it reads, and the value before it is made whole."""

    sql: str
    columns: frozenset[str]
    unrounded: str


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


class _Parser:
    """Spark's own parser, and expressions in which no value raises an error."""

    def __init__(self, spark: SparkSession) -> None:
        # What py4j offers is made at run time; no stub describes it.
        session: Any = spark._jsparkSession
        self._parser: Any = session.sessionState().sqlParser()
        self._to_seq: Any = java_class(spark, "org.apache.spark.api.python.PythonUtils").toSeq

    def parse(self, sql: str) -> Any:
        return self._parser.parseExpression(sql)

    def forgiving(self, node: Any) -> Any:
        """The same expression with null where this one raises an error."""
        children = node.children()
        made = [self.forgiving(children.apply(i)) for i in range(children.size())]
        kind = node.getClass().getSimpleName()
        template = FORGIVING_NODES.get(kind)
        if kind == "Cast":
            template = f"try_cast({{0}} as {node.dataType().sql()})"
        elif kind == "UnresolvedFunction":
            template = FORGIVING_FUNCTIONS.get(_function_name(node))
        if template is not None:
            texts = [child.sql() for child in made]
            return self.parse(template.format(*texts, all=", ".join(texts)))
        return node.withNewChildren(self._to_seq(made)) if made else node


def _unrounded(tree: Any) -> str:
    """What is cast to a whole number, where the whole expression is such a cast; else the expression."""
    is_whole = tree.getClass().getSimpleName() == "Cast" and tree.dataType().sql() == "BIGINT"
    return (tree.child() if is_whole else tree).sql()


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
            if node.filter().isDefined():
                yield "filter (where …) is not allowed in a mapping; put an if() inside"
    for name in sorted(functions):
        if name in AGGREGATES and not keys:
            yield f"{name}() needs group_by"
        elif name not in FUNCTIONS | AGGREGATES:
            yield f"the function {name}() is not allowed in a mapping"
    # A record has one value of the columns that group it; of any other it needs an aggregate.
    if keys and {name.lower() for name in _outside_aggregates(tree)} - keys:
        yield "with group_by every value is an aggregate, such as max(…)"


def _texts_taken_for(tree: Any) -> Iterator[str]:
    """The types that Spark would cast text of a row to by itself; `tree` is analysed."""
    if not UNTRIED_CAST.search(tree.toString()):
        return
    for node in _walk(tree):
        if node.getClass().getSimpleName() == "Cast" and node.evalMode().toString() == "ANSI":
            child, type_ = node.child(), node.dataType().sql().lower()
            if child.dataType().sql() == "STRING" and not child.foldable() and type_ != "string":
                yield type_


def _analysed(frame: DataFrame, source: Source, checked: Mapping[str, Expression]) -> tuple[DataFrame, dict[str, Any]]:
    """The mapped values as a frame, and the analysed expression of each; raises AnalysisException."""
    values = [F.expr(expression.sql).alias(name) for name, expression in checked.items()]
    told = frame.groupBy(*source.group_by).agg(*values) if source.group_by else frame.select(*values)
    jvm_frame: Any = told._jdf  # pyright: ignore[reportAttributeAccessIssue]
    expressions = jvm_frame.queryExecution().analyzed().expressions()
    trees = [expressions.apply(i) for i in range(expressions.size())]
    types = {column.name: column.type for column in source.feed_spec.columns}
    told.select(*(F.col(name).try_cast(types[name]) for name in checked))
    return told.select(*checked), dict(zip(checked, trees[-len(checked) :], strict=True))


def _type_faults(frame: DataFrame, source: Source, checked: Mapping[str, Expression]) -> Iterator[str]:
    """What only the types of the columns tell, one sentence each; `frame` has the columns and no rows."""
    types = {column.name: column.type for column in source.feed_spec.columns}
    try:
        told, trees = _analysed(frame, source, checked)
    except AnalysisException as error:
        if len(checked) > 1:
            for name, expression in checked.items():
                yield from _type_faults(frame, source, {name: expression})
        else:
            yield f"{source.location}: [map] {next(iter(checked))}: {str(error).splitlines()[0]}"
        return
    for (name, expression), type_told in zip(checked.items(), dict(told.dtypes).values(), strict=True):
        taken_for = sorted(set(_texts_taken_for(trees[name])))
        if not taken_for and expression.columns and type_told == "string" != types[name]:
            taken_for = [types[name]]
        for type_ in taken_for:
            yield (
                f"{source.location}: [map] {name}: text is taken for a {type_}: "
                "give the column that type in [columns], or use try_cast."
            )


def check_mapping(spark: SparkSession, source: Source) -> dict[str, Expression]:
    """The source's [map], checked. Raises Usage with every fault, before anything runs."""
    parser = _Parser(spark)
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
            tree = parser.parse(sql)
        except Exception as error:
            faults.append(f"{where}: not an expression ({str(error).splitlines()[0]}).")
            continue
        found = list(_faults(tree, source))
        faults += [f"{where}: {fault}." for fault in found]
        if not found:
            forgiving = parser.forgiving(tree)
            read = {by_lower[name.lower()] for name in _attributes(tree)}
            checked[feed_column] = Expression(forgiving.sql(), frozenset(read), _unrounded(forgiving))
    columns = ", ".join(f"`{name}` {type_.spark_type}" for name, type_ in source.columns.items())
    if checked:
        faults += _type_faults(local_frame(spark, [], columns), source, checked)
    if faults:
        raise Usage("\n".join(faults))
    return checked


def check_condition(spark: SparkSession, sql: str, columns: Sequence[str], masked: Sequence[str] = ()) -> None:
    """A condition over one row that a person gives on the command line. Raises Usage with every fault.

    `masked` columns are there and may not be asked about: a condition would tell what the mask hides.
    """
    if len(sql) > LONGEST or "--" in sql or "/*" in sql or ";" in sql:
        raise Usage(f"--where: a condition has no comments, no semicolons and at most {LONGEST} characters.")
    try:
        tree = _Parser(spark).parse(sql)
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

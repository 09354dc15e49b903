"""The `[map]` of a source: Spark SQL read by sqlglot, told again in DuckDB's words.

What an expression cannot compute for a row is null, as the documents promise. What is not known here is refused by
name: a wrong translation would be worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import sqlglot
from sqlglot import exp

Kind = Literal["string", "boolean", "integer", "decimal", "double", "date", "timestamp", "null"]
INTEGERS = {
    exp.DType.TINYINT: "tinyint",
    exp.DType.SMALLINT: "smallint",
    exp.DType.INT: "integer",
    exp.DType.BIGINT: "bigint",
}
# A day first: times alone, and words such as `epoch`, are none.
DATE = "____-__-__"
INTEGER, NUMBER = " *[+-]?[0-9]+ *", r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *"
BINARY: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.And: "and",
    exp.Or: "or",
}
ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
# Functions of the same name and meaning, with the kind they give; None: that of their argument.
SAME: dict[type[exp.Expr], tuple[str, Kind | None]] = {
    exp.Lower: ("lower", "string"),
    exp.Upper: ("upper", "string"),
    exp.StartsWith: ("starts_with", "boolean"),
    exp.EndsWith: ("ends_with", "boolean"),
    exp.UnixMicros: ("epoch_us", "integer"),
    exp.Nullif: ("nullif", None),
    exp.Abs: ("abs", None),
    exp.Min: ("min", None),
    exp.Max: ("max", None),
    exp.Sum: ("sum", None),
}
INSTANTS = {"timestamp_micros": 1, "timestamp_millis": 1000, "timestamp_seconds": 1_000_000}


class Untranslatable(ValueError):
    """An expression that the oracle does not know."""


@dataclass(frozen=True)
class Value:
    """An expression in DuckDB's SQL, and what kind of value it gives."""

    sql: str
    kind: Kind


def kind_of(spark_type: str) -> Kind:
    """The kind of a type as the catalogue and `[columns]` spell it."""
    if spark_type in ("int", "bigint"):
        return "integer"
    return next(kind for kind in get_args(Kind) if spark_type.startswith(kind))


def quoted(text: str) -> str:
    """A literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def instant(sql: str, zone: str) -> str:
    """An instant from text; one without an offset behind its time is of `zone`."""
    has_offset = f"(suffix({sql}, 'Z') or contains(substr({sql}, 11), '+') or contains(substr({sql}, 11), '-'))"
    return (
        f"case when {sql} not like '{DATE}%' then null when {has_offset} then try_cast({sql} as timestamptz) "
        f"else timezone('{zone}', try_cast({sql} as timestamp)) end"
    )


def from_text(sql: str, spark_type: str, zone: str) -> str:
    """A value from text: null where it is none, or would have to be rounded."""
    match kind_of(spark_type):
        case "integer":
            name = "integer" if spark_type == "int" else spark_type
            return f"try_cast(case when regexp_full_match({sql}, '{INTEGER}') then {sql} end as {name})"
        case "decimal":
            places = spark_type.rstrip(")").rpartition(",")[2]
            plain = rf" *[+-]?([0-9]+\.?|[0-9]*\.[0-9]{{1,{places}}}0*) *" if int(places) else INTEGER
            return (
                f"case when regexp_full_match({sql}, '{plain}') then try_cast({sql} as {spark_type}) "
                f"when {is_number(sql)} and not ({is_finer(sql, spark_type)}) then try_cast({sql} as {spark_type}) end"
            )
        case "double":
            return f"case when {is_number(sql)} then {finite(f'try_cast({sql} as double)')} end"
        case "boolean":
            return (
                f"case when lower(trim({sql})) in ('t', 'true', 'y', 'yes', '1') then true "
                f"when lower(trim({sql})) in ('f', 'false', 'n', 'no', '0') then false end"
            )
        case "date":
            return f"try_cast(case when trim({sql}) like '{DATE}' then trim({sql}) end as date)"
        case "timestamp":
            return instant(sql, zone)
        case _:
            return sql


def is_number(sql: str) -> str:
    """Whether a text is a number; DuckDB alone would take 1_000 for one."""
    return f"regexp_full_match({sql}, '{NUMBER}')"


def is_finer(sql: str, spark_type: str) -> str:
    """Whether a text has more decimals than the type keeps."""
    return f"try_cast({sql} as decimal(38,12)) <> try_cast({sql} as {spark_type})"


def finite(sql: str) -> str:
    """A double, null where it is no number or without end."""
    return f"case when isfinite({sql}) then {sql} end"


def midnight(sql: str, zone: str) -> str:
    """The instant at which a date begins."""
    return f"timezone('{zone}', cast({sql} as timestamp))"


def whole(value: Value) -> str:
    """A number without its decimals: Spark cuts them off where DuckDB rounds."""
    return f"trunc({value.sql})" if value.kind in ("decimal", "double") else value.sql


def parsed(text: str) -> exp.Expr:
    """The parse tree of an expression of Spark SQL."""
    return sqlglot.parse_one(text, read="spark")


def columns_of(text: str) -> set[str]:
    """The columns that an expression names."""
    return {column.name for column in parsed(text).find_all(exp.Column)}


@dataclass(frozen=True)
class Translator:
    """Tells expressions over these columns in DuckDB's SQL; `zone` is of dates and times that carry no offset."""

    columns: Mapping[str, Value]
    zone: str

    def value(self, text: str) -> Value:
        return self.of(parsed(text))

    def of(self, node: exp.Expr) -> Value:
        if operator := BINARY.get(type(node)):
            return Value(f"({self.of(node.left).sql} {operator} {self.of(node.right).sql})", "boolean")
        if operator := ARITHMETIC.get(type(node)):
            return self._arithmetic(node, operator)
        if same := SAME.get(type(node)):
            arguments = [self.of(part) for part in node.iter_expressions()]
            name, kind = same
            return Value(f"{name}({', '.join(part.sql for part in arguments)})", kind or arguments[0].kind)
        told = self._others.get(type(node))
        if told is None:
            raise Untranslatable(f"{node.sql('spark')}: {node.key} is not known to the oracle")
        return told(node)

    @property
    def _others(self) -> dict[type[exp.Expr], Callable[..., Value]]:
        return {
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Null: lambda _: Value("null", "null"),
            exp.Boolean: lambda node: Value(str(node.this).lower(), "boolean"),
            exp.Paren: lambda node: self.of(node.this),
            exp.Neg: self._negated,
            exp.Not: lambda node: Value(f"(not {self.of(node.this).sql})", "boolean"),
            exp.Is: lambda node: Value(f"({self.of(node.this).sql} is {self.of(node.expression).sql})", "boolean"),
            exp.In: self._in,
            exp.Case: self._case,
            exp.Coalesce: lambda node: self._coalesce([node.this, *node.expressions]),
            exp.Cast: self._cast,
            exp.TryCast: self._cast,
            exp.DPipe: lambda node: self._joined([node.left, node.right]),
            exp.Concat: lambda node: self._joined(node.expressions),
            exp.Trim: lambda node: Value(f"trim({self.of(node.this).sql}, ' ')", "string"),
            exp.Round: self._round,
            exp.RegexpReplace: self._regexp_replace,
            exp.Anonymous: self._by_name,
        }

    def _column(self, node: exp.Column) -> Value:
        found = {name.lower(): value for name, value in self.columns.items()}.get(node.name.lower())
        if found is None:
            raise Untranslatable(f"the source has no column {node.name}")
        return found

    def _literal(self, node: exp.Literal) -> Value:
        if node.is_string:
            return Value(quoted(node.name), "string")
        return Value(node.name, "integer" if node.name.isdigit() else "decimal")

    def _negated(self, node: exp.Neg) -> Value:
        value = self.of(node.this)
        return Value(f"(-{value.sql})" if node.find(exp.AggFunc) else f"try(-{value.sql})", value.kind)

    def _arithmetic(self, node: exp.Expr, operator: str) -> Value:
        left, right = self.of(node.this), self.of(node.expression)
        kinds = (left.kind, right.kind)
        widest = next((kind for kind in ("double", "decimal", "integer") if kind in kinds), None)
        if widest is None or not {*kinds} <= {"double", "decimal", "integer", "null"}:
            raise Untranslatable(f"{node.sql('spark')}: arithmetic of {kinds[0]} and {kinds[1]}")
        told = f"{left.sql} {operator} {right.sql}"
        # DuckDB does not try aggregates; what they cannot compute stops the night.
        return Value(f"({told})" if node.find(exp.AggFunc) else f"try({told})", widest)

    def _in(self, node: exp.In) -> Value:
        options = ", ".join(self.of(option).sql for option in node.expressions)
        return Value(f"({self.of(node.this).sql} in ({options}))", "boolean")

    def _case(self, node: exp.Case) -> Value:
        arms = [(self.of(arm.this), self.of(arm.args["true"])) for arm in node.args["ifs"]]
        default = [self.of(node.args["default"])] if node.args.get("default") else []
        subject = f" {self.of(node.this).sql}" if node.this else ""
        told = "".join(f" when {when.sql} then {then.sql}" for when, then in arms)
        told += "".join(f" else {value.sql}" for value in default)
        return Value(f"case{subject}{told} end", _common([then for _, then in arms] + default))

    def _coalesce(self, nodes: list[exp.Expr]) -> Value:
        values = [self.of(node) for node in nodes]
        return Value(f"coalesce({', '.join(value.sql for value in values)})", _common(values))

    def _joined(self, nodes: list[exp.Expr]) -> Value:
        return Value("(" + " || ".join(self.text(self.of(node)) for node in nodes) + ")", "string")

    def _round(self, node: exp.Round) -> Value:
        value = self.of(node.this)
        digits = f", {self.of(node.args['decimals']).sql}" if node.args.get("decimals") else ""
        return Value(f"round({value.sql}{digits})", value.kind)

    def _regexp_replace(self, node: exp.RegexpReplace) -> Value:
        text, pattern, put = (self.of(node.args[part]).sql for part in ("this", "expression", "replacement"))
        if "$" in put or "\\" in put:
            raise Untranslatable(f"{node.sql('spark')}: a replacement that names groups")
        return Value(f"regexp_replace({text}, {pattern}, {put}, 'g')", "string")

    def _by_name(self, node: exp.Anonymous) -> Value:
        unit = INSTANTS.get(node.name.lower())
        if unit is None:
            raise Untranslatable(f"{node.sql('spark')}: the function {node.name} is not known to the oracle")
        units = self.of(node.expressions[0]).sql
        return Value(f"try(make_timestamptz({units if unit == 1 else f'{units} * {unit}::bigint'}))", "timestamp")

    def _cast(self, node: exp.Cast) -> Value:
        value, to = self.of(node.this), node.to
        name = INTEGERS.get(to.this) or to.sql("spark").lower()
        return self.cast(value, "int" if name == "integer" else name)

    def cast(self, value: Value, spark_type: str) -> Value:
        """The value as a type of Spark, null where it cannot be that; refused where it is not known how."""
        kind = kind_of(spark_type)
        if value.kind in ("string", "null"):
            return Value(from_text(value.sql, spark_type, self.zone), kind)
        match kind:
            case "string":
                return Value(self.text(value), kind)
            case "integer" if value.kind in ("integer", "decimal", "double", "boolean"):
                name = "integer" if spark_type == "int" else spark_type
                return Value(f"try_cast({whole(value)} as {name})", kind)
            case "decimal" | "double" if value.kind in ("integer", "decimal", "double"):
                return Value(f"try_cast({value.sql} as {spark_type})", kind)
            case "timestamp" if value.kind == "date":
                return Value(midnight(value.sql, self.zone), kind)
            case _ if value.kind == kind:
                return value
            case _:
                raise Untranslatable(f"a {value.kind} as {spark_type}")

    def text(self, value: Value) -> str:
        """The value as Spark writes it."""
        if value.kind in ("double", "timestamp"):
            raise Untranslatable(f"a {value.kind} as string")
        return value.sql if value.kind == "string" else f"cast({value.sql} as varchar)"


def _common(values: list[Value]) -> Kind:
    """The kind of values of which one is taken."""
    kinds = {value.kind for value in values} - {"null"}
    if len(kinds) > 1 and not kinds <= {"integer", "decimal", "double"}:
        raise Untranslatable(f"one of {', '.join(sorted(kinds))}")
    return next((kind for kind in get_args(Kind) if kind in kinds and kind != "integer"), None) or (
        "integer" if kinds else "null"
    )

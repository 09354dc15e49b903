"""A rule's text checked whole: what it reads, and what an engine is given in its place."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions.core import Expression

from jobs.rules.checking import AMOUNTS, Checker
from jobs.rules.language import IN_SEGMENT, Amount, Layer, Predicate, RuleFault, Type
from jobs.rules.parsing import flattened, parse, told
from jobs.rules.writing import Checked, as_fraction, duckdb_sql, in_brackets, spark_sql


def check(text: str, layer: Layer) -> Predicate:
    """The predicate in `text`; raises RuleFault. Needs no engine, and nothing of it is run."""
    tree = parse(text, layer.money)
    checker = Checker(layer)
    checked = checker.check(tree, frozenset())
    if checked.type is not Type.YES_NO:
        raise RuleFault(f"is {checked.type.value} and should be a condition, such as recharge_count >= 3")
    if checker.unsaid:
        raise RuleFault(checker.unsaid[0])
    conjuncts = list(flattened(tree, exp.And)) if isinstance(tree, exp.And) else []
    # A part is told by itself, with what the other parts make sure of.
    known = told(tree, exp.And, is_null=False)
    parts = tuple(_predicate(part, Checker(layer).check(part, known)) for part in conjuncts)
    return replace(_predicate(tree, checked), parts=parts)


def amount(text: str, layer: Layer) -> Amount:
    """The number or money in `text`, by which rows are ordered; raises RuleFault."""
    tree = parse(text, layer.money)
    checker = Checker(layer)
    checked = checker.check(tree, frozenset())
    if checked.type not in AMOUNTS:
        raise RuleFault(f"is {checked.type.value} and should be a number or money, such as largest_transfer_minor")
    if checker.unsaid:
        raise RuleFault(checker.unsaid[0])
    columns = sorted({column.name for column in tree.find_all(exp.Column)})
    sql = as_fraction(checked, True).tree
    return Amount(tree.sql(dialect="spark"), spark_sql(sql), duckdb_sql(sql), tuple(columns))


def never_falls(text: str, layer: Layer) -> bool:
    """Whether who once meets the checked condition meets it for ever: lifetime columns that reach some number."""

    def reaches(one: Expression) -> bool:
        node = one.unnest()
        if isinstance(node, exp.And | exp.Or):
            return reaches(node.this) and reaches(node.expression)
        if isinstance(node, exp.GTE | exp.GT):
            return grows(node.this) and not list(node.expression.find_all(exp.Column))
        return isinstance(node, exp.Boolean) and bool(node.this)

    def grows(one: Expression) -> bool:
        node = one.unnest()
        if isinstance(node, exp.Add):
            return grows(node.this) and grows(node.expression)
        return isinstance(node, exp.Column) and layer.columns[node.name].is_lifetime

    return reaches(parse(text, layer.money))


def _predicate(tree: Expression, checked: Checked) -> Predicate:
    whole = exp.Coalesce(this=in_brackets(checked.tree), expressions=[exp.false()])
    columns = sorted({column.name for column in tree.find_all(exp.Column)})
    segments = sorted(
        {call.expressions[0].this for call in tree.find_all(exp.Anonymous) if call.name.lower() == IN_SEGMENT}
    )
    return Predicate(
        text=tree.sql(dialect="spark"),
        spark=spark_sql(whole),
        duckdb=duckdb_sql(whole),
        columns=tuple(columns),
        segments=tuple(segments),
    )

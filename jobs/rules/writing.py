"""How what was understood is written for Spark and for DuckDB, so that both answer alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.expressions.core import Expression

from jobs.rules.language import Type

# Whole numbers that do not fit are an error in both engines, as is what remains of a division by zero.
TRIED: Mapping[type[Expression], str] = {
    exp.Add: "try_add",
    exp.Sub: "try_subtract",
    exp.Mul: "try_multiply",
    exp.Mod: "try_mod",
}


@dataclass(frozen=True)
class Checked:
    """A node that was understood, written anew; fractions are DOUBLE, the other numbers BIGINT."""

    tree: Expression
    type: Type
    is_nullable: bool = False
    is_fraction: bool = False


def in_brackets(tree: Expression) -> Expression:
    return exp.Paren(this=tree) if isinstance(tree, exp.Binary | exp.Not | exp.Between | exp.In | exp.Is) else tree


def whole(digits: str, type_: Type) -> Checked:
    return Checked(exp.cast(exp.Literal.number(str(int(digits))), "bigint"), type_)


def double(tree: Expression) -> Expression:
    return exp.cast(tree, "double")


def fraction(tree: Expression, type_: Type) -> Checked:
    return Checked(double(tree), type_, is_fraction=True)


def as_fraction(checked: Checked, is_fraction: bool) -> Checked:
    if checked.is_fraction or not is_fraction:
        return checked
    return replace(checked, tree=double(checked.tree), is_fraction=True)


def from_zero(amount: Checked) -> Expression:
    zero = exp.cast(exp.Literal.number("0"), "double" if amount.is_fraction else "bigint")
    return exp.Paren(this=exp.Sub(this=zero, expression=in_brackets(amount.tree)))


def smallest() -> Expression:
    return exp.cast(exp.Literal.string(str(-(2**63))), "bigint")


def bare(tree: Expression) -> Expression:
    while isinstance(tree, exp.Cast | exp.Paren):
        tree = tree.this
    return tree


def is_not_zero(tree: Expression) -> bool:
    value = bare(tree)
    return isinstance(value, exp.Literal) and float(value.name) != 0


def spark_sql(tree: Expression) -> str:
    """With Spark's try_ functions."""
    return _tried(tree, lambda node: exp.Anonymous(this=TRIED[type(node)], expressions=[node.this, node.expression]))


def duckdb_sql(tree: Expression) -> str:
    """With DuckDB's try(…)."""
    return _tried(tree, lambda node: exp.Anonymous(this="try", expressions=[node]), "duckdb")


def _tried(tree: Expression, twin: Callable[[Expression], Expression], dialect: str = "spark") -> str:
    whole = exp.Paren(this=tree.copy())
    for node in list(whole.find_all(*TRIED)):
        parent, key, index = node.parent, node.arg_key, node.index
        assert parent is not None and key is not None
        parent.set(key, twin(node), index=index)
    return whole.this.sql(dialect=dialect)

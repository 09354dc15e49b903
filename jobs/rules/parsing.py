"""From a rule's text to its parse tree, and what may stand in one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.expressions.core import Expression
from sqlglot.tokenizer_core import TokenType

from jobs.rules.language import FUNCTIONS, RuleFault

# It would say on stderr how it reads what is refused here anyway.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

LONGEST = 2000
MOST_TOKENS = 400
DEEPEST = 25
TOO_DEEP = "is nested too deeply; split it, or join by and, or"

# What a node of the parse tree may hold; anything else in it is something that this language does not have.
ALLOWED: dict[type[Expression], set[str]] = {
    exp.Paren: {"this"},
    exp.Column: {"this"},
    exp.Literal: {"this", "is_string"},
    exp.Boolean: {"this"},
    exp.Null: set(),
    exp.Cast: {"this", "to"},
    exp.Neg: {"this"},
    exp.Not: {"this"},
    exp.Like: {"this", "expression", "negate"},
    exp.Between: {"this", "low", "high"},
    exp.In: {"this", "expressions"},
    exp.Case: {"this", "ifs", "default"},
    exp.Coalesce: {"this", "expressions"},
    exp.Least: {"this", "expressions", "ignore_nulls"},
    exp.Greatest: {"this", "expressions", "ignore_nulls"},
    exp.Abs: {"this"},
    exp.ArrayContains: {"this", "expression"},
    exp.Anonymous: {"this", "expressions"},
    **{
        kind: {"this", "expression"}
        for kind in (
            *(exp.And, exp.Or, exp.Is, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
            *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod),
        )
    },
}
# Bookkeeping of the parser that says nothing of the rule.
IGNORED = {"typed", "safe"}
COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
# Words that are no functions and may stand before a bracket.
BEFORE_BRACKETS = ("and", "or", "not", "in", "between", "like", "is", "case", "when", "then", "else")
SAID: Mapping[type[Expression], str] = {
    exp.Subquery: "a subquery",
    exp.Select: "a subquery",
    exp.Exists: "a subquery",
    exp.RegexpLike: "a regular expression",
    exp.RegexpILike: "a regular expression",
    exp.Window: "a window",
    exp.Lambda: "a lambda",
    exp.Dot: "a path",
    exp.Bracket: "a path",
    exp.JSONExtract: "a path",
    exp.Interval: "an interval",
    exp.If: "the function if(); write case when … then … else … end",
    exp.Alias: "two things side by side",
    exp.Concat: "a text with a quotation mark in it, or one made of several",
}


def parse(text: str, money: str) -> Expression:
    if len(text) > LONGEST:
        raise RuleFault(f"is longer than {LONGEST} characters; split it")
    try:
        tokens = sqlglot.tokenize(text, read="spark")
        if any(token.comments for token in tokens) or re.search(r"--|/\*", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)):
            raise RuleFault("has a comment; say it in `about`, or behind # in the file")
        if len(tokens) > MOST_TOKENS:
            raise RuleFault(f"has more than {MOST_TOKENS} words and signs; split it")
        # By the names as they are written: the parser takes ifnull for coalesce, and knows hundreds of functions.
        for token, following in pairwise(tokens):
            name = token.text.lower()
            if (
                following.token_type is TokenType.L_PAREN
                and name not in (*FUNCTIONS, *BEFORE_BRACKETS, money)
                and re.fullmatch(r"[a-z_]\w*", name)
            ):
                raise RuleFault(f"has the function {name}(); the language has {', '.join(FUNCTIONS)}")
        trees = sqlglot.parse(text, read="spark")
    except SqlglotError as error:
        raise RuleFault(f"is not a condition{_where(error)}") from None
    except RecursionError:
        raise RuleFault(TOO_DEEP) from None
    if len(trees) != 1 or trees[0] is None:
        raise RuleFault("should be one condition")
    tree = trees[0]
    assert isinstance(tree, Expression)
    if _depth(tree) > DEEPEST:
        raise RuleFault(TOO_DEEP)
    return tree


def _depth(tree: Expression) -> int:
    """How deep the tree is; what and, or join stands side by side, however many there are."""
    deepest, found = 0, [(tree, 1)]
    while found:
        node, depth = found.pop()
        deepest = max(deepest, depth)
        for child in node.iter_expressions():
            is_joined = isinstance(node, exp.Connector) and isinstance(child, type(node))
            found.append((child, depth if is_joined else depth + 1))
    return deepest


def _where(error: Exception) -> str:
    found: Sequence[Mapping[str, object]] = getattr(error, "errors", ())
    near = str(found[0].get("highlight") or "") if found else ""
    return f": see what stands around “{near}”" if near else ""


def flattened(node: Expression, kind: type[Expression]) -> Iterator[Expression]:
    """What `kind` (and, or) joins, from left to right, brackets and all."""
    found = [node]
    while found:
        one = found.pop()
        inner = one.unnest()
        if isinstance(inner, kind):
            found += [inner.expression, inner.this]
        else:
            yield one


def told(node: Expression, kind: type[Expression], *, is_null: bool) -> frozenset[str]:
    """The columns that a conjunct says are not null, or (`is_null`) a disjunct that they are."""
    found: set[str] = set()
    for part in flattened(node, kind):
        inner = part.unnest()
        if not is_null:
            if not isinstance(inner, exp.Not):
                continue
            inner = inner.this.unnest()
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            tested = inner.this.unnest()
            found |= {tested.name} if isinstance(tested, exp.Column) else set()
    return frozenset(found)


def named(node: Expression) -> str:
    return SAID.get(type(node), f"“{shown(node)}”")


def shown(node: Expression) -> str:
    shown = node.sql(dialect="spark")
    return shown if len(shown) <= 60 else f"{shown[:57]}…"

"""What a rule's parse tree means, node by node: types, nulls, and the same thing written anew."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import reduce

from sqlglot import exp
from sqlglot.expressions.core import Expression

from conf.errors import hint
from jobs.rules.language import FUNCTIONS, IN_SEGMENT, Layer, RuleFault, Type
from jobs.rules.parsing import ALLOWED, COMPARISONS, IGNORED, flattened, named, shown, told
from jobs.rules.writing import (
    Checked,
    as_fraction,
    double,
    fraction,
    from_zero,
    in_brackets,
    is_not_zero,
    smallest,
    whole,
)

AMOUNTS = (Type.NUMBER, Type.MONEY)
ORDERED = (*AMOUNTS, Type.TEXT, Type.DATE)
# Numbers of so many digits are the same in every engine, as whole numbers and as fractions.
MOST_DIGITS = 15
# Unicode's categories of control and format characters and of line separators.
HIDDEN = ("Cc", "Cf", "Co", "Cn", "Zl", "Zp")


class Checker:
    """Checks one rule against its layer. `known`: columns that are not null wherever the node decides anything.

    `unsaid`: what was negated though it may be null, in sentences; what stands around it may still say what then.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self.unsaid: list[str] = []

    def check(self, node: Expression, known: frozenset[str]) -> Checked:
        kind = type(node)
        if kind not in ALLOWED:
            raise RuleFault(f"has {named(node)}, which is not in the language")
        if kind is exp.Column and node.args.get("table"):
            raise RuleFault(f"has the path {shown(node)}; a rule reads the columns of one row")
        unknown = [name for name, value in node.args.items() if value and name not in ALLOWED[kind] | IGNORED]
        if unknown:
            what = "a subquery" if "query" in unknown else f"{unknown[0]} in {named(node)}"
            raise RuleFault(f"has {what}, which is not in the language")
        checks: dict[type[Expression], Callable[[Expression, frozenset[str]], Checked]] = {
            exp.Paren: lambda node, known: self.check(node.this, known),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda node, _: Checked(exp.Boolean(this=node.this), Type.YES_NO),
            exp.Null: lambda *_: Checked(exp.null(), Type.NOTHING, is_nullable=True),
            exp.Cast: self._date,
            exp.And: self._connected,
            exp.Or: self._connected,
            exp.Not: self._not,
            exp.Is: self._is,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Like: self._like,
            exp.Case: self._case,
            exp.Neg: self._negative,
            exp.Abs: self._absolute,
            exp.Coalesce: self._coalesce,
            exp.Least: self._extreme,
            exp.Greatest: self._extreme,
            exp.ArrayContains: self._contains,
            exp.Anonymous: self._call,
            **dict.fromkeys(COMPARISONS, self._compared),
            **dict.fromkeys((exp.Add, exp.Sub, exp.Mod), self._summed),
            exp.Mul: self._multiplied,
            exp.Div: self._divided,
        }
        return checks[kind](node, known)

    # ---- values

    def _column(self, node: Expression, known: frozenset[str]) -> Checked:
        name = node.name
        if node.this.args.get("quoted"):
            raise RuleFault(f"has {name!r} in backticks; names of columns stand as they are, texts in 'quotes'")
        column = self._layer.columns.get(name)
        if column is None and name in self._layer.decided:
            raise RuleFault(f"reads {name}, which is decided in this layer or after it")
        if column is None:
            raise RuleFault(f"reads {name}, and there is no such column{hint(name, self._layer.columns)}")
        tree = exp.Column(this=exp.to_identifier(name))
        return Checked(tree, column.type, column.is_nullable and name not in known, column.is_fraction)

    def _literal(self, node: Expression, known: frozenset[str]) -> Checked:
        text = node.name
        if node.args["is_string"]:
            # Others than letters, marks, numbers, signs and blanks hide what a text says from whoever reviews it.
            if re.search(r"['\"\\]|\$\{", text) or any(unicodedata.category(c) in HIDDEN for c in text):
                raise RuleFault("has a text with a quotation mark, a backslash, ${ or a character that does not show")
            return Checked(exp.Literal.string(text), Type.TEXT)
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or len(text.replace(".", "")) > MOST_DIGITS:
            raise RuleFault(f"has the number {text[:20]}; write numbers of at most {MOST_DIGITS} digits, such as 0.25")
        return fraction(exp.Literal.number(text), Type.NUMBER) if "." in text else whole(text, Type.NUMBER)

    def _date(self, node: Expression, known: frozenset[str]) -> Checked:
        literal, to = node.this, node.args["to"]
        if not (to.is_type("date") and isinstance(literal, exp.Literal) and literal.is_string):
            raise RuleFault("has a cast, which is not in the language; a date is written date '2026-01-31'")
        try:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", literal.name):
                raise ValueError
            day = date.fromisoformat(literal.name)
        except ValueError:
            raise RuleFault(f"has the date {literal.name!r}; write it as date '2026-01-31'") from None
        return Checked(exp.cast(exp.Literal.string(day.isoformat()), "date"), Type.DATE)

    def _call(self, node: Expression, known: frozenset[str]) -> Checked:
        name = node.name.lower()
        if name == self._layer.money:
            return self._money(node)
        if name != IN_SEGMENT:
            raise RuleFault(f"has the function {name}(); the language has {', '.join(FUNCTIONS)}")
        if self._layer.segments is None:
            raise RuleFault("has in_segment(), which only triggers have: no rule refers to a rule of its own layer")
        [segment] = node.expressions if len(node.expressions) == 1 else [None]
        if not (isinstance(segment, exp.Literal) and segment.is_string):
            raise RuleFault("has in_segment() without one name, as in in_segment('premium_dormant')")
        if segment.name not in self._layer.segments:
            raise RuleFault(f"has in_segment('{segment.name}'){hint(segment.name, self._layer.segments)}")
        within = exp.ArrayContains(
            this=exp.Column(this=exp.to_identifier("segments")), expression=exp.Literal.string(segment.name)
        )
        return Checked(within, Type.YES_NO)

    def _money(self, node: Expression) -> Checked:
        money = self._layer.money
        [amount] = node.expressions if len(node.expressions) == 1 else [None]
        if not (isinstance(amount, exp.Literal) and re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,2})?", amount.name)):
            raise RuleFault(f"has {money}() without one amount, as in {money}(5000) or {money}(49.50)")
        major, _, minor = amount.name.partition(".")
        return whole(str(int(major) * 100 + int(minor.ljust(2, "0"))), Type.MONEY)

    # ---- conditions

    def _connected(self, node: Expression, known: frozenset[str]) -> Checked:
        kind = type(node)
        # What one conjunct excludes, or one disjunct takes on itself, the others need not speak of.
        known |= told(node, kind, is_null=kind is exp.Or)
        parts = [self._condition(part, known) for part in flattened(node, kind)]
        joined = reduce(lambda left, right: kind(this=left, expression=right), (in_brackets(p.tree) for p in parts))
        return Checked(joined, Type.YES_NO, any(part.is_nullable for part in parts))

    def _condition(self, node: Expression, known: frozenset[str]) -> Checked:
        checked = self.check(node, known)
        if checked.type is not Type.YES_NO:
            raise RuleFault(f"has {shown(node)}, which is {checked.type.value}, where a condition should stand")
        return checked

    def _not(self, node: Expression, known: frozenset[str]) -> Checked:
        return self._negated(self._condition(node.this, known), node)

    def _negated(self, checked: Checked, node: Expression) -> Checked:
        """Not `checked`: what is null would silently be left out, unless it is said what then."""
        if checked.is_nullable:
            names = ", ".join(sorted({c.name for c in node.find_all(exp.Column) if self._may_be_null(c.name)}))
            self.unsaid.append(
                f"has {shown(node)}, which says nothing of rows without {names or 'a value'}: "
                "say what then, with coalesce(…, …) or … is null or …"
            )
        return Checked(exp.Not(this=in_brackets(checked.tree)), Type.YES_NO, checked.is_nullable)

    def _may_be_null(self, name: str) -> bool:
        column = self._layer.columns.get(name)
        return column is not None and column.is_nullable

    def _is(self, node: Expression, known: frozenset[str]) -> Checked:
        if not isinstance(node.expression, exp.Null):
            raise RuleFault(f"has {shown(node)}; after is stands only null or not null")
        before = len(self.unsaid)
        tested = self.check(node.this, known)
        del self.unsaid[before:]
        return Checked(exp.Is(this=in_brackets(tested.tree), expression=exp.null()), Type.YES_NO)

    def _compared(self, node: Expression, known: frozenset[str]) -> Checked:
        left, right = self._alike([node.this, node.expression], known, node)
        self._refuse_unknown_values([node.this, node.expression])
        is_equality = isinstance(node, exp.EQ | exp.NEQ)
        if left.type is Type.TEXTS or (left.type is Type.YES_NO and not is_equality):
            raise RuleFault(f"has {shown(node)}, and {left.type.value} cannot be compared so")
        is_nullable = left.is_nullable or right.is_nullable
        if isinstance(node, exp.NEQ) or (left.type is Type.YES_NO and is_nullable):
            equal = exp.EQ(this=in_brackets(left.tree), expression=in_brackets(right.tree))
            compared = Checked(equal, Type.YES_NO, is_nullable)
            negated = self._negated(compared, node)
            return negated if isinstance(node, exp.NEQ) else compared
        tree = type(node)(this=in_brackets(left.tree), expression=in_brackets(right.tree))
        return Checked(tree, Type.YES_NO, is_nullable)

    def _between(self, node: Expression, known: frozenset[str]) -> Checked:
        value, low, high = self._alike([node.this, node.args["low"], node.args["high"]], known, node)
        if value.type not in ORDERED:
            raise RuleFault(f"has {shown(node)}, and {value.type.value} has no order")
        tree = exp.Between(this=in_brackets(value.tree), low=in_brackets(low.tree), high=in_brackets(high.tree))
        return Checked(tree, Type.YES_NO, any(each.is_nullable for each in (value, low, high)))

    def _in(self, node: Expression, known: frozenset[str]) -> Checked:
        if not node.expressions:
            raise RuleFault(f"has {shown(node)}; in the brackets after in stands at least one value")
        for item in node.expressions:
            # -5 is a number with a sign before it.
            bare = item.this if isinstance(item, exp.Neg) else item
            if not (isinstance(bare, exp.Literal | exp.Cast) or self._is_money(bare)):
                raise RuleFault(f"has {shown(node)}; in the brackets after in stand only values")
        value, *items = self._alike([node.this, *node.expressions], known, node)
        self._refuse_unknown_values([node.this, *node.expressions])
        if value.type not in ORDERED:
            raise RuleFault(f"has {shown(node)}, and {value.type.value} cannot be looked up so")
        tree = exp.In(this=in_brackets(value.tree), expressions=[item.tree for item in items])
        return Checked(tree, Type.YES_NO, value.is_nullable)

    def _is_money(self, node: Expression) -> bool:
        return isinstance(node, exp.Anonymous) and node.name.lower() == self._layer.money

    def _like(self, node: Expression, known: frozenset[str]) -> Checked:
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            raise RuleFault(f"has {shown(node)}; after like stands one text, such as 'Redmi%'")
        value, likeness = self._alike([node.this, pattern], known, node)
        tree = exp.Like(this=in_brackets(value.tree), expression=likeness.tree)
        liked = Checked(tree, Type.YES_NO, value.is_nullable)
        return self._negated(liked, node) if node.args.get("negate") else liked

    def _contains(self, node: Expression, known: frozenset[str]) -> Checked:
        texts, item = self.check(node.this, known), node.expression
        if texts.type is not Type.TEXTS or not (isinstance(item, exp.Literal) and item.is_string):
            raise RuleFault(f"has {shown(node)}; write array_contains(risk_reasons, 'many_reversals')")
        tree = exp.ArrayContains(this=texts.tree, expression=self._literal(item, known).tree)
        return Checked(tree, Type.YES_NO, texts.is_nullable)

    def _case(self, node: Expression, known: frozenset[str]) -> Checked:
        subject = node.this
        # It is written once for each arm: of something longer, in itself, the SQL would grow without end.
        if subject is not None and not isinstance(subject, exp.Column):
            raise RuleFault(f"has {shown(node)}; after case stands a column or when")
        conditions: list[Expression] = []
        told_values: list[Checked] = []
        for arm in node.args["ifs"]:
            if subject is None:
                conditions.append(self._condition(arm.this, known).tree)
                own = told(arm.this, exp.And, is_null=False)
            else:
                left, right = self._alike([subject, arm.this], known, node)
                self._refuse_unknown_values([subject, arm.this])
                conditions.append(exp.EQ(this=in_brackets(left.tree), expression=in_brackets(right.tree)))
                own = frozenset({subject.name})
            told_values.append(self.check(arm.args["true"], known | own))
            # What an arm takes on itself the later ones need not speak of.
            known |= told(arm.this, exp.Or, is_null=True) if subject is None else frozenset()
        told_values.append(self.check(node.args.get("default") or exp.null(), known))
        values = self._of_one_type(told_values, node, or_null=True)
        tree = exp.Case(
            ifs=[
                exp.If(this=condition, true=value.tree)
                for condition, value in zip(conditions, values[:-1], strict=True)
            ],
            default=values[-1].tree,
        )
        is_nullable = any(value.is_nullable for value in values)
        first = next(value for value in values if value.type is not Type.NOTHING)
        return Checked(tree, first.type, is_nullable, first.is_fraction)

    # ---- arithmetic

    def _amount(self, node: Expression, known: frozenset[str]) -> Checked:
        checked = self.check(node, known)
        if checked.type not in AMOUNTS:
            raise RuleFault(f"has {shown(node)}, which is {checked.type.value}, where a number should stand")
        return checked

    def _summed(self, node: Expression, known: frozenset[str]) -> Checked:
        left, right = self._alike([node.this, node.expression], known, node)
        if left.type not in AMOUNTS:
            raise RuleFault(f"has {shown(node)}, and there is no arithmetic with {left.type.value}")
        if isinstance(node, exp.Mod) and left.is_fraction:
            raise RuleFault(f"has {shown(node)}; what remains of a division is of whole numbers")
        tree = type(node)(this=in_brackets(left.tree), expression=in_brackets(right.tree))
        may_be_zero = isinstance(node, exp.Mod) and not is_not_zero(right.tree)
        is_nullable = left.is_nullable or right.is_nullable or may_be_zero
        return Checked(tree, left.type, is_nullable, left.is_fraction)

    def _multiplied(self, node: Expression, known: frozenset[str]) -> Checked:
        left, right = self._amount(node.this, known), self._amount(node.expression, known)
        if left.type is right.type is Type.MONEY:
            raise RuleFault(f"has {shown(node)}: money times money is nothing")
        is_fraction = left.is_fraction or right.is_fraction
        left, right = as_fraction(left, is_fraction), as_fraction(right, is_fraction)
        of = Type.MONEY if Type.MONEY in (left.type, right.type) else Type.NUMBER
        is_nullable = left.is_nullable or right.is_nullable
        tree = exp.Mul(this=in_brackets(left.tree), expression=in_brackets(right.tree))
        return Checked(tree, of, is_nullable, is_fraction)

    def _divided(self, node: Expression, known: frozenset[str]) -> Checked:
        left, right = self._amount(node.this, known), self._amount(node.expression, known)
        if right.type is Type.MONEY and left.type is Type.NUMBER:
            raise RuleFault(f"has {shown(node)}: a number cannot be divided by money")
        of = left.type if right.type is Type.NUMBER else Type.NUMBER
        is_nullable = left.is_nullable or right.is_nullable or not is_not_zero(right.tree)
        by = exp.Nullif(this=as_fraction(right, True).tree, expression=double(exp.Literal.number("0")))
        tree = exp.Div(this=in_brackets(as_fraction(left, True).tree), expression=by)
        return Checked(tree, of, is_nullable, is_fraction=True)

    def _negative(self, node: Expression, known: frozenset[str]) -> Checked:
        amount = self._amount(node.this, known)
        return replace(amount, tree=from_zero(amount))

    def _absolute(self, node: Expression, known: frozenset[str]) -> Checked:
        amount = self._amount(node.this, known)
        # The smallest whole number has no counterpart: like all that does not fit it is null.
        fits = amount.tree if amount.is_fraction else exp.Nullif(this=amount.tree, expression=smallest())
        return replace(amount, tree=exp.Abs(this=fits))

    # ---- of several

    def _coalesce(self, node: Expression, known: frozenset[str]) -> Checked:
        before = len(self.unsaid)
        values = self._alike([node.this, *node.expressions], known, node)
        if not all(value.is_nullable for value in values):
            del self.unsaid[before:]
        tree = exp.Coalesce(this=values[0].tree, expressions=[value.tree for value in values[1:]])
        return replace(values[0], tree=tree, is_nullable=all(value.is_nullable for value in values))

    def _extreme(self, node: Expression, known: frozenset[str]) -> Checked:
        values = self._alike([node.this, *node.expressions], known, node)
        if len(values) < 2 or values[0].type not in ORDERED:
            raise RuleFault(f"has {shown(node)}; least and greatest choose among several numbers, amounts or dates")
        tree = type(node)(this=values[0].tree, expressions=[value.tree for value in values[1:]], ignore_nulls=True)
        return replace(values[0], tree=tree, is_nullable=all(value.is_nullable for value in values))

    def _alike(
        self, nodes: Sequence[Expression], known: frozenset[str], whole: Expression, *, or_null: bool = False
    ) -> list[Checked]:
        """The nodes checked, all of one type; numbers become fractions where one of them is."""
        return self._of_one_type([self.check(node, known) for node in nodes], whole, or_null=or_null)

    def _of_one_type(self, checked: Sequence[Checked], whole: Expression, *, or_null: bool) -> list[Checked]:
        types = [each.type for each in checked if not (or_null and each.type is Type.NOTHING)]
        if Type.NOTHING in types:
            raise RuleFault(f"has {shown(whole)}; null is asked for by is null")
        if not types:
            raise RuleFault(f"has {shown(whole)}, which is always null")
        others = [each for each in types if each is not types[0]]
        if others:
            said = f"has {shown(whole)}, where {types[0].value} meets {others[0].value}"
            if {types[0], others[0]} == set(AMOUNTS):
                said += f"; write money as {self._layer.money}(5000)"
            raise RuleFault(said)
        is_fraction = any(each.is_fraction for each in checked)
        return [as_fraction(each, is_fraction and each.type in AMOUNTS) for each in checked]

    def _refuse_unknown_values(self, nodes: Sequence[Expression]) -> None:
        """Text that the column beside it never holds is a slip of the pen, and would match nobody."""
        bare = [node.unnest() for node in nodes]
        for column in (self._layer.columns[node.name] for node in bare if isinstance(node, exp.Column)):
            for literal in (node.name for node in bare if isinstance(node, exp.Literal) and node.is_string):
                if column.accepted and literal not in column.accepted:
                    raise RuleFault(
                        f"has {column.name} beside '{literal}', which it never is{hint(literal, column.accepted)}"
                    )

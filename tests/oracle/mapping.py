"""Raw rows as records of their feed, each with its dates and with every reason for which it is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlglot import exp

from conf import ColumnType, Settings, Source
from schemas.feed import Feed
from schemas.table import Column
from tests.oracle.expressions import (
    Translator,
    Untranslatable,
    Value,
    columns_of,
    finite,
    from_text,
    is_finer,
    is_number,
    kind_of,
    midnight,
    parsed,
    quoted,
)
from tests.oracle.tables import type_of

# Letters of Spark's patterns, and what DuckDB calls them.
PATTERN = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSSSSS": "%f",
    "SSS": "%g",
    "a": "%p",
}
AMOUNT = "amount_minor"


@dataclass(frozen=True)
class Mapping:
    """How the rows of one source become records of its feed."""

    source: Source
    settings: Settings

    def records(self, rows: str) -> str:
        """One row per record of these raw rows.

        Where it came from: `landed` (the night), `row_id` (of its first row), `row_ids` (where several rows make one
        record), `delivery_id`, `file`, `known_from_date`, `source_rows`. Then the feed's columns, `event_date`,
        `earliest` (of the dates it happened and is posted under: since then its key may be known), and `reasons`,
        null for a record that nothing is wrong with.
        """
        return f"""
            select * exclude (latest, {", ".join(self._flags)}), {self._reasons} as reasons
            from ({self._dated(self._mapped(self._typed(rows)))})
        """

    @property
    def feed(self) -> Feed:
        return self.source.feed_spec

    @cached_property
    def _doubtful(self) -> dict[str, str]:
        """The columns whose values may fail to cast, with the flag that says so."""
        return {
            name: f'"{name} is invalid"'
            for name, type_ in self.source.columns.items()
            if type_.kind == "double" or (type_.kind != "string" and self._is_text(name))
        }

    @cached_property
    def _fine(self) -> dict[str, str]:
        """Of these, the decimals that the amount is made of, with the flag of too many decimals: no other fault."""
        named = columns_of(self.source.map.get(AMOUNT, "null"))
        is_decimal = {name for name, type_ in self.source.columns.items() if type_.kind == "decimal"}
        return {name: f'"{name} is too fine"' for name in self._doubtful if name in named & is_decimal}

    def _is_text(self, name: str) -> bool:
        return self.source.raw_types()[name] == "string"

    @property
    def _flags(self) -> list[str]:
        return [*self._doubtful.values(), *self._fine.values(), "unrounded", "is_unparsable"]

    @cached_property
    def _amount(self) -> exp.Expr | None:
        """What the amount is before it is cast to whole minor units."""
        amount = parsed(self.source.map[AMOUNT]) if AMOUNT in self.source.map else None
        return amount.this if isinstance(amount, exp.Cast) else None

    def _typed(self, rows: str) -> str:
        """The source's columns in their types, and of each that may fail whether it did."""
        values = {name: self._value(name, type_) for name, type_ in self.source.columns.items()}
        columns = [f'{value} as "{name}"' for name, value in values.items()]
        fails = {name: f'("{name}" is not null and {values[name]} is null)' for name in self._doubtful}
        is_fine = {name: f"({fails[name]} and {self._is_too_fine(name)})" for name in self._fine}
        flags = [
            f"{fails[name]}{f' and not {is_fine[name]}' if name in is_fine else ''} as {flag}"
            for name, flag in self._doubtful.items()
        ]
        flags += [f"{is_fine[name]} as {flag}" for name, flag in self._fine.items()]
        return f"""
            select as_of_date as landed, row_id, delivery_id, delivered_date, file, known_from_date, is_unparsable,
                {self._identifier} as identifier, {", ".join(columns + flags)}
            from {rows}
        """

    def _is_too_fine(self, name: str) -> str:
        value = f'"{name}"'
        return f"coalesce({is_number(value)} and {is_finer(value, self.source.columns[name].spark_type)}, false)"

    @property
    def _identifier(self) -> str:
        """The key of a source without keys: of the source, the row, and the how manyth of its like it is."""
        if self.source.has_key:
            return "null"
        row = ", ".join(f"""coalesce(cast("{name}" as varchar), chr(0))""" for name in self.source.columns)
        return f"md5(concat_ws(chr(31), {quoted(self.source.name)}, {row}, occurrence))"

    def _value(self, name: str, type_: ColumnType) -> str:
        column, zone = f'"{name}"', self.source.files.zone
        if type_.kind == "timestamp_ns":
            return f"timezone('{zone}', make_timestamp_ns({column})::timestamp)"
        if not self._is_text(name):
            return finite(column) if type_.kind == "double" else column
        if not type_.pattern:
            return from_text(column, type_.spark_type, zone)
        pattern = quoted(_strptime(type_.pattern))
        # DuckDB reads patterns leniently; what was delivered has to come out of it again.
        time = f"try_strptime({column}, {pattern})"
        told = f"case when strftime({time}, {pattern}) = {column} then {time} end"
        return f"cast({told} as date)" if type_.kind == "date" else f"timezone('{zone}', {told})"

    def _mapped(self, typed: str) -> str:
        """The feed's columns; of rows that make one record together."""
        columns = {name: Value(f'"{name}"', kind_of(type_.spark_type)) for name, type_ in self.source.columns.items()}
        translator = Translator(columns, self.source.files.zone)
        feed = [f'{self._of_feed(translator, column)} as "{column.name}"' for column in self.feed.columns]
        feed.append(f"{translator.of(self._amount).sql if self._amount else 'null::bigint'} as unrounded")
        flags = [*self._doubtful.values(), *self._fine.values()]
        if not self.source.group_by:
            return f"""
                select landed, row_id, null::bigint[] as row_ids, delivery_id, delivered_date, file, known_from_date,
                    1 as source_rows, is_unparsable, {", ".join(flags + feed)}
                from ({typed})
            """
        merged = [f"bool_or({flag}) as {flag}" for flag in flags]
        return f"""
            select landed, min(row_id) as row_id, list(row_id) as row_ids, delivery_id, delivered_date,
                min(file) as file, known_from_date, count(*) as source_rows, is_unparsable,
                {", ".join(merged + feed)}
            from ({typed})
            group by landed, delivery_id, delivered_date, known_from_date, is_unparsable,
                {", ".join(f'"{name}"' for name in self.source.group_by)}
        """

    def _of_feed(self, translator: Translator, column: Column) -> str:
        if column.name == self.feed.identifier and not self.source.has_key:
            return "identifier"
        if column.name not in self.source.map:
            return f"null::{type_of(column)}"
        return translator.cast(translator.value(self.source.map[column.name]), column.type).sql

    def _dated(self, mapped: str) -> str:
        """With `updated_at` as it counts, and the dates in the lake's zone."""
        zone = self.settings.lake.zone
        names = self.feed.column_names
        delivered = midnight("coalesce(delivered_date, landed)", self.source.files.zone)
        updated = ", ".join(("updated_at", *self.feed.updated_from, delivered))
        replaced = f"replace (coalesce({updated}) as updated_at)" if "updated_at" in names else ""
        happened = f"cast(timezone('{zone}', {self.feed.dated_by}) as date)"
        changed = f"cast(timezone('{zone}', updated_at) as date)"
        # What the customer did is dated by when she did it, a reversal by when it was made.
        posted = f"if(status = 'reversed', {changed}, {happened})" if self.feed.takes_states else happened
        latest = f"greatest({happened}, {changed})" if self.feed.takes_states else happened
        return f"""
            select * exclude (delivered_date), {posted} as event_date, least({happened}, {posted}) as earliest,
                {latest} as latest
            from (select * {replaced} from ({mapped}))
        """

    @property
    def _reasons(self) -> str:
        """The names of all rules that a record breaks, in SQL."""
        rules = {name: f"coalesce({' or '.join(said)}, false)" for name, said in sorted(self._rules().items())}
        named = ", ".join(f"case when {rule} then '{name}' end" for name, rule in rules.items())
        return f"""
            case when is_unparsable then ['unparsable']
                when {" or ".join(rules.values())} then list_filter([{named}], lambda reason: reason is not null)
            end
        """

    def _rules(self) -> dict[str, list[str]]:
        """Reasons, each with the conditions of which one suffices."""
        feed, rules = self.feed, dict[str, list[str]]()

        def add(reason: str, condition: str) -> None:
            rules.setdefault(reason, []).append(condition)

        for name, flag in self._doubtful.items():
            add(f"{name}_invalid", flag)
        required = [*feed.required, *([feed.identifier] if feed.identifier and self.source.has_key else [])]
        for name in required:
            add(f"{name}_missing", " and ".join((f'"{name}" is null', *self._sound(self.source.map.get(name)))))
        if feed.either:
            add(feed.missing_either, " and ".join(f"{name} is null" for name in feed.either))
        for column in feed.columns:
            for condition in self._bounds(column):
                add(f"{column.name}_invalid", condition)
        if AMOUNT in feed.column_names:
            add("amount_negative", f"{AMOUNT} < 0")
            add("amount_fraction", " or ".join(("unrounded <> trunc(unrounded)", *self._fine.values())))
            add("currency_invalid", f"currency <> '{self.settings.lake.currency}'")
            if self.source.limits.zero_amounts == "quarantine":
                add("amount_zero", f"{AMOUNT} = 0 and coalesce(unrounded, 0) = 0")
        if not self.source.is_dump:
            add("in_the_future", "latest > landed + 1")
        times = ", ".join(column.name for column in feed.columns if column.type == "timestamp")
        add("before_1970", f"least({times}) < timestamptz '1970-01-01 00:00:00+00'")
        return rules

    def _sound(self, expression: str | None) -> list[str]:
        """That nothing was wrong with the columns of an expression: what is invalid is not missing as well."""
        named = columns_of(expression) if expression else set[str]()
        return [f"not {flags[name]}" for flags in (self._doubtful, self._fine) for name in flags if name in named]

    @staticmethod
    def _bounds(column: Column) -> Sequence[str]:
        if column.accepted:
            return [f'"{column.name}" not in ({", ".join(map(quoted, column.accepted))})']
        least = [f'"{column.name}" < {column.minimum}'] if column.minimum is not None and column.name != AMOUNT else []
        most = [f'"{column.name}" > {column.maximum}'] if column.maximum is not None else []
        return [*least, *most]


def _strptime(pattern: str) -> str:
    """A pattern of Spark's as DuckDB writes it; refused where it has letters that are not known here."""
    told = ""
    for part in re.finditer(r"'([^']*)'|([A-Za-z])\2*|.", pattern):
        if part[2] and part[0] not in PATTERN:
            raise Untranslatable(f"the pattern {pattern}: {part[0]} is not known to the oracle")
        told += PATTERN[part[0]] if part[2] else part[1] or part[0]
    return told

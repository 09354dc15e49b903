"""The only contact with Great Expectations: judges figures, never rows.

Importing it takes seconds, so it is imported at the first judgement, or by `prepare`. What cannot be judged is an
error of the machine (`CheckError`), never a pass.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from threading import Lock
from typing import Any

from expectations.figures import Expectation, Severity, Suite

Case = tuple[Suite, Mapping[str, object]]

# Great Expectations was not made for threads.
ONE_AT_A_TIME = Lock()
BOUND, GREATER, LESS = "bound", "greater", "less"
WITH_BOUNDS: dict[str, Any] = {"result_format": "COMPLETE", "unexpected_index_column_names": [BOUND]}


class CheckError(RuntimeError):
    """The figures could not be judged: one is missing or no number, or Great Expectations itself failed."""


@dataclass(frozen=True)
class Result:
    """One expectation about one table on one day; `observed` is the figure, never a value of a row."""

    table: str
    suite: str
    expectation: str
    severity: Severity
    success: bool
    observed: str
    about: str


def prepare() -> None:
    """Import Great Expectations, which takes seconds, while something else that does is under way."""
    with ONE_AT_A_TIME:
        _batch_definition()


def judge(suite: Suite, figures: Mapping[str, object]) -> list[Result]:
    """What `figures` (name -> int or Decimal) make of each expectation of `suite`, in its order."""
    return judge_all([(suite, figures)])[0]


def judge_all(cases: Sequence[Case]) -> list[list[Result]]:
    """`judge` for many cases, say a table's suites on the days of a range: all are one GX run, as dear as one case."""
    if not cases:
        raise CheckError("There are no figures to judge. Gather them first; a day without rows has figures of 0.")
    numbers = [_numbers(suite, figures) for suite, figures in cases]
    # Every bound is a row, whichever expectation it belongs to: GX takes as long for one as for thousands.
    bounds = [
        (position, expectation.name, greater, less)
        for position, (suite, _) in enumerate(cases)
        for expectation in suite.expectations
        for greater, less in _bounds(expectation, numbers[position])
    ]
    try:
        with ONE_AT_A_TIME:
            crossed = _crossed([(greater, less) for _, _, greater, less in bounds])
    except Exception as error:
        where = ", ".join(dict.fromkeys(_where(suite) for suite, _ in cases))
        raise CheckError(f"Great Expectations could not judge the {where}: {error}") from error
    refused = {bounds[place][:2] for place in crossed}
    return [
        [
            Result(
                table=suite.table,
                suite=suite.name,
                expectation=expectation.name,
                severity=expectation.severity,
                success=(position, expectation.name) not in refused,
                observed=" against ".join(f"{numbers[position][name]:f}" for name in expectation.figures),
                about=expectation.about,
            )
            for expectation in suite.expectations
        ]
        for position, (suite, _) in enumerate(cases)
    ]


def _where(suite: Suite) -> str:
    return f"suite {suite.name} of {suite.table}"


def _numbers(suite: Suite, figures: Mapping[str, object]) -> dict[str, Decimal]:
    """The figures that the suite looks at."""
    where = _where(suite)
    if not suite.expectations:
        raise CheckError(f"The {where} expects nothing, so it would pass whatever the data. Give it an expectation.")
    names = (name for expectation in suite.expectations for name in expectation.figures)
    return {name: _figure(figures, name, where) for name in names}


def _figure(figures: Mapping[str, object], name: str, where: str) -> Decimal:
    value = figures.get(name)
    # GX lets nulls and missing columns pass, and NaN where there is no maximum: they stop here.
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        given = "missing" if value is None else f"a {type(value).__name__} that is no finite int or Decimal"
        raise CheckError(
            f"Figure {name} of the {where} is {given}. Gather it with expectations.figures.gather_sql, or fill it in."
        )
    return Decimal(value)


def _bounds(expectation: Expectation, numbers: Mapping[str, Decimal]) -> Iterator[tuple[Decimal, Decimal]]:
    """The pairs whose first is at least as great as its second where the expectation is met."""
    figure = numbers[expectation.figure]
    if expectation.equals is not None:
        other = numbers[expectation.equals]
        yield from ((figure, other), (other, figure))
    if expectation.minimum is not None:
        yield figure, Decimal(expectation.minimum)
    if expectation.maximum is not None:
        yield Decimal(expectation.maximum), figure


def _crossed(bounds: Sequence[tuple[Any, Any]]) -> list[int]:
    """The places of the pairs whose first is less than its second; raises CheckError where GX says it raised."""
    batch_definition = _batch_definition()
    import great_expectations as gx
    import pandas as pd

    # As objects they are compared as the decimals they are.
    frame = pd.DataFrame(bounds, columns=[GREATER, LESS], dtype=object)
    frame.insert(0, BOUND, range(len(bounds)))
    not_less: Any = gx.expectations.ExpectColumnPairValuesAToBeGreaterThanB  # pyright: ignore[reportPrivateImportUsage]
    outcome = batch_definition.get_batch({"dataframe": frame}).validate(
        not_less(column_A=GREATER, column_B=LESS, or_equal=True, ignore_row_if="neither"), result_format=WITH_BOUNDS
    )
    if errors := _errors(outcome.exception_info):
        raise CheckError(errors[0])
    result = outcome.result
    crossed = [row[BOUND] for row in result["unexpected_index_list"] or ()]
    if result["element_count"] != len(bounds) or len(crossed) != result["unexpected_count"]:
        raise CheckError(f"of {len(bounds)} bounds it looked at {result['element_count']}")
    if outcome.success != (not crossed):
        raise CheckError("it contradicts itself")
    return crossed


def _errors(info: Mapping[str, Any]) -> list[str]:
    """GX gives one record of an exception, or one per metric that raised."""
    records = [info] if "raised_exception" in info else info.values()
    return [str(record["exception_message"]) for record in records if record["raised_exception"]]


@cache
def _batch_definition() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("figures").add_dataframe_asset("figures")
    return asset.add_batch_definition_whole_dataframe("figures")

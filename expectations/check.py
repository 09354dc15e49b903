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
CASE = "case"
YES_OR_NO: dict[str, Any] = {"result_format": "BOOLEAN_ONLY"}
WITH_CASES: dict[str, Any] = {"result_format": "COMPLETE", "unexpected_index_column_names": [CASE]}


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


@dataclass(frozen=True)
class _Question:
    """One GX expectation, as its class and arguments: GX refuses to take the same object into two suites."""

    expectation: str
    type: str
    arguments: dict[str, Any]


def prepare() -> None:
    """Import Great Expectations, which takes seconds, while something else that does is under way."""
    with ONE_AT_A_TIME:
        _batch_definition()


def judge(suite: Suite, figures: Mapping[str, object]) -> list[Result]:
    """What `figures` (name -> int or Decimal) make of each expectation of `suite`, in its order."""
    return judge_all([(suite, figures)])[0]


def judge_all(cases: Sequence[Case]) -> list[list[Result]]:
    """`judge` for many cases, say the days of a range: all cases of a suite are one GX run, as dear as one case."""
    if not cases:
        raise CheckError("There are no figures to judge. Gather them first; a day without rows has figures of 0.")
    alike: dict[object, list[int]] = {}
    for position, (suite, _) in enumerate(cases):
        # Bounds, severities and sentences may differ between the cases of one run; what is looked at may not.
        looked_at = tuple((expectation.name, *expectation.figures) for expectation in suite.expectations)
        alike.setdefault((suite.table, suite.name, looked_at), []).append(position)
    results: dict[int, list[Result]] = {}
    for positions in alike.values():
        results.update(zip(positions, _judge_alike([cases[position] for position in positions]), strict=True))
    return [results[position] for position in range(len(cases))]


def _judge_alike(cases: Sequence[Case]) -> list[list[Result]]:
    first, _ = cases[0]
    where = f"suite {first.name} of {first.table}"
    if not first.expectations:
        raise CheckError(f"The {where} expects nothing, so it would pass whatever the data. Give it an expectation.")
    numbers = [
        {name: _figure(figures, name, where) for expectation in suite.expectations for name in expectation.figures}
        for suite, figures in cases
    ]
    columns: dict[str, list[Any]] = {CASE: list(range(len(cases)))}
    columns.update({name: [_comparable(figures[name]) for figures in numbers] for name in numbers[0]})
    questions = [
        question
        for same in zip(*(suite.expectations for suite, _ in cases), strict=True)
        for question in _questions(same, columns)
    ]
    try:
        with ONE_AT_A_TIME:
            refused = _refused(columns, questions)
    except Exception as error:
        raise CheckError(f"Great Expectations could not judge the {where}: {error}") from error
    return [
        [
            Result(
                table=suite.table,
                suite=suite.name,
                expectation=expectation.name,
                severity=expectation.severity,
                success=(expectation.name, position) not in refused,
                observed=" against ".join(f"{numbers[position][name]:f}" for name in expectation.figures),
                about=expectation.about,
            )
            for expectation in suite.expectations
        ]
        for position, (suite, _) in enumerate(cases)
    ]


def _figure(figures: Mapping[str, object], name: str, where: str) -> Decimal:
    value = figures.get(name)
    # GX lets nulls and missing columns pass, and NaN where there is no maximum: they stop here.
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        given = "missing" if value is None else f"a {type(value).__name__} that is no finite int or Decimal"
        raise CheckError(
            f"Figure {name} of the {where} is {given}. Gather it with expectations.figures.gather_sql, or fill it in."
        )
    return Decimal(value)


def _comparable(value: int | Decimal | None) -> int | float | None:
    """GX turns bounds into floats: with figures that are not whole, the same number must become the same float."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)


def _questions(same: Sequence[Expectation], columns: dict[str, list[Any]]) -> Iterator[_Question]:
    """How GX is asked one expectation for every case; bounds that differ between cases become `columns`."""
    expectation = same[0]
    name, figure = expectation.name, expectation.figure
    if expectation.equals is not None:
        arguments = {"column_A": figure, "column_B": expectation.equals}
        yield _Question(name, "ExpectColumnPairValuesToBeEqual", arguments)
        return
    minima = [_comparable(one.minimum) for one in same]
    maxima = [_comparable(one.maximum) for one in same]
    if len(set(minima)) == len(set(maxima)) == 1:
        arguments = {"column": figure, "min_value": minima[0], "max_value": maxima[0]}
        yield _Question(name, "ExpectColumnValuesToBeBetween", arguments)
        return
    for bound, values in (("minimum", minima), ("maximum", maxima)):
        column = f"{name} {bound}"
        columns[column] = values
        greater, less = (figure, column) if bound == "minimum" else (column, figure)
        yield _Question(
            name,
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": greater, "column_B": less, "or_equal": True, "ignore_row_if": "either_value_is_missing"},
        )


def _refused(columns: dict[str, list[Any]], questions: Sequence[_Question]) -> set[tuple[str, int]]:
    """The expectations, by name, and the cases that they refuse."""
    failed = [
        question
        for question, outcome in zip(questions, _validate(columns, questions, YES_OR_NO), strict=True)
        if not outcome.success
    ]
    if len(columns[CASE]) == 1:
        return {(question.expectation, 0) for question in failed}
    # Naming the cases doubles the price, so only what failed is asked again.
    refused: set[tuple[str, int]] = set()
    for question, outcome in zip(failed, _validate(columns, failed, WITH_CASES), strict=True):
        unexpected = outcome.result["unexpected_index_list"]
        if not unexpected:
            raise CheckError(f"{question.expectation} failed and names no case")
        refused.update((question.expectation, row[CASE]) for row in unexpected)
    return refused


def _validate(
    columns: dict[str, list[Any]], questions: Sequence[_Question], result_format: dict[str, Any]
) -> list[Any]:
    """GX's outcome for each question, in order; raises CheckError where GX says it raised."""
    if not questions:
        return []
    batch_definition = _batch_definition()
    import great_expectations as gx
    import pandas as pd

    suite = gx.ExpectationSuite(
        name="figures",
        expectations=[
            getattr(gx.expectations, question.type)(**question.arguments, meta={"question": position})
            for position, question in enumerate(questions)
        ],
    )
    # Objects, so that whole numbers stay exact beside missing bounds.
    batch = batch_definition.get_batch({"dataframe": pd.DataFrame(columns, dtype=object)})
    outcomes = {
        outcome.expectation_config.meta["question"]: outcome
        for outcome in batch.validate(suite, result_format=result_format).results
    }
    errors = [message for outcome in outcomes.values() for message in _errors(outcome.exception_info)]
    if errors:
        raise CheckError(errors[0])
    return [outcomes[position] for position in range(len(questions))]


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

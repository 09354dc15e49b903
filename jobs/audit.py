"""The audit of staged days: the suites of a table, judged by Great Expectations on gathered figures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from conf import Settings
from expectations import business, derived
from expectations.check import Result, judge_all
from expectations.figures import SCHEMA_DIFFERENCES, Suite
from jobs.errors import DataRefused
from jobs.lake import Staged
from jobs.ledger import Ledger
from schemas.table import Table

Judged = tuple[date, Result]


def suites(table: Table, settings: Settings) -> tuple[Suite, ...]:
    """The suites of one table, before what is known of a particular day is added."""
    limits = {
        source.name: Decimal(str(source.limits.max_quarantined)) for source in settings.sources if not source.is_dump
    }
    implied = derived.suite(table, may_be_empty=True)
    if table.layer == "raw":
        # Row ids are numbered by the landing itself; there is nothing to be unique about.
        expectations = tuple(each for each in implied.expectations if each.name != "key_unique")
        implied = replace(implied, expectations=expectations, key=())
    return (
        implied,
        *business.suites(
            table.name,
            zone=settings.lake.zone,
            currency=settings.lake.currency,
            close_after=settings.lake.close_after,
            limits=limits,
            events=settings.tracking.events,
        ),
    )


def judge(
    staged: Staged,
    settings: Settings,
    ledger: Ledger,
    announced_empty: Collection[date],
    counted: Mapping[date, Mapping[str, int]],
) -> list[Judged]:
    """What each expectation of the table said of each day; `counted` are figures that its rows do not tell."""
    differences = len(derived.schema_differences(staged.table, staged.fields))
    cases: list[tuple[Suite, dict[str, Any]]] = []
    owners: list[date] = []
    for day in staged.days:
        figures = {**staged.figures[day], SCHEMA_DIFFERENCES.name: differences, **counted.get(day, {})}
        for suite in _of_day(staged, day, settings, ledger, announced_empty):
            if suite.expectations:
                cases.append((suite, figures))
                owners.append(day)
    return [(day, result) for day, results in zip(owners, judge_all(cases), strict=True) for result in results]


def _of_day(
    staged: Staged, day: date, settings: Settings, ledger: Ledger, announced_empty: Collection[date]
) -> Iterator[Suite]:
    table = staged.table
    may_be_empty = table.may_be_empty or day in announced_empty
    not_empty = [
        each for each in derived.suite(table, may_be_empty=may_be_empty).expectations if each.name == "not_empty"
    ]
    for suite in suites(table, settings):
        if suite.name == "derived":
            yield suite.expecting(*not_empty)
        elif suite.table in ("core.transactions", "core.customers"):
            yield suite.expecting(_volume(staged, day, settings, ledger), *_null_shares(staged, day, ledger))
        else:
            yield suite


def _history(staged: Staged, ledger: Ledger, first: date, last: date) -> dict[date, dict[str, Any]]:
    """Figures of earlier days: what this run staged itself, else what was published."""
    published = {day: dict(each.figures) for day, each in ledger.published(staged.table.name, first, last).items()}
    return {**published, **{day: dict(staged.figures[day]) for day in staged.days if first <= day <= last}}


def _volume(staged: Staged, day: date, settings: Settings, ledger: Ledger) -> Any:
    quality = settings.quality
    weeks = range(1, quality.volume_history_weeks + 1)
    earlier = _history(staged, ledger, day - timedelta(weeks=quality.volume_history_weeks), day - timedelta(days=7))
    same_weekdays = [earlier[then] for week in weeks if (then := day - timedelta(weeks=week)) in earlier]
    counted = [int(figures[business.ROWS_OF_THE_DAY.name]) for figures in same_weekdays]
    low, high = (Decimal(str(share)) for share in quality.volume_band)
    return business.volume_expectation(counted, (low, high), quality.volume_min_weeks, quality.volume_severity)


def _null_shares(staged: Staged, day: date, ledger: Ledger) -> Any:
    yesterday = day - timedelta(days=1)
    before = _history(staged, ledger, yesterday, yesterday).get(yesterday)
    figures = None if before is None else {name: _number(value) for name, value in before.items()}
    return business.null_share_expectations(staged.table, staged.figures[day], figures)


def _number(value: Any) -> Any:
    """The ledger keeps decimals as text."""
    if not isinstance(value, str):
        return value
    try:
        return Decimal(value)
    except InvalidOperation:
        return value


def refuse_failures(judged: list[Judged]) -> None:
    """Raises DataRefused naming every expectation that failed with severity fail; warnings pass."""
    failed = [(day, result) for day, result in judged if not result.success and result.severity == "fail"]
    if failed:
        sentences = [
            f"{result.table} {day}: {result.suite}.{result.expectation}: "
            f"expected that {result.about}; observed {result.observed}"
            for day, result in failed[:10]
        ]
        more = f"\n… and {len(failed) - 10} more" if len(failed) > 10 else ""
        raise DataRefused("The audit failed; nothing of it was published.\n" + "\n".join(sentences) + more)

"""Carries the night out: read, transform, stage, audit, publish; one night or a range, whole or one stage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any, Literal, TypeVar

from pyspark.sql import DataFrame, SparkSession

from conf import Settings
from expectations import check
from jobs import audit, order, pipeline
from jobs.calendar import LONGEST_WAIT, days_between, hops, judged_snapshots, snapshot_days, stepped_days
from jobs.engines.base import Engine, engines, score_columns
from jobs.errors import Busy, ClmError, DataRefused, Usage
from jobs.expressions import Expression, check_mapping
from jobs.frames import local_frame
from jobs.health import ensure_writable, refuse_unhealthy
from jobs.lake import Lake, Staged
from jobs.ledger import Ledger
from jobs.ledger_records import Run, Upstream
from jobs.progress import Progress
from jobs.rules.book import RuleBook, compile_book
from jobs.session import ManyRows, open_session
from jobs.side_by_side import side_by_side
from jobs.tokens import TokenMaker, token_maker
from jobs.workload import has_few_rows
from schemas.core import POSTED
from schemas.judgement import CUSTOMER_SEGMENTS

Result = TypeVar("Result")


@dataclass
class Night:
    """One run over the nights first … last: what every stage needs, and what the audits have said so far."""

    spark: SparkSession
    settings: Settings
    ledger: Ledger
    lake: Lake
    run: Run
    days: list[date]
    progress: Progress
    mappings: Mapping[str, Mapping[str, Expression]]
    token_maker: TokenMaker | None
    engines: Sequence[Engine]
    book: RuleBook
    step_from: date | None = None
    # Whether what is selected counts as contacts; None: as it did before, of new nights as the command has it.
    contacts: Literal["live", "replay"] | None = None
    # A person asked for lists that are too late, or were made by a backfill.
    even_expired: bool = False
    # The moment as at which lists are delivered; None: the present.
    now: datetime | None = None
    judged: list[audit.Judged] = field(default_factory=list)
    _many_rows: ManyRows = field(init=False)

    def __post_init__(self) -> None:
        self._many_rows = ManyRows(self.spark)

    @property
    def first(self) -> date:
        return self.days[0]

    @property
    def last(self) -> date:
        return self.days[-1]

    @property
    def first_night(self) -> date:
        return min(self.ledger.first_night() or self.first, self.first)

    @cached_property
    def repairs(self) -> list[date]:
        """Nights that take what waits though they are no Sundays; of those long past nothing waits any more."""
        since = self.first - LONGEST_WAIT
        return [night for night in self.ledger.repairs() if since <= night <= self.last]

    @property
    def landing(self) -> Path:
        return Path(self.settings.landing)

    def side_by_side(self, work: Iterable[Callable[[], Result]]) -> list[Result]:
        """What each piece of work returns; those that read what another of them publishes may not be among them."""
        return side_by_side(self.spark, work, self.settings.spark.tables_at_once)

    def rows(self, tables: Iterable[str], first: date | None = None, last: date | None = None) -> int:
        """How many are published of the tables from first to last, by default the nights of this run."""
        published = [self.ledger.published(table, first or self.first, last or self.last) for table in tables]
        return sum(each.rows for days in published for each in days.values())

    def compiled(self, rows: int) -> AbstractContextManager[None]:
        """Around queries over so many rows: where they are many they are compiled, even in a session for few."""
        return self._many_rows.compiled(rows)

    @cached_property
    def history(self) -> tuple[date, date] | None:
        """The first and the last night of which levels are known, as it was when this run began."""
        return self.ledger.days(CUSTOMER_SEGMENTS.name)

    @cached_property
    def steps(self) -> list[date]:
        """The nights of this run that are judged, one after the other."""
        return stepped_days(self.first, self.last, history=self.history, step_from=self.step_from)

    def starts_with(self, day: date) -> bool:
        """Whether the night is the first of all that are judged: it has no yesterday."""
        return day == self.steps[0] and not (self.history and self.history[0] < day)

    def snapshot_days(self, table: str) -> list[date]:
        """The nights of this run of which the table gets a snapshot."""
        known = self.ledger.days(table)
        days = snapshot_days(self.first, self.last, max(self.last, known[1]) if known else self.last)
        if table not in pipeline.stepped_on(self.settings):
            return days
        return sorted({*days, *judged_snapshots(self.steps, self.days)})

    def posted(self, feed: str, first: date | None = None, last: date | None = None) -> DataFrame:
        """What the nights first … last, by default those of this run, posted; no rows where no source delivers it."""
        if not self.settings.sources_of(feed):
            return local_frame(self.spark, [], POSTED[feed].ddl(nullable=True))
        return self.lake.read(f"core.{feed}", known_on=last or self.last, since=first or self.first)

    def hops(self, table: str) -> Iterator[tuple[date | None, list[date]]]:
        """Snapshot days of this run that are folded at once, each group with the day of the snapshot before it.

        Of the days of this run only its own snapshots are good: one that was there before may be stale.
        """
        since = max(self.ledger.kept_days(table, self.first_night, self.first - timedelta(days=1)), default=None)
        for days in hops(self.snapshot_days(table)):
            yield since, days
            since = days[-1]

    def digests(self, table: str, first: date, last: date) -> dict[date, Upstream]:
        """What is published of a table from first to last, as the lineage records it."""
        published = self.ledger.published(table, first, last)
        return {day: Upstream(table=table, day=day, digest=each.digest) for day, each in published.items()}

    def stage(self, table: str, frame: Any, days: Sequence[date] | None = None, *, is_laid_out: bool = False) -> Staged:
        declared = pipeline.table_of(self.settings, table)
        suites = audit.suites(declared, self.settings)
        with self.progress.step(f"write {table}"):
            return self.lake.stage(declared, frame, days or self.days, suites, is_laid_out=is_laid_out)

    def judge(
        self,
        staged: Staged,
        announced_empty: Collection[date] = (),
        counted: Mapping[date, Mapping[str, int]] | None = None,
    ) -> list[audit.Judged]:
        """Audit staged days; what failed is for the caller to refuse, once all that belongs together was looked at.

        `counted`: figures of a day that are known from elsewhere than its rows.
        """
        with self.progress.step(f"audit {staged.table.name}"):
            judged = audit.judge(staged, self.settings, self.ledger, announced_empty, counted or {})
        self.judged += judged
        return judged

    def audited(
        self,
        table: str,
        frame: Any,
        days: Sequence[date] | None = None,
        *,
        announced_empty: Collection[date] = (),
        is_laid_out: bool = False,
        counted: Mapping[date, Mapping[str, int]] | None = None,
    ) -> Staged:
        """Stage a table whose audit waits for no other; raises DataRefused where it failed."""
        staged = self.stage(table, frame, days, is_laid_out=is_laid_out)
        self.judge_and_refuse(staged, announced_empty, counted)
        return staged

    def judge_and_refuse(
        self,
        staged: Staged,
        announced_empty: Collection[date] = (),
        counted: Mapping[date, Mapping[str, int]] | None = None,
    ) -> None:
        """Audit a staged table that waits for no other; raises DataRefused where it failed."""
        audit.refuse_failures(self.judge(staged, announced_empty, counted))

    def publish(
        self,
        staged: Staged,
        upstreams: Mapping[date, Sequence[Upstream]],
        announced_empty: Collection[date] = (),
        told: Mapping[str, Any] | None = None,
    ) -> None:
        with self.progress.step(f"publish {staged.table.name}"):
            self.lake.publish(staged, upstreams=upstreams, announced_empty=announced_empty, told=told)

    def upstreams(self, tables: Sequence[str]) -> dict[date, list[Upstream]]:
        """For each night, the same night of `tables`."""
        found: dict[date, list[Upstream]] = {day: [] for day in self.days}
        for table in tables:
            for day, upstream in self.digests(table, self.first, self.last).items():
                found[day].append(upstream)
        return found


def stages() -> dict[str, Callable[[Night], None]]:
    """What each stage does, in order. The modules import this one."""
    from jobs import night_conform, night_export, night_judge, night_know, night_land, night_select

    return {
        "land": night_land.run,
        "conform": night_conform.run,
        "know": night_know.run,
        "judge": night_judge.run,
        "select": night_select.run,
        "export": night_export.run,
    }


def run_night(
    settings: Settings, day: date, *, stage: str | None = None, now: datetime | None = None, progress: Progress
) -> None:
    """One night, or one of its stages. Raises Busy, DataRefused, Usage or Failed; nothing is half-published.

    `now`: deliver its lists as at this moment; None: as at the present.
    """
    wanted = _stages_of(stage) if stage else list(pipeline.STAGES)
    with opened(
        settings, "run", day, day, stage, progress, keep=stage is not None and stage != pipeline.STAGES[-1]
    ) as night:
        night.now = now
        order.refuse_forgotten_sources(night)
        order.refuse_out_of_order(night, wanted)
        _carry_out(night, wanted)


def backfill(
    settings: Settings,
    first: date,
    last: date,
    *,
    reason: str,
    until: str | None = None,
    step_from: date | None = None,
    contacts: Literal["live", "replay"] | None = None,
    progress: Progress,
) -> None:
    """A range of nights, each stage as one job over all of them; on an empty lake the bootstrap.

    Levels and segments are stepped night by night from `step_from` on, by default the last seven nights.
    Days that are published already need an entry in conf/backfills.toml that covers them. A run of the same
    nights that did not end is taken up after the last stage that it published. What they select counts as contacts
    where these are `live`, of a `replay` only what is delivered; by default nights stay what they were, and new ones
    are a replay.
    """
    if last < first:
        raise Usage(f"--to {last} is before --from {first}.")
    if len(reason.strip()) < len("why?!"):
        raise Usage('A backfill needs a reason that someone will understand next year: --reason "…".')
    wanted = (
        list(pipeline.STAGES[: pipeline.STAGES.index(_stages_of(until)[0]) + 1]) if until else list(pipeline.STAGES)
    )
    with opened(settings, "backfill", first, last, None, progress) as night:
        night.step_from, night.contacts = step_from, contacts
        order.refuse_holes(night)
        done = order.published_before_the_end(night)
        if not done:
            order.refuse_unreviewed(night)
        order.refuse_forgotten_sources(night)
        order.refuse_out_of_order(night, wanted)
        for stage in [stage for stage in wanted if stage in done]:
            progress.note(f"{stage}: published by the run that did not end; taken up after it")
        if "conform" in done:
            # It may have been killed just before it said so.
            for source in settings.sources:
                night.ledger.fix(source.name, night.days)
        _carry_out(night, [stage for stage in wanted if stage not in done])


def _stages_of(stage: str) -> list[str]:
    if stage not in pipeline.STAGES:
        raise Usage(f"There is no stage {stage}. Stages are {', '.join(pipeline.STAGES)}.")
    return [stage]


@contextmanager
def opened(
    settings: Settings,
    command: str,
    first: date,
    last: date,
    stage: str | None,
    progress: Progress,
    *,
    keep: bool = False,
) -> Generator[Night, None, None]:
    """A run over the nights first … last that holds the lease, with Spark and the lake at hand; told how it ends."""
    if not settings.sources:
        raise Usage(
            "No source is configured: put one TOML file per source into conf/sources (docs/onboarding_a_source.md)."
        )
    found = engines(settings)
    # Every faulty rule is named before anything runs.
    book = compile_book(settings, score_columns(found))
    maker = token_maker(settings)
    ensure_writable(settings.lake.root)
    ledger = Ledger.open(settings.ledger_url)
    run = ledger.start_run(command, first, last, stage)
    try:
        with ledger.lease(run, keep=keep) as lease:
            ledger.pin_lake(settings)
            with progress.step("start Spark"):
                Thread(target=check.prepare).start()
                spark = open_session(settings, few_rows=has_few_rows(settings, ledger, first, last))
            mappings = {source.name: check_mapping(spark, source) for source in settings.sources}
            lake = Lake(spark, settings, ledger, run, lease)
            refuse_unhealthy(lake, ledger.published_tables())
            for table in pipeline.tables(settings):
                lake.widen(table)
            yield Night(
                spark, settings, ledger, lake, run, days_between(first, last), progress, mappings, maker, found, book
            )
    except BaseException as error:
        outcome = "busy" if isinstance(error, Busy) else "refused" if isinstance(error, DataRefused) else "failed"
        ledger.end_run(run.run_id, outcome, str(error) if isinstance(error, ClmError) else type(error).__name__)
        raise
    ledger.end_run(run.run_id, "done")


def _carry_out(night: Night, wanted: Sequence[str]) -> None:
    from jobs import night_quality

    try:
        for stage, carry_out in stages().items():
            if stage in wanted:
                with night.progress.step(f"{stage} {_span(night)}"):
                    carry_out(night)
    except DataRefused:
        # What was refused, and why, has to be readable in the lake as well.
        night_quality.run(night)
        raise
    night_quality.run(night)


def _span(night: Night) -> str:
    return f"{night.first}" if night.first == night.last else f"{night.first} to {night.last}"

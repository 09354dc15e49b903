"""The first part of the stage judge: engines learn where they have to, score and are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial, reduce
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs.engines import checking
from jobs.engines.base import Engine, learns
from jobs.errors import ClmError, Failed, Usage
from jobs.frames import local_frame, select_contract
from jobs.lake import Staged
from jobs.ledger_records import Upstream
from jobs.membership import known_on
from jobs.runner import Night
from schemas.judgement import CUSTOMER_SEGMENTS, ENGINE_MODELS, SCORES
from schemas.mart import CUSTOMER_PROFILE

ONE_DAY = timedelta(days=1)
Model = Sequence[tuple[Any, ...]]


def score(night: Night, days: Sequence[date]) -> dict[str, str]:
    """Publish the scores of `days`; returns engine → why, of those whose scores are given up tonight."""
    models = _learnt(night, days)
    failed = {
        engine.name: f"{engine.name} has learnt nothing from before {days[0]}: `clm fit {engine.name} --through …`"
        for engine in night.engines
        if learns(engine) and not all(models[engine.name].values())
    }
    staged = _staged(night, days, models, failed)
    scored = [engine for engine in night.engines if engine.name not in failed]

    def why_it_is_wrong(engine: Engine) -> str | None:
        rows = staged.frame.where((F.col("engine") == engine.name) & (F.col("as_of_date") == F.lit(days[-1])))
        return _why_it_is_wrong(night, engine, rows, _frames(night, engine, days[-1], models), days[-1])

    found = night.side_by_side(partial(why_it_is_wrong, engine) for engine in scored)
    if wrong := {engine.name: why for engine, why in zip(scored, found, strict=True) if why}:
        failed |= wrong
        staged = _staged(night, days, models, failed)
    for name, why in failed.items():
        night.progress.note(f"the scores of {name} are missing: {why}")
    night.judge_and_refuse(staged)
    profiles = night.digests(CUSTOMER_PROFILE.name, days[0], days[-1])
    night.publish(staged, {day: [profiles[day], *_fits_used(night, models, day)] for day in days})
    return failed


def _why_it_is_wrong(
    night: Night, engine: Engine, scored: DataFrame, frames: Mapping[str, DataFrame], day: date
) -> str | None:
    """What is wrong with the scores of the last day: of all days it is the same engine that speaks."""
    limit = night.settings.engines.seconds_at_most
    try:
        faults = checking.within(
            night.spark, limit, partial(checking.faults, engine, scored, frames, day), name=engine.name
        )
    except Exception as error:
        return f"{engine.name} failed with {type(error).__name__} when it was asked about some customers again"
    return "; ".join(faults) or None


def _fits_used(night: Night, models: Mapping[str, Mapping[date, Model]], day: date) -> list[Upstream]:
    """The nights whose fits the engines used on the day."""
    learnt_on = {row[0] for of_engine in models.values() for row in of_engine[day]}
    return [each for on in sorted(learnt_on) for each in night.digests(ENGINE_MODELS.name, on, on).values()]


def _staged(
    night: Night, days: Sequence[date], models: Mapping[str, Mapping[date, Model]], failed: dict[str, str]
) -> Staged:
    """The scores of all engines that have not failed; one that fails now is added to `failed`."""
    limit = night.settings.engines.seconds_at_most
    while True:
        scored: dict[str, DataFrame] = {}
        for engine in night.engines:
            if engine.name not in failed:
                try:
                    scored[engine.name] = _scored(night, engine, days, models)
                except Exception as error:
                    failed[engine.name] = f"{engine.name} failed with {type(error).__name__}"
        nothing = local_frame(night.spark, [], SCORES.ddl(nullable=True))
        frame = reduce(DataFrame.unionByName, scored.values(), nothing)
        try:
            return checking.within(
                night.spark,
                limit * max(1, len(scored)),
                partial(night.stage, SCORES.name, frame, days, is_laid_out=True),
                name="the engines",
            )
        except Exception as error:
            if isinstance(error, ClmError) and not isinstance(error, checking.TimedOut):
                raise
            # Written together they cost one pass; which of them it was is asked only now.
            culprits = {name: why for name, each in scored.items() if (why := _why_it_fails(night, name, each))}
            if not culprits:
                raise error
            failed.update(culprits)


def _why_it_fails(night: Night, name: str, scored: DataFrame) -> str | None:
    limit = night.settings.engines.seconds_at_most
    try:
        checking.within(night.spark, limit, scored.write.format("noop").mode("overwrite").save, name=name)
    except Exception as error:
        return f"{name} failed with {type(error).__name__}"
    return None


def _scored(
    night: Night, engine: Engine, days: Sequence[date], models: Mapping[str, Mapping[date, Model]]
) -> DataFrame:
    def on(day: date) -> DataFrame:
        rows = engine.score(_frames(night, engine, day, models), day)
        told = {"as_of_date": F.lit(day), "engine": F.lit(engine.name), "version": F.lit(engine.version)}
        return select_contract(rows.withColumns(told), SCORES)

    return reduce(DataFrame.unionByName, [on(day) for day in days])


def _frames(
    night: Night, engine: Engine, day: date, models: Mapping[str, Mapping[date, Model]]
) -> dict[str, DataFrame]:
    """What the engine reads, as known on the night; of segments those of the night before."""
    lake = night.lake

    def frame(table: str) -> DataFrame:
        match table:
            case CUSTOMER_PROFILE.name:
                return lake.read_days(table, [day])
            case ENGINE_MODELS.name:
                return local_frame(night.spark, models[engine.name][day], ENGINE_MODELS.ddl(nullable=True))
            case CUSTOMER_SEGMENTS.name:
                if night.starts_with(day):
                    return local_frame(night.spark, [], CUSTOMER_SEGMENTS.ddl(nullable=True))
                return known_on(lake, day - ONE_DAY)
            case _:
                return lake.read(table, known_on=day)

    return {table: frame(table) for table in {CUSTOMER_PROFILE.name, *engine.reads}}


# ---- what engines learn


def _learnt(night: Night, days: Sequence[date]) -> dict[str, dict[date, Model]]:
    """Engine → night → its newest fit from before it; what has none yet learns from the night before the first."""
    first = days[0]
    rows = _known_fits(night, days[-1])
    learning = [engine for engine in night.engines if learns(engine)]
    # What this night learnt when it ran before is learnt again, where what it learnt from is still kept.
    own = [row for row in rows if row["as_of_date"] == first and row["fitted_through"] < first]
    before = [row for row in rows if row not in own]
    new = [
        row
        for engine in learning
        if not _newest(before, engine, first)
        for row in _fitted_or_nothing(night, engine, first) or [row for row in own if row["engine"] == engine.name]
    ]
    if new != own:
        _publish_fits(night, first, [*(row for row in before if row["as_of_date"] == first), *new])
    known = [*before, *new]
    return {engine.name: {day: _newest(known, engine, day) for day in days} for engine in learning}


def _fitted_or_nothing(night: Night, engine: Engine, day: date) -> list[dict[str, Any]]:
    """What the engine learns for the night; an engine that fails at it stops no night."""
    try:
        return fitted(night, engine, through=day - ONE_DAY, as_of=day)
    except Exception as error:
        if isinstance(error, ClmError) and not isinstance(error, checking.TimedOut):
            raise
        night.progress.note(f"{engine.name} failed with {type(error).__name__} when it should learn")
        return []


def can_learn(night: Night, day: date) -> bool:
    """Whether every engine that learns has a fit for the night, or can have one."""
    if night.ledger.published(CUSTOMER_PROFILE.name, day - ONE_DAY, day - ONE_DAY):
        return True
    known = _known_fits(night, day)
    return all(_newest(known, engine, day) for engine in night.engines if learns(engine))


def fitted(night: Night, engine: Engine, *, through: date, as_of: date) -> list[dict[str, Any]]:
    """What the engine learns as known on `through`, as rows of mart.engine_models; none where that is not kept."""
    if not night.ledger.published(CUSTOMER_PROFILE.name, through, through):
        return []
    frames = {CUSTOMER_PROFILE.name: night.lake.read_days(CUSTOMER_PROFILE.name, [through])}
    frames |= {table: night.lake.read(table, known_on=through) for table in engine.reads if table.startswith("core.")}
    with night.progress.step(f"fit {engine.name} through {through}"):
        limit = night.settings.engines.seconds_at_most
        rows = checking.within(night.spark, limit, partial(_learn, engine, frames, through), name=engine.name)
    own = {"as_of_date": as_of, "engine": engine.name, "version": engine.version, "fitted_through": through}
    return [{**row.asDict(), **own} for row in rows]


def fit(night: Night, engine: Engine) -> int:
    """Let the engine learn from what was known on the run's one night, for the nights after it; returns how much.

    Raises Usage for an engine that learns nothing, and Failed where that night's profile is not kept.
    """
    day = night.last
    if not learns(engine):
        raise Usage(f"The engine {engine.name} learns nothing: its rules are declared.")
    new = fitted(night, engine, through=day, as_of=day)
    if not new:
        nearest = night.ledger.nearest_kept(CUSTOMER_PROFILE.name, day)
        hint = f" The nearest is of {nearest}." if nearest else ""
        raise Failed(f"{CUSTOMER_PROFILE.name} {day} is not there, or no longer kept, to learn from.{hint}")
    others = [
        row
        for row in _known_fits(night, day)
        if row["as_of_date"] == day and (row["engine"], row["fitted_through"]) != (engine.name, day)
    ]
    _publish_fits(night, day, [*others, *new])
    return len(new)


def _learn(engine: Engine, frames: Mapping[str, DataFrame], through: date) -> list[Row]:
    told = engine.fit(frames, through)
    return told.collect() if told is not None else []


def _known_fits(night: Night, day: date) -> list[dict[str, Any]]:
    if not night.lake.exists(ENGINE_MODELS.name):
        return []
    return [row.asDict() for row in night.lake.read(ENGINE_MODELS.name, known_on=day).collect()]


def _newest(rows: Sequence[Mapping[str, Any]], engine: Engine, day: date) -> Model:
    own = [
        row
        for row in rows
        if (row["engine"], row["version"]) == (engine.name, engine.version) and row["fitted_through"] < day
    ]
    newest = max(((row["fitted_through"], row["as_of_date"]) for row in own), default=None)
    return [_cells(row) for row in own if (row["fitted_through"], row["as_of_date"]) == newest]


def _cells(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ENGINE_MODELS.column_names)


def _publish_fits(night: Night, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
    frame = local_frame(night.spark, map(_cells, rows), ENGINE_MODELS.ddl(nullable=True))
    staged = night.audited(ENGINE_MODELS.name, select_contract(frame, ENGINE_MODELS), [day])
    made_from: dict[date, list[Upstream]] = {day: []}
    for through in {row["fitted_through"] for row in rows}:
        made_from[day] += night.digests(CUSTOMER_PROFILE.name, through, through).values()
    night.publish(staged, made_from, announced_empty=[day])

"""The stage judge: what the engines say of each customer, and the stage, level and segments that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial, reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import night_score, segment_status, segments, transitions
from jobs.calendar import fortnights
from jobs.engines.base import reads_profile_only, score_columns
from jobs.errors import Busy
from jobs.frames import local_frame, select_contract
from jobs.lake import Staged
from jobs.ledger_records import Upstream
from jobs.membership import known_on
from jobs.rules.book import Key
from jobs.runner import Night
from jobs.transitions import History
from schemas.judgement import (
    CUSTOMER_SEGMENTS,
    RULE_VERSIONS,
    SCORES,
    SEGMENT_STATUS,
    SEGMENT_TRANSITIONS,
)
from schemas.mart import CUSTOMER_PROFILE

ONE_DAY = timedelta(days=1)
# From so many on a look at who moved costs less than to judge everybody once more.
MANY_CUSTOMERS = 100_000
# So many customers fit into the memory of every process.
SENT_TO_ALL = 2_000_000


def run(night: Night) -> None:
    """Score and judge the nights that are stepped; several at once where no engine asks for the night before."""
    if not night.steps:
        night.progress.note("nights before the first whose levels are known are not judged")
        return
    _refuse_missing_profiles(night)
    for days in _groups(night):
        _judge(night, days)


def _groups(night: Night) -> list[list[date]]:
    """The nights that are judged together."""
    if not all(reads_profile_only(engine) for engine in night.engines):
        return [[day] for day in night.steps]
    first, *others = night.steps
    if others and not night_score.can_learn(night, first):
        # From the first night itself the second one can.
        return [[first], *fortnights(others)]
    return fortnights(night.steps)


def _judge(night: Night, days: Sequence[date]) -> None:
    failed = night_score.score(night, days) if night.engines else {}
    judged, moved = _stage(night, days, failed)
    night.publish(judged, _lineage(night, days, {day: judged.digest(day) for day in days}), announced_empty=days)
    made_from = _made_from(night, (CUSTOMER_SEGMENTS.name, *((SCORES.name,) if night.engines else ())), days)
    night.publish(moved, made_from, announced_empty=days)
    why = _failed_rules(night, failed)
    counted = segment_status.transform(judged.frame, moved.frame, night.book, days=days, failed=why)
    made_from = _made_from(night, (CUSTOMER_SEGMENTS.name, SEGMENT_TRANSITIONS.name), days)

    def publish_status() -> None:
        night.publish(night.audited(SEGMENT_STATUS.name, counted, days), made_from)

    night.side_by_side([publish_status, partial(_keep_rules, night, days[0])])


def _stage(night: Night, days: Sequence[date], failed: Mapping[str, str]) -> list[Staged]:
    """The segments and the moves; of many customers the moves of those only whom the segments show to have moved."""
    customers = night.rows([CUSTOMER_PROFILE.name], days[0], days[-1])
    before = _before(night, days[0]) if customers >= MANY_CUSTOMERS else None
    if before is None:
        return night.side_by_side(
            [partial(_stage_segments, night, days, failed), partial(_stage_moves, night, days, failed)]
        )
    judged = _stage_segments(night, days, failed)
    moved = segments.moved(judged.frame, before, nights=len(days)).persist()
    try:
        is_small = moved.count() < SENT_TO_ALL
        return [judged, _stage_moves(night, days, failed, of=F.broadcast(moved) if is_small else moved)]
    finally:
        moved.unpersist()


def _stage_segments(night: Night, days: Sequence[date], failed: Mapping[str, str]) -> Staged:
    return night.audited(CUSTOMER_SEGMENTS.name, segments.transform(_judged(night, days, failed)), days)


def _stage_moves(night: Night, days: Sequence[date], failed: Mapping[str, str], of: DataFrame | None = None) -> Staged:
    history = _history(night, days)
    moves = transitions.transform(_judged(night, days, failed, of), night.book, history)
    if night.engines:
        before, new = _scores_before(night, days[0])
        moves = moves.unionByName(transitions.of_bands(_scores(night, days), before, first=days[0], new=new))
    return night.audited(SEGMENT_TRANSITIONS.name, moves, days)


def _judged(night: Night, days: Sequence[date], failed: Mapping[str, str], of: DataFrame | None = None) -> DataFrame:
    """How everyone is judged on the nights; or those of `of`, which has a row for each of them."""

    def theirs(frame: DataFrame) -> DataFrame:
        return frame if of is None else frame.join(of, "customer_id", "left_semi")

    before = _before(night, days[0])
    return segments.judged(
        theirs(night.lake.read_days(CUSTOMER_PROFILE.name, days)),
        theirs(_scores(night, days)) if night.engines else None,
        None if before is None else theirs(before),
        night.book,
        engines=[engine for engine in night.engines if engine.name not in failed],
        failed=_failed_rules(night, failed),
    )


def _scores(night: Night, days: Sequence[date]) -> DataFrame:
    return night.lake.read_days(SCORES.name, days)


def _scores_before(night: Night, day: date) -> tuple[DataFrame | None, set[str]]:
    """Each engine's scores of the newest night before the day that has any of it and is kept; and who has none."""
    missing = {engine.name for engine in night.engines}
    kept = [] if night.starts_with(day) else night.ledger.kept_days(SCORES.name, date.min, day - ONE_DAY)
    found: list[DataFrame] = []
    while kept and missing:
        scores = night.lake.read_day(SCORES.name, kept.pop())
        there = {row["engine"] for row in scores.select("engine").distinct().collect()} & missing
        if there:
            found.append(scores.where(F.col("engine").isin(*sorted(there))))
        missing -= there
    return (reduce(DataFrame.unionByName, found) if found else None), missing


def _before(night: Night, day: date) -> DataFrame | None:
    """How everyone was judged the night before; None on the first night that is judged."""
    if night.starts_with(day):
        return None
    return known_on(night.lake, day - ONE_DAY)


def _failed_rules(night: Night, failed: Mapping[str, str]) -> dict[Key, str]:
    """Rule → why: those that read what an engine could not say."""
    return {
        key: failed[engine.name]
        for key, names in night.book.evidence.items()
        for engine in night.engines
        if engine.name in failed and score_columns([engine]).keys() & set(names)
    }


# ---- what the nights before know of the rules


def _history(night: Night, days: Sequence[date]) -> History:
    if night.starts_with(days[0]):
        return History(start=days[0])
    before = _versions(night, days[0] - ONE_DAY)
    now = night.book.versions
    edited = {days[0]: {key for key in {*before, *now} if before.get(key) != now.get(key)}}
    for rule in night.book.segments:
        if rule.effective_from is not None and rule.effective_from in days:
            edited.setdefault(rule.effective_from, set()).add(("segment", rule.name))
    return History(start=None, versions=before, edited=edited)


def _versions(night: Night, day: date) -> dict[Key, str]:
    """(kind, name) → version of each rule that the night of `day` went by."""
    rows = night.lake.read_day(SEGMENT_STATUS.name, day).select("kind", "name", "rule_version").collect()
    # Stages and levels are decided together and have one version.
    return {
        (row["kind"], row["name"] if row["kind"] == "segment" else row["kind"]): row["rule_version"] for row in rows
    }


def _keep_rules(night: Night, day: date) -> None:
    """Write down the texts that no earlier night used."""
    known: set[tuple[str, str, str]] = set()
    if night.lake.exists(RULE_VERSIONS.name):
        earlier = night.lake.read(RULE_VERSIONS.name, known_on=day - ONE_DAY)
        known = {tuple(row) for row in earlier.select("kind", "name", "rule_version").collect()}
    texts = {(*key, night.book.versions[key]): text for key, text in night.book.texts.items()}
    texts |= {("trigger", trigger.name, trigger.version): trigger.text for trigger in night.book.triggers}
    rows = [(day, *key, text, day) for key, text in sorted(texts.items()) if key not in known]
    if not rows and not night.ledger.published(RULE_VERSIONS.name, day, day):
        return
    frame = select_contract(local_frame(night.spark, rows, RULE_VERSIONS.ddl(nullable=True)), RULE_VERSIONS)
    night.publish(night.audited(RULE_VERSIONS.name, frame, [day]), {}, announced_empty=[day])


# ---- lineage


def _lineage(night: Night, days: Sequence[date], digests: Mapping[date, str]) -> dict[date, list[Upstream]]:
    """A night's segments are made from its profile, its scores and the segments of the night before."""
    made_from = _made_from(night, (CUSTOMER_PROFILE.name, *((SCORES.name,) if night.engines else ())), days)
    own = {day: Upstream(table=CUSTOMER_SEGMENTS.name, day=day, digest=digest) for day, digest in digests.items()}
    if not night.starts_with(days[0]):
        yesterday = days[0] - ONE_DAY
        published = night.ledger.published(CUSTOMER_SEGMENTS.name, yesterday, yesterday, with_dropped=True)
        own |= {day: replace(own[days[0]], day=day, digest=each.digest) for day, each in published.items()}
    for day in days:
        made_from[day] += [own[then] for then in (day - ONE_DAY,) if then in own]
    return made_from


def _made_from(night: Night, tables: Sequence[str], days: Sequence[date]) -> dict[date, list[Upstream]]:
    found: dict[date, list[Upstream]] = {day: [] for day in days}
    for table in tables:
        for day, upstream in night.digests(table, days[0], days[-1]).items():
            if day in found:
                found[day].append(upstream)
    return found


def _refuse_missing_profiles(night: Night) -> None:
    """Raises Busy where a night's profile is not there, or no longer kept."""
    kept = set(night.ledger.kept_days(CUSTOMER_PROFILE.name, night.steps[0], night.steps[-1]))
    if missing := [day for day in night.steps if day not in kept]:
        raise Busy(
            f"{CUSTOMER_PROFILE.name} {missing[0]} is not there, and judge reads it: "
            f"run `clm run --date {missing[0]} --stage know` first."
        )

"""Where each customer stands: stage of life, level and segments; who moved since the night before, and why.

The engines of the oracle do not fail, so no rule does.
"""

from __future__ import annotations

from collections.abc import Sequence

from conf import Segment, Settings
from tests.oracle import rules
from tests.oracle.expressions import quoted
from tests.oracle.night import Night


def writes(settings: Settings) -> list[str]:
    return ["mart.customer_segments", "mart.segment_transitions", "mart.segment_status"]


def run(night: Night) -> None:
    """Everyone's standing, the moves, and the members of each rule; nothing on nights that are not judged."""
    if not night.is_judged:
        return
    segments = night.in_force(night.settings.segments)
    _judge(night, segments)
    _compare_versions(night, segments)
    night.tables.write("mart.customer_segments", night.day, "from judged")
    night.tables.write(
        "mart.segment_transitions", night.day, f"{_moves(night, segments)} union all {_band_moves(night)}"
    )
    night.tables.write("mart.segment_status", night.day, _status(night, segments))
    night.sql.execute("drop table judged; drop table versions")


def _is_start(night: Night) -> bool:
    """Whether it is the first night that is judged."""
    return night.before not in night.tables.days("mart.segment_status")


def _judge(night: Night, segments: Sequence[Segment]) -> None:
    """`judged`: every customer's standing, that of the night before (`was_…`), and the facts that the rules read."""
    levels, currency = night.settings.levels, night.settings.lake.currency
    read = {*_read_by_stages(night), *_read_by_levels(night), *rules.columns_of(*(each.when for each in segments))}
    facts = "".join(f"{name}, " for name in sorted(read - {"lifecycle", "level"}))
    stages = " ".join(
        f"when {rules.translated(stage.when, currency)} then {quoted(stage.name)}" for stage in levels.lifecycle
    )
    rungs = " ".join(
        f"""
                    when {rules.translated(rung.stay, currency)}
                        and ({rules.translated(rung.enter, currency)} or was_level = {quoted(rung.name)})
                    then {quoted(rung.name)}"""
        for rung in reversed(levels.level)
    )
    names = ", ".join(
        f"case when {rules.translated(each.when, currency)} then {quoted(each.name)} end" for each in segments
    )
    night.sql.execute(
        f"""
        create or replace temp table judged as
        select *, list_filter(cast([{names}] as varchar[]), lambda name: name is not null) as segments
        from (
            select customer_id, {facts}was_lifecycle, was_level, coalesce(was_segments, []) as was_segments,
                case {stages} end as lifecycle,
                case {rungs}
                    else {quoted(levels.level[0].name)}
                end as level
            from {rules.facts(night, is_judged=False)}
                left join (
                    select customer_id, lifecycle as was_lifecycle, level as was_level, segments as was_segments
                    from {night.tables.on("mart.customer_segments", night.before)}
                ) using (customer_id)
        )
        """
    )


def _read_by_stages(night: Night) -> list[str]:
    return rules.columns_of(*(stage.when for stage in night.settings.levels.lifecycle))


def _read_by_levels(night: Night) -> list[str]:
    return rules.columns_of(*(text for rung in night.settings.levels.level for text in (rung.enter, rung.stay)))


def _compare_versions(night: Night, segments: Sequence[Segment]) -> None:
    """`versions`: one row per rule of the night or of the night before; stages together are one rule, and levels."""
    names = ", ".join(quoted(name) for name in ("lifecycle", "level", *(segment.name for segment in segments)))
    night.sql.execute(
        f"""
        create or replace temp table versions as
        select kind, name, coalesce(now.rule_version, was.rule_version) as rule_version,
            now.rule_version is distinct from was.rule_version as is_edited
        from (from {rules.versions(night)} where kind <> 'trigger' and name in ({names})) as now
            full join (
                select distinct kind, if(kind = 'segment', name, kind) as name, rule_version
                from {night.tables.on("mart.segment_status", night.before)}
            ) as was using (kind, name)
        """
    )


def _moves(night: Night, segments: Sequence[Segment]) -> str:
    """One row per move of a customer: with the rule that decided it, the cause, and the values that the rule read."""
    ladder = f"cast([{', '.join(quoted(rung.name) for rung in night.settings.levels.level)}] as varchar[])"
    read = {segment.name: rules.columns_of(segment.when) for segment in segments}
    values = " ".join(
        f"when {quoted(name)} then {rules.evidence(columns)}" for name, columns in read.items() if columns
    )
    evidence = f"case name {values} end" if values else "null"
    return f"""
        select customer_id, kind, name, from_value, to_value, move, rule_version,
            {"'start'" if _is_start(night) else "if(is_edited, 'rule_edit', 'customer')"} as cause, evidence
        from (
            select customer_id, 'lifecycle' as kind, 'lifecycle' as name, was_lifecycle as from_value,
                lifecycle as to_value, 'entered' as move, {rules.evidence(_read_by_stages(night))} as evidence
            from judged where lifecycle is distinct from was_lifecycle
            union all
            select customer_id, 'level', 'level', was_level, level,
                case sign(list_position({ladder}, level) - list_position({ladder}, was_level))
                    when 1 then 'upgraded' when -1 then 'downgraded' else 'entered'
                end,
                {rules.evidence(_read_by_levels(night))}
            from judged where level is distinct from was_level
            union all
            select customer_id, 'segment', name, null, null, move, {evidence}
            from (
                select *, 'entered' as move,
                    unnest(list_filter(segments, lambda each: not list_contains(was_segments, each))) as name
                from judged
                union all
                select *, 'left',
                    unnest(list_filter(was_segments, lambda each: not list_contains(segments, each)))
                from judged
            )
        ) join versions using (kind, name)"""


def _band_moves(night: Night) -> str:
    """One row per move of a customer between the bands of an engine; the version is the engine's own."""
    scores = night.tables.on("mart.scores", night.before)
    return f"""
        select customer_id, 'score_band', engine, was.band, now.band, 'entered', now.version,
            case
                when engine not in (select distinct engine from {scores}) then 'start'
                when now.version <> was.version then 'rule_edit'
                else 'customer'
            end,
            now.values
        from {night.tables.on("mart.scores", night.day)} as now left join {scores} as was using (customer_id, engine)
        where now.band is distinct from was.band"""


def _status(night: Night, segments: Sequence[Segment]) -> str:
    """One row per stage, level and segment of conf: its members, who of them entered, and who left it."""
    levels = night.settings.levels
    named = ", ".join(
        f"('{kind}', {quoted(each.name)})"
        for kind, members in (("lifecycle", levels.lifecycle), ("level", levels.level), ("segment", segments))
        for each in members
    )
    return f"""
        with standing as (
            select kind, name, count(*) as members, count(*) filter (not is_old) as entered
            from (
                select 'lifecycle' as kind, lifecycle as name, was_lifecycle is not distinct from lifecycle as is_old
                from judged
                union all
                select 'level', level, was_level is not distinct from level from judged
                union all
                select 'segment', name, list_contains(was_segments, name)
                from (select was_segments, unnest(segments) as name from judged)
            ) group by all
        ),
        gone as (
            select kind, name, count(*) as "left"
            from (
                select 'lifecycle' as kind, was_lifecycle as name from judged where was_lifecycle <> lifecycle
                union all
                select 'level', was_level from judged where was_level <> level
                union all
                select 'segment', name
                from (select segments, unnest(was_segments) as name from judged) where not list_contains(segments, name)
            ) group by all
        )
        select each.kind, each.name, rule_version, coalesce(members, 0) as members, coalesce(entered, 0) as entered,
            coalesce("left", 0) as "left", 'ok' as state, null as why
        from (values {named}) as each(kind, name)
            left join versions
                on versions.kind = each.kind and versions.name = if(each.kind = 'segment', each.name, each.kind)
            left join standing on standing.kind = each.kind and standing.name = each.name
            left join gone on gone.kind = each.kind and gone.name = each.name"""

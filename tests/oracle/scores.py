"""What the engines say of each customer: `customer_score` (recency, frequency, money) and `risk` (declared rules).

What engines have learnt is given by the lake.
"""

from __future__ import annotations

from collections.abc import Callable

from conf import Settings
from schemas.judgement import HIGHEST_SCORE
from tests.oracle import rules
from tests.oracle.expressions import quoted
from tests.oracle.night import Night

FIFTHS = ("worst", "weak", "middle", "good", "best")
# What customers are told apart by; of recency the smallest is the best. The average payment in hundreds of minor units
# is cut to three digits, and to what a model has room for.
MEASURES = {
    "recency": "days_since_transacting",
    "frequency": "transacting_days_90",
    "monetary": "least(hundreds - hundreds % (10 ** greatest(length(hundreds::varchar) - 3, 0))::bigint, 999_000_000)",
}


def writes(settings: Settings) -> list[str]:
    return ["mart.scores"] if settings.engines.run else []


def run(night: Night) -> None:
    """One row per engine and customer whom it says something of; nothing on nights that are not judged."""
    if not (night.settings.engines.run and night.is_judged):
        return
    if said := [query for name in night.settings.engines.run if (query := ENGINES[name](night))]:
        night.tables.write("mart.scores", night.day, " union all ".join(said))


def _customer_score(night: Night) -> str:
    """Everyone who ever paid, by the fifths of the newest fit; nobody where there is none."""
    limits = _limits(night)
    if not limits:
        return ""
    fifths = ", ".join(f"{_fifth(name, limits[name])} as {name}" for name in MEASURES)
    best = len(MEASURES) * (len(FIFTHS) - 1)
    return f"""
        select customer_id, 'customer_score' as engine, '1' as version, score,
            {[*FIFTHS]}[least(score * {len(FIFTHS)} // {HIGHEST_SCORE}, {len(FIFTHS) - 1}) + 1] as band,
            {rules.evidence(["average_payment_minor", "days_since_transacting", "transacting_days_90", *MEASURES])}
                as "values",
            cast([] as varchar[]) as reasons
        from (
            select *,
                cast(round(({" + ".join(MEASURES)} - {len(MEASURES)}) * {HIGHEST_SCORE} / {best}) as bigint) as score
            from (
                select *, {fifths}
                from (
                    select customer_id, days_since_transacting, transacting_days_90,
                        transacting_amount_minor // transacting_count as average_payment_minor,
                        average_payment_minor // 100 as hundreds
                    from {rules.facts(night, is_scored=False, is_judged=False)} where transacting_count > 0
                )
            )
        )"""


def _limits(night: Night) -> dict[str, list[str]]:
    """The limits between the fifths of each measure, lowest first, as known on the night."""
    known = night.given.read("mart.engine_models", until=night.day)
    rows = night.sql.execute(
        f"""
        select parameter, cast(value as varchar)
        from {known}
        where engine = 'customer_score' and version = '1' and fitted_through < date '{night.day}'
        qualify (fitted_through, as_of_date) = max((fitted_through, as_of_date)) over ()
        order by parameter
        """
    ).fetchall()
    return {name: [value for parameter, value in rows if parameter.startswith(name)] for name in MEASURES if rows}


def _fifth(measure: str, limits: list[str]) -> str:
    above = " + ".join(f"({MEASURES[measure]} > {limit})::int" for limit in limits)
    return f"{len(FIFTHS)} - ({above})" if measure == "recency" else f"1 + {above}"


def _risk(night: Night) -> str:
    """Everyone: the points of the risks that are met, and the values that these read."""
    risks, currency = night.settings.risk.risk, night.settings.lake.currency
    met = {risk.name: f"coalesce({rules.translated(risk.when, currency)}, false)" for risk in risks}
    read = {risk.name: rules.columns_of(risk.when) for risk in risks}
    columns = sorted({column for names in read.values() for column in names})
    values = ", ".join(
        f"""case when {" or ".join(f'"{risk}"' for risk in met if column in read[risk])} """
        f"""then '"{column}":' || coalesce(to_json({column}), 'null') end"""
        for column in columns
    )
    reasons = ", ".join(f'case when "{risk}" then {quoted(risk)} end' for risk in met)
    points = " + ".join(f'if("{risk.name}", {risk.points}, 0)' for risk in risks)
    bands = sorted(night.settings.risk.bands.items(), key=lambda band: -band[1])
    version = rules.version_of(
        *(f"{risk.name}: {risk.points} for {rules.understood(risk.when)}" for risk in risks),
        *(f"{band}: from {start}" for band, start in reversed(bands)),
    )
    return f"""
        select customer_id, 'risk' as engine, '{version}' as version, score,
            case {" ".join(f"when score >= {start} then {quoted(band)}" for band, start in bands)} end as band,
            '{{' || figures || '}}' as "values",
            reasons
        from (
            select customer_id, least({points}, {HIGHEST_SCORE}) as score,
                concat_ws(',', {values}) as figures,
                list_filter([{reasons}], lambda reason: reason is not null) as reasons
            from (
                select customer_id, {", ".join(columns)}, {", ".join(f'{sql} as "{risk}"' for risk, sql in met.items())}
                from {rules.facts(night, is_scored=False, is_judged=False)}
            )
        )"""


ENGINES: dict[str, Callable[[Night], str]] = {"customer_score": _customer_score, "risk": _risk}

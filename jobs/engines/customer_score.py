"""The engine customer_score: how recently, how often and how much a customer pays.

Recency, frequency and monetary value, each a mark of 1 to 5 by the fifth of the paying customers in which the customer
is; marks of one customer are given by limits that were learnt before, and so do not depend on who else is scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Settings
from jobs.rules.columns import facts, read
from schemas.judgement import ENGINE_MODELS, HIGHEST_SCORE
from schemas.mart import CUSTOMER_PROFILE

MEASURES = ("recency", "frequency", "monetary")
SHARES = (20, 40, 60, 80)
LIMITS = tuple(f"{measure}_{share}" for measure in MEASURES for share in SHARES)
FACTS = ("days_since_transacting", "transacting_days_90", "transacting_count", "transacting_amount_minor")
BANDS = ("worst", "weak", "middle", "good", "best")

# Days and dates are few, amounts are not: with three digits there are at most 900 in each power of ten, however many
# customers there are, and none is more than a hundredth off. More than the greatest does not fit a model's value.
DIGITS = 3
UNIT = 100
MOST = 999_000_000
# Of three marks: what all of them lie above the lowest, and how far they can.
LOWEST, SPAN = len(MEASURES), 4 * len(MEASURES)


class CustomerScore:
    """Customers who have ever paid, by recency, frequency and monetary value; a high score is good.

    - recency: days since the last transacting date; few are good
    - frequency: transacting dates among the last 90
    - monetary: what a payment was on average, ever, in hundreds of minor units (whole rupees) cut to three digits
    """

    name = "customer_score"
    version = "1"
    prefix = "customer"
    bands: tuple[str, ...] = BANDS
    reads: tuple[str, ...] = (CUSTOMER_PROFILE.name, ENGINE_MODELS.name)

    def __init__(self, settings: Settings) -> None:
        self._facts = facts(zone=settings.lake.zone)

    def fit(self, frames: Mapping[str, DataFrame], through: date) -> DataFrame:
        """One row is one limit, such as recency_20: the least value that a fifth of those who paid does not exceed.

        One of their own values, in the unit of the measure; no rows where nobody has paid. The customers are counted
        by value in one pass, and only the counts are put in order.
        """
        pairs = ", ".join(f"'{measure}', {measure}" for measure in MEASURES)
        counted = (
            self._measured(frames[CUSTOMER_PROFILE.name])
            .selectExpr("first_transacting_date", f"stack({len(MEASURES)}, {pairs}) as (measure, value)")
            .groupBy("measure", "value")
            .agg(F.expr("count(*) as customers"), F.expr("min(first_transacting_date) as first_date"))
        )
        placed = counted.selectExpr(
            "measure",
            "value",
            "sum(customers) over (partition by measure order by value) as not_above",
            "sum(customers) over (partition by measure) as all_customers",
            "min(first_date) over (partition by measure) as data_from",
        )
        shares = placed.selectExpr("*", f"explode(array{SHARES}) as share")
        limits = shares.where("not_above * 100 >= all_customers * share").groupBy("data_from", "measure", "share")
        return limits.agg(F.min("value").alias("value")).selectExpr(
            "data_from", "concat(measure, '_', share) as parameter", "cast(value as decimal(18,9)) as value"
        )

    def score(self, frames: Mapping[str, DataFrame], as_of: date) -> DataFrame:
        """One row is one customer who has ever paid; no rows without a fit.

        values: the three marks, and what they are of. reasons: none.
        """
        # One row for all tasks, and no job of its own: the plan stays whole until somebody runs it.
        limits = frames[ENGINE_MODELS.name].selectExpr(
            *(f"cast(max(if(parameter = '{limit}', value, null)) as bigint) as {limit}" for limit in LIMITS)
        )
        measured = self._measured(frames[CUSTOMER_PROFILE.name]).crossJoin(F.broadcast(limits.dropna()))
        marked = measured.selectExpr(
            "customer_id",
            f"5 - ({_above('recency')}) as recency",
            f"1 + {_above('frequency')} as frequency",
            f"1 + {_above('monetary')} as monetary",
            "average_payment_minor",
            "days_since_transacting",
            "transacting_days_90",
        )
        above_lowest = f"({' + '.join(MEASURES)} - {LOWEST})"
        half_up = f"({above_lowest} * {HIGHEST_SCORE} + {SPAN // 2}) div {SPAN}"
        shown = sorted({"average_payment_minor", "days_since_transacting", "transacting_days_90", *MEASURES})
        fifth = HIGHEST_SCORE // len(BANDS)
        return marked.selectExpr("*", f"{half_up} as score").selectExpr(
            "customer_id",
            "score",
            f"elt(cast(least(score div {fifth} + 1, {len(BANDS)}) as int), {', '.join(map(repr, BANDS))}) as band",
            f"to_json(struct({', '.join(shown)})) as values",
            "cast(array() as array<string>) as reasons",
        )

    def _measured(self, profile: DataFrame) -> DataFrame:
        """One row is one customer who has ever paid, with the three measures and what they are of."""
        paid = profile.where("transacting_count > 0").selectExpr(
            "customer_id", "first_transacting_date", *read(self._facts, set(FACTS))
        )
        averaged = paid.selectExpr("*", "transacting_amount_minor div transacting_count as average_payment_minor")
        units = f"(average_payment_minor div {UNIT})"
        dropped = f"cast(power(10, greatest(length(cast({units} as string)) - {DIGITS}, 0)) as bigint)"
        return averaged.selectExpr(
            "*",
            "days_since_transacting as recency",
            "transacting_days_90 as frequency",
            f"least({units} - {units} % {dropped}, {MOST}L) as monetary",
        )


def _above(measure: str) -> str:
    """As SQL: how many of its limits the measure exceeds."""
    return " + ".join(f"if({measure} > {measure}_{share}, 1, 0)" for share in SHARES)

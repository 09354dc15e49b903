"""Who the customers are: when they come, how often they pay, what for, and when they have had enough."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY, at
from jobs.simulate.plan import Simulation

# So many had registered before the first day, evenly over the days before it; the others come at a falling rate.
KNOWN_SHARE = 0.5
KNOWN_DAYS = 240
ARRIVAL_DAYS = 60.0

# Payments per day of a fresh customer: median and deviation of the logarithm (heavy tail), and the most there can be.
MEDIAN_RATE = 0.35
RATE_SIGMA = 1.1
MOST_RATE = 12.0

# A constant chance, per active day, that one who could ever send money starts to.
SENDER_SHARE = 0.75
SENDING_PER_ACTIVE_DAY = 0.08

# Chance per day of leaving; whoever sends money by day 30 leaves more slowly from then on.
LEAVING_PER_DAY = 1 / 110
SENDER_LEAVING_PER_DAY = LEAVING_PER_DAY / 4
SETTLED_AGE = 30

# Shares of customers who ever take to something, and after how many days on average.
HABITS = {
    "bill": (0.45, 20.0),
    "merchant": (0.55, 25.0),
    "wallet": (0.20, 30.0),
    "market": (0.15, 40.0),
    "business": (0.02, 10.0),
}

LANGUAGES = {"hi": 44, "en": 14, "bn": 8, "mr": 7, "te": 7, "ta": 6, "gu": 5, "kn": 4, "or": 3, "ml": 2}
CITY_TIERS = {"tier_1": 30, "tier_2": 30, "tier_3": 40}
REGIONS = {
    "Uttar Pradesh": 17,
    "Maharashtra": 13,
    "Bihar": 8,
    "West Bengal": 8,
    "Karnataka": 8,
    "Rajasthan": 7,
    "Tamil Nadu": 7,
    "Telangana": 7,
    "Gujarat": 7,
    "Madhya Pradesh": 6,
    "Andhra Pradesh": 5,
    "Delhi": 4,
    "Jammu & Kashmir": 2,
    "Kerala": 1,
}
OPERATORS = {"operator_1": 38, "operator_2": 34, "operator_3": 20, "operator_4": 8}


def people(spark: SparkSession, simulation: Simulation) -> DataFrame:
    """One row per customer, by `number` from 0; a person does not depend on how many there are, nor on the last day.

    `_day` columns are day numbers, `_at` wall-clock seconds, `<habit>_age` and `send_age` days since registration;
    null is never.
    """
    draw = Chance(simulation.seed, ("number",))
    first_day = F.lit(simulation.first_day)
    came_before = first_day - draw.whole("came before", 1, KNOWN_DAYS)
    came_after = first_day + F.floor(draw.exponential("came after") * F.lit(ARRIVAL_DAYS))
    is_known = draw.happens("known", KNOWN_SHARE)
    who = (
        spark.range(simulation.customers)
        .withColumnRenamed("id", "number")
        .select(
            "number",
            F.concat(F.lit("U"), F.lpad(F.col("number").cast("string"), 9, "0")).alias("user_id"),
            F.when(is_known, came_before).otherwise(came_after).cast("int").alias("registered_day"),
            draw.whole("registered second", 6 * 3600, DAY - 1).alias("registered_second"),
            F.least(F.lit(MEDIAN_RATE) * F.exp(draw.normal("rate") * F.lit(RATE_SIGMA)), F.lit(MOST_RATE)).alias(
                "rate"
            ),
            *(_habit_age(draw, name, share, days).alias(f"{name}_age") for name, (share, days) in HABITS.items()),
        )
    )
    registered_at = at(F.col("registered_day"), F.col("registered_second"))
    return who.withColumns({"send_age": _send_age(draw), "registered_at": registered_at}).withColumns(
        {
            "leaving_age": _leaving_age(draw, F.col("send_age")),
            "deleted_at": _later(draw, "deleted", 0.01, 150.0),
            "kyc_at": _later(draw, "kyc", 0.35, 40.0),
            "language_at": _later(draw, "language", 0.03, 60.0),
            "new_device_at": _later(draw, "new device", 0.20, 120.0),
            "language": draw.choose("language", LANGUAGES),
            "later_language": draw.choose("later language", LANGUAGES),
            "city_tier": draw.choose("city tier", CITY_TIERS),
            "region": draw.choose("region", REGIONS),
            "operator": draw.choose("operator", OPERATORS),
        }
    )


def _habit_age(draw: Chance, name: str, share: float, mean_days: float) -> Column:
    age = F.floor(draw.exponential(f"{name} age") * F.lit(mean_days)).cast("int")
    return F.when(draw.happens(name, share), age)


def _send_age(draw: Chance) -> Column:
    """A constant chance per active day, in days: a share rate / (1 + rate) of the days is active."""
    active_share = F.col("rate") / (1 + F.col("rate"))
    age = F.least(F.ceil(draw.exponential("send age") / (active_share * F.lit(SENDING_PER_ACTIVE_DAY))), F.lit(100_000))
    return F.when(draw.happens("sender", SENDER_SHARE), age.cast("int"))


def _leaving_age(draw: Chance, send_age: Column) -> Column:
    """The age, in days, of the last payment: the risk is constant up to SETTLED_AGE, and constant again after it."""
    spent = draw.exponential("leaving")
    later = F.when(send_age <= SETTLED_AGE, F.lit(SENDER_LEAVING_PER_DAY)).otherwise(F.lit(LEAVING_PER_DAY))
    left_over = spent - F.lit(SETTLED_AGE * LEAVING_PER_DAY)
    age = F.when(left_over <= 0, spent / F.lit(LEAVING_PER_DAY)).otherwise(F.lit(SETTLED_AGE) + left_over / later)
    return F.floor(age).cast("int")


def _later(draw: Chance, name: str, share: float, mean_days: float) -> Column:
    """A wall-clock second at least a minute after registration, for a share of the customers."""
    seconds = F.floor(draw.exponential(f"{name} at") * F.lit(mean_days * DAY)) + 60
    return F.when(draw.happens(f"{name} ever", share), F.col("registered_at") + seconds)

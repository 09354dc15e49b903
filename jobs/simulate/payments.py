"""What the customers pay, before anything goes wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.simulate.chance import Chance, choose, normal
from jobs.simulate.clock import DAY, at
from jobs.simulate.plan import Simulation

# Boredom: the share of the first rate that stays, and after how many days the rest has fallen to a third.
LASTING_SHARE = 0.45
BOREDOM_DAYS = 40.0
WEEKEND = 1.15
FIRST_DAY_SHARE = 0.6
# Ids hold the payment's place in its day in two digits.
MOST_PER_DAY = 20

# Weight of each way to pay among those a customer has taken to. Together with the mean amounts below they follow
# PhonePe Pulse, India 2018 (PhonePe, CDLA-Permissive-2.0): of all payments 48.5 % peer to peer at a mean of
# Rs 2,736, 36.9 % recharge and bills at 275, 10.4 % merchants at 503.
WEIGHTS = {
    "recharge": (None, 1.0),
    "bill_payment": ("bill_age", 1.1),
    "p2p_transfer": ("send_age", 2.8),
    "received": (None, 0.12),
    "received_by_sender": ("send_age", 0.45),
    "p2m_payment": ("merchant_age", 0.9),
    "wallet_load": ("wallet_age", 0.25),
    "marketplace_order": ("market_age", 0.25),
    "b2b_payment": ("business_age", 0.3),
}

# Mean rupees and deviation of the logarithm.
AMOUNTS = {
    "recharge": (205.0, 0.45),
    "bill_payment": (560.0, 0.8),
    "p2p_transfer": (2736.0, 1.2),
    "p2m_payment": (503.0, 1.0),
    "wallet_load": (600.0, 0.7),
    "marketplace_order": (1150.0, 0.8),
    "b2b_payment": (9500.0, 1.0),
}
WHOLE_RUPEES = ("recharge", "p2p_transfer", "wallet_load", "b2b_payment")
# A longer plan costs more, so that 28 days at 0.8 of the mean and 84 days at 1.6 make the mean of all.
PLANS = {"28": (0.65, 0.80), "56": (0.20, 1.20), "84": (0.15, 1.60)}

CATEGORIES = {
    "recharge": {"mobile": 85, "dth": 15},
    "bill_payment": {"electricity": 40, "postpaid": 30, "gas": 12, "water": 10, "broadband": 8},
    "p2m_payment": {"grocery": 40, "food": 25, "fuel": 15, "pharmacy": 10, "travel": 10},
    "marketplace_order": {"fashion": 45, "electronics": 30, "home": 25},
}
RAILS = {
    "p2p_transfer": {"upi": 1},
    "wallet_load": {"upi": 60, "card": 30, "netbanking": 10},
}
OTHER_RAILS = {"upi": 68, "wallet": 15, "card": 12, "netbanking": 5}
MERCHANTS = 5_000


# Kept as columns, because each is used in several branches.
DRAWS = ("product", "category", "rail", "amount", "hour")


def payments(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per payment attempted from the first day to the one after the last, which may be delivered early.

    Columns: payment_id, day, created (wall-clock second), paise, and the columns of the payments source that do not
    depend on its state.
    """
    draw = Chance(simulation.seed, ("number", "day", "nth"))
    pick, product = F.col("pick"), F.col("product")
    is_received = pick.isin("received", "received_by_sender")
    is_mobile = F.col("category") == "mobile"
    return (
        _attempts(people, simulation)
        .withColumns({f"{name}_draw": draw.uniform(name) for name in DRAWS})
        .withColumn("pick", choose("product_draw", _weights()))
        .withColumn("product", F.when(is_received, "p2p_transfer").otherwise(pick))
        .withColumn("category", _by_product(CATEGORIES, "category_draw"))
        .withColumn("plan_days", F.when(is_mobile, draw.choose("plan", _plan_shares()).cast("int")))
        .select(
            _payment_id().alias("payment_id"),
            "user_id",
            "day",
            "registered_day",
            _created(draw).alias("created"),
            "product",
            "category",
            F.coalesce(_by_product(RAILS, "rail_draw"), choose("rail_draw", OTHER_RAILS)).alias("method"),
            F.when(is_received, "credit").otherwise("debit").alias("flow"),
            _paise().alias("paise"),
            F.when(product.isin("p2m_payment", "marketplace_order", "b2b_payment"), _merchant(draw)).alias("merchant"),
            _biller(draw).alias("biller"),
            _device().alias("device"),
            "plan_days",
        )
    )


def _attempts(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per customer, day and payment (`nth`, from 1)."""
    first_day, last_day = F.lit(simulation.first_day), F.lit(simulation.last_day + 1)
    deleted_day = F.floor(F.col("deleted_at") / F.lit(DAY)).cast("int")
    leaving_day = F.least(F.col("registered_day") + F.col("leaving_age"), deleted_day - 1)
    age = F.col("day") - F.col("registered_day")
    return (
        people.withColumn("from_day", F.greatest(F.col("registered_day"), first_day))
        .withColumn("to_day", F.least(leaving_day, last_day))
        .filter(F.col("from_day") <= F.col("to_day"))
        .withColumn("day", F.explode(F.sequence("from_day", "to_day")))
        .withColumn("age", age)
        .withColumn("payments", _payments_of_day(Chance(simulation.seed, ("number", "day"))))
        .filter(F.col("payments") > 0)
        .withColumn("nth", F.explode(F.sequence(F.lit(1), F.col("payments"))))
    )


def _payments_of_day(draw: Chance) -> Column:
    """Geometric: bursts and idle days, with the mean of the day; on most first days at least one."""
    # Day 0 was a Thursday.
    is_weekend = F.pmod(F.col("day"), F.lit(7)).isin(2, 3)
    lasting = F.lit(LASTING_SHARE) + F.lit(1 - LASTING_SHARE) * F.exp(-F.col("age") / F.lit(BOREDOM_DAYS))
    mean = F.col("rate") * lasting * F.when(is_weekend, WEEKEND).otherwise(1.0)
    number = F.floor(F.log(draw.uniform("payments")) / F.log(mean / (1 + mean))).cast("int")
    is_keen = (F.col("age") == 0) & draw.happens("first day", FIRST_DAY_SHARE)
    return F.least(F.greatest(number, F.when(is_keen, 1).otherwise(0)), F.lit(MOST_PER_DAY))


def _weights() -> dict[str, str]:
    return {
        name: f"{weight}" if since is None else f"if(age >= {since}, {weight}, 0.0)"
        for name, (since, weight) in WEIGHTS.items()
    }


def _payment_id() -> Column:
    parts = (("day", 5), ("number", 9), ("nth", 2))
    return F.concat(F.lit("P"), *(F.lpad(F.col(name).cast("string"), digits, "0") for name, digits in parts))


def _created(draw: Chance) -> Column:
    """Mostly in waking hours, most of all in the afternoon; on the first day after the registration."""
    hour = F.col("hour_draw")
    waking = F.lit(6 * 3600) + (hour + draw.uniform("other hour")) * F.lit(9 * 3600)
    second = F.when(draw.happens("any hour", 0.12), hour * F.lit(DAY)).otherwise(waking)
    since = F.col("registered_second")
    return at(F.col("day"), F.floor(F.when(F.col("age") == 0, since + hour * (F.lit(DAY) - since)).otherwise(second)))


def _by_product(weights: Mapping[str, Mapping[str, float]], draw: str) -> Column:
    """One of the names that belong to the product; null where it has none."""
    return F.coalesce(*(F.when(F.col("product") == name, choose(draw, own)) for name, own in weights.items()))


def _plan_shares() -> dict[str, float]:
    return {days: share for days, (share, _) in PLANS.items()}


def _paise() -> Column:
    """Log-normal about the product's mean; at least a rupee."""
    product = F.col("product")
    mean, sigma, plan = F.lit(None), F.lit(None), F.lit(1.0)
    for name, (its_mean, its_sigma) in AMOUNTS.items():
        mean = F.when(product == name, its_mean).otherwise(mean)
        sigma = F.when(product == name, its_sigma).otherwise(sigma)
    for days, (_, price) in PLANS.items():
        plan = F.when(F.col("plan_days") == int(days), price).otherwise(plan)
    rupees = mean * plan * F.exp(normal("amount_draw") * sigma - sigma * sigma / 2)
    unit = F.when(product.isin(*WHOLE_RUPEES), 100).otherwise(1)
    return F.greatest((F.round(rupees * 100 / unit) * unit).cast("bigint"), F.lit(100))


def _merchant(draw: Chance) -> Column:
    """A few merchants are paid by many."""
    number = F.floor(F.pow(draw.uniform("merchant"), F.lit(3.0)) * MERCHANTS)
    return F.concat(F.lit("M"), F.lpad(number.cast("string"), 5, "0"))


def _biller(draw: Chance) -> Column:
    """The customer's operator for a mobile; for the rest one of three per category."""
    other = F.concat(F.col("category"), F.lit("_"), draw.whole("biller", 1, 3).cast("string"))
    return F.when(F.col("category") == "mobile", F.col("operator")).when(
        F.col("product").isin("recharge", "bill_payment"), other
    )


def _device() -> Column:
    """The first device, and from some day on the second."""
    is_new = F.coalesce(at(F.col("day"), F.lit(0)) >= F.col("new_device_at"), F.lit(False))
    return F.concat(F.lit("D"), F.substring("user_id", 2, 9), F.when(is_new, "-2").otherwise("-1"))

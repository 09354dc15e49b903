"""Who the customers are: when they come, how often they pay, what for, and when they have had enough."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from jobs.simulate import billing, life
from jobs.simulate.chance import Chance, normal, one_of
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation
from jobs.simulate.worlds import TRAIT_SHARE, WORLDS

# So many had registered before the first day, evenly over the days before it; the others come at a falling rate.
KNOWN_SHARE = 0.5
KNOWN_DAYS = 240
ARRIVAL_DAYS = 60.0

# Most pay at once; some register and never pay.
FIRST_DAY_SHARE, MOST_DAYS_TO_BEGIN = 0.7, 4
DORMANT_SHARE = 0.06

# Payments per day of a fresh customer beside bills and the own plan: median and deviation of the logarithm (heavy
# tail), and the most there can be.
MEDIAN_RATE = 0.26
RATE_SIGMA = 1.1
MOST_RATE = 10.0

# Visits to the app per day in which nothing is paid: a median and a deviation of their own. With the payments' visits
# they come to the app opens per registered user and day of PhonePe Pulse, India 2022 Q1, 0.468, and the rates above to
# its payments, 0.226: 15,724 million opens and 7,593 million payments of 373.0 million registered users in 90 days.
MEDIAN_VISITS = 0.46
VISITS_SIGMA = 0.9
MOST_VISITS = 12.0

# Shares of customers who ever take to something, and after how many days on average.
HABITS = {
    "bill": (0.35, 8.0),
    "merchant": (0.30, 10.0),
    "wallet": (0.07, 15.0),
    "market": (0.07, 15.0),
    "business": (0.01, 5.0),
}
# The plan for the own mobile, in days; who pays little else takes the short one and comes back for it each month.
PLANS = {"28": 0.65, "56": 0.20, "84": 0.15}
LEAST_RATE_FOR_LONG_PLANS = 0.5

# Every 20th customer gives the phone number up, and the next one has it later.
HANDED_ON_EVERY, GIVER, TAKER = 20, 7, 8

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

    `_day` columns are day numbers, `_at` wall-clock seconds, `<habit>_age` and the ages of `life.with_lives` days since
    `begin_day`, the day of the first payment; null is never.
    """
    draw = Chance(simulation.seed, ("number",))
    world = WORLDS[simulation.world]
    rate = f"{MEDIAN_RATE}D * exp({normal(draw.draw('rate'))} * {RATE_SIGMA}D)"
    visits = f"{MEDIAN_VISITS}D * exp({normal(draw.draw('visits'))} * {VISITS_SIGMA}D)"
    begins_after = f"if({draw.chance('begins at once', FIRST_DAY_SHARE)}, 0, "
    begins_after += f"{draw.number('days to begin', 1, MOST_DAYS_TO_BEGIN)})"
    who = (
        spark.range(simulation.customers)
        .selectExpr(
            "id as number",
            "concat('U', lpad(cast(id as string), 9, '0')) as user_id",
        )
        .selectExpr(
            "*",
            f"{_registered_day(simulation, 'number')} as registered_day",
            f"{_registered_second(simulation, 'number')} as registered_second",
            f"{draw.chance('trait', TRAIT_SHARE)} as has_trait",
            f"{rate} as plain_rate",
            f"least({visits}, {MOST_VISITS}D) as visits",
            f"{begins_after} as begins_after",
            f"{draw.chance('dormant', DORMANT_SHARE)} as is_dormant",
            f"{draw.draw('plan')} as plan_draw",
            f"{draw.chance('night', 0.06)} as is_night_user",
            f"{draw.draw('operator')} as operator_draw",
        )
        .selectExpr(
            "* except (plain_rate, begins_after, plan_draw, operator_draw)",
            f"least(plain_rate * if(has_trait, {world.trait_rate}D, 1D), {MOST_RATE}D) as rate",
            f"cast(if(plain_rate < {LEAST_RATE_FOR_LONG_PLANS}D, '28', {one_of('plan_draw', PLANS)}) as int)"
            " as own_plan",
            f"{one_of('operator_draw', OPERATORS)} as operator",
            "cast(registered_day + begins_after as int) as begin_day",
            f"cast(registered_day as bigint) * {DAY} + registered_second as registered_at",
            *(_habit_age(draw, name, share, days) for name, (share, days) in HABITS.items()),
        )
    )
    lives = life.with_lives(billing.with_billers(who, draw), simulation.seed, world)
    return lives.selectExpr(
        "*",
        # Not before there has been something to delete.
        f"cast({_later(draw, 'deleted', 0.01, 150.0)} + {(MOST_DAYS_TO_BEGIN + 1) * DAY} as bigint) as deleted_at",
        f"{_later(draw, 'new device', 0.20, 120.0)} as new_device_at",
    )


def with_profiles(people: DataFrame, simulation: Simulation) -> DataFrame:
    """Adds what only the customers feed tells of them: what stands in their profile, and when it changes."""
    draw = Chance(simulation.seed, ("number",))
    named = {"language": LANGUAGES, "later_language": LANGUAGES, "city_tier": CITY_TIERS, "region": REGIONS}
    return people.selectExpr(
        "*",
        f"{_later(draw, 'kyc', 0.35, 40.0)} as kyc_at",
        f"{_later(draw, 'language', 0.03, 60.0)} as language_at",
        f"{_phone_at(simulation)} as phone_at",
        f"{first_phone_number(simulation)} as first_phone_number",
        f"{draw.chance('has email', 0.45)} as has_email",
        *(f"{draw.draw(name)} as {name}_draw" for name in named),
    ).selectExpr("*", *(f"{one_of(f'{name}_draw', weights)} as {name}" for name, weights in named.items()))


def _registered_day(simulation: Simulation, number: str) -> str:
    """Of any customer: who takes over a number has to know when it was given up."""
    draw = Chance(simulation.seed, (number,))
    came_before = f"{simulation.first_day} - {draw.number('came before', 1, KNOWN_DAYS)}"
    came_after = f"{simulation.first_day} + cast(floor({draw.wait('came after')} * {ARRIVAL_DAYS}D) as int)"
    return f"if({draw.chance('known', KNOWN_SHARE)}, {came_before}, {came_after})"


def _registered_second(simulation: Simulation, number: str) -> str:
    return Chance(simulation.seed, (number,)).number("registered second", 6 * 3600, DAY - 1)


def _habit_age(draw: Chance, name: str, share: float, mean_days: float) -> str:
    age = f"cast(floor({draw.wait(f'{name} age')} * {mean_days}D) as int)"
    return f"if({draw.chance(name, share)}, {age}, null) as {name}_age"


def _later(draw: Chance, name: str, share: float, mean_days: float) -> str:
    """A wall-clock second at least a minute after registration, for a share of the customers."""
    seconds = f"cast(floor({draw.wait(f'{name} at')} * {mean_days * DAY}D) as bigint) + 60"
    return f"if({draw.chance(f'{name} ever', share)}, registered_at + {seconds}, null)"


def _given_up_at(simulation: Simulation, number: str) -> str:
    draw = Chance(simulation.seed, (number,))
    registered_at = f"cast({_registered_day(simulation, number)} as bigint) * {DAY}"
    return f"({registered_at} + {2 * DAY} + cast(floor({draw.wait('given up at')} * {20.0 * DAY}D) as bigint))"


def _phone_at(simulation: Simulation) -> str:
    """When another phone number was taken: of some, and of everyone whose number is handed on."""
    some = _later(Chance(simulation.seed, ("number",)), "phone", 0.03, 120.0)
    is_giver = f"pmod(number, {HANDED_ON_EVERY}) = {GIVER}"
    return f"if({is_giver}, {_given_up_at(simulation, 'number')}, {some})"


def first_phone_number(simulation: Simulation) -> str:
    """SQL text of the number, for `planted.phone`, of the phone that a customer registered with.

    Some registered with what the customer before had given up more than ten days earlier.
    """
    given_up_at = _given_up_at(simulation, "(number - 1)")
    has_taken_over = f"pmod(number, {HANDED_ON_EVERY}) = {TAKER} and registered_at > {given_up_at} + {10 * DAY}"
    return f"if({has_taken_over}, number - 1, number)"

"""Each day of each customer: how much is paid and looked at. Any day can be told without the days before it."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate import billing, life
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation

# Ids hold a payment's place in its day in two digits.
MOST_PER_DAY = 20
# Money received a day, for everyone and for those who send: credits, which are nothing the customer does.
RECEIVED, RECEIVED_BY_SENDERS = 0.015, 0.10
# More transfers a day of those who send, on days on which they pay something anyway: so sending makes no day active.
FURTHER_TRANSFERS, MOST_FURTHER = 1.15, 8
# The device of a newcomer has looked at the app up to so many days before.
MOST_DAYS_BEFORE = 3


def lived(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per customer and day on which the customer is there, from the first day to the one after the last.

    Adds day, age, payments (beside the own plan, bills and transfers told apart), renews, sends (for the first time),
    bill1 to bill3 (paid on this day), bills (how many), further (transfers), received and visits_of_day.
    """
    first, beyond, seed = simulation.first_day, simulation.last_day + 1, simulation.seed
    draw = Chance(seed, ("number", "day"))
    # Nothing is done on the day of the deletion, so that nothing follows it.
    latest = f"least(begin_day + greatest(leaving_age, coalesce(leaving_again_age, 0)), {beyond}, " + (
        f"coalesce(cast(floor(deleted_at / {DAY}) as int) - 1, {beyond}))"
    )
    # Those who are gone or yet to come whatever they do: so it is not looked for when they send money.
    latest_of_all = "begin_day + greatest(leaving_age_1, coalesce(leaving_again_age_1, 0))"
    alive = (
        people.filter(f"begin_day <= {beyond} and {latest_of_all} >= {first}")
        .selectExpr("*", f"greatest(begin_day, {first}) as from_day", f"{latest} as to_day")
        .filter("from_day <= to_day")
        .selectExpr("* except (from_day, to_day)", "explode(sequence(from_day, to_day)) as day")
        .selectExpr("*", "day - begin_day as age")
        .filter(life.is_there("age"))
        .selectExpr(
            "*",
            f"{draw.draw('payments')} as payments_draw",
            f"{life.mean_of_day('rate', 'day', 'age')} as mean",
            f"{draw.draw('visits')} as visits_draw",
            f"{life.mean_of_day('visits', 'day', 'age')} as mean_visits",
            f"if(coalesce(age > send_age, false), {RECEIVED_BY_SENDERS}D, {RECEIVED}D) as mean_received",
            *(f"{billing.cycle_of(f'bill{slot}_base', 'age')} as cycle{slot}" for slot in billing.SLOTS),
        )
    )
    for slot in billing.SLOTS:
        alive = billing.with_cycles(alive, seed, str(slot), f"cycle{slot}", f"bill{slot}_")
    paid = {
        slot: f"age >= bill{slot}_base and age - bill{slot}_base - cycle{slot} * {billing.CYCLE} = bill{slot}_pay_delay"
        for slot in billing.SLOTS
    }
    return alive.selectExpr(
        "*",
        # A customer who comes back comes back to pay something.
        f"greatest({_geometric('payments_draw', 'mean')}, cast(coalesce(age = back_age, false) as int)) as payments",
        f"{life.is_renewal(seed, 'age')} as renews",
        "coalesce(age = send_age, false) as sends",
        *(f"coalesce({is_paid}, false) as bill{slot}" for slot, is_paid in paid.items()),
        f"{_geometric(draw.draw('received'), 'mean_received', 9)} as received",
        f"{_geometric('visits_draw', 'mean_visits')} as visits_of_day",
        f"{_geometric(draw.draw('further'), f'{FURTHER_TRANSFERS}D', MOST_FURTHER)} as further_of_day",
    ).selectExpr(
        "* except (further_of_day)",
        " + ".join(f"cast(bill{slot} as int)" for slot in billing.SLOTS) + " as bills",
        "if(age > send_age and (payments > 0 or renews or bill1 or bill2 or bill3), further_of_day, 0) as further",
    )


def _geometric(draw: str, mean: str, most: int = MOST_PER_DAY) -> str:
    """Bursts and idle days, with the mean of the day."""
    return f"least(cast(floor(ln({draw}) / ln({mean} / (1 + {mean}))) as int), {most})"


def arriving(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per newcomer and day up to the registration on which the app was looked at; adds day and is_known.

    On the day of the registration the app learns who it is (`is_known`).
    """
    first, last = simulation.first_day, simulation.last_day
    before = Chance(simulation.seed, ("number",)).number("days before", 0, MOST_DAYS_BEFORE)
    return (
        people.filter(f"registered_day between {first} and {last + MOST_DAYS_BEFORE}")
        .selectExpr("*", f"explode(sequence(registered_day - {before}, registered_day)) as day")
        .filter(f"day between {first} and {last}")
        .selectExpr("*", "day = registered_day as is_known")
    )

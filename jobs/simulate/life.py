"""The course of a customer's time with the app: habit, boredom, leaving, coming back, and on which days there is life.

Everything is SQL text of `number`, a day and an age (days since the first payment), so that any day can be told alone.
"""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate.chance import Chance
from jobs.simulate.worlds import LANDMARK, World

# Boredom: the share of the first rate that stays, and after how many days the rest has fallen to a third.
LASTING_SHARE = 0.45
BOREDOM_DAYS = 40.0
WEEKEND = 1.15
# Plans are renewed so many days before or after they expire.
RENEWED_EARLY, RENEWED_LATE = 2, 2

# Of those who leave, so many come back: after a pause of at least so many days and as many on average beyond it.
RETURN_SHARE, LEAST_PAUSE, PAUSE_DAYS, SECOND_STAY_DAYS = 0.12, 35, 60.0, 40.0

# The first transfer is tried on days a chance apart: so many such days are looked at, which is more than 119 days.
TRIES = 12
NEVER = 100_000


def lasting(age: str) -> str:
    return f"({LASTING_SHARE}D + {1 - LASTING_SHARE}D * exp(-({age}) / {BOREDOM_DAYS}D))"


def mean_of_day(rate: str, day: str, age: str) -> str:
    # Day 0 was a Thursday.
    return f"({rate} * {lasting(age)} * if(pmod({day}, 7) in (2, 3), {WEEKEND}D, 1D))"


def is_renewal(seed: int, age: str) -> str:
    """The own plan is bought again on this day; the first one is the first payment of all."""
    nth = f"cast(round(({age}) / own_plan) as int)"
    off = Chance(seed, ("number", nth)).number("renewed", -RENEWED_EARLY, RENEWED_LATE)
    return f"(({age}) = 0 or (({age}) > 7 and ({age}) - {nth} * own_plan = {off}))"


def _has_payment(seed: int, day: str, age: str) -> str:
    mean = mean_of_day("rate", day, age)
    return f"({Chance(seed, ('number', day)).draw('payments')} <= {mean} / (1 + {mean}))"


def is_active(seed: int, day: str, age: str) -> str:
    """Something other than a bill is paid on the day, if the customer is there: what it is about is no matter."""
    return f"({is_renewal(seed, age)} or {_has_payment(seed, day, age)})"


def is_there(age: str, leaving: str = "leaving_age", back: str = "back_age", again: str = "leaving_again_age") -> str:
    return f"(({age}) between 0 and {leaving} or coalesce(({age}) between {back} and {again}, false))"


def with_lives(people: DataFrame, seed: int, world: World) -> DataFrame:
    """Adds send_age, leaving_age, back_age and leaving_again_age, and both potential outcomes they come from.

    `leaving_age_0`, `back_age_0`, … are those of a life in which no money is sent by the landmark, `_1` in which it is.
    """
    draw = Chance(seed, ("number",))
    leaving = f"({world.leaving}D * if(has_trait, {world.trait_leaving}D, 1D))"
    spent = draw.wait("leaving")
    lives = people.selectExpr(
        "*",
        f"least({spent} / {leaving}, {NEVER}D) as plain_leaving_age",
    ).selectExpr(
        "* except (plain_leaving_age)",
        "if(is_dormant, -1, cast(floor(plain_leaving_age) as int)) as leaving_age_0",
        f"if(is_dormant, -1, cast(floor(if(plain_leaving_age <= {LANDMARK}, plain_leaving_age, "
        f"least({LANDMARK} + (plain_leaving_age - {LANDMARK}) / {world.effect}D, {NEVER}D))) as int)) as leaving_age_1",
        f"{draw.chance('returns', RETURN_SHARE)} and not is_dormant as comes_back",
        f"cast(floor({LEAST_PAUSE} + {draw.wait('pause')} * {PAUSE_DAYS}D) as int) as pause",
        f"cast(floor({draw.wait('second stay')} * {SECOND_STAY_DAYS}D) as int) as second_stay",
    )
    lives = lives.selectExpr(
        "* except (comes_back, pause, second_stay)",
        *(f"if(comes_back, leaving_age_{x} + pause, null) as back_age_{x}" for x in (0, 1)),
        *(f"if(comes_back, leaving_age_{x} + pause + second_stay, null) as leaving_again_age_{x}" for x in (0, 1)),
    )
    lives = lives.selectExpr("*", f"{_send_age(seed, world)} as send_age")
    is_moved_up = f"coalesce(send_age <= {LANDMARK}, false)"
    return lives.selectExpr(
        "*",
        *(
            f"if({is_moved_up}, {name}_1, {name}_0) as {name}"
            for name in ("leaving_age", "back_age", "leaving_again_age")
        ),
    )


def _send_age(seed: int, world: World) -> str:
    """The first active day on which a chance that is the same on each of them comes up, for those who can send at all.

    Such days lie geometric gaps apart, whether the customer is active on them or not, so only they need be looked at.
    """
    gap = Chance(seed, ("number", "nth")).wait("gap")
    sending = f"(-ln(1 - least({world.sending}D * if(has_trait, {world.trait_sending}D, 1D), 0.99D)))"
    age = "(tried.age)"
    lived = is_there(age, "leaving_age_0", "back_age_0", "leaving_again_age_0")
    active = is_active(seed, "(begin_day + tried.age)", age)
    step = (
        "(state, nth) -> if(state.found is not null, state, "
        f"element_at(transform(array(named_struct('age', cast(state.age + 1 + floor({gap} / {sending}) as int))), "
        f"tried -> "
        f"named_struct('age', tried.age, 'found', if({lived} and {active}, tried.age, null))), 1))"
    )
    start = "named_struct('age', -1, 'found', cast(null as int))"
    found = f"aggregate(sequence(1, {TRIES}), {start}, {step}).found"
    return f"if({Chance(seed, ('number',)).chance('sender', world.senders)}, {found}, null)"

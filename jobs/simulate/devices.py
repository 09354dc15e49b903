"""The devices feed, and which device a customer has in hand on a day."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate import days
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import EVENT_KINDS, answered_events, copied, days_off

# Shares of registered users by brand: PhonePe Pulse, India 2021 Q4 (PhonePe, CDLA-Permissive-2.0).
BRANDS = {
    "Xiaomi": 0.2415,
    "Vivo": 0.2036,
    "Samsung": 0.1812,
    "Oppo": 0.1298,
    "Realme": 0.0817,
    "Apple": 0.0281,
    "OnePlus": 0.0204,
    "Motorola": 0.0161,
    "Huawei": 0.0140,
    "Tecno": 0.0108,
    "Others": 0.0727,
}
RAM_MB = {"2048": 15, "3072": 25, "4096": 30, "6144": 18, "8192": 12}
STORAGE_MB = {"32768": 30, "65536": 40, "131072": 25, "262144": 5}
NETWORKS = {"4g": 60, "wifi": 25, "5g": 10, "3g": 5}
# Minutes a day, on average.
MINUTES = {"social": 62, "video": 55, "games": 18, "shopping": 9, "finance": 7, "other": 40}
# A release every two weeks; a phone takes it up to so many days later.
RELEASE_DAYS, MOST_LAG = 14, 40

# Of every 50 customers two share a phone: on these days the second has the first one's in hand.
FAMILY_EVERY, LENDER, BORROWER = 50, 2, 3
BORROWED_SHARE = 0.3

FLAWS = {"device_id_missing": False, "before_1970": False, "in_the_future": False}
ORDER = ("seen", "device_id", "kind", "user_id")
TRUTH = ("device_id", "user_id")
# Whose a nameless device is cannot be told wrongly.
NAMELESS = "drawn = 'changed' and user_id is null"


def device(seed: int, day: str) -> str:
    """SQL text of the device in hand: the first one, or from some day on the second. No two customers' on one day."""
    family = Chance(seed, (f"(number - pmod(number, {FAMILY_EVERY}))", day)).chance("borrowed", BORROWED_SHARE)
    is_borrower = f"pmod(number, {FAMILY_EVERY}) = {BORROWER} and {family}"
    is_lender = f"pmod(number, {FAMILY_EVERY}) = {LENDER} and {family}"
    whose = f"lpad(cast(if({is_borrower}, number - 1, number) as string), 9, '0')"
    is_new = f"cast({day} as bigint) * {DAY} >= new_device_at"
    which = f"case when {is_borrower} then '-1' when {is_lender} then '-3' when {is_new} then '-2' else '-1' end"
    return f"concat('D', {whose}, {which})"


def delivered_devices(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the devices source, with its truth beside it."""
    draw = Chance(simulation.seed, ("device_id", "day"))
    sent = copied(
        _seen(people, simulation), draw, simulation, EVENT_KINDS, FLAWS, simulation.format_of(source), NAMELESS
    ).selectExpr(
        "* except (device_id, user_id, seen)",
        "device_id as plain_device_id",
        "if(flaw <=> 'device_id_missing', null, device_id) as device_id",
        # On the wrong customer's account.
        "if(kind = 'changed', concat('U', lpad(cast(number + 1 as string), 9, '0')), user_id) as user_id",
        "case when flaw = 'before_1970' then -86400L "
        f"when flaw = 'in_the_future' then seen + {draw.number('ahead', 3, 30)} * {DAY} "
        f"when kind = 'touched' then least(seen + 900, (cast(day as bigint) + 1) * {DAY} - 1) else seen end as seen",
        f"day + {days_off(draw)} as delivery_day",
    )
    dated = sent.filter(f"delivery_day <= {simulation.last_day}").selectExpr(
        "* except (device_id)",
        "device_id as device",
        "plain_device_id as device_id",
        f"floor(seen / {DAY}) as event_day",
        f"floor(seen / {DAY}) as learned_day",
    )
    return answered_events(dated, str(simulation.first_day), source.late_days)


def _seen(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per device and day on which it used the app; before the registration without a customer."""
    seed = simulation.seed
    draw, thing = Chance(seed, ("device_id", "day")), Chance(seed, ("device_id",))
    kept = ("number", "user_id", "operator", "new_device_at", "day")
    used = days.lived(people, simulation).filter("payments > 0 or renews or sends or bills > 0 or visits_of_day > 0")
    both = used.selectExpr(*kept, "true as is_known").unionByName(
        days.arriving(people, simulation)
        .filter("day < registered_day or begin_day > registered_day or is_dormant")
        .selectExpr(*kept, "is_known")
    )
    minutes = {
        name: f"cast({mean} * {thing.wait(f'{name} taste')} * (0.5D + {draw.draw(f'{name} minutes')}) as int)"
        for name, mean in MINUTES.items()
    }
    release = f"cast(floor((day - 20000 - {thing.number('lag', 0, MOST_LAG)}) / {RELEASE_DAYS}) as int)"
    return (
        both.filter(f"day <= {simulation.last_day}")
        .selectExpr("*", f"{device(seed, 'day')} as device_id")
        .selectExpr(
            "number",
            "day",
            "device_id",
            "if(is_known, user_id, null) as user_id",
            f"cast(day as bigint) * {DAY} + {draw.number('seen', 8 * 3600, DAY - 60)} as seen",
            f"{thing.one_of('brand', BRANDS)} as brand",
            f"{thing.number('model', 1, 12)} as model_number",
            f"cast({thing.one_of('ram', RAM_MB)} as int) as ram_mb",
            f"cast({thing.one_of('storage', STORAGE_MB)} as int) as storage_mb",
            f"if({thing.chance('one sim', 0.25)}, 1, 2) as sims",
            f"{thing.number('os version', 9, 15)} as os_number",
            "operator as carrier",
            f"concat('5.', {release}, '.', {thing.number('patch', 0, 2)}) as app_version",
            f"{draw.one_of('network', NETWORKS)} as network",
            *(f"{value} as {name}_minutes" for name, value in minutes.items()),
        )
        .selectExpr(
            "* except (model_number, os_number)",
            "concat(brand, ' ', model_number) as model",
            "if(brand = 'Apple', 'ios', 'android') as os",
            "cast(os_number as string) as os_version",
            " + ".join(f"{name}_minutes" for name in MINUTES) + " as screen_minutes",
        )
    )

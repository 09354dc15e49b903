"""What the customers pay, before anything goes wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame

from jobs.simulate import billing, contacts, days, devices, planted
from jobs.simulate.chance import Chance, normal, one_of
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation

# A payment's place in its day (`nth`): the own plan, others from 1 on, the first transfer and further ones, bills,
# money received, and visits without a payment, which only the app hears of.
OWN_PLAN, FIRST_TRANSFER, BILL, RECEIVED, VISIT = 0, 21, 30, 40, 50
# What the app does by itself: a message comes, news are fetched; so often a day.
BY_ITSELF = (PUSH, SYNC) = (71, 72)
BY_ITSELF_SHARE = 0.12

# Weight of each way to pay among those a customer has taken to. Together with the own plan, bills and the mean amounts
# below they follow PhonePe Pulse, India 2018, all quarters (PhonePe, CDLA-Permissive-2.0): of all payments 48.5 % peer
# to peer at a mean of Rs 2,736, 36.9 % recharge and bills at 275, 10.4 % merchants at 503.
WEIGHTS = {
    "recharge": (None, 1.0),
    "p2p_transfer": ("send_age", 6.0),
    "p2m_payment": ("merchant_age", 6.0),
    "wallet_load": ("wallet_age", 3.2),
    "marketplace_order": ("market_age", 3.2),
    "b2b_payment": ("business_age", 1.0),
}

# Mean rupees and deviation of the logarithm.
AMOUNTS = {
    "recharge": (236.0, 0.45),
    "p2p_transfer": (2736.0, 1.0),
    "p2m_payment": (503.0, 1.0),
    "wallet_load": (600.0, 0.7),
    "marketplace_order": (1150.0, 0.8),
    "b2b_payment": (9500.0, 1.0),
}
WHOLE_RUPEES = ("recharge", "p2p_transfer", "wallet_load", "b2b_payment")
# A longer plan costs more.
PLAN_PRICES = {28: 1.0, 56: 1.6, 84: 2.2}

CATEGORIES = {
    "recharge": {"mobile": 75, "dth": 25},
    "p2m_payment": {"grocery": 40, "food": 25, "fuel": 15, "pharmacy": 10, "travel": 10},
    "marketplace_order": {"fashion": 45, "electronics": 30, "home": 25},
}
RAILS = {
    "p2p_transfer": {"upi": 1},
    "wallet_load": {"upi": 60, "card": 30, "netbanking": 10},
}
OTHER_RAILS = {"upi": 68, "wallet": 15, "card": 12, "netbanking": 5}
MERCHANTS = 5_000
# Transfers to someone in the address book; the rest go to strangers.
TO_CONTACTS = 0.8

# Kept as columns, because each is used in several branches.
DRAWS = ("product", "category", "rail", "amount", "hour")


def payments(people: DataFrame, simulation: Simulation, *, visits: bool = False) -> DataFrame:
    """One row per payment attempted from the first day to the one after the last, which may be delivered early.

    Columns: payment_id, number, day, nth, created (wall-clock second), paise, payee_digits, and the columns of the
    payments source that do not depend on its state. With `visits`, visits to the app in which nothing is paid as well.
    """
    draw = Chance(simulation.seed, ("number", "day", "nth"))
    seed = simulation.seed
    is_bill = f"nth > {BILL} and nth < {RECEIVED}"
    of_bill = {
        name: f"case nth - {BILL} when 1 then {first} when 2 then {second} when 3 then {third} end"
        for name, (first, second, third) in {
            "cycle": ("cycle1", "cycle2", "cycle3"),
            "bill_category": ("bill1_category", "bill2_category", "bill3_category"),
            "bill_fate": ("bill1_fate", "bill2_fate", "bill3_fate"),
        }.items()
    }
    return (
        _attempts(people, simulation, visits=visits)
        .selectExpr(
            "*",
            *(f"{draw.draw(name)} as {name}_draw" for name in DRAWS),
            *(f"{text} as {name}" for name, text in of_bill.items()),
            f"nth - {BILL} as slot",
        )
        .selectExpr(
            "*",
            f"case when nth = {OWN_PLAN} then 'recharge' "
            f"when nth between {FIRST_TRANSFER} and {BILL - 1} then 'p2p_transfer' "
            f"when nth >= {VISIT} then null when nth > {RECEIVED} then 'p2p_transfer' "
            f"when nth > {BILL} then 'bill_payment' else {one_of('product_draw', _weights())} end as product",
            f"{billing.first_paise(seed, 'slot', 'cycle', 'bill_category')} as bill_paise",
        )
        .selectExpr(
            "*",
            f"if(nth = {OWN_PLAN}, 'mobile', coalesce(bill_category, {_by_product(CATEGORIES, 'category_draw')}))"
            " as category",
            f"if(bill_fate = 'amended', {billing.amended_paise('bill_paise')}, bill_paise) as asked_paise",
        )
        .selectExpr(
            f"if(product is null, null, {_payment_id()}) as payment_id",
            "number",
            "user_id",
            "day",
            "nth",
            "registered_day",
            "new_device_at",
            f"{_created(draw)} as created",
            "product",
            "category",
            f"coalesce({_by_product(RAILS, 'rail_draw')}, {one_of('rail_draw', OTHER_RAILS)}) as method",
            f"if(nth > {RECEIVED} and nth < {VISIT}, 'credit', 'debit') as flow",
            f"if({is_bill}, asked_paise, {_paise()}) as paise",
            f"if(product in ('p2m_payment', 'marketplace_order', 'b2b_payment'), {_merchant(draw)}, null) as merchant",
            f"if({is_bill}, {billing.biller(seed, 'slot', 'category')}, {_operator(draw)}) as biller",
            f"{devices.device(seed, 'day')} as device",
            f"if(nth = {OWN_PLAN}, own_plan, null) as plan_days",
            f"if(product = 'p2p_transfer' and nth < {RECEIVED}, {_payee(seed, draw)}, null) as payee_digits",
            # What is said to have happened has happened: a bill that is paid, a first transfer.
            f"{is_bill} or nth = {FIRST_TRANSFER} as is_sure",
        )
    )


def _attempts(people: DataFrame, simulation: Simulation, *, visits: bool) -> DataFrame:
    """One row per customer, day and payment (`nth`)."""
    none = "cast(array() as array<int>)"
    slots = [
        f"if(renews, array({OWN_PLAN}), {none})",
        f"if(payments > 0, sequence(1, payments), {none})",
        f"if(sends, array({FIRST_TRANSFER}), {none})",
        f"if(further > 0, sequence({FIRST_TRANSFER + 1}, {FIRST_TRANSFER} + further), {none})",
        *(f"if(bill{slot}, array({BILL + slot}), {none})" for slot in billing.SLOTS),
        *([] if visits else [f"if(received > 0, sequence({RECEIVED + 1}, {RECEIVED} + received), {none})"]),
        *([f"if(visits_of_day > 0, sequence({VISIT + 1}, {VISIT} + visits_of_day), {none})"] if visits else []),
        *([f"if(is_called_{nth}, array({nth}), {none})" for nth in BY_ITSELF] if visits else []),
    ]
    draw = Chance(simulation.seed, ("number", "day"))
    called = [f"{draw.chance(f'by itself {nth}', BY_ITSELF_SHARE)} as is_called_{nth}" for nth in BY_ITSELF]
    lived = days.lived(people, simulation)
    return (lived.selectExpr("*", *called) if visits else lived).selectExpr(
        "*", f"explode(concat({', '.join(slots)})) as nth"
    )


def _weights() -> dict[str, str]:
    return {
        name: f"{weight}D" if since is None else f"if(coalesce(age >= {since}, false), {weight}D, 0D)"
        for name, (since, weight) in WEIGHTS.items()
    }


def _payment_id() -> str:
    parts = (("day", 5), ("number", 9), ("nth", 2))
    return "concat('P', " + ", ".join(f"lpad(cast({name} as string), {digits}, '0')" for name, digits in parts) + ")"


def _created(draw: Chance) -> str:
    """Mostly in waking hours, most of all in the afternoon; on the first day after the registration."""
    waking = f"21600 + (hour_draw + {draw.draw('other hour')}) * 32400"
    usual = f"if({draw.chance('any hour', 0.12)}, hour_draw * {DAY}, {waking})"
    second = f"if(is_night_user, pmod({usual} + 43200, {DAY}), {usual})"
    after = f"registered_second + hour_draw * ({DAY} - registered_second)"
    # Hours of visits and of money received are drawn alike.
    return f"cast(day as bigint) * {DAY} + cast(floor(if(day = registered_day, {after}, {second})) as bigint)"


def _by_product(weights: Mapping[str, Mapping[str, float]], draw: str) -> str:
    """One of the names that belong to the product; null where it has none."""
    return (
        "case product " + " ".join(f"when '{name}' then {one_of(draw, own)}" for name, own in weights.items()) + " end"
    )


def _paise() -> str:
    """Log-normal about the product's mean; at least a rupee."""
    mean = " ".join(f"when '{name}' then {rupees}D" for name, (rupees, _) in AMOUNTS.items())
    sigma = " ".join(f"when '{name}' then {spread}D" for name, (_, spread) in AMOUNTS.items())
    price = " ".join(f"when {plan} then {factor}D" for plan, factor in PLAN_PRICES.items())
    sigma = f"(case product {sigma} end)"
    rupees = f"(case product {mean} end) * if(nth = {OWN_PLAN}, case own_plan {price} end, 1D)"
    rupees = f"{rupees} * exp({normal('amount_draw')} * {sigma} - {sigma} * {sigma} / 2)"
    unit = f"if(product in ({', '.join(repr(name) for name in WHOLE_RUPEES)}), 100, 1)"
    return f"greatest(cast(round({rupees} * 100 / {unit}) * {unit} as bigint), 100L)"


def _merchant(draw: Chance) -> str:
    """A few merchants are paid by many."""
    return f"concat('M', lpad(cast(floor(pow({draw.draw('merchant')}, 3D) * {MERCHANTS}) as string), 5, '0'))"


def _operator(draw: Chance) -> str:
    """The customer's own operator for the own plan; another's for a recharge that is a present."""
    other = f"concat(if(category = 'mobile', 'operator', category), '_', {draw.number('biller', 1, 3)})"
    return f"case when nth = {OWN_PLAN} then operator when product = 'recharge' then {other} end"


def _payee(seed: int, draw: Chance) -> str:
    """The ten digits of whom the money goes to: mostly a few favourites of the address book."""
    favourite = f"cast(floor(pow({draw.draw('favourite')}, 3D) * {contacts.entries(seed)}) as int)"
    stranger = f"{planted.STRANGERS}L + cast(floor({draw.draw('payee')} * {planted.MANY_STRANGERS}D) as bigint)"
    known = contacts.entry(seed, favourite)
    return planted.phone(f"(if({draw.chance('to contact', TO_CONTACTS)}, {known}, {stranger}))")

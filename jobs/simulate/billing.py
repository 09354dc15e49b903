"""Bills as their billers see them: cycles, amounts, and when they are paid.

A customer has at most one biller in each of SLOTS. Its cycles begin every CYCLE days from `bill<slot>_base` on, an
age in days; all else is SQL text of the cycle that an age falls into, so that a payment and a bill tell the same story.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame

from jobs.simulate.chance import Chance, normal, one_of

CYCLE = 30
# Slot -> share of bill customers who have such a biller, and the category it is of.
SLOTS: Mapping[int, tuple[float, Mapping[str, float]]] = {
    1: (0.80, {"electricity": 1.0}),
    2: (0.60, {"postpaid": 0.8, "broadband": 0.2}),
    3: (0.35, {"gas": 0.55, "water": 0.45}),
}
# Mean rupees.
MEANS = {"electricity": 830.0, "postpaid": 480.0, "broadband": 745.0, "gas": 575.0, "water": 370.0}
PERSON_SIGMA, MONTH_SIGMA = 0.5, 0.2
FATES = {"in_time": 0.72, "late": 0.10, "unpaid": 0.08, "cancelled": 0.03, "amended": 0.07}
LEAST_DUE, MOST_DUE = 10, 20


def with_billers(people: DataFrame, draw: Chance) -> DataFrame:
    """Adds `bill<slot>_base` and `bill<slot>_category`, null where there is no such biller."""
    added: list[str] = []
    for slot, (share, categories) in SLOTS.items():
        has_biller = f"bill_age is not null and {draw.chance(f'biller {slot}', share)}"
        base = f"bill_age + {draw.number(f'cycle {slot}', 0, CYCLE - 1)}"
        added.append(f"if({has_biller}, {base}, null) as bill{slot}_base")
        added.append(
            f"if({has_biller}, {draw.one_of(f'bill category {slot}', categories)}, null) as bill{slot}_category"
        )
    return people.selectExpr("*", *added)


def cycle_of(base: str, age: str) -> str:
    return f"cast(floor((({age}) - {base}) / {CYCLE}) as int)"


def with_cycles(rows: DataFrame, seed: int, slot: str, cycle: str, prefix: str = "") -> DataFrame:
    """Adds fate, due_days and pay_delay of the bill of a cycle, each under its name after `prefix`.

    `pay_delay` is the days from the issue to the payment, fewer than CYCLE; null if none is made.
    """
    draw = Chance(seed, ("number", slot, cycle))
    its_fate, due = f"{prefix}fate", f"{prefix}due_days"
    return (
        rows.selectExpr(
            "*",
            f"{draw.draw('bill fate')} as {prefix}fate_draw",
            f"{draw.draw('pay delay')} as {prefix}delay_draw",
            f"{draw.number('due', LEAST_DUE, MOST_DUE)} as {due}",
        )
        .selectExpr(f"* except ({prefix}fate_draw)", f"{one_of(f'{prefix}fate_draw', FATES)} as {its_fate}")
        .selectExpr(
            f"* except ({prefix}delay_draw)",
            f"cast(case when {its_fate} in ('in_time', 'amended') then 2 + floor({prefix}delay_draw * ({due} - 1)) "
            f"when {its_fate} = 'late' then {due} + 1 + floor({prefix}delay_draw * 7) end as int) as {prefix}pay_delay",
        )
    )


def first_paise(seed: int, slot: str, cycle: str, category: str) -> str:
    """SQL text of the amount that is first asked for."""
    mean = " ".join(f"when '{name}' then {rupees}D" for name, rupees in MEANS.items())
    own = f"{normal(Chance(seed, ('number', slot)).draw('bill size'))} * {PERSON_SIGMA}D"
    month = f"{normal(Chance(seed, ('number', slot, cycle)).draw('bill month'))} * {MONTH_SIGMA}D"
    spread = (PERSON_SIGMA**2 + MONTH_SIGMA**2) / 2
    return (
        f"greatest(cast(round(100 * (case {category} {mean} end) * exp({own} + {month} - {spread}D)) as bigint), 100L)"
    )


def amended_paise(first: str) -> str:
    return f"greatest(cast(round({first} * 0.9D) as bigint), 100L)"


def biller(seed: int, slot: str, category: str) -> str:
    return f"concat({category}, '_', {Chance(seed, ('number', slot)).number('bill biller', 1, 3)})"

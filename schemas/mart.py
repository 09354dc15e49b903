"""mart.*: what is known of each customer, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

from schemas import dues
from schemas.columns import AS_OF_DATE, CUSTOMER_ID, amount_minor, count, customers
from schemas.customer_daily import APP, BILL, BILL_CATEGORIES, CONTACT, DEVICE, FAMILIES
from schemas.table import Column, Table

# Families that are paid for, and those that have dates and masks.
PAID_FAMILIES = (*FAMILIES, "transacting")
ACTIVITIES = (*PAID_FAMILIES, "app", "any")
SAID = {
    **{family: f"a successful debit of {' or '.join(products)}" for family, products in FAMILIES.items()},
    "transacting": "a successful debit of any family",
    "app": "use of the app in the foreground",
    "any": "activity of any kind",
}
# Ways of paying that cut across the families: the column of core.customer_daily that counts them.
HABITS = {"upi": "rail_upi_count", **{category: f"{category}_count" for category in BILL_CATEGORIES}}
SAID_OF_HABIT = {"upi": "debits over UPI that succeeded"} | {
    category: f"payments of {said} that succeeded" for category, said in BILL_CATEGORIES.items()
}


def _date(name: str, about: str) -> Column:
    return Column(name=name, type="date", about=about, unit="the lake's zone")


def _mask(name: str, about: str) -> Column:
    return Column(name=name, type="bigint", about=about, unit="bit mask")


def _of_activity(family: str) -> tuple[Column, ...]:
    said = SAID[family]
    return (
        _date(f"first_{family}_date", f"First date with {said}."),
        _date(f"last_{family}_date", f"Last date with {said}."),
        _mask(f"{family}_days_0_63", f"Bit i: {said} i days before as_of_date; null for none."),
        _mask(f"{family}_days_64_127", f"Bit i: {said} 64 + i days before as_of_date; null for none."),
    )


def _of_payments(family: str) -> tuple[Column, ...]:
    return (
        count(f"{family}_count", f"How often there was {SAID[family]}, ever."),
        amount_minor(f"{family}_amount_minor", f"Sum of what was paid by {SAID[family]}, ever."),
    )


def _of_habit(habit: str) -> tuple[Column, ...]:
    said = SAID_OF_HABIT[habit]
    return (
        count(f"{habit}_count", f"{said[0].upper()}{said[1:]}, ever."),
        _date(f"last_{habit}_date", f"Last date with {said}."),
    )


CUSTOMER_PROFILE = Table(
    name="mart.customer_profile",
    row="one customer ever seen, with all that is known on the date; facts only, no judgement",
    kind="snapshot",
    key=("customer_id",),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        Column(name="registered_at", type="timestamp", about="Earliest registration time told.", unit="UTC"),
        _date("first_date", "First active date; null for who only registered."),
        Column(
            name="first_product",
            type="string",
            about="The family paid for on first_date; of several the first in the order of the families.",
            accepted=(*FAMILIES, "app"),
        ),
        count("active_days", "Dates on which the customer was active."),
        _mask("first_days", "Bit n: active n days after first_date, n < 63; null for none."),
        *(column for family in ACTIVITIES for column in _of_activity(family)),
        *(column for family in PAID_FAMILIES for column in _of_payments(family)),
        *(column for habit in HABITS for column in _of_habit(habit)),
        count("reversed_count", "Debits reversed, ever."),
        amount_minor("reversed_amount_minor", "Sum of the debits reversed, ever."),
        count("failed_count", "Debits told to have failed, ever."),
        count("pending_count", "Debits told to be pending, ever."),
        count("received_count", "Successful credits, ever."),
        amount_minor("received_amount_minor", "Sum of the successful credits, ever."),
        amount_minor("largest_transfer_minor", "Largest successful p2p_transfer sent, reversed ones included."),
        *(replace(column, about=f"{column.about.removesuffix('.')}, ever.") for column in (*APP, *DEVICE, *BILL)),
        replace(CONTACT, about="Entries of the address book that are or were customers."),
    ),
    may_be_empty=True,
)

DEFINITIONS = ("n_day", "bracket", "unbounded", "calendar_month")


_COHORT = (
    Column(
        name="definition",
        type="string",
        about="How retention is measured.",
        nullable=False,
        accepted=DEFINITIONS,
    ),
    Column(
        name="period", type="string", about="Which window: day_7, days_90_119, day_30_plus, month_3.", nullable=False
    ),
)
_SLICE = (
    Column(name="slice", type="string", about="What customers are told apart by; all for all of them.", nullable=False),
    Column(name="slice_value", type="string", about="The slice's value; empty for all.", nullable=False),
)

RETENTION_COHORTS = Table(
    name="mart.retention_cohorts",
    row="one window that closed on the night: one definition, period, first active date and slice value",
    kind="log",
    key=("as_of_date", "definition", "period", "first_date", "slice", "slice_value"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        *_COHORT,
        Column(name="first_date", type="date", about="First active date of the cohort.", nullable=False),
        *_SLICE,
        customers("customers", "Customers with that first date, as known on the night.", minimum=1),
        customers("retained", "Of them, those active on at least one date of the window."),
    ),
    may_be_empty=True,
)

# What `clm table mart.retention` shows; computed when it is read, so it is in no catalogue.
RETENTION = Table(
    name="mart.retention",
    row="one cohort of customers by first active date, in one window",
    kind="snapshot",
    key=("definition", "period", "slice", "slice_value", "grain", "cohort_start"),
    owner="lake",
    keep="computed when read",
    columns=(
        AS_OF_DATE,
        *_COHORT,
        *_SLICE,
        Column(
            name="grain",
            type="string",
            about="How wide the cohort is; weeks begin on Monday.",
            nullable=False,
            accepted=("day", "week", "month"),
        ),
        Column(name="cohort_start", type="date", about="First calendar day of the cohort.", nullable=False),
        customers("customers", "Customers of the cohort whose window has closed.", minimum=1),
        customers("retained", "Of them, those active on at least one date of their window."),
        Column(
            name="rate",
            type="decimal(9,6)",
            about="retained / customers, rounded half up; null while not complete.",
        ),
        Column(
            name="is_complete",
            type="boolean",
            about="The windows of the whole cohort have closed, its last calendar day's included.",
            nullable=False,
        ),
    ),
)

TABLES = (CUSTOMER_PROFILE, RETENTION_COHORTS, *dues.TABLES)

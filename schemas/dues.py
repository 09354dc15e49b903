"""mart.dues: bills and recharge plans that fall due."""

from __future__ import annotations

from schemas.columns import AS_OF_DATE, CURRENCY, CUSTOMER_ID, UPDATED_AT, amount_minor
from schemas.state_feeds import BILL_STATUSES
from schemas.table import Column, Table

KINDS = ("bill", "plan")
# Closed are all but `open`: a bill is paid or cancelled, a plan renewed by a later one or undone (`reversed`).
STATES = ("open", "paid", "cancelled", "renewed", "reversed")

DUES = Table(
    name="mart.dues",
    row="one bill or one recharge plan of one customer that falls due, and where it stands",
    kind="snapshot",
    key=("customer_id", "kind", "due_id"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        Column(
            name="due_id",
            type="string",
            about="The bill_id, or the transaction_id of the recharge that bought the plan.",
            nullable=False,
            privacy="pseudonym",
        ),
        Column(name="kind", type="string", about="A bill, or a recharge plan.", nullable=False, accepted=KINDS),
        Column(name="category", type="string", about="Kind of bill or recharge (electricity, mobile, …)."),
        Column(name="biller_id", type="string", about="The biller or operator to be paid."),
        Column(
            name="due_date",
            type="date",
            about="Last day on which the bill can be paid in time, or on which the plan is valid.",
            nullable=False,
            statistics=True,
        ),
        amount_minor("amount_minor", "What is to be paid, or what the plan cost.", nullable=False),
        CURRENCY,
        Column(
            name="first_seen_date",
            type="date",
            about="The business date whose night first learned of it.",
            nullable=False,
        ),
        Column(name="state", type="string", about="Where it stands on the date.", nullable=False, accepted=STATES),
        Column(
            name="closed_date",
            type="date",
            about="Date of what closed it: a payment, the biller's word, the next plan, a reversal. Null while open.",
            unit="the lake's zone",
        ),
        Column(
            name="opened_at",
            type="timestamp",
            about="When the bill was issued or the plan bought; 30 days before it falls due where a bill does not say.",
            unit="UTC",
            nullable=False,
        ),
        Column(
            name="counterparty_token",
            type="string",
            about="Which number a plan is for, as a keyed token.",
            privacy="third_party",
            erasure="blank",
        ),
        UPDATED_AT.required(),
        Column(name="row_hash", type="bigint", about="Hash of the bill's newest version; settles ties of one time."),
        Column(
            name="told_date",
            type="date",
            about="Event date of the bill's newest version, or of the purchase of the plan.",
            unit="the lake's zone",
            nullable=False,
        ),
        Column(
            name="bill_status",
            type="string",
            about="Where the bill stands as the biller says; null for plans.",
            accepted=BILL_STATUSES,
        ),
        Column(
            name="undone_date",
            type="date",
            about="The business date whose night learned that the purchase of the plan was undone.",
        ),
        Column(
            name="payments",
            type="string",
            about="The payments to the bill's biller that were not undone and may count for it, as JSON.",
            privacy="pseudonym",
        ),
    ),
    may_be_empty=True,
)

TABLES = (DUES,)

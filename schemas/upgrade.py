"""mart.upgrade_retention: do customers who moved up to sending money come back more often?"""

from __future__ import annotations

from schemas.columns import AS_OF_DATE, customers
from schemas.table import Column, Table

METHODS = ("naive", "landmark", "matched")
GROUPS = ("stayed", "upgraded", "difference")


def _share(name: str, about: str) -> Column:
    """Of a difference it may be below 0."""
    return Column(name=name, type="decimal(9,6)", about=about, unit="share", minimum=-1, maximum=1)


def _first(name: str, about: str) -> Column:
    return Column(name=name, type="date", about=about, unit="the lake's zone", nullable=False)


UPGRADE_RETENTION = Table(
    name="mart.upgrade_retention",
    row="one group of customers, or the difference between the two, by one of three methods",
    kind="log",
    key=("as_of_date", "question", "method", "grp"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        Column(name="question", type="string", about="What is compared: recharge_to_transfer.", nullable=False),
        Column(
            name="method",
            type="string",
            about="How the groups are made: by day 119, by day 30, or by day 30 among equally active customers.",
            nullable=False,
            accepted=METHODS,
        ),
        Column(
            name="grp",
            type="string",
            about="Stayed with recharges, upgraded to sending money, or upgraded less stayed.",
            nullable=False,
            accepted=GROUPS,
        ),
        customers("customers", "Customers of the group; of a difference, those of both groups."),
        customers(
            "retained",
            "Of them, those active in days 90 to 119; null for a difference and for who stayed when matched, whose "
            "rate is weighted.",
            nullable=True,
        ),
        _share("rate", "The group's share of retained, or the difference of the shares; null without customers."),
        _share("low", "Lower end of the rate's 95 % interval."),
        _share("high", "Upper end of the rate's 95 % interval."),
        Column(
            name="landmark_day",
            type="int",
            about="The last day, counted from first_date, on which a payment decides about the group.",
            unit="days",
            nullable=False,
            minimum=0,
        ),
        _first("first_from", "First of the 60 first active dates looked at."),
        _first("first_to", "Last of the 60 first active dates looked at."),
        customers(
            "customers_out",
            "Customers with such a first date who are in neither group; the same in each row of a method.",
        ),
    ),
)

TABLES = (UPGRADE_RETENTION,)

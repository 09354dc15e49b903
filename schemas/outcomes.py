"""mart.trigger_outcomes: does a trigger work?"""

from __future__ import annotations

from dataclasses import replace

from schemas.acting import SELECTIONS
from schemas.columns import AS_OF_DATE, customers
from schemas.mart import ACTIVITIES
from schemas.table import Column, Table
from schemas.upgrade import UPGRADE_RETENTION

GROUPS = ("held_out", "treated", "difference")
# What feedback tells of a message, as far as it is counted.
FEEDBACK = ("delivered", "opened", "clicked", "bounced", "opted_out")


def _assigned(name: str, about: str) -> Column:
    return Column(name=name, type="date", about=about, unit="the lake's zone", nullable=False)


def _days(name: str, about: str) -> Column:
    return Column(name=name, type="int", about=about, unit="days", nullable=False, minimum=1)


def _messages(outcome: str) -> Column:
    return Column(
        name=outcome,
        type="bigint",
        about=f"Messages to the treated that feedback said were {outcome}; null for the others.",
        unit="messages",
        minimum=0,
    )


TRIGGER_OUTCOMES = Table(
    name="mart.trigger_outcomes",
    row="one group of a trigger's customers, or the difference between the two, whose goal window closed on the night",
    kind="log",
    key=("as_of_date", "trigger", "days", "grp"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        SELECTIONS.column("trigger"),
        Column(
            name="grp",
            type="string",
            about="Held out of the trigger, treated with it, or treated less held out.",
            nullable=False,
            accepted=GROUPS,
        ),
        _days("days", "Nights whose first assignments are counted: 1, or 28 together."),
        _assigned("assigned_from", "First of the nights that assigned the customers."),
        _assigned("assigned_to", "Last of these nights; its goal window closed on as_of_date."),
        Column(
            name="goal",
            type="string",
            about="The activity that the trigger is for.",
            nullable=False,
            accepted=ACTIVITIES,
        ),
        _days("goal_days", "Dates on which the goal counts, from the day after the assignment on."),
        customers("customers", "Customers first assigned on these nights; of a difference, those of both groups."),
        customers("converted", "Of them, those who reached the goal; null for a difference.", nullable=True),
        replace(
            UPGRADE_RETENTION.column("rate"),
            about="converted / customers, or the difference of the two; null without customers.",
        ),
        UPGRADE_RETENTION.column("low"),
        UPGRADE_RETENTION.column("high"),
        *map(_messages, FEEDBACK),
    ),
    may_be_empty=True,
)

TABLES = (TRIGGER_OUTCOMES,)

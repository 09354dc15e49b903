"""Triggers as campaign managers write them: who gets which message, when, how often, and what it may cost."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from conf.errors import hint
from conf.model import Frozen, Text, spelt
from conf.rules import Name, Owned
from schemas.columns import CHANNELS, PURPOSES
from schemas.mart import ACTIVITIES


def _one_of(accepted: tuple[str, ...]) -> AfterValidator:
    def check(text: str) -> str:
        if text not in accepted:
            raise ValueError(f"there is no {text!r}{hint(text, accepted)}")
        return text

    return AfterValidator(check)


Channel = Annotated[str, _one_of(CHANNELS)]
MessageClass = Annotated[str, _one_of(PURPOSES)]
Activity = Annotated[str, _one_of(ACTIVITIES)]
# More customers or money than there are is a slip of the pen.
MOST = 10**15
AtLeastOne = Annotated[int, Field(ge=1, le=MOST)]
AtLeastZero = Annotated[int, Field(ge=0, le=MOST)]
Share = Annotated[float, Field(ge=0, lt=1)]
# A contact that is older decides about nothing any more but a `once`, and masks of activity reach no further.
LONGEST = 90
Days = Annotated[int, Field(ge=1, le=LONGEST)]
TIME = spelt(r"([01][0-9]|2[0-3]):[0-5][0-9]", "a time of day, such as 10:00")
# Satisfies every rule on the hours of promotional messages that we know of (docs/writing_triggers.md).
SEND_WINDOW = ("10:00", "20:00")
# Outside these hours nobody may be sent anything promotional in India (TRAI, as providers quote it).
PROMOTIONAL_HOURS = ("09:00", "21:00")


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"names {', '.join(twice)} more than once")
    return values


class Repeat(Frozen):
    """When the same customer may be written to again about the same thing.

    once: never; cooldown: after `days`; until_goal: after `days`, and not once the goal was reached.
    """

    kind: Literal["once", "cooldown", "until_goal"]
    days: Days | None = None

    @model_validator(mode="after")
    def _days_where_they_mean_something(self) -> Self:
        if self.kind == "once" and self.days is not None:
            raise ValueError('kind = "once" takes no days')
        if self.kind != "once" and self.days is None:
            raise ValueError(f'kind = "{self.kind}" needs days, after which it is said again')
        return self


class Budget(Frozen):
    """The most that one night may spend: a number of contacts, or an amount of which each contact costs some."""

    contacts: AtLeastZero | None = None
    amount_minor: AtLeastZero | None = None
    cost_minor: AtLeastOne | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        given = {name for name, value in self if value is not None}
        if given not in ({"contacts"}, {"amount_minor", "cost_minor"}):
            raise ValueError("should be { contacts }, or { amount_minor, cost_minor }")
        return self

    @property
    def most(self) -> int:
        """How many contacts it pays for."""
        if self.contacts is not None:
            return self.contacts
        assert self.amount_minor is not None and self.cost_minor is not None
        return self.amount_minor // self.cost_minor


class Expected(Frozen):
    """How many should be eligible; else the night holds the trigger back. `change` is a share of the night before."""

    min: AtLeastZero = 0
    max: AtLeastZero | None = None
    change: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _smallest_then_largest(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Trigger(Owned):
    """A trigger: `when` picks customers, or dues of customers; the rest says what becomes of them.

    Of several candidates `priority` 1 goes first, then the one of greater `rank_by`. `goal` is the activity that it is
    for, within `goal_days` of the send date. `evidence` are the columns that go out with each row.
    """

    over: Literal["profiles", "dues"]
    offer_id: str = ""
    channels: Annotated[tuple[Channel, ...], Field(min_length=1), AfterValidator(_each_once)]
    message_class: MessageClass
    priority: Annotated[int, Field(ge=1, le=1000)]
    rank_by: Text = "0"
    repeat: Repeat
    valid_days: Days
    send_window: tuple[Annotated[str, TIME], Annotated[str, TIME]] = SEND_WINDOW
    template_id: str = ""
    header_id: str = ""
    goal: Activity
    goal_days: Days
    holdout: Share = 0
    budget: Budget | None = None
    expect: Expected = Expected()
    evidence: Annotated[tuple[Name, ...], AfterValidator(_each_once)] = ()

    @field_validator("send_window")
    @classmethod
    def _from_then_to(cls, window: tuple[str, str]) -> tuple[str, str]:
        if window[0] >= window[1]:
            raise ValueError(f"{window[0]} to {window[1]} ends before it begins")
        return window

    @model_validator(mode="after")
    def _promotional_keeps_to_the_day(self) -> Self:
        first, last = PROMOTIONAL_HOURS
        if self.message_class == "promotional" and not first <= self.send_window[0] < self.send_window[1] <= last:
            raise ValueError(f"is promotional, and such messages go out between {first} and {last}")
        return self

    @model_validator(mode="after")
    def _sms_names_its_template(self) -> Self:
        if "sms" in self.channels and not (self.template_id and self.header_id):
            raise ValueError("has the channel sms, for which operators ask for template_id and header_id")
        return self


class Cap(Frozen):
    """At most `max` contacts over a channel within `days`, and `min_gap_days` between two of them."""

    channel: Channel
    message_class: Literal["promotional"] = "promotional"
    max: AtLeastZero
    days: Days
    min_gap_days: Annotated[int, Field(ge=0, le=LONGEST)] = 0


class Holdout(Frozen):
    """The share of all customers who get nothing promotional. A new `key` draws all held-out groups anew."""

    share: Share
    key: Annotated[str, Field(min_length=1)]

    @field_validator("key")
    @classmethod
    def _plain(cls, key: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", key):
            raise ValueError(f"{key!r} should be letters, digits, dots, - and _")
        return key


class CapSettings(Frozen):
    """What limits all triggers together: caps per channel, and who is held out of everything."""

    holdout: Holdout
    cap: tuple[Cap, ...] = ()

    @field_validator("cap")
    @classmethod
    def _one_for_each(cls, caps: tuple[Cap, ...]) -> tuple[Cap, ...]:
        _each_once(tuple(f"{cap.channel} {cap.message_class}" for cap in caps))
        return caps

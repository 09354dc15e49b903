"""The feeds of the simulated app: how each is told, in which order its rows lie, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from jobs.simulate import app, bills, campaigns, consents, contacts, devices, mess, registrations
from jobs.simulate.payments import payments
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import TOLD


@dataclass(frozen=True)
class Feed:
    """`told` makes the delivered rows of people; `key` names what a row of the truth is about.

    `sent_as`: column of the source -> column of the frame, where they differ. `also`: columns that nobody declared ->
    where they stand in a line.
    """

    told: Callable[[DataFrame, Simulation, Source], DataFrame]
    order: tuple[str, ...]
    key: tuple[str, ...]
    sent_as: Mapping[str, str] = field(default_factory=dict[str, str])
    also: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def truth(self) -> tuple[str, ...]:
        return ("delivery_date", *self.key, *TOLD)


def _delivered_payments(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    told = payments(people, simulation)
    return mess.delivered_payments(told, simulation, simulation.format_of(source), source.late_days)


FEEDS: Mapping[str, Feed] = {
    "customers": Feed(registrations.delivered_versions, registrations.ORDER, registrations.TRUTH),
    "transactions": Feed(_delivered_payments, mess.ORDER, mess.TRUTH),
    "app_events": Feed(app.delivered_events, app.ORDER, app.TRUTH, also=app.ALSO),
    "devices": Feed(devices.delivered_devices, devices.ORDER, devices.TRUTH),
    "contacts": Feed(contacts.delivered_contacts, contacts.ORDER, contacts.TRUTH, sent_as={"number": "number_sent"}),
    "consents": Feed(consents.delivered_consents, consents.ORDER, consents.TRUTH),
    "bills": Feed(bills.delivered_bills, bills.ORDER, bills.TRUTH),
    "campaign_feedback": Feed(campaigns.delivered_feedback, campaigns.ORDER, campaigns.TRUTH),
}

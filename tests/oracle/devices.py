"""devices: core.device_daily, what rows without a customer told of a device."""

from __future__ import annotations

from conf import Settings
from tests.oracle import facts, identity
from tests.oracle.night import Night


def writes(settings: Settings) -> list[str]:
    """None where no source tells whose a device is: its activity would never join a customer."""
    is_told = any(settings.sources_of(feed) for feed in ("app_events", "devices"))
    return ["core.device_daily"] if is_told and identity.writes(settings) else []


def run(night: Night) -> None:
    """One row is what the night told about one device on one event date by rows that name no customer."""
    for table in writes(night.settings):
        events = facts.events(night.settings, night.tables.on("core.app_events", night.day))
        night.tables.write(
            table,
            night.day,
            f"""
            with app as (
                select device_id, event_date, {", ".join(facts.app())}
                from {events} where customer_id is null group by all
            ),
            seen as (
                select device_id, event_date, {", ".join(facts.devices())}
                from {night.tables.on("core.devices", night.day)} where customer_id is null group by all
            )
            select *, newest.* exclude (device_id) from app full join seen using (device_id, event_date)
            """,
        )

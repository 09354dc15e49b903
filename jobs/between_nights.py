"""Landing a continuous source between nights: what came of it so far lies in raw before its night runs."""

from __future__ import annotations

from datetime import date, timedelta

from conf import Settings
from jobs.errors import Usage
from jobs.ledger import Ledger
from jobs.night_land import deliveries_of, land_source
from jobs.progress import Progress
from jobs.runner import opened
from schemas.ops import DELIVERIES


def land(settings: Settings, name: str, day: date | None, *, progress: Progress) -> tuple[date, int]:
    """Land the source for the night of `day`, by default the next one; returns the night and its deliveries so far.

    That night lands it again, with all that has come until then. Raises Usage for a source that delivers once a
    day, and for a night that is over.
    """
    source = settings.source(name)
    if source.cadence != "continuous":
        raise Usage(
            f"{name} delivers once a day and is landed by its night: run `clm run --date D`. "
            f'Between nights land those with cadence = "continuous"; {source.location} says daily.'
        )
    over = Ledger.open(settings.ledger_url).days(DELIVERIES.name)
    upcoming = over[1] + timedelta(days=1) if over else None
    day = day or upcoming
    if day is None:
        raise Usage("This lake has no night yet, so the next is not known: name it with --date.")
    if upcoming and day < upcoming:
        raise Usage(
            f"The night of {day} is published, and its deliveries are fixed: "
            f"leave --date out, and they are landed for {upcoming}."
        )
    with opened(settings, "land", day, day, "land", progress) as night:
        return day, len(land_source(night, source, deliveries_of(night, source)))

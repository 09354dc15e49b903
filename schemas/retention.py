"""How long something is kept: "90 days", "25 months", "8 years" as a date."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

KEEP = re.compile(r"^([1-9]\d*) (days|months|years)$")
MONTHS_OF_A_YEAR = 12


def oldest_kept(keep: str, last: date) -> date:
    """The first day that is kept when `last` is the newest; months and years are those of the calendar.

    Raises ValueError where it does not say how long.
    """
    found = KEEP.match(keep)
    if found is None:
        raise ValueError(f"{keep!r} does not say how long: write it as 90 days, 25 months or 8 years.")
    count, unit = int(found[1]), found[2]
    if unit == "days":
        return last - timedelta(days=count)
    months = last.year * MONTHS_OF_A_YEAR + last.month - 1 - count * (MONTHS_OF_A_YEAR if unit == "years" else 1)
    year, month = divmod(months, MONTHS_OF_A_YEAR)
    return date(year, month + 1, min(last.day, monthrange(year, month + 1)[1]))

"""The contacts of the nights before: which of them were made, and which therefore count."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

from conf.triggers import LONGEST
from tests.oracle.expressions import quoted
from tests.oracle.night import Night


def remembered(night: Night, for_ever: Collection[str]) -> str:
    """The contacts of the 180 nights before `night`, and all of the triggers `for_ever`; `counts`: it was made.

    A complaint of the last 90 nights may be about a message that was sent in the 90 nights before. One row is one row
    of mart.contact_history.
    """
    oldest = night.day - timedelta(days=2 * LONGEST)
    since = None if for_ever else oldest
    history = night.tables.read("mart.contact_history", since=since, until=night.before)
    names = ", ".join(map(quoted, for_ever))
    bounded = f"where as_of_date >= date '{oldest}' or \"trigger\" in ({names})" if for_ever else ""
    return f"""(
        with
            told as {receipts(night, since, night.before)},
            -- Where a replay was delivered after all, those held out count as those do who were sent to.
            lists as (select as_of_date, "trigger", bool_or(is_sent) as is_delivered from told group by all)
        select history.*, coalesce(is_sent, mode = 'live' or is_withheld and is_delivered, false) as counts
        from (from {history} {bounded}) as history
            left join told using (as_of_date, "trigger", trigger_id)
            left join lists using (as_of_date, "trigger")
    )"""


def receipts(night: Night, since: date | None, until: date) -> str:
    """One row for each message of these nights that has a receipt: whether it was sent.

    What was cancelled before it might be sent was not, unless it was told to be sent once more.
    """
    return f"""(
        select as_of_date, "trigger", trigger_id,
            coalesce(
                max(generation) filter (action = 'send')
                    > coalesce(max(generation) filter (action = 'cancel' and in_time), 0),
                false
            ) as is_sent
        from {night.given.read("ops.exports", since=since, until=until)}
        group by all
    )"""

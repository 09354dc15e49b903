"""What must be true of a day of core.<feed>, whichever feed it is: the row rules once more, written anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from expectations.figures import ROWS, Figure, NoRow, Suite, literal, suite_of
from schemas.core import POSTED
from schemas.feeds import APP_EVENTS, BILLS, CONSENTS, Feed
from schemas.table import Table

ROWS_OF_THE_DAY = Figure("rows_of_the_day", "count_if(event_date = as_of_date)")


def suite(feed: Feed, *, zone: str, currency: str, events: Collection[str] = ()) -> Suite:
    """The dates follow from the times, nothing is from the future, money is the lake's; what is odd is a warning."""
    table = POSTED[feed.name]
    rules = (*_times(feed, zone), *_keys(feed), *_money(feed, currency), *_oddities(feed, events))
    return suite_of("business", table.name, rules, (ROWS, ROWS_OF_THE_DAY, *null_shares(table)))


def null_shares(table: Table) -> tuple[Figure, ...]:
    """Of each optional column the share of rows in which it is null."""
    return tuple(
        Figure(
            f"{column.name}_null_share",
            f"coalesce(cast(try_divide(cast(count_if(`{column.name}` is null) as decimal(20,0)), count(*))"
            " as decimal(9,6)), 0)",
        )
        for column in table.business_columns
        if column.nullable
    )


def _times(feed: Feed, zone: str) -> Iterator[NoRow]:
    told_at, named = feed.dated_by, feed.dated_by
    if feed.takes_states:
        # What the customer did is dated by when she did it; a reversal by when it was made.
        told_at = "case when status = 'reversed' then coalesce(updated_at, occurred_at) else occurred_at end"
        named = f"{feed.dated_by}, of updated_at where reversed"
    times = [feed.dated_by, *(["updated_at"] if feed.takes_states else [])]
    earliest, latest = (f"{bound}({', '.join(times)})" if times[1:] else times[0] for bound in ("least", "greatest"))
    yield NoRow("before_1970", f"{_date(earliest, zone)} < date'1970-01-01'", "no time lies before 1970")
    yield NoRow(
        "in_the_future",
        f"{_date(latest, zone)} > date_add(as_of_date, 1)",
        "no time lies more than a day after the night",
    )
    yield NoRow(
        "event_date_disagrees",
        f"event_date <> {_date(told_at, zone)}",
        f"event_date is the date in {zone} of {named}",
    )
    if feed.kind == "events":
        yield NoRow(
            "early",
            f"least({_date(feed.dated_by, zone)}, event_date) > as_of_date",
            "what happens the day after waits for its night",
        )


def _keys(feed: Feed) -> Iterator[NoRow]:
    if feed.either:
        yield NoRow(
            feed.missing_either,
            " and ".join(f"{name} is null" for name in feed.either),
            f"{' or '.join(feed.either)} is there",
        )
    if feed.takes_states:
        yield NoRow(
            "implied_not_success_debit",
            "is_implied and not (status = 'success' and direction = 'debit')",
            "what the lake posts itself is the success of a debit",
        )


def _money(feed: Feed, currency: str) -> Iterator[NoRow]:
    if "currency" in feed.column_names:
        yield NoRow("currency_invalid", f"currency <> {literal(currency)}", f"currency is the lake's, {currency}")


def _oddities(feed: Feed, events: Collection[str]) -> Iterator[NoRow]:
    """What is kept and told: it may be right, and it may be a fault upstream."""
    if feed == APP_EVENTS and events:
        known = ", ".join(literal(event) for event in sorted(events))
        yield NoRow(
            "unknown_event",
            f"action not in ({known})",
            "every event is in the tracking plan, conf/events.toml",
            severity="warn",
        )
    if feed == CONSENTS:
        yield NoRow(
            "ends_before_it_begins",
            "valid_to < valid_from",
            "no consent ends before it begins; one that does counts as never given",
            severity="warn",
        )
    if feed == BILLS:
        yield NoRow(
            "paid_before_issued",
            "status = 'paid' and updated_at < issued_at",
            "no bill is paid before it is issued; one that is counts as paid",
            severity="warn",
        )


def _date(time: str, zone: str) -> str:
    return f"to_date(from_utc_timestamp({time}, {literal(zone)}))"

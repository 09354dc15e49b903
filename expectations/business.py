"""What a declaration cannot say: that no published row carries a reason, that sums agree, that volumes are usual.

Columns that must be there, accepted values and amounts >= 0 follow from the tables and stand in derived.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from statistics import median

from expectations import feeds
from expectations.feeds import ROWS_OF_THE_DAY, null_shares
from expectations.figures import ROWS, Expectation, Figure, NoRow, Severity, Suite, literal, suite_of
from schemas.acting import SELECTED, WITHHELD
from schemas.columns import RAILS
from schemas.core import FAMILIES
from schemas.customer_daily import BILL_CATEGORIES
from schemas.feeds import FEEDS
from schemas.mart import HABITS, PAID_FAMILIES
from schemas.table import Table

LARGEST_MOVE = Decimal("0.5")
# Counted before anybody is selected.
ELIGIBLE = Figure("eligible", None)


def suites(
    table: str,
    *,
    zone: str,
    currency: str,
    close_after: int,
    limits: Mapping[str, Decimal],
    events: Collection[str] = (),
) -> tuple[Suite, ...]:
    """The business suites of `table`, none where its declaration says it all.

    `zone`, `currency` and `close_after` are the lake's; `limits`: source -> largest share of a delivery that may be
    quarantined; `events`: those of the tracking plan.
    """
    if (feed := FEEDS.get(table.removeprefix("core."))) is not None:
        return (feeds.suite(feed, zone=zone, currency=currency, events=events),)
    match table:
        case "core.quarantine":
            return (quarantine(),)
        case "core.customer_daily":
            return (customer_daily(close_after=close_after),)
        case "mart.customer_profile":
            return (customer_profile(),)
        case "mart.retention_cohorts":
            return (retention_cohorts(),)
        case "mart.upgrade_retention":
            return (upgrade_retention(),)
        case "mart.selections":
            return (selections(),)
        case "ops.deliveries":
            return (deliveries(limits),)
        case _:
            return ()


def quarantine() -> Suite:
    """core.quarantine: nothing is refused without saying why."""
    return suite_of(
        "business",
        "core.quarantine",
        (NoRow("no_reason", "size(reasons) = 0", "every refused row names its reasons"),),
    )


def customer_daily(*, close_after: int) -> Suite:
    """core.customer_daily: the columns of one row agree with each other; and what came too late for retention."""
    families, rails = tuple(FAMILIES), tuple(f"rail_{rail}" for rail in RAILS)
    late = f"is_active and datediff(as_of_date, event_date) > {close_after}"
    return suite_of(
        "business",
        "core.customer_daily",
        (
            *(_complete(name, f"{name}_count", f"{name}_amount_minor", f"{name}_last_at") for name in families),
            *(_complete(name, f"{name}_count", f"{name}_amount_minor") for name in rails),
            _complete("reversed", "reversed_count", "reversed_amount_minor"),
            _complete("received", "received_count", "received_amount_minor"),
            _complete("largest_transfer", "transfer_count", "largest_transfer_minor"),
            NoRow(
                "categories_above_bills",
                f"{_sum(tuple(BILL_CATEGORIES), 'count')} > coalesce(bill_count, 0)",
                "the bills that make a post-paid customer are some of all bills",
            ),
            NoRow(
                "largest_transfer_above_sum",
                "largest_transfer_minor > transfer_amount_minor",
                "the largest transfer is at most the sum of the transfers",
            ),
            NoRow(
                "transacting_disagrees",
                f"is_transacting <> ({_sum(families, 'count')} > 0)",
                "is_transacting says whether any family has a payment",
            ),
            NoRow(
                "active_disagrees",
                "is_active <> (is_transacting or foreground_event_count is not null)",
                "whoever transacts or uses the app is active on the date, and nobody else",
            ),
            NoRow(
                "night_above_foreground",
                "coalesce(night_event_count, 0) > coalesce(foreground_event_count, 0)",
                "events at night are some of all events",
            ),
            NoRow(
                "active_after_the_night", "is_active and event_date > as_of_date", "nobody is active after the night"
            ),
            # At most, not exactly: the rail of a payment may be unknown.
            NoRow(
                "rails_above_families",
                f"{_sum(rails, 'count')} > {_sum(families, 'count')}"
                f" or {_sum(rails, 'amount_minor')} > {_sum(families, 'amount_minor')}",
                "the rails together hold at most what the families hold",
            ),
            # A closed window is not reopened; a backfill recomputes it.
            NoRow(
                "late_after_close",
                late,
                f"activity is told within {close_after} days, before its retention windows close",
                severity="warn",
            ),
        ),
    )


def customer_profile() -> Suite:
    """mart.customer_profile: masks, dates and totals of one row agree with each other."""
    mask = "bit_count(coalesce(any_days_0_63, 0L)) + bit_count(coalesce(any_days_64_127, 0L))"
    return suite_of(
        "business",
        "mart.customer_profile",
        (
            *(
                _complete(name, f"{name}_count", f"{name}_amount_minor", f"first_{name}_date", f"last_{name}_date")
                for name in PAID_FAMILIES
            ),
            *(_complete(habit, f"{habit}_count", f"last_{habit}_date") for habit in HABITS),
            NoRow(
                "mask_above_active_days", f"{mask} > coalesce(active_days, 0)", "every active date in the mask counts"
            ),
            NoRow(
                "first_days_above_active_days",
                "bit_count(coalesce(first_days, 0L)) > coalesce(active_days, 0)",
                "every active date in first_days counts",
            ),
            NoRow("first_after_last", "first_date > last_any_date", "first_date is not after the last"),
            NoRow("active_after_the_night", "last_any_date > as_of_date", "nobody is active after the night"),
            NoRow(
                "transacting_disagrees",
                f"coalesce(transacting_count, 0) <> {_sum(tuple(FAMILIES), 'count')}"
                f" or coalesce(transacting_amount_minor, 0) <> {_sum(tuple(FAMILIES), 'amount_minor')}",
                "transacting is the sum of the families",
            ),
        ),
    )


def retention_cohorts() -> Suite:
    """mart.retention_cohorts: a cohort cannot retain more than it has."""
    return suite_of(
        "business",
        "mart.retention_cohorts",
        (
            NoRow("retained_above_customers", "retained > customers", "at most all customers are retained"),
            NoRow("not_begun", "first_date > as_of_date", "no window closes before it begins"),
        ),
    )


def upgrade_retention() -> Suite:
    """mart.upgrade_retention: a rate follows from its counts and lies within its interval."""
    return suite_of(
        "business",
        "mart.upgrade_retention",
        (
            NoRow("retained_above_customers", "retained > customers", "at most all customers are retained"),
            NoRow(
                "rate_disagrees",
                "rate <> round(cast(retained as decimal(20,0)) / nullif(customers, 0), 6)",
                "where retained is told, rate is retained / customers",
            ),
            # A difference of an empty group has customers and no rate.
            NoRow(
                "rate_without_customers",
                "grp <> 'difference' and (rate is null) <> (customers = 0)",
                "a group has a rate when it has customers",
            ),
            _complete("interval", "rate", "low", "high"),
            NoRow("rate_outside", "rate < low or rate > high", "the rate lies within its interval"),
            NoRow("group_below_zero", "grp <> 'difference' and low < 0", "only a difference may be below 0"),
            NoRow("not_closed", "datediff(as_of_date, first_to) < 119", "the windows looked at have closed"),
        ),
    )


def selections() -> Suite:
    """mart.selections: everybody who was eligible ends somewhere, and who is written to is so over a channel."""
    reached = ", ".join(literal(step) for step in (SELECTED, *WITHHELD))
    conserved = Expectation(
        "eligible_conserved",
        ROWS.name,
        "everyone eligible is selected, or left out at one step",
        equals=ELIGIBLE.name,
    )
    suite = suite_of(
        "business",
        "mart.selections",
        (
            NoRow(
                "channel_disagrees",
                f"(step in ({reached})) <> (channel is not null)",
                "who is selected or withheld has a channel, and nobody else",
            ),
        ),
        (ROWS, ELIGIBLE),
    )
    return suite.expecting(conserved)


def deliveries(limits: Mapping[str, Decimal]) -> Suite:
    """ops.deliveries: no source row is lost, and no delivery was refused beyond the limit of its source.

    `limits` is of the sources that deliver day by day; a dump is judged as a whole when it is landed. A night that
    only takes waiting rows (delivered 0) has no share: its delivery was judged when it was landed. One refused row
    is none either, where any may be refused at all.
    """
    counted = ("records", "delivered", "accepted", "quarantined", "duplicate", "erased")
    rules = [
        NoRow(
            "unbalanced",
            "delivered <> accepted + quarantined + duplicate + waiting + erased",
            "delivered = accepted + quarantined + duplicate + waiting + erased",
        ),
        NoRow("negative", " or ".join(f"{name} < 0" for name in counted), "no count but waiting is negative"),
        NoRow(
            "took_what_it_landed", "waiting < 0 and delivered > 0", "the night that lands a delivery takes none back"
        ),
    ]
    if limits:
        limit = " ".join(f"when {literal(source)} then {share:f}" for source, share in sorted(limits.items()))
        rules.append(
            NoRow(
                "over_limit",
                f"delivered > 0 and quarantined > delivered * case source {limit} end and "
                f"(quarantined > 1 or case source {limit} end = 0)",
                "each delivery's quarantined share is within max_quarantined of its source",
            )
        )
    # For people: `clm status` says how many rows wait.
    waiting = Figure("waiting_rows", "coalesce(sum(waiting), 0)")
    return suite_of("business", "ops.deliveries", rules, (waiting,))


def volume_expectation(
    history: Sequence[int], band: tuple[Decimal, Decimal] | None, min_weeks: int, severity: Severity
) -> Expectation | None:
    """`rows_of_the_day` lies within `band` (shares of the median of `history`).

    `history` is the figure on the last same weekdays. None without a band, with fewer than `min_weeks` of them,
    or where their median is 0 and so says nothing of what is usual.
    """
    if band is None or len(history) < min_weeks:
        return None
    usual = median(Decimal(rows) for rows in history)
    if usual == 0:
        return None
    low, high = band
    about = f"rows dated on the night, usual is {usual:f}: the median of the last {len(history)} same weekdays"
    return Expectation("volume", ROWS_OF_THE_DAY.name, about, low * usual, high * usual, severity=severity)


def null_share_expectations(
    table: Table, tonight: Mapping[str, object], before: Mapping[str, object] | None
) -> tuple[Expectation, ...]:
    """No optional column's share of nulls moved by more than a half since the night before; a warning.

    `tonight` and `before` are the gathered figures; nothing is expected where either night has no rows.
    """
    if before is None or not tonight.get(ROWS.name) or not before.get(ROWS.name):
        return ()
    shares = {figure.name: before.get(figure.name) for figure in null_shares(table)}
    return tuple(
        Expectation(
            name,
            name,
            f"the share of nulls was {share:f} the night before and moves by at most {LARGEST_MOVE}",
            share - LARGEST_MOVE,
            share + LARGEST_MOVE,
            severity="warn",
        )
        for name, share in shares.items()
        # A column that is new tonight has no share to compare with.
        if isinstance(share, int | Decimal)
    )


def _complete(name: str, first: str, *others: str) -> NoRow:
    condition = " or ".join(f"({first} is null) <> ({other} is null)" for other in others)
    return NoRow(f"{name}_incomplete", condition, f"{', '.join((first, *others))} are there together or not at all")


def _sum(names: Sequence[str], what: str) -> str:
    return "(" + " + ".join(f"coalesce({name}_{what}, 0)" for name in names) + ")"

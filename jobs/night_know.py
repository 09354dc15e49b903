"""The stage know: what the nights told about each customer, their histories, and the windows that close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial, reduce

from pyspark.sql import DataFrame

from jobs import cohorts, daily, profile, signals, upgrade_retention
from jobs.calendar import days_between
from jobs.device_daily import LOOK_BACK, owned
from jobs.ledger_records import Upstream
from jobs.night_dues import fold_dues
from jobs.pipeline import has_table
from jobs.runner import Night
from schemas.core import CUSTOMER_DAILY, DEVICE_DAILY
from schemas.dues import DUES
from schemas.identity import CONTACT_LINKS, IDENTITY_LINKS
from schemas.mart import CUSTOMER_PROFILE, RETENTION_COHORTS
from schemas.upgrade import UPGRADE_RETENTION

ONE_DAY = timedelta(days=1)
# Feeds whose rows tell of a customer; those of the first always name one.
NAMED = ("transactions", "customers", "bills", "contacts", "consents")
USED = ("app_events", "devices")


def run(night: Night) -> None:
    work = [_know_customers]
    if has_table(night.settings, DUES.name):
        work.append(fold_dues)
    night.side_by_side(partial(each, night) for each in work)


def _know_customers(night: Night) -> None:
    if has_table(night.settings, DEVICE_DAILY.name):
        _tell_of_devices(night)
    _tell_of_customers(night)
    digests: dict[date, str] = {}
    start = night.first
    for since, days in night.hops(CUSTOMER_PROFILE.name):
        start = min(start, since + ONE_DAY if since else night.first_night)
        digests |= _hop(night, since, days)
    # Once for all snapshots: each is a small table, and a night of many of them is mostly planning.
    night.side_by_side([partial(_close, night, start, digests), partial(_compare_upgraded, night, digests)])


# ---- what the nights told


def _tell_of_devices(night: Night) -> None:
    settings = night.settings
    told = signals.of_unknown_people(
        night.posted("app_events"), night.posted("devices"), settings.tracking, zone=settings.lake.zone
    )
    staged = night.audited(DEVICE_DAILY.name, told)
    feeds = [f"core.{feed}" for feed in USED if settings.sources_of(feed)]
    night.publish(staged, night.upstreams(feeds), announced_empty=night.days)


def _tell_of_customers(night: Night) -> None:
    settings = night.settings
    feeds = [feed for feed in (*NAMED, *USED) if settings.sources_of(feed)]
    told = {feed: night.posted(feed) for feed in (*feeds, "customers")}
    made_from = night.upstreams([f"core.{feed}" for feed in feeds])
    if has_table(settings, CONTACT_LINKS.name):
        told["contact_links"] = night.lake.read(CONTACT_LINKS.name, known_on=night.last, since=night.first)
        _add(made_from, night.upstreams([CONTACT_LINKS.name]))
    if has_table(settings, DEVICE_DAILY.name):
        told["owned"] = _owned(night)
        _add(made_from, _looked_back(night))
    empty = _nights_without_rows(night, [feed for feed in feeds if feed in NAMED])
    rows = daily.transform(told, settings.tracking, zone=settings.lake.zone)
    with night.compiled(night.rows(f"core.{feed}" for feed in feeds)):
        staged = night.audited(CUSTOMER_DAILY.name, rows, announced_empty=empty)
    night.publish(staged, made_from, announced_empty=empty)


def _owned(night: Night) -> DataFrame:
    """Activity on devices of which these nights learn whose they are, or were."""
    since = max(night.first_night, night.first - timedelta(days=LOOK_BACK))
    rows, links = (
        night.lake.read(table, known_on=night.last, since=since) for table in (DEVICE_DAILY.name, IDENTITY_LINKS.name)
    )
    return owned(rows, links, zone=night.settings.lake.zone, first=night.first, last=night.last)


def _looked_back(night: Night) -> dict[date, list[Upstream]]:
    since = night.first - timedelta(days=LOOK_BACK)
    found: dict[date, list[Upstream]] = {day: [] for day in night.days}
    for table in (DEVICE_DAILY.name, IDENTITY_LINKS.name):
        known = night.digests(table, since, night.last)
        for day in night.days:
            found[day] += [each for then, each in known.items() if day - timedelta(days=LOOK_BACK) <= then <= day]
    return found


def _add(made_from: dict[date, list[Upstream]], more: Mapping[date, Sequence[Upstream]]) -> None:
    for day, each in more.items():
        made_from[day] += each


def _nights_without_rows(night: Night, feeds: list[str]) -> set[date]:
    """Nights on which no feed names a customer, so that customer_daily may have no rows either."""
    published = [night.ledger.published(f"core.{feed}", night.first, night.last) for feed in feeds]
    return {day for day in night.days if all(of_feed[day].rows == 0 for of_feed in published if day in of_feed)}


# ---- histories


def _hop(night: Night, since: date | None, days: Sequence[date]) -> dict[date, str]:
    """Publish the profiles of `days`, all from the one of `since`; returns their digests."""
    start = since + ONE_DAY if since else night.first_night
    previous = night.lake.read_day(CUSTOMER_PROFILE.name, since) if since else None
    told = night.lake.read(CUSTOMER_DAILY.name, known_on=days[-1], since=start)
    profiles = profile.transform(previous, told, since=since, days=days)
    known = night.rows([CUSTOMER_PROFILE.name], since, since) if since else 0
    with night.compiled((known + night.rows([CUSTOMER_DAILY.name], start, days[-1])) * len(days)):
        staged = night.audited(CUSTOMER_PROFILE.name, profiles, days, is_laid_out=len(days) == 1)
    kept = night.digests(CUSTOMER_PROFILE.name, since, since) if since else {}
    from_days = night.digests(CUSTOMER_DAILY.name, start, days[-1]) | kept
    night.publish(staged, {day: [each for then, each in from_days.items() if then <= day] for day in days})
    return {day: staged.digest(day) for day in days}


def _compare_upgraded(night: Night, digests: Mapping[date, str]) -> None:
    """Whether those who moved up to sending money stay longer, as told from each profile."""
    days = sorted(digests)
    profiles = night.lake.read_days(CUSTOMER_PROFILE.name, days)
    told = upgrade_retention.transform(profiles, close_after=night.settings.lake.close_after, days=days)
    staged = night.audited(UPGRADE_RETENTION.name, told, days)
    night.publish(staged, {day: [own] for day, own in _profiles(digests).items()})


def _close(night: Night, start: date, digests: Mapping[date, str]) -> None:
    """The windows that closed from `start` on, each seen from the next profile."""
    days = sorted(digests)
    closing = [day for day in days_between(start, days[-1]) if day in night.days]
    seen_from = {day: min(each for each in days if each >= day) for day in closing}
    windows = [
        cohorts.transform(
            night.lake.read_day(CUSTOMER_PROFILE.name, day),
            night.settings.cohorts,
            close_after=night.settings.lake.close_after,
            days=[each for each in closing if seen_from[each] == day],
        )
        for day in days
    ]
    closed = night.audited(RETENTION_COHORTS.name, reduce(DataFrame.unionByName, windows), closing)
    own = _profiles(digests)
    night.publish(closed, {each: [own[seen_from[each]]] for each in closing}, announced_empty=closing)


def _profiles(digests: Mapping[date, str]) -> dict[date, Upstream]:
    return {day: Upstream(table=CUSTOMER_PROFILE.name, day=day, digest=digest) for day, digest in digests.items()}

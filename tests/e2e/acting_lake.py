"""A small lake with two triggers, for the tests of what is selected and delivered: a week of a few customers."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from conf import Settings
from tests.conftest import Place
from tests.jobs.sources import CUSTOMERS, HEADER, payments

FIRST, LAST = date(2026, 1, 5), date(2026, 1, 10)
ONE_DAY = timedelta(days=1)
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n'
REVIEWED = f'[[backfill]]\nfrom = {FIRST}\nto = {LAST}\nreason = "looked at again"\nasked_by = "a test"\n'
CONSENTS = """\
name  = "consents"
feed  = "consents"
owner = "identity-team"
about = "Consents of a test."
cadence = "continuous"

[files]
path     = "consents/{date}/*.jsonl.gz"
format   = "jsonl"
manifest = "given"
zone     = "Asia/Kolkata"

[columns]
customer = "string"
purpose = "string"
channel = "string"
since = "timestamp"
until = "timestamp"
changed = "timestamp"

[map]
customer_id = "customer"
purpose = "purpose"
channel = "channel"
valid_from = "since"
valid_to = "until"
updated_at = "changed"
"""
PEOPLE = (
    CUSTOMERS.replace('language = "string"\n', 'language = "string"\ngone = "boolean"\n').replace(
        "[files]", 'cadence = "continuous"\n\n[files]'
    )
    + 'is_deleted = "gone"\n'
)
TRIGGERS = """
[[trigger]]
name = "offer"
about = "Made up."
owner = "tests"
over = "profiles"
when = "recharge_count >= 1"
channels = ["push", "email"]
message_class = "promotional"
priority = 1
rank_by = "recharge_count"
repeat = { kind = "cooldown", days = 3 }
valid_days = 2
goal = "transfer"
goal_days = 3
budget = { contacts = 2 }
evidence = ["recharge_count"]
matches = [{ recharge_count = 1 }]
excludes = [{}]

[[trigger]]
name = "expiring"
about = "Made up."
owner = "tests"
over = "dues"
when = "days_to_due in (1, 3)"
channels = ["push"]
message_class = "service"
priority = 2
repeat = { kind = "once" }
valid_days = 1
goal = "recharge"
goal_days = 3
expect = { max = 1 }
evidence = ["days_to_due"]
matches = [{ days_to_due = 1 }]
excludes = [{ days_to_due = 2 }]
"""
CAPS = '[holdout]\nshare = 0\nkey = "tests"\n[[cap]]\nchannel = "push"\nmax = 1\ndays = 7\n'
PLANS = payments(
    columns='payment = "string"\ncustomer = "string"\npaid = "timestamp"\nrupees = "decimal(14,2)"\nplan = "int"\n',
    changed_map='plan_validity_days = "plan"\ncategory = "\'mobile\'"\ncounterparty_token = "customer"',
)


def days(first: date = FIRST, last: date = LAST) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def morning_after(night: date) -> datetime:
    """In time for the messages of the night."""
    return datetime.combine(night + ONE_DAY, time(3), ZoneInfo("Asia/Kolkata"))


def deliver(place: Place) -> None:
    """anna, ben and cleo recharge on the first day, dora on the last but one; cleo has consented to nothing.

    Plans: anna's ends on the 12th, which is three days ahead on the night of the 8th; ben's and cleo's on the 13th.
    """
    plans = {"anna": 7, "ben": 8, "cleo": 8, "dora": 28}
    for day in days():
        told = {FIRST: ("anna", "ben", "cleo"), LAST - ONE_DAY: ("dora",)}.get(day, ())
        lines = [f"{who}-{day},{who},{day}T10:00:00+05:30,200,{plans[who]}" for who in told]
        place.deliver("payments", day, [f"{HEADER},plan", *lines] if lines else [])
        place.deliver("customers", day, [], name="part-0001.jsonl.gz")
        given = [
            {"customer": who, "purpose": purpose, "channel": channel, "since": f"{FIRST}T09:00:00+05:30"}
            for who in ("anna", "ben", "dora")
            for purpose in ("promotional", "service")
            for channel in ("push", "email")
        ]
        rows = [json.dumps({**row, "until": None, "changed": row["since"]}) for row in given] if day == FIRST else []
        place.deliver("consents", day, rows, name="part-0001.jsonl.gz")


def lake_of(root: Path) -> Settings:
    root.mkdir()
    place = Place(root)
    place.configure(PLANS, PEOPLE, CONSENTS, base=BASE, backfills=REVIEWED, caps=CAPS)
    (root / "conf" / "triggers").mkdir()
    (root / "conf" / "triggers" / "mine.toml").write_text(TRIGGERS)
    deliver(place)
    return place.settings()

"""audience_v1: who is in an audience on a night, and what a destination is told to add and to remove."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import audience
from jobs.frames import local_frame
from schemas.acting import SELECTIONS, STEPS
from schemas.core import STATES
from schemas.lists import AUDIENCE_SNAPSHOT_V1, AUDIENCE_V1
from schemas.restricted import CONTACT_HASHES
from tests.jobs.acting import ago, trigger, triggers
from tests.jobs.rows import NIGHT, cells, table_frame

RULES = triggers(
    trigger(valid_days=3, channels=("paid_social", "push")),
    trigger("reminder", valid_days=1, message_class="service", channels=("paid_social",)),
)
BOTH = ("promotional/paid_social", "service/paid_social")
OF_SNAPSHOT = tuple(column.name for column in AUDIENCE_SNAPSHOT_V1)
TOMORROW, TODAY, YESTERDAY = "2026-02-01", "2026-01-31", "2026-01-30"

Facts = Mapping[str, Any]
Texts = tuple[str | None, ...]


def members(
    spark: SparkSession,
    selected: Sequence[Facts],
    customers: Mapping[str, Facts] | None = None,
    *,
    consents: Iterable[tuple[str, str]] | None = None,
    hashes: Sequence[Facts] = (),
) -> DataFrame:
    """The members of the night; by default a customer's phone has the hash "<name>" and everything is consented to."""
    names = sorted({row["customer_id"] for row in selected})
    common = {"as_of_date": str(NIGHT), "trigger": "offer", "subject": "", "step": "selected", "channel": "paid_social"}
    own = customers or {}
    known = [{"customer_id": name, "phone": f"phone {name}", **own.get(name, {})} for name in names]
    given = [(name, key) for name in names for key in BOTH] if consents is None else [*consents]
    landed = {"kind": "phone", "as_of_date": ago(10)}
    hashed = [{"token": f"phone {name}", "sha256": name, **landed} for name in names]
    return audience.members(
        audience.holding(table_frame(spark, SELECTIONS, selected, common), RULES, day=NIGHT),
        table_frame(spark, STATES["customers"], known),
        local_frame(spark, given, "customer_id string, key string"),
        table_frame(spark, CONTACT_HASHES, [*hashed, *hashes]),
    )


def told(
    members: Collection[Texts], accepted: Collection[Texts] | None, spark: SparkSession
) -> tuple[list[Texts], list[Texts]]:
    """The changes, and the state after them."""
    was = None if accepted is None else state(spark, accepted)
    made = audience.changes(state(spark, members), was)
    assert made.columns == [column.name for column in AUDIENCE_V1]
    after = audience.snapshot(state(spark, members), was)
    return cells(made), cells(after)


def state(spark: SparkSession, rows: Collection[Texts]) -> DataFrame:
    texts = local_frame(spark, rows, ", ".join(f"{name} string" for name in OF_SNAPSHOT))
    return texts.selectExpr("audience", "customer_ref", "cast(since_date as date) as since_date")


# ---- who is in it


def test_a_selection_holds_for_its_valid_days(spark: SparkSession) -> None:
    found = members(
        spark,
        [
            {"customer_id": "tonight"},
            {"customer_id": "last", "as_of_date": ago(2)},
            # Three nights are past.
            {"customer_id": "over", "as_of_date": ago(3)},
            {"customer_id": "again", "as_of_date": ago(3)},
            {"customer_id": "again", "as_of_date": ago(1)},
            {"customer_id": "again"},
            # A night that is made again knows nothing of those after it.
            {"customer_id": "later", "as_of_date": ago(-1)},
            {"customer_id": "tonight", "trigger": "reminder", "subject": "bill 1"},
            {"customer_id": "tonight", "trigger": "reminder", "subject": "bill 2"},
            # Of one night, and that is past.
            {"customer_id": "last", "trigger": "reminder", "as_of_date": ago(1)},
            {"customer_id": "tonight", "trigger": "not in conf"},
        ],
    )
    assert found.columns == [*OF_SNAPSHOT]
    assert cells(found) == [
        # Of three selections the oldest holds no longer.
        ("offer", "again", TODAY),
        # The third of three nights.
        ("offer", "last", YESTERDAY),
        # Selected tonight, so from tomorrow on.
        ("offer", "tonight", TOMORROW),
        # About two bills, and in the audience once.
        ("reminder", "tonight", TOMORROW),
    ]


def test_behind_a_ref_is_whoever_has_the_phone_or_address(spark: SparkSession) -> None:
    accepted = state(
        spark, [("offer", "a", TODAY), ("reminder", "a", YESTERDAY), ("offer", "m", TODAY), ("offer", "x", TODAY)]
    )
    customers = [
        {"customer_id": "anna", "phone": "1", "email": "2"},
        {"customer_id": "asha", "phone": "1", "email": None},
        {"customer_id": "mail", "phone": None, "email": "3"},
        {"customer_id": "nobody's", "phone": "4", "email": None},
    ]
    # Two tokens are of one number: the keys of tokens were changed since.
    hashed = {"1": "a", "0": "a", "3": "m", "4": "not told"}
    hashes = table_frame(spark, CONTACT_HASHES, [{"token": token, "sha256": ref} for token, ref in hashed.items()])
    found = audience.behind(accepted, table_frame(spark, STATES["customers"], customers), hashes, RULES)
    assert sorted(cells(found)) == [
        ("offer", BOTH[0], "anna", TODAY, "a"),
        ("offer", BOTH[0], "asha", TODAY, "a"),
        ("offer", BOTH[0], "mail", TODAY, "m"),
        ("reminder", BOTH[1], "anna", YESTERDAY, "a"),
        ("reminder", BOTH[1], "asha", YESTERDAY, "a"),
    ]


def test_only_who_was_selected_over_the_channel_is_in_it(spark: SparkSession) -> None:
    ended = [{"customer_id": step, "step": step} for step in STEPS]
    found = members(spark, [*ended, {"customer_id": "messaged", "channel": "push"}])
    assert cells(found, "customer_ref") == [("selected",)]


def test_it_needs_the_consent_that_its_trigger_is_about(spark: SparkSession) -> None:
    rows = [{"customer_id": name, "trigger": rule} for name in ("ads", "dues", "sms") for rule in ("offer", "reminder")]
    consents = [("ads", BOTH[0]), ("dues", BOTH[1]), ("sms", "promotional/sms"), ("sms", "service/sms")]
    found = members(spark, rows, consents=[*consents, *consents])
    assert cells(found, "audience", "customer_ref") == [
        # Consents to be advertised to, not to be reminded.
        ("offer", "ads"),
        # The other way round; who consents to another channel is in neither.
        ("reminder", "dues"),
    ]


def test_who_is_deleted_or_cannot_be_matched_is_not_in_it(spark: SparkSession) -> None:
    customers: dict[str, Facts] = {
        "deleted": {"is_deleted": "true"},
        "kept": {"is_deleted": "false"},
        "erased": {"phone": None, "email": None},
        "unhashed": {"phone": "0", "email": "unknown"},
        "by_mail": {"phone": None, "email": "mail"},
        "wrong_number": {"phone": "0", "email": "mail of wrong_number"},
        "both": {"email": "mail of both"},
    }
    hashes = [
        {"token": "mail", "kind": "email", "sha256": "mail"},
        {"token": "mail of wrong_number", "kind": "email", "sha256": "second choice"},
        {"token": "mail of both", "kind": "email", "sha256": "not taken"},
        {"token": "phone kept", "kind": "phone", "sha256": "newer"},
        {"token": "phone both", "kind": "phone", "sha256": "older", "as_of_date": ago(30)},
    ]
    rows = [{"customer_id": name} for name in customers]
    found = cells(members(spark, rows, customers, hashes=hashes), "customer_ref")
    assert found == [
        # The phone before the address, though that landed later; and of the two hashes of the number the newer.
        ("both",),
        # Without a phone, the address.
        ("mail",),
        # Of the number of who was kept: its newer hash is the other one here.
        ("newer",),
        # And where the phone is no number, too.
        ("second choice",),
    ]
    assert cells(members(spark, rows[::-1], customers, hashes=hashes[::-1]), "customer_ref") == found


def test_customers_with_one_phone_are_one(spark: SparkSession) -> None:
    shared = {"phone": "phone anna"}
    customers = {"anna": shared, "asha": shared, "deleted": {**shared, "is_deleted": "true"}}
    rows = [
        {"customer_id": "anna"},
        {"customer_id": "asha", "as_of_date": ago(1)},
        {"customer_id": "deleted", "as_of_date": ago(2)},
    ]
    # Since the older selection of the two that count.
    assert cells(members(spark, rows, customers)) == [("offer", "anna", TODAY)]
    assert cells(members(spark, rows[::-1], customers)) == [("offer", "anna", TODAY)]


# ---- what is told of it


def test_the_first_delivery_is_a_baseline(spark: SparkSession) -> None:
    now = [("offer", "a", TOMORROW), ("offer", "b", TODAY)]
    assert told(now, None, spark) == ([("offer", "a", "add", TOMORROW), ("offer", "b", "add", TODAY)], now)
    # Of one audience, while others have been delivered.
    before = [("reminder", "a", TODAY)]
    changes, _ = told([*now, *before], before, spark)
    assert changes == [("offer", "a", "add", TOMORROW), ("offer", "b", "add", TODAY)]


def test_a_destination_is_told_what_has_changed(spark: SparkSession) -> None:
    now = [
        ("offer", "comes", TOMORROW),
        ("offer", "stays", TOMORROW),
        ("reminder", "goes", TOMORROW),
    ]
    before = [
        ("offer", "goes", YESTERDAY),
        ("offer", "stays", YESTERDAY),
        ("over", "goes", YESTERDAY),
    ]
    changes, after = told(now, before, spark)
    assert changes == [
        ("offer", "comes", "add", TOMORROW),
        # As it was accepted.
        ("offer", "goes", "remove", YESTERDAY),
        # The last of an audience that has nobody any more.
        ("over", "goes", "remove", YESTERDAY),
        # Another audience has nothing to do with it.
        ("reminder", "goes", "add", TOMORROW),
    ]
    assert after == [
        ("offer", "comes", TOMORROW),
        # Since it was accepted first, though the selection of then is over.
        ("offer", "stays", YESTERDAY),
        ("reminder", "goes", TOMORROW),
    ]


def test_who_stays_does_so_while_someone_behind_it_may(spark: SparkSession) -> None:
    """And by whichever hash they were told: who gets a phone later is still known by the address."""
    columns = "audience string, key string, customer_id string, since_date string, customer_ref string"
    names = ("anna", "asha", "withdrew", "deleted", "by mail")
    refs = {"anna": "shared", "asha": "shared", "by mail": "mail of theirs"}
    rows = [("offer", BOTH[0], name, YESTERDAY, refs.get(name, name)) for name in names]
    customers = [{"customer_id": name, "is_deleted": str(name == "deleted").lower()} for name in names]
    consents = [(name, BOTH[0]) for name in names if name not in ("asha", "withdrew")]
    found = audience.staying(
        local_frame(spark, rows, columns),
        table_frame(spark, STATES["customers"], customers),
        local_frame(spark, consents, "customer_id string, key string"),
    )
    assert cells(found) == [("offer", "mail of theirs", YESTERDAY), ("offer", "shared", YESTERDAY)]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_accepted_and_the_changes_are_the_members(spark: SparkSession, seed: int) -> None:
    chance = Random(seed)
    audiences = ("offer", "reminder")

    def some() -> list[Texts]:
        keys = [(name, f"ref {number}") for name in audiences for number in range(40) if chance.random() < 0.5]
        return [(*key, chance.choice([YESTERDAY, TODAY, TOMORROW])) for key in keys]

    now, before = some(), some()
    changes, after = told(now, before, spark)
    applied = {row[:2]: row[2] for row in before}
    for name, ref, action, since in changes:
        assert ((name, ref) in applied) == (action == "remove")
        if action == "add":
            applied[name, ref] = since
        else:
            assert applied.pop((name, ref)) == since
    assert applied == {row[:2]: row[2] for row in after}
    assert applied.keys() == {row[:2] for row in now}
    # Once it is accepted there is nothing more to tell.
    assert told(now, after, spark) == ([], after)
    assert told(after, after, spark) == ([], after)
    shuffled = chance.sample(now, len(now)), chance.sample(before, len(before))
    assert told(*shuffled, spark) == (changes, after)

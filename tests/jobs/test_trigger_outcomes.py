"""mart.trigger_outcomes: who counts, what is a success, how nights are added, and a DuckDB query that says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from conf import Trigger
from jobs import trigger_outcomes
from jobs.frames import local_frame
from schemas.core import POSTED
from schemas.mart import CUSTOMER_PROFILE
from schemas.outcomes import FEEDBACK, TABLES, TRIGGER_OUTCOMES
from schemas.table import lint
from tests.jobs import acting
from tests.jobs.rows import NIGHT, cells, table_frame

CLOSE_AFTER = 7
ASSIGNED = NIGHT - timedelta(days=14)  # 7 dates of the goal, and 7 until they are told
CONTACTS = "as_of_date date, trigger string, customer_id string, trigger_id string, is_held_out boolean"
Contact = tuple[date, str, str, str, bool]
RATES = ("rate", "low", "high")


class Done(NamedTuple):
    """What a customer did on a date."""

    customer_id: str
    day: date
    goal: str = "transfer"


def policy(name: str = "offer", **changes: Any) -> Trigger:
    """A trigger whose goal is a transfer within seven days."""
    return Trigger.model_validate(acting.trigger(name, **changes))


def contact(
    customer: str = "anna",
    night: date = ASSIGNED,
    *,
    trigger: str = "offer",
    named: str | None = None,
    held_out: bool = False,
) -> Contact:
    return night, trigger, customer, named or f"{trigger}/{customer}/{night}", held_out


def day(number: int) -> date:
    """So many days after the assignment."""
    return ASSIGNED + timedelta(days=number)


def ago(nights: int) -> date:
    return NIGHT - timedelta(days=nights)


def profiles(spark: SparkSession, customers: Iterable[str], done: Iterable[Done], days: Sequence[date]) -> DataFrame:
    """A profile of each customer and day, with masks of what was done by then."""
    rows: list[dict[str, Any]] = []
    for as_of in days:
        masks: dict[str, dict[str, int]] = {customer: {} for customer in customers}
        for each in set(done):
            position = (as_of - each.day).days
            if 0 <= position < 128:
                word = f"{each.goal}_days_{'0_63' if position < 64 else '64_127'}"
                own = masks.setdefault(each.customer_id, {})
                own[word] = own.get(word, 0) | 1 << position % 64
        for customer, own in masks.items():
            signed = {name: word - (1 << 64) if word >> 63 else word for name, word in own.items()}
            rows.append({"as_of_date": as_of, "customer_id": customer, **signed})
    return table_frame(spark, CUSTOMER_PROFILE, rows)


def outcomes(
    spark: SparkSession,
    contacts: Sequence[Contact],
    *,
    done: Iterable[Done] = (),
    heard: Sequence[Mapping[str, Any]] = (),
    earlier: Sequence[Mapping[str, Any]] | DataFrame | None = None,
    triggers: Sequence[Trigger] | None = None,
    days: Sequence[date] = (NIGHT,),
    close_after: int = CLOSE_AFTER,
) -> DataFrame:
    feedback = {"as_of_date": NIGHT, "occurred_at": "2026-01-31 10:00"}
    known = earlier if isinstance(earlier, DataFrame) or earlier is None else told_before(spark, earlier)
    return trigger_outcomes.transform(
        local_frame(spark, contacts, CONTACTS),
        profiles(spark, [customer for _, _, customer, _, _ in contacts], done, days),
        table_frame(spark, POSTED["campaign_feedback"], list(heard), feedback),
        known,
        (policy(),) if triggers is None else triggers,
        close_after=close_after,
        days=days,
    )


def told_before(spark: SparkSession, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """Rows of nights before: of a trigger whose goal is a transfer within seven days, for the one night each."""
    common = {"trigger": "offer", "days": 1, "goal": "transfer", "goal_days": 7}
    return table_frame(spark, TRIGGER_OUTCOMES, rows, common)


def of(frame: DataFrame, *columns: str, grp: str = "treated", days: int = 1) -> list[tuple[Any, ...]]:
    """The columns of one group and span, in the order of nights and triggers."""
    rows = frame.where(f"grp = '{grp}' and days = {days}").orderBy("as_of_date", "trigger").select(*columns)
    return [tuple(row) for row in rows.collect()]


def test_the_table_keeps_the_house_rules(spark: SparkSession) -> None:
    assert lint(TABLES) == []
    assert outcomes(spark, []).dtypes == [(column.name, column.type) for column in TRIGGER_OUTCOMES.columns]


# ---- what is a success


@pytest.mark.parametrize(
    ("close_after", "goal_days"),
    [(7, 7), (0, 1), (39, 89), (38, 90)],  # of one date, and of all to the last bit of the mask
)
def test_the_goal_counts_from_the_send_date_on_for_goal_days(
    spark: SparkSession, close_after: int, goal_days: int
) -> None:
    assigned = NIGHT - timedelta(days=goal_days + close_after)
    # Each case is a trigger of its own: the day after the assignment on which the goal was reached.
    reached = {
        "never": (None, 0),
        "on_the_night_itself": (0, 0),
        "on_the_send_date": (1, 1),
        "on_the_last_date": (goal_days, 1),
        "a_day_too_late": (goal_days + 1, 0),
    }
    frame = outcomes(
        spark,
        [contact(name, assigned, trigger=name) for name in reached],
        done=[Done(name, assigned + timedelta(days=on)) for name, (on, _) in reached.items() if on is not None],
        triggers=[policy(name, goal_days=goal_days) for name in reached],
        close_after=close_after,
    )
    assert dict(of(frame, "trigger", "converted")) == {name: expected for name, (_, expected) in reached.items()}
    assert set(of(frame, "assigned_from", "assigned_to")) == {(assigned, assigned)}


def test_each_trigger_has_its_goal_and_its_night(spark: SparkSession) -> None:
    triggers = [policy("a", goal="app"), policy("b", goal="bill"), policy("c", goal="app", goal_days=8)]
    frame = outcomes(
        spark,
        [contact("anna", night, trigger=name) for night in (day(0), day(-1)) for name in ("a", "b")]
        + [contact("bert", night, trigger="c") for night in (day(0), day(-1))],
        done=[Done("anna", day(2), "app"), Done("bert", day(2), "app")],
        triggers=triggers,
    )
    assert of(frame, "trigger", "goal", "goal_days", "assigned_to", "customers", "converted") == [
        # Anna was assigned the night before as well, so nothing is left of a and b.
        ("c", "app", 8, day(-1), 1, 1),
    ]
    frame = outcomes(
        spark, [contact(trigger="a"), contact(trigger="b")], done=[Done("anna", day(2), "app")], triggers=triggers
    )
    assert of(frame, "trigger", "goal", "customers", "converted") == [("a", "app", 1, 1), ("b", "bill", 1, 0)]


def test_who_has_no_profile_any_more_did_not_reach_the_goal(spark: SparkSession) -> None:
    frame = trigger_outcomes.transform(
        local_frame(spark, [contact()], CONTACTS),
        table_frame(spark, CUSTOMER_PROFILE, []),
        table_frame(spark, POSTED["campaign_feedback"], []),
        None,
        [policy()],
        close_after=CLOSE_AFTER,
        days=[NIGHT],
    )
    assert of(frame, "customers", "converted") == [(1, 0)]


# ---- who counts


def test_a_customer_counts_by_the_first_assignment(spark: SparkSession) -> None:
    # Each case is a trigger of its own: nights of contacts with Anna, as days after the one that closes.
    cases: dict[str, tuple[tuple[int, ...], int]] = {
        "the_first_time": ((0,), 1),
        "the_night_before": ((-1, 0), 0),
        "90_nights_before": ((-90, 0), 0),
        "91_nights_before": ((-91, 0), 1),
        "before_and_long_before": ((-120, -60, 0), 0),
        "and_again_the_night_after": ((0, 1), 1),
        "on_other_nights": ((-1, 1), 0),
    }
    names = {name: f"t_{name}" for name in cases}
    contacts = [contact("anna", day(on), trigger=names[name]) for name, (nights, _) in cases.items() for on in nights]
    # What others were assigned before does not matter to her.
    contacts.append(contact("bert", day(-1), trigger=names["the_first_time"]))
    frame = outcomes(spark, contacts, triggers=[policy(name) for name in names.values()])
    assert dict(of(frame, "trigger", "customers")) == {
        names[name]: count for name, (_, count) in cases.items() if count
    }


def test_who_was_held_out_before_was_assigned_before(spark: SparkSession) -> None:
    contacts = [contact("anna", day(-5), held_out=True), contact("anna", held_out=True), contact("bert")]
    frame = outcomes(spark, contacts)
    assert of(frame, "customers", grp="held_out") == [(0,)]
    assert of(frame, "customers") == [(1,)]


def test_several_subjects_are_one_customer_and_the_first_decides_on_the_side(spark: SparkSession) -> None:
    frame = outcomes(
        spark,
        [
            contact("anna", named="1"),
            contact("anna", named="2"),
            contact("bert", named="3", held_out=True),
            contact("bert", named="4"),
            contact("carl", named="6", held_out=True),
            contact("carl", named="5"),
        ],
        done=[Done("anna", day(1)), Done("carl", day(3)), Done("carl", day(4))],
        heard=[{"trigger_id": named, "outcome": "opened"} for named in "1245"],
    )
    # Messages are counted one by one, and Bert is held out.
    assert of(frame, "customers", "converted", "opened") == [(2, 2, 3)]
    assert of(frame, "customers", "converted", grp="held_out") == [(1, 0)]


# ---- what is told of them


def ten(*, converted: int, held_out: bool) -> tuple[list[Contact], list[Done]]:
    customers = [f"{held_out} {number}" for number in range(10)]
    return [contact(customer, held_out=held_out) for customer in customers], [
        Done(customer, day(3)) for customer in customers[:converted]
    ]


def test_the_rows_of_a_night(spark: SparkSession) -> None:
    treated, their = ten(converted=9, held_out=False)
    held_out, theirs = ten(converted=3, held_out=True)
    heard = [{"trigger_id": treated[0][3], "outcome": "delivered"}]
    frame = outcomes(spark, [*treated, *held_out], done=[*their, *theirs], heard=heard)
    # The intervals are those of Newcombe's example of 9/10 and 3/10: 0.1705 to 0.8090.
    said = {
        "difference": ("20", None, "0.600000", "0.170523", "0.809018", None, None, None, None, None),
        "held_out": ("10", "3", "0.300000", "0.107791", "0.603222", None, None, None, None, None),
        "treated": ("10", "9", "0.900000", "0.595850", "0.982124", "1", "0", "0", "0", "0"),
    }
    assert cells(frame) == [
        ("2026-01-31", "offer", grp, span, assigned_from, "2026-01-17", "transfer", "7", *rest)
        for grp, rest in said.items()
        for span, assigned_from in (("1", "2026-01-17"), ("28", "2025-12-21"))
    ]


@pytest.mark.parametrize("held_out", [False, True])
def test_with_nobody_on_one_side_there_is_no_difference(spark: SparkSession, held_out: bool) -> None:
    frame = outcomes(spark, [contact(held_out=held_out)])
    nobody, somebody = ("treated", "held_out") if held_out else ("held_out", "treated")
    for days in (1, 28):
        assert of(frame, "customers", "converted", *RATES, grp=nobody, days=days) == [(0, 0, None, None, None)]
        assert [str(rate) for (rate,) in of(frame, "rate", grp=somebody, days=days)] == ["0.000000"]
        assert of(frame, "customers", *RATES, grp="difference", days=days) == [(1, None, None, None)]
    assert of(frame, *FEEDBACK) == [(0,) * 5]


def test_feedback_is_of_messages_that_count_as_it_is_known_on_the_night(spark: SparkSession) -> None:
    def heard(named: str, outcome: str, learnt: date = NIGHT, at: str = "10:00") -> dict[str, Any]:
        return {"trigger_id": named, "outcome": outcome, "as_of_date": learnt, "occurred_at": f"2026-01-18 {at}"}

    feedback = [
        *(heard("anna", outcome) for outcome in ("sent", "delivered", "opened", "clicked", "converted")),
        heard("anna", "opened", at="11:00"),  # a message opened twice is opened
        heard("bert", "delivered", ago(12)),
        heard("bert", "opened", NIGHT + timedelta(days=1)),  # the night does not know
        *(heard("carl", outcome) for outcome in ("bounced", "opted_out")),
        heard("dora", "bounced"),
        *(heard(named, outcome) for named in ("held out", "again", "no contact of ours") for outcome in FEEDBACK),
    ]
    contacts = [contact(name, named=name) for name in ("anna", "bert", "carl", "dora")]
    contacts.append(contact("emma", named="held out", held_out=True))
    contacts += [contact("fred", day(-3), named="first"), contact("fred", named="again")]
    frame = outcomes(spark, contacts, heard=feedback)
    # Anna and Bert; Anna; Anna; Carl and Dora; Carl.
    assert of(frame, *FEEDBACK) == of(frame, *FEEDBACK, days=28) == [(2, 1, 1, 2, 1)]
    for grp in ("held_out", "difference"):
        assert of(frame, *FEEDBACK, grp=grp) == [(None,) * 5]


# ---- four weeks


def test_nights_of_four_weeks_are_added(spark: SparkSession) -> None:
    def row(nights: int, grp: str = "treated", **said: Any) -> dict[str, Any]:
        return {"as_of_date": ago(nights), "grp": grp, **said}

    earlier = [
        row(27, customers=10, converted=4, delivered=9, opened=2, clicked=1, bounced=1, opted_out=1),
        row(27, "held_out", customers=5, converted=1),
        row(27, "difference", customers=15),
        row(1, customers=100, converted=40, delivered=90, opened=20, clicked=10, bounced=10, opted_out=0),
        row(28, customers=1000, converted=1000),  # one night too early
        row(1, customers=1000, converted=1000, days=28),  # has the others in it
    ]
    frame = outcomes(
        spark,
        [contact("anna", named="1"), contact("bert", held_out=True)],
        done=[Done("bert", day(1))],
        heard=[{"trigger_id": "1", "outcome": "delivered"}],
        earlier=earlier,
    )
    names = ("assigned_from", "assigned_to", "customers", "converted", *FEEDBACK)
    assert of(frame, *names, days=28) == [(day(-27), day(0), 111, 44, 100, 22, 11, 11, 1)]
    assert of(frame, *names[2:4], grp="held_out", days=28) == [(6, 2)]
    assert of(frame, "customers", "converted", grp="difference", days=28) == [(117, None)]
    assert of(frame, *names[2:5]) == [(1, 0, 1)]


def test_a_night_that_assigned_nobody_still_has_its_four_weeks(spark: SparkSession) -> None:
    earlier = [{"as_of_date": ago(3), "grp": "treated", "customers": 2, "converted": 1}]
    frame = outcomes(spark, [], earlier=earlier)
    assert of(frame, "as_of_date", "customers", "converted", days=28) == [(NIGHT, 2, 1)]
    assert frame.count() == 3  # and none of the night itself
    assert outcomes(spark, [], earlier=[]).isEmpty()
    gone = [policy("another")]
    assert outcomes(spark, [contact()], earlier=earlier, triggers=gone).isEmpty()


@pytest.mark.parametrize("change", [{"goal": "bill"}, {"goal_days": 6}])
def test_what_was_counted_by_another_goal_is_not_added(spark: SparkSession, change: dict[str, Any]) -> None:
    told = {"grp": "treated", "customers": 2, "converted": 1}
    earlier = [{"as_of_date": ago(2), **told, **change}, {"as_of_date": ago(1), **told}]
    assert of(outcomes(spark, [contact()], earlier=earlier), "customers", days=28) == [(3,)]


# ---- many


def made_up(seed: int, days: Sequence[date]) -> tuple[list[Contact], list[Done], list[dict[str, Any]]]:
    """Contacts of the nights up to the last of `days`, what the customers did, and what was heard."""
    random = Random(seed)
    customers = [f"c{number}" for number in range(80)]
    nights = [max(days) - timedelta(days=number) for number in range(230)]
    closing = nights[10:34]
    contacts = [
        (night, trigger, customer, f"{random.random()}", (ord(trigger) + int(customer[1:])) % 3 == 0)
        for trigger in "abc"
        for customer in customers
        for night in random.sample(nights, random.randint(0, 1)) + random.sample(closing, random.randint(0, 2))
        for _ in range(random.randint(1, 2))
    ]
    done = [Done(each, night, goal) for each in customers for goal in GOALS for night in random.sample(nights, 25)]
    heard = [
        {
            "trigger_id": named,
            "outcome": random.choice(("sent", *FEEDBACK)),
            "as_of_date": night + timedelta(days=random.randint(1, 25)),
            "occurred_at": f"{night + timedelta(days=1)} {random.randint(10, 20)}:00",
        }
        for night, _, _, named, _ in contacts
        for _ in range(random.randint(0, 3))
    ]
    return contacts, done, heard


GOALS = ("app", "transfer")
TRIGGERS = (policy("a"), policy("b", goal="app", goal_days=12), policy("c", goal="app", goal_days=3))
DAYS = [NIGHT - timedelta(days=number) for number in range(13, -1, -1)]

QUERY = """
with closed as (
  select c.as_of_date + t.goal_days::int + {close_after} as closed_on, c.trigger, t.goal, t.goal_days, customer_id,
    c.as_of_date as night, arg_min(is_held_out, trigger_id) as is_held_out, list(trigger_id) as named
  from contacts c join triggers t using (trigger)
  where not exists (select 1 from contacts b where b.trigger = c.trigger and b.customer_id = c.customer_id
    and c.as_of_date - b.as_of_date between 1 and 90)
  group by all
), answered as (
  select *, if(is_held_out, 'held_out', 'treated') as grp, exists (select 1 from done d where d.goal = c.goal
    and d.customer_id = c.customer_id and d.day - c.night between 1 and goal_days) as has_reached, {messages}
  from closed c where closed_on between '{first}' and '{last}'
)
select night.day::date, trigger, grp, span.days, count(*), count(*) filter (has_reached), {sums}
from answered, (select distinct closed_on as day from answered) night, (values (1), (28)) as span(days)
where closed_on between day - span.days::int + 1 and day
group by all
"""
MESSAGES = """(select count(distinct trigger_id) from heard
      where outcome = '{0}' and trigger_id in (select unnest(named)) and as_of_date <= closed_on) as {0}"""


def test_duckdb_counts_the_same(spark: SparkSession) -> None:
    contacts, done, heard = made_up(1, DAYS)
    told = outcomes(spark, contacts, done=done, heard=heard, triggers=TRIGGERS, days=DAYS)
    counts = told.where("customers > 0 and grp <> 'difference'").select(
        "as_of_date", "trigger", "grp", "days", "customers", "converted", *FEEDBACK
    )
    query = QUERY.format(
        close_after=CLOSE_AFTER,
        first=DAYS[0],
        last=DAYS[-1],
        messages=", ".join(map(MESSAGES.format, FEEDBACK)),
        sums=", ".join(f"(sum({outcome}) filter (grp = 'treated'))::bigint" for outcome in FEEDBACK),
    )
    policies = [(each.name, each.goal, each.goal_days) for each in TRIGGERS]
    frames = {
        "contacts": local_frame(spark, contacts, CONTACTS),
        "done": local_frame(spark, done, "customer_id string, day date, goal string"),
        "heard": table_frame(spark, POSTED["campaign_feedback"], heard).select("trigger_id", "outcome", "as_of_date"),
        "triggers": local_frame(spark, policies, "trigger string, goal string, goal_days int"),
    }
    with duckdb.connect() as database:
        for name, frame in frames.items():
            database.register(name, frame.toArrow())
        expected = database.execute(query).fetchall()
    assert len(expected) > 100
    assert {tuple(row) for row in counts.collect()} == set(expected)


def test_nights_at_once_are_the_nights_one_by_one(spark: SparkSession) -> None:
    days = DAYS[-3:]
    contacts, done, heard = made_up(2, days)
    given: dict[str, Any] = {"done": done, "heard": heard, "triggers": TRIGGERS}
    before = [
        {"as_of_date": ago(nights), "trigger": "a", "grp": "treated", "customers": 1, "converted": 1}
        for nights in (29, 28, 3)
    ]
    known = told_before(spark, before)
    for night in days:
        known = known.unionByName(outcomes(spark, contacts, earlier=known, days=[night], **given)).localCheckpoint()
    at_once = outcomes(spark, contacts, earlier=before, days=days, **given).persist()
    assert cells(at_once) == cells(known.where(F.col("as_of_date") >= F.lit(days[0])))
    # Four weeks have in them what their nights say.
    pooled = dict(of(at_once.where(F.col("as_of_date") == F.lit(NIGHT)), "trigger", "customers", days=28))
    for trigger in "abc":
        nights = of(at_once.where(f"trigger = '{trigger}'"), "customers")
        assert pooled[trigger] == sum(count for (count,) in nights) + (trigger == "a")
    at_once.unpersist()


def test_neither_order_nor_repetition_matters(spark: SparkSession) -> None:
    contacts, done, heard = made_up(3, [NIGHT])
    told = cells(outcomes(spark, contacts, done=done, heard=heard, triggers=TRIGGERS))
    assert len(told) == 18
    twice, heard_twice = contacts * 2, heard * 2
    for rows in (twice, heard_twice):
        Random(4).shuffle(rows)
    again = outcomes(spark, twice, done=done, heard=heard_twice, triggers=TRIGGERS[::-1])
    assert cells(again) == told

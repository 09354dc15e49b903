"""What becomes of the records of one feed in one night, beside the rules that each record meets alone.

The records are in the temp table `records`; one that is not simply posted gets a row in `verdicts`: its `id`, and the
reasons for which it is refused, none for a duplicate. Verdicts are few.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from schemas.core import FOLDED
from schemas.feed import Feed
from tests.oracle.hashing import row_hash
from tests.oracle.night import Night

CONTENDERS = "(from records where reasons is null and not is_waiting)"


def judge(night: Night, feed: Feed) -> None:
    """Makes the temp table `verdicts` of the night's records."""
    judged = _postings(night, feed) if feed.kind == "events" else _versions(night, feed)
    night.sql.execute(f"create or replace temp table verdicts as {judged}")


def _postings(night: Night, feed: Feed) -> str:
    """A key is posted once: what is known of it stands, or the first of tonight; the others must agree with it.

    The first is of the first source by name, rather told than implied, and the least by (`updated_at`, row hash).
    """
    key = _list(feed.key)
    order = ["rank", "is_implied", *(["updated_at"] if "updated_at" in feed.column_names else []), "hashed", "id"]
    # What is implied is told apart by what implied it.
    told = {"status": "if(is_implied, 'reversed', status)"} if feed.takes_states else {}
    hashed = "row_hash" if feed.name in FOLDED else row_hash(feed.columns, told, is_exact=night.is_exact)
    standing = ("source", *feed.fixed)
    (since,) = night.sql.execute(f"select min(since) from {CONTENDERS}").fetchall()[0]
    earlier = night.tables.read(f"core.{feed.name}", since=since or date.max, until=night.before)
    return f"""
        with contenders as {CONTENDERS},
        sought as (select {key}, min(since) as since from contenders where since is not null group by all),
        known as (
            select distinct on ({key}) {key}, {_each(standing, 'earlier."{0}" as "standing {0}"')}
            from sought join {earlier} as earlier using ({key})
            where as_of_date >= since
            order by as_of_date desc
        ),
        repeated as (select {key} from contenders anti join known using ({key}) group by all having count(*) > 1),
        tonight as (
            select * exclude (hashed), row_number() over first as place,
                {_each(standing, 'first_value("{0}") over first as "standing {0}"')}
            from (select *, {hashed} as hashed from contenders semi join repeated using ({key}))
            window first as (partition by {key} order by {_list(order)})
        )
        select id, {_reasons(feed)} as reasons
        from (
            from contenders join known using ({key})
            union all by name select * exclude (place) from tonight where place > 1
        )
    """


def _reasons(feed: Feed) -> str:
    """What is said against a record whose key another one has: nothing where they agree."""
    changed = _changed(feed) if feed.fixed else "false"
    return f"""
        list_filter([
            case when {changed} then 'changed_after_posting' end,
            case when source <> "standing source" then 'key_of_another_source' end
        ], lambda reason: reason is not null)
    """


def _changed(feed: Feed) -> str:
    return "(" + " or ".join(f'"{name}" is distinct from "standing {name}"' for name in feed.fixed) + ")"


def _versions(night: Night, feed: Feed) -> str:
    """Each version is posted once; it is a duplicate of the one in state, or of another of tonight.

    What may not change is as the state has it, else as the least version of tonight by (`updated_at`, row hash).
    """
    key = _list(feed.key)
    fixed = [name for name in feed.fixed if name not in feed.key]
    first = _each(fixed, ', coalesce(state."{0}", first_value(contenders."{0}") over first) as "standing {0}"', "")
    state = night.tables.on(f"core.{feed.name}_state", night.before)
    changed = _changed(feed) if fixed else "false"
    return f"""
        with contenders as {CONTENDERS},
        state as (select {_list([*feed.key, *fixed, "row_hash"])} from {state} semi join contenders using ({key})),
        compared as (
            select contenders.*, row_number() over same as place, state.row_hash as hash_in_state {first}
            from contenders left join state using ({key})
            window same as (partition by {key}, contenders.row_hash order by rank, id),
                first as (partition by {key} order by contenders.updated_at, contenders.row_hash)
        )
        select id, case when {changed} then ['changed_after_posting'] else [] end as reasons
        from compared
        where {changed} or place > 1 or row_hash = hash_in_state
    """


def _list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _each(names: Iterable[str], told: str, between: str = ", ") -> str:
    return between.join(told.format(name) for name in names)

"""The contacts feed: the address books that customers share, and whom customers send money to."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate import planted
from jobs.simulate.chance import Chance, normal
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import STATE_KINDS, copied, delivered_states

LEAST, MEDIAN, SIGMA, MOST = 20, 60, 0.6, 200
# A third of the entries are customers, all of the same neighbourhood of so many: a prime, so that equal steps through
# it meet everyone once.
CUSTOMER_SHARE, NEIGHBOURS = 1 / 3, 401
# So many share their address book at all: on the day they register, and those who were there before the first day
# within so many days from it on, so that no delivery holds everyone's.
SHARING, SYNC_DAYS = 0.5, 28
SAVED_LATER, LATER_DAYS = 0.10, 60.0
DELETED, DELETED_DAYS = 0.03, 50.0
# What stands in an address book as well: no two of these may ever become one.
NOT_NUMBERS = ("121", "*123#", "घर", "🏠", "दुकान", "1800 000 000 000 000 11")

FLAWS = {"customer_id_missing": False, "contact_token_missing": False, "saved_invalid": True}
ORDER = ("changed", "user_id", "entry", "version", "is_copy")
TRUTH = ("user_id", "entry", "version")


def entry(seed: int, nth: str) -> str:
    """SQL text of whose phone stands in the entry: the `number` of `planted.phone`."""
    draw = Chance(seed, ("number", nth))
    own = Chance(seed, ("number",))
    nth_step = f"{own.number('first neighbour', 0, NEIGHBOURS - 1)} + ({nth}) * {own.number('step', 1, NEIGHBOURS - 1)}"
    neighbour = f"number - pmod(number, {NEIGHBOURS}) + pmod({nth_step}, {NEIGHBOURS})"
    stranger = f"{planted.STRANGERS}L + cast(floor({draw.draw('stranger')} * {planted.MANY_STRANGERS}D) as bigint)"
    return f"if({draw.chance('is neighbour', CUSTOMER_SHARE)}, {neighbour}, {stranger})"


def entries(seed: int) -> str:
    """SQL text of how many entries the address book has."""
    size = normal(Chance(seed, ("number",)).draw("entries"))
    return f"cast(greatest({LEAST}, least({MOST}, round({MEDIAN} * exp({size} * {SIGMA}D)))) as int)"


def delivered_contacts(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the contacts source, with its truth beside it."""
    draw = Chance(simulation.seed, ("number", "entry", "version"))
    sent = copied(
        _versions(people, simulation), draw, simulation, STATE_KINDS, FLAWS, simulation.format_of(source)
    ).selectExpr(
        "* except (user_id, digits)",
        "if(flaw <=> 'customer_id_missing', null, user_id) as user_id",
        f"if(flaw <=> 'contact_token_missing', null, coalesce(not_a_number, {planted.spelt('digits', draw)}))"
        " as number_sent",
        "if(flaw <=> 'saved_invalid', null, changed) as saved",
        "if(flaw <=> 'saved_invalid', 'some time', null) as saved_text",
    )
    return delivered_states(sent, draw, simulation)


def _versions(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per version of an entry of an address book: saved, and perhaps deleted later."""
    book, draw = Chance(simulation.seed, ("number",)), Chance(simulation.seed, ("number", "entry"))
    first, last = simulation.first_day, simulation.last_day
    synced = f"{first}L * {DAY} + {book.number('synced', 0, SYNC_DAYS * DAY - 1)}"
    listed = ", ".join(f"'{text}'" for text in NOT_NUMBERS)
    later = f"cast(floor({draw.wait('saved later')} * {LATER_DAYS * DAY}D) as bigint)"
    gone = f"cast(floor({draw.wait('deleted after')} * {DELETED_DAYS * DAY}D) as bigint) + {4 * DAY}"
    saved = (
        people.filter(f"registered_day <= {last} and {book.chance('shares contacts', SHARING)}")
        .selectExpr(
            "number",
            "user_id",
            "(cast(begin_day + greatest(leaving_age_0, 0) as bigint) + 1) * 86400 as left_at",
            f"if(registered_day < {first}, {synced}, registered_at + {book.number('first sync', 20, 600)})"
            " as synced_at",
            f"explode(sequence(0, {entries(simulation.seed)} - 1)) as entry",
        )
        # Nothing is synced by an app that is not used any more.
        .filter("synced_at < left_at")
        .selectExpr("*", f"if({draw.chance('later', SAVED_LATER)}, synced_at + {later}, synced_at) as saved_at")
        .filter("saved_at < left_at")
        .selectExpr("*", f"if({draw.chance('deleted', DELETED)}, saved_at + {gone}, null) as deleted_at")
    )
    return (
        saved.selectExpr(
            "*",
            "inline(array(named_struct('version', 'saved', 'changed', saved_at), "
            "named_struct('version', 'deleted', 'changed', deleted_at)))",
        )
        .filter(f"changed < left_at and changed < {last + 1}L * {DAY}")
        .selectExpr(
            "number",
            "user_id",
            "entry",
            "version",
            "changed",
            "if(version = 'saved', deleted_at, null) as next_change_at",
            f"{planted.phone(entry(simulation.seed, 'entry'))} as digits",
            f"if(entry < {len(NOT_NUMBERS)} and {draw.chance('no number', 0.1)}, "
            f"element_at(array({listed}), entry + 1), null) as not_a_number",
            "version = 'deleted' as deleted",
        )
    )

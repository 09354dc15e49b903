"""The customers feed: registrations, profile changes and deletions, and what goes wrong with them."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate import planted
from jobs.simulate.chance import Chance
from jobs.simulate.people import with_profiles
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import STATE_KINDS, copied, delivered_states

FLAWS = {"customer_id_missing": False, "registered_at_missing": False, "registered_invalid": True}
ORDER = ("changed", "user_id", "version", "is_copy")
TRUTH = ("user_id", "version")

MOMENTS = {
    "registered": "registered_at",
    "kyc": "kyc_at",
    "language": "language_at",
    "phone": "phone_at",
    "deleted": "deleted_at",
}


def delivered_versions(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the customers source, with its truth beside it.

    The first delivery holds every version there was before the first day.
    """
    draw = Chance(simulation.seed, ("number", "version"))
    sent = copied(
        _versions(people, draw, simulation), draw, simulation, STATE_KINDS, FLAWS, simulation.format_of(source)
    ).selectExpr(
        "* except (user_id, registered)",
        "if(flaw <=> 'customer_id_missing', null, user_id) as user_id",
        "if(flaw <=> 'registered_at_missing', null, registered) as registered",
        "if(flaw <=> 'registered_invalid', 'last week', null) as registered_text",
    )
    return delivered_states(sent, draw, simulation)


def _versions(people: DataFrame, draw: Chance, simulation: Simulation) -> DataFrame:
    """One row per version of a customer, up to the deletion."""
    versions = ", ".join(f"named_struct('version', '{name}', 'changed', {at})" for name, at in MOMENTS.items())
    others = ", ".join(at for name, at in MOMENTS.items() if name != "registered")
    first_phone = planted.phone("first_phone_number")
    new_phone = planted.phone(f"({planted.SPARE}L + number)")
    return (
        with_profiles(people, simulation)
        .selectExpr("*", f"least({others}) as first_change_at", f"inline(array({versions}))")
        .filter("changed is not null and (deleted_at is null or changed <= deleted_at)")
        .selectExpr(
            "number",
            "user_id",
            "version",
            # A later version is not delivered twice: another may have come in between.
            "if(version = 'registered', first_change_at, changed) as next_change_at",
            "registered_at as registered",
            "changed",
            "if(coalesce(changed >= kyc_at, false), 'full', 'minimum') as kyc",
            "if(coalesce(changed >= language_at, false), later_language, language) as language",
            "city_tier",
            "region",
            f"if(coalesce(changed >= phone_at, false), {new_phone}, {first_phone}) as digits",
            f"if(has_email, {planted.email('number')}, null) as plain_email",
            "version = 'deleted' as deleted",
        )
        .selectExpr(
            "* except (digits, plain_email)",
            f"{planted.spelt('digits', draw)} as mobile",
            f"if({draw.chance('shouts', 0.1)}, concat(' ', upper(plain_email)), plain_email) as email",
        )
    )

"""The consents feed: what customers may be written to about, and where, as they grant it and take it back."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import STATE_KINDS, copied, delivered_states, second_delivery

# Purpose and channel -> share of customers who grant it when they register.
GRANTED = {
    ("service", "push"): 0.85,
    ("service", "sms"): 0.90,
    ("service", "whatsapp"): 0.45,
    ("promotional", "push"): 0.60,
    ("promotional", "in_app"): 0.75,
    ("promotional", "sms"): 0.40,
    ("promotional", "whatsapp"): 0.30,
    ("promotional", "email"): 0.20,
    ("promotional", "paid_social"): 0.10,
}
# Shares of grants that are taken back, and of those that are given anew; after how many days on average.
WITHDRAWN, WITHDRAWN_DAYS = 0.15, 50.0
RENEWED, RENEWED_DAYS = 0.30, 40.0

FLAWS = {
    "customer_id_missing": False,
    "purpose_invalid": False,
    "channel_invalid": False,
    "valid_from_missing": False,
    "from_time_invalid": True,
}
ORDER = ("recorded", "user_id", "purpose", "channel", "version", "is_copy")
TRUTH = ("user_id", "purpose", "channel", "version")


def delivered_consents(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the consents source, with its truth beside it."""
    draw = Chance(simulation.seed, ("number", "pair", "version"))
    sent = copied(
        _versions(people, simulation), draw, simulation, STATE_KINDS, FLAWS, simulation.format_of(source)
    ).selectExpr(
        "* except (user_id, purpose, channel, from_time)",
        "changed as recorded",
        "if(flaw <=> 'customer_id_missing', null, user_id) as user_id",
        "if(flaw <=> 'purpose_invalid', 'marketing', purpose) as purpose",
        "if(flaw <=> 'channel_invalid', 'pigeon', channel) as channel",
        "if(flaw <=> 'valid_from_missing', null, from_time) as from_time",
        "if(flaw <=> 'from_time_invalid', 'always', null) as from_time_text",
    )
    return delivered_states(sent, draw, simulation).selectExpr("*", f"{second_delivery('changed')} as delivery_nth")


def _versions(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per grant and withdrawal of one customer's consent (`version`)."""
    draw = Chance(simulation.seed, ("number", "pair"))
    pairs = ", ".join(
        f"named_struct('purpose', '{purpose}', 'channel', '{channel}', 'share', {share}D)"
        for (purpose, channel), share in GRANTED.items()
    )
    withdrawn_after = f"cast(floor({draw.wait('withdrawn after')} * {WITHDRAWN_DAYS * DAY}D) as bigint) + {DAY}"
    renewed_after = f"cast(floor({draw.wait('renewed after')} * {RENEWED_DAYS * DAY}D) as bigint) + {DAY}"
    granted = (
        people.filter(f"registered_day <= {simulation.last_day}")
        .selectExpr("number", "user_id", "registered_at", f"posexplode(array({pairs})) as (pair, told)")
        .filter(f"{draw.draw('granted')} < told.share")
        .selectExpr(
            "number",
            "pair",
            "user_id",
            "told.purpose",
            "told.channel",
            "registered_at as granted_at",
            f"if({draw.chance('withdrawn', WITHDRAWN)}, registered_at + {withdrawn_after}, null) as withdrawn_at",
        )
        .selectExpr("*", f"if({draw.chance('renewed', RENEWED)}, withdrawn_at + {renewed_after}, null) as renewed_at")
    )
    versions = (
        "inline(array("
        "named_struct('version', 'granted', 'changed', granted_at, 'from_time', granted_at, 'to_time', null, "
        "'next_change_at', withdrawn_at), "
        "named_struct('version', 'withdrawn', 'changed', withdrawn_at, 'from_time', granted_at, "
        "'to_time', withdrawn_at, 'next_change_at', renewed_at), "
        "named_struct('version', 'renewed', 'changed', renewed_at, 'from_time', renewed_at, 'to_time', null, "
        "'next_change_at', null)))"
    )
    # One that ends before it begins was never given, and is taken as it is.
    is_odd = f"version = 'withdrawn' and {draw.chance('odd', simulation.mess.odd * 4)}"
    return (
        granted.selectExpr("*", versions)
        .filter("changed is not null")
        .selectExpr(
            "* except (granted_at, withdrawn_at, renewed_at, to_time)",
            f"if({is_odd}, from_time - {DAY}, to_time) as to_time",
            f"if({is_odd}, 'odd', 'clean') as plain_kind",
        )
    )

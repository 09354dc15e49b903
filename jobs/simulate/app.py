"""The app_events feed: what customers, newcomers and the app itself do, as its analytics library tells it."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame

from jobs.simulate import contacts, days, devices, planted
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.payments import PUSH, SYNC, payments
from jobs.simulate.people import first_phone_number
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import EVENT_KINDS, answered_events, copied, days_off

# Visits by their place in the day, beyond those of `payments`: newcomers.
NEWCOMER, REGISTRATION = 81, 90

ICON_OF = {
    "recharge": "recharge",
    "bill_payment": "bills",
    "p2p_transfer": "send_money",
    "p2m_payment": "scan_pay",
    "b2b_payment": "scan_pay",
    "wallet_load": "wallet",
    "marketplace_order": "shop",
}
SCREEN_OF = {
    "recharge": "plan_list",
    "bill_payment": "bill_detail",
    "p2p_transfer": "send_money",
    "p2m_payment": "scan_pay",
    "b2b_payment": "merchant",
    "wallet_load": "wallet_load",
    "marketplace_order": "cart",
}
ICONS = {
    "recharge": 25,
    "bills": 12,
    "send_money": 18,
    "scan_pay": 15,
    "wallet": 5,
    "shop": 6,
    "offers": 12,
    "history": 7,
}
LOOKED_AT = {
    "history": 22,
    "plan_list": 16,
    "recharge_mobile": 10,
    "bill_list": 10,
    "contact_list": 10,
    "shop_home": 8,
    "shop_item": 6,
    "wallet": 6,
    "profile": 5,
    "recharge_dth": 3,
    "settings": 2,
    "merchant": 2,
}
UNKNOWN = ("cart_shared_v2", "scratch_card_revealed", "widget_pinned")

FLAWS = {
    "customer_id_or_device_id_missing": False,
    "occurred_at_missing": False,
    "original_at_invalid": True,
    "action_missing": False,
    "dwell_ms_invalid": False,
    "before_1970": False,
    "in_the_future": False,
}
ORDER = ("received_at", "plain_id", "kind", "delivery_day")
TRUTH = ("message_id",)
# What else stands in a line, and where: it is nobody's column.
ALSO: Mapping[str, str] = {
    "app_version": "context.app.version",
    "query": "properties.query",
    "product": "properties.product",
}


def delivered_events(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the app_events source, with its truth beside it."""
    draw = Chance(simulation.seed, ("message_id",))
    clock = Chance(simulation.seed, ("device_id",))
    file_format = simulation.format_of(source)
    # A device's own clock: mostly right, else off by hours or days, or back at its first day.
    skew = (
        f"if({clock.chance('skewed', simulation.mess.skewed)}, if({clock.chance('reset', 0.1)}, -470000000L, "
        f"cast(({clock.draw('skew')} - 0.5D) * {4 * DAY} as bigint)), 0L)"
    )
    wait = draw.draw("wait")
    waiting = f"cast(if({draw.chance('offline', 0.03)}, 600 + {wait} * 28200, {wait} * 20) as bigint)"
    kinds = (*EVENT_KINDS, "early")
    # Whose a nameless event is cannot be told wrongly.
    impossible = "drawn = 'changed' and user_id is null"
    sent = (
        copied(_events(people, simulation), draw, simulation, kinds, FLAWS, file_format, impossible)
        .selectExpr(
            "*",
            f"{skew} as skew",
            f"{waiting} as waiting",
            f"{draw.number('latency', 0, 2)} as latency",
            f"{days_off(draw)} as days_off",
            f"{draw.chance('has timestamp', 0.3)} as has_timestamp",
            f"{draw.number('fraction', 0, 999)} as fraction",
        )
        .selectExpr(
            "*",
            "at + skew as original",
            # The same row twice is the same to the letter, whenever it comes.
            f"at + waiting + latency + if(mess = 'duplicate', 0, days_off) * {DAY} as received_at",
            f"at + waiting + skew + if(mess = 'duplicate', 0, days_off) * {DAY} as sent_at",
        )
        .selectExpr(
            "*", f"cast(floor(received_at / {DAY}) as int) + if(mess = 'duplicate', days_off, 0) as delivery_day"
        )
        .filter(f"delivery_day between {simulation.first_day} and {simulation.last_day}")
    )
    stamped = (
        f"case when flaw = 'before_1970' then -{DAY}L "
        f"when flaw = 'in_the_future' then at + {draw.number('ahead', 3, 30)} * {DAY} "
        "when flaw in ('occurred_at_missing', 'original_at_invalid') then null "
        f"when kind = 'early' then (cast(delivery_day as bigint) + 1) * {DAY} + {draw.number('past midnight', 0, 599)} "
        "when has_timestamp then at + latency end"
    )
    is_nobody = "flaw <=> 'customer_id_or_device_id_missing'"
    is_untimed = "flaw in ('occurred_at_missing', 'original_at_invalid')"
    dated = (
        sent.selectExpr("*", f"{stamped} as sent_timestamp")
        .selectExpr(
            "* except (original, user_id, device_id, type, dwell_ms, anonymous_id)",
            f"if({is_nobody} or not {draw.chance('names device', 0.9)}, null, device_id) as device_id",
            f"if({is_nobody}, null, anonymous_id) as anonymous_id",
            "case when flaw = 'customer_id_or_device_id_missing' then null when kind = 'changed' then "
            "concat('U', lpad(cast(number + 1 as string), 9, '0')) else user_id end as user_id",
            "if(flaw <=> 'action_missing', 'alias', type) as type",
            "if(flaw <=> 'dwell_ms_invalid', -1L - coalesce(dwell_ms, 0L), dwell_ms) as dwell_ms",
            f"if(coalesce({is_untimed}, false), null, original) as original_at",
            "if(flaw <=> 'original_at_invalid', 'yesterday', null) as original_at_text",
            f"if(coalesce({is_untimed}, false), null, coalesce(sent_timestamp, at + latency)) as occurred",
            "message_id as plain_id",
        )
        .selectExpr("*", f"floor(occurred / {DAY}) as event_day", f"floor(occurred / {DAY}) as learned_day")
    )
    return answered_events(dated, str(simulation.first_day), source.late_days)


def _events(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per event: who, in which visit, what, and `at` which wall-clock second it truly was."""
    seed = simulation.seed
    visit, draw = Chance(seed, ("number", "day", "nth")), Chance(seed, ("message_id",))
    lead = visit.number("lead", 20, 140)
    who = ("number", "user_id", "day", "registered_day", "new_device_at")
    nobody = "cast(null as bigint) as phone_number"
    of_payments = payments(people, simulation, visits=True).selectExpr(
        *who, "nth", "product", nobody, f"created - {lead} as began", f"{lead} as lead"
    )
    nothing_paid = "cast(null as string) as product"
    some_time = f"cast(day as bigint) * {DAY} + {visit.number('second', 6 * 3600, DAY - 1)}"
    arriving = (
        days.arriving(people, simulation)
        .selectExpr("*", f"if(is_known, {REGISTRATION}, {NEWCOMER}) as nth")
        .selectExpr(
            *who,
            "nth",
            nothing_paid,
            f"{first_phone_number(simulation)} as phone_number",
            f"if(is_known, registered_at - 100, {some_time}) as began",
            "100 as lead",
        )
    )
    visits = of_payments.unionByName(arriving).filter(f"day <= {simulation.last_day}")
    session_id = "concat('S', lpad(cast(day as string), 5, '0'), lpad(cast(number as string), 9, '0'), nth)"
    return (
        visits.selectExpr("*", f"{session_id} as session_id", f"inline({_told(visit)})")
        .filter("kind_of is not null")
        .selectExpr(
            "*",
            "concat(session_id, '-', step) as message_id",
            f"{devices.device(seed, 'day')} as device_id",
            # Before it is known who it is, a device has no customer.
            f"nth = {NEWCOMER} or nth = {REGISTRATION} and step < 3 as is_nameless",
        )
        .selectExpr(
            "number",
            "message_id",
            "session_id",
            "if(is_nameless, null, user_id) as user_id",
            "device_id",
            "device_id as anonymous_id",
            "began + after as at",
            "kind_of as type",
            f"if(kind_of = 'track', if({_is_unknown(draw, simulation)}, {_unknown(draw)}, called), null) as event",
            "if(kind_of = 'screen', called, null) as name",
            "if(kind_of = 'screen', null, screen) as screen",
            "icon",
            "dwell_ms",
            f"nth not in ({PUSH}, {SYNC}) as is_active",
            f"if(kind_of = 'identify', {_own_phone(draw)}, null) as phone",
            f"if(kind_of = 'identify', {planted.email('number')}, null) as email",
            f"if(called = 'search', {_searched(seed, draw)}, null) as query",
            "if(called in ('payment_start', 'payment_done'), product, null) as product",
            "concat('5.', cast(floor((day - 20000) / 14) as int)) as app_version",
            f"if(kind_of = 'track' and {_is_unknown(draw, simulation)}, 'unknown', 'clean') as plain_kind",
        )
    )


def _told(visit: Chance) -> str:
    """SQL text of an array of what happens in a visit: step, kind_of (null: nothing), called, after, screen, icon, …"""
    icon = _of_product(ICON_OF)
    screen = _of_product(SCREEN_OF)
    looked = visit.number("home", 1500, 40_000)
    more = visit.number("more", 2000, 90_000)
    other, tapped = visit.one_of("screen", LOOKED_AT), visit.one_of("icon", ICONS)
    extra = f"if({visit.chance('searches', 0.5)}, 'search', 'offer_view')"

    def step(
        n: int, kind: str, called: str, after: str, *, on: str = "null", icon: str = "null", dwell: str = "null"
    ) -> str:
        return (
            f"named_struct('step', {n}, 'kind_of', {kind}, 'called', {called}, 'after', cast({after} as bigint), "
            f"'screen', cast({on} as string), 'icon', cast({icon} as string), 'dwell_ms', cast({dwell} as bigint))"
        )

    begins = (
        step(0, "'track'", "'app_open'", "0"),
        step(1, "'track'", "'session_start'", "1"),
    )
    pays = (
        *begins,
        step(2, "'track'", "'icon_tap'", "3", on="'home'", icon=icon),
        step(3, "'screen'", screen, "lead - 6", dwell="(lead - 10) * 1000 + 250"),
        step(4, "'track'", "'payment_start'", "lead - 4", on=screen),
        step(5, "'track'", "'payment_done'", f"lead + {visit.number('done', 4, 25)}", on=screen),
    )
    goes_on, taps = visit.chance("goes on", 0.45), visit.chance("taps", 0.35)
    looks = (
        *begins,
        step(2, "'screen'", "'home'", f"2 + {looked} / 1000", dwell=looked),
        step(3, f"if({taps}, 'track', null)", "'icon_tap'", f"3 + {looked} / 1000", on="'home'", icon=tapped),
        step(4, f"if({goes_on}, 'screen', null)", other, f"4 + ({looked} + {more}) / 1000", dwell=more),
        step(5, f"if({visit.chance('does more', 0.12)}, 'track', null)", extra, "40", on="'home'"),
    )
    registers = (
        *begins,
        step(2, "'screen'", "'splash'", "95", dwell="93000"),
        step(3, "'identify'", "'identify'", "100"),
        step(4, "'screen'", "'home'", "130", dwell="29000"),
    )
    arrives = (*begins, step(2, "'screen'", "'home'", f"2 + {looked} / 1000", dwell=looked))
    push, sync = (step(0, "'track'", f"'{name}'", "0") for name in ("push_received", "background_sync"))
    return (
        f"case when product is not null then array({', '.join(pays)}) when nth = {PUSH} then array({push}) "
        f"when nth = {SYNC} then array({sync}) when nth = {REGISTRATION} then array({', '.join(registers)}) "
        f"when nth = {NEWCOMER} then array({', '.join(arrives)}) else array({', '.join(looks)}) end"
    )


def _of_product(names: Mapping[str, str]) -> str:
    return "(case product " + " ".join(f"when '{product}' then '{name}'" for product, name in names.items()) + " end)"


def _is_unknown(draw: Chance, simulation: Simulation) -> str:
    return draw.chance("unknown event", simulation.mess.unknown)


def _unknown(draw: Chance) -> str:
    return draw.one_of("which event", dict.fromkeys(UNKNOWN, 1.0))


def _own_phone(draw: Chance) -> str:
    return planted.spelt(planted.phone("phone_number"), draw)


def _searched(seed: int, draw: Chance) -> str:
    """What was typed: an operator's name, or somebody's number."""
    someone = planted.spelt(planted.phone(contacts.entry(seed, "7")), draw)
    return f"if({draw.chance('searches a number', 0.3)}, {someone}, 'plans for operator_1')"

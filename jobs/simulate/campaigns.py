"""The campaign_feedback feed: what became of messages that an earlier campaign tool had sent.

The lake knows no list that they were on. What became of its own lists is told by `feedback`.
"""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate import days
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import answered_events, copied, days_off, second_delivery

# Messages per day and customer; of those sent, shares that come as far.
SENT = 0.02
BOUNCED, OPTED_OUT = 0.03, 0.004
OPENED, CLICKED, CONVERTED = 0.35, 0.09, 0.02

KINDS = ("late", "very_late", "duplicate", "broken")
FLAWS = {
    "trigger_id_missing": False,
    "outcome_invalid": False,
    "at_invalid": True,
    "occurred_at_missing": False,
    "before_1970": False,
    "in_the_future": False,
}
ORDER = ("at", "trigger_id", "outcome", "delivery_day", "kind")
TRUTH = ("trigger_id", "outcome")


def delivered_feedback(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the campaign_feedback source, with its truth beside it."""
    draw = Chance(simulation.seed, ("number", "day"))
    told = outcomes(
        days.lived(people, simulation)
        .filter(f"{draw.chance('earlier campaign', SENT)} and day <= {simulation.last_day}")
        .selectExpr(
            "md5(concat('earlier campaign/', number, '/', day)) as trigger_id",
            f"cast(day as bigint) * {DAY} + {draw.number('sent at', 36000, 72000)} as sent_at",
        ),
        simulation.seed,
    )
    return delivered_outcomes(told, simulation, source)


def outcomes(sent: DataFrame, seed: int, lift: str = "0D") -> DataFrame:
    """One row per outcome of a message, from `trigger_id` and `sent_at`; `lift` adds to the chance of a conversion."""
    draw = Chance(seed, ("trigger_id",))
    u = draw.draw("how far")
    steps = (
        ("sent", "true", "0"),
        ("bounced", f"{draw.chance('bounced', BOUNCED)}", "3"),
        ("delivered", f"not {draw.chance('bounced', BOUNCED)}", draw.number("delivered after", 1, 30)),
        ("opened", f"{u} < {OPENED} and not {draw.chance('bounced', BOUNCED)}", draw.number("opened after", 60, 9000)),
        (
            "clicked",
            f"{u} < {CLICKED} and not {draw.chance('bounced', BOUNCED)}",
            draw.number("clicked after", 9001, 9300),
        ),
        (
            "converted",
            f"{u} < {CONVERTED}D + {lift} and not {draw.chance('bounced', BOUNCED)}",
            draw.number("converted after", 9301, 2 * DAY),
        ),
        ("opted_out", f"{draw.chance('opted out', OPTED_OUT)}", draw.number("opted out after", 60, DAY)),
    )
    array = ", ".join(
        f"if({when}, named_struct('outcome', '{name}', 'at', sent_at + {after}), null)" for name, when, after in steps
    )
    return sent.selectExpr("*", f"inline(array({array}))").filter("outcome is not null")


def delivered_outcomes(told: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    draw = Chance(simulation.seed, ("trigger_id", "outcome"))
    at = (
        f"case when flaw in ('at_invalid', 'occurred_at_missing') then null when flaw = 'before_1970' then -{DAY}L "
        f"when flaw = 'in_the_future' then at + {draw.number('ahead', 3, 30)} * {DAY} else at end"
    )
    sent = (
        copied(told, draw, simulation, KINDS, FLAWS, simulation.format_of(source))
        .selectExpr("*", f"cast(floor(at / {DAY}) as int) + {days_off(draw)} as delivery_day")
        .filter(f"delivery_day <= {simulation.last_day}")
        .selectExpr(
            "* except (trigger_id, outcome, at)",
            "if(flaw <=> 'trigger_id_missing', null, trigger_id) as trigger_id",
            "if(flaw <=> 'outcome_invalid', 'seen', outcome) as outcome",
            f"{at} as at",
            "if(flaw <=> 'at_invalid', 'noon', null) as at_text",
            f"{second_delivery('at')} as delivery_nth",
        )
        .selectExpr("*", f"floor(at / {DAY}) as event_day", f"floor(at / {DAY}) as learned_day")
    )
    return answered_events(sent, str(simulation.first_day), source.late_days)

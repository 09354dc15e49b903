"""mart.*: what follows from what is known of a customer: scores, lifecycle, level, segments, and how they moved."""

from __future__ import annotations

from schemas.columns import AS_OF_DATE, CUSTOMER_ID, customers
from schemas.table import Column, Table

KINDS = ("lifecycle", "level", "segment", "score_band")
MOVES = ("entered", "left", "upgraded", "downgraded")
# Why a membership changed: the first night that is stepped, what the customer did, or an edit of the rule.
CAUSES = ("start", "customer", "rule_edit")
HIGHEST_SCORE = 1000

_RULE_VERSION = Column(
    name="rule_version", type="string", about="Version of the rule that decided: 12 hex digits over its text."
)
_NAME = Column(
    name="name",
    type="string",
    about="The segment, the engine of a band; lifecycle and level for themselves.",
    nullable=False,
)
_ENGINE = Column(name="engine", type="string", about="The engine that tells it.", nullable=False)
_VERSION = Column(name="version", type="string", about="The engine's own version.", nullable=False)


def _kind(*kinds: str) -> Column:
    return Column(name="kind", type="string", about="What the rule decides.", nullable=False, accepted=kinds)


SCORES = Table(
    name="mart.scores",
    row="what one engine says of one customer",
    kind="snapshot",
    key=("customer_id", "engine"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        _ENGINE,
        _VERSION,
        Column(
            name="score",
            type="bigint",
            about="The score; which end is good the engine says.",
            unit=f"0 to {HIGHEST_SCORE}",
            nullable=False,
            minimum=0,
            maximum=HIGHEST_SCORE,
        ),
        Column(name="band", type="string", about="The score in words.", nullable=False),
        Column(name="values", type="string", about="The figures it is made of, as JSON with sorted keys."),
        Column(
            name="reasons",
            type="array<string>",
            about="The rules that were met, by name; empty where an engine gives none.",
            nullable=False,
        ),
    ),
    may_be_empty=True,
)

ENGINE_MODELS = Table(
    name="mart.engine_models",
    row="one parameter that one engine has learnt",
    kind="log",
    # Of one date may be two fits: what the first night learnt, and what it was told to.
    key=("as_of_date", "engine", "version", "fitted_through", "parameter"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        _ENGINE,
        _VERSION,
        Column(name="data_from", type="date", about="First date of the data it learnt from.", nullable=False),
        Column(
            name="fitted_through",
            type="date",
            about="Last date of the data it learnt from; used on nights after it.",
            nullable=False,
        ),
        Column(name="parameter", type="string", about="What the value is of.", nullable=False),
        Column(name="value", type="decimal(18,9)", about="The value learnt.", nullable=False),
    ),
    may_be_empty=True,
)

CUSTOMER_SEGMENTS = Table(
    name="mart.customer_segments",
    row="one customer with the lifecycle stage, the level and the segments on the date",
    kind="snapshot",
    key=("customer_id",),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        Column(name="lifecycle", type="string", about="The stage of the customer's life with us.", nullable=False),
        Column(name="level", type="string", about="The rung of the ladder that the customer holds.", nullable=False),
        Column(name="segments", type="array<string>", about="The segments, sorted by name.", nullable=False),
    ),
    may_be_empty=True,
)

SEGMENT_TRANSITIONS = Table(
    name="mart.segment_transitions",
    row="one move of one customer into, out of or between what the rules tell apart",
    kind="log",
    key=("as_of_date", "customer_id", "kind", "name"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        _kind(*KINDS),
        _NAME,
        Column(name="from_value", type="string", about="Stage, level or band before; null for segments."),
        Column(name="to_value", type="string", about="Stage, level or band from now on; null for segments."),
        Column(name="move", type="string", about="What happened.", nullable=False, accepted=MOVES),
        _RULE_VERSION,
        Column(name="cause", type="string", about="Why it happened.", nullable=False, accepted=CAUSES),
        Column(name="evidence", type="string", about="The values that decided it, as JSON with sorted keys."),
    ),
    may_be_empty=True,
)

SEGMENT_STATUS = Table(
    name="mart.segment_status",
    row="one stage, level or segment on one night: how many are in it, and whether its rule could be told",
    kind="log",
    key=("as_of_date", "kind", "name"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        _kind("lifecycle", "level", "segment"),
        Column(name="name", type="string", about="The stage, level or segment.", nullable=False),
        _RULE_VERSION.required(),
        customers("members", "Customers in it; null where it failed.", nullable=True),
        customers("entered", "Of them, those who were not the night before.", nullable=True),
        customers("left", "Customers who were in it the night before and are no more.", nullable=True),
        Column(
            name="state",
            type="string",
            about="failed: members are those of the night before.",
            nullable=False,
            accepted=("ok", "failed"),
        ),
        Column(name="why", type="string", about="Why it failed."),
    ),
)

RULE_VERSIONS = Table(
    name="mart.rule_versions",
    row="one text of one rule, on the night that first used it",
    kind="log",
    key=("as_of_date", "kind", "name", "rule_version"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        _kind("lifecycle", "level", "segment", "trigger"),
        _NAME,
        _RULE_VERSION.required(),
        Column(name="text", type="string", about="The rule as it was understood.", nullable=False),
        Column(name="first_date", type="date", about="The first night that used it.", nullable=False),
    ),
    may_be_empty=True,
)

TABLES = (SCORES, ENGINE_MODELS, CUSTOMER_SEGMENTS, SEGMENT_TRANSITIONS, SEGMENT_STATUS, RULE_VERSIONS)

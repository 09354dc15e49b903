"""What rules may read of a customer: facts of the profile in plain words and units, and what the engines say.

Days are counted back from the night that judges (as_of_date): 0 is the night's own date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jobs.masks import from_position
from jobs.rules.language import RuleColumn, Type
from schemas.customer_daily import APP, DEVICE, FAMILIES
from schemas.dues import DUES
from schemas.mart import CUSTOMER_PROFILE, HABITS, PAID_FAMILIES, SAID
from schemas.table import Column

# Spans over which activity is counted, in days.
SPANS = (7, 28, 90)
# Who comes back is looked for so many days long.
RETURN_DAYS = 14
WORD = 64


def facts(*, zone: str) -> dict[str, RuleColumn]:
    """Name → column, of what is known of a customer by the profile alone. `zone` is the lake's."""
    return {
        column.name: column
        for column in (
            _text("first_product", "What was paid for on the first active date; app where nothing was."),
            *_of_activity(),
            *_of_payments(),
            *_of_time(zone),
            *_of_app(),
            *_of_device(),
            _count("bill_version_count", "Versions of bills told, ever."),
            _count("bill_paid_count", "Versions of bills told to be paid, ever."),
            _count("contact_linked_count", "Entries of the address book that are or were customers."),
        )
    }


def scores(prefix: str, bands: tuple[str, ...]) -> dict[str, RuleColumn]:
    """The columns of an engine: name → column; null where it says nothing of a customer."""
    told = (
        RuleColumn(name=f"{prefix}_score", type=Type.NUMBER, about=f"The score {prefix}.", unit="0 to 1000"),
        RuleColumn(name=f"{prefix}_band", type=Type.TEXT, about=f"The score {prefix} in words.", accepted=bands),
        RuleColumn(name=f"{prefix}_reasons", type=Type.TEXTS, about=f"Why the score {prefix} is what it is."),
    )
    return {column.name: column for column in told}


def judged(lifecycle: tuple[str, ...], levels: tuple[str, ...]) -> dict[str, RuleColumn]:
    """What segments read beside the facts and the scores: the names of the stages and of the levels."""
    return {
        "lifecycle": RuleColumn(
            name="lifecycle",
            type=Type.TEXT,
            about="The stage of the customer's life with us.",
            is_nullable=False,
            accepted=lifecycle,
        ),
        "level": RuleColumn(
            name="level",
            type=Type.TEXT,
            about="The rung of the ladder that the customer holds.",
            is_nullable=False,
            accepted=levels,
        ),
    }


def moved(levels: tuple[str, ...]) -> dict[str, RuleColumn]:
    """What triggers read beside what segments do: how the customer moved that night."""
    upgraded = RuleColumn(
        name="upgraded_from",
        type=Type.TEXT,
        about="The level that the customer has left for a higher one that night, by their own doing.",
        accepted=levels,
    )
    return {upgraded.name: upgraded}


def dues() -> dict[str, RuleColumn]:
    """What triggers over dues read of the open bill or plan; `sql` makes it of a row of mart.dues."""
    told = (
        RuleColumn(
            name="days_to_due",
            type=Type.NUMBER,
            about="Days from the send date, the day after the night, until it falls due.",
            unit="days; negative once it is overdue",
            is_nullable=False,
            sql="cast(datediff(due_date, as_of_date) - 1 as bigint)",
        ),
        _of_due("due_kind", "kind", is_nullable=False),
        _of_due("due_category", "category"),
        _of_due("due_biller_id", "biller_id"),
        RuleColumn(
            name="due_amount_minor",
            type=Type.MONEY,
            about=DUES.column("amount_minor").about,
            unit=DUES.column("amount_minor").unit,
            is_nullable=False,
            sql="amount_minor",
        ),
    )
    return {column.name: column for column in told}


def _of_due(name: str, column: str, *, is_nullable: bool = True) -> RuleColumn:
    told = DUES.column(column)
    return RuleColumn(
        name=name, type=Type.TEXT, about=told.about, is_nullable=is_nullable, accepted=told.accepted, sql=column
    )


# What in_segment('…') looks into; examples of triggers name it, rules do not.
SEGMENTS = RuleColumn(
    name="segments", type=Type.TEXTS, about="The segments that the customer is in.", is_nullable=False
)

# ---- kinds of column


def _declared(name: str) -> Column:
    return CUSTOMER_PROFILE.column(name)


def _text(name: str, about: str) -> RuleColumn:
    return RuleColumn(name=name, type=Type.TEXT, about=about, accepted=_declared(name).accepted, sql=name)


def _count(name: str, about: str, unit: str = "", type_: Type = Type.NUMBER) -> RuleColumn:
    """A sum over the customer's whole life; the profile keeps null for 0."""
    unit = unit or _declared(name).unit
    return RuleColumn(
        name=name,
        type=type_,
        about=about,
        unit=unit,
        is_nullable=False,
        is_lifetime=True,
        sql=f"coalesce({name}, 0L)",
    )


def _money(name: str, about: str) -> RuleColumn:
    return _count(name, about, type_=Type.MONEY)


def _days_since(name: str, since: str, about: str) -> RuleColumn:
    sql = f"cast(datediff(as_of_date, {since}) as bigint)"
    return RuleColumn(name=name, type=Type.NUMBER, about=about, unit="days; null for never", sql=sql)


def _number(name: str, about: str, unit: str, sql: str) -> RuleColumn:
    return RuleColumn(name=name, type=Type.NUMBER, about=about, unit=unit, sql=f"cast({sql} as bigint)")


def _days_within(activity: str, days: int) -> str:
    """How many of the youngest `days` bits of the activity's mask are set."""
    words = [(f"{activity}_days_0_63", min(days, WORD))]
    if days > WORD:
        words.append((f"{activity}_days_64_127", days - WORD))
    return " + ".join(
        f"bit_count(coalesce({word}, 0L)" + (f" & {(1 << bits) - 1}L" if bits < WORD else "") + ")"
        for word, bits in words
    )


# ---- what there is


def _of_activity() -> Iterator[RuleColumn]:
    yield _count("active_days", "Dates on which the customer was active, ever.", "days")
    named = {"active": "any", "app": "app", "transacting": "transacting"} | {family: family for family in FAMILIES}
    for name, activity in named.items():
        for days in SPANS:
            yield RuleColumn(
                name=f"{name}_days_{days}",
                type=Type.NUMBER,
                about=f"Dates within the last {days} days with {SAID[activity]}.",
                unit="days",
                is_nullable=False,
                sql=f"cast({_days_within(activity, days)} as bigint)",
            )


def _of_payments() -> Iterator[RuleColumn]:
    for family in PAID_FAMILIES:
        yield _count(f"{family}_count", _declared(f"{family}_count").about, "payments")
        yield _money(f"{family}_amount_minor", _declared(f"{family}_amount_minor").about)
    for habit in HABITS:
        yield _count(f"{habit}_count", _declared(f"{habit}_count").about, "payments")
    families = " + ".join(f"if({family}_count > 0, 1L, 0L)" for family in FAMILIES)
    yield RuleColumn(
        name="family_count",
        type=Type.NUMBER,
        about=f"Of {', '.join(FAMILIES)}: how many the customer has ever paid for.",
        unit="families",
        is_nullable=False,
        is_lifetime=True,
        sql=f"({families})",
    )
    for name in ("received_count", "reversed_count", "failed_count", "pending_count"):
        yield _count(name, _declared(name).about, "payments")
    for name in ("received_amount_minor", "reversed_amount_minor", "largest_transfer_minor"):
        yield _money(name, _declared(name).about)


def _of_time(zone: str) -> Iterator[RuleColumn]:
    registered = f"cast(from_utc_timestamp(registered_at, '{zone}') as date)"
    yield _days_since("days_since_registered", registered, "Days since the customer registered.")
    yield _days_since("days_since_first", "first_date", "Days since the first active date.")
    yield _days_since("days_since_active", "last_any_date", "Days since the last active date.")
    yield _days_since("days_since_app_open", "last_app_date", f"Days since the last {SAID['app']}.")
    for family in PAID_FAMILIES:
        yield _days_since(f"days_since_{family}", f"last_{family}_date", f"Days since there last was {SAID[family]}.")
    for habit in HABITS:
        about = _declared(f"last_{habit}_date").about.replace("Last date with", "Days since the last of")
        yield _days_since(f"days_since_{habit}", f"last_{habit}_date", about)
    yield RuleColumn(
        name="days_away_before_return",
        type=Type.NUMBER,
        about=f"Days between the oldest active date of the last {RETURN_DAYS} days and the active date before it.",
        unit="days; where that is longer ago than 127 days at least 115; null without either",
        sql=_days_away(),
    )


def _days_away() -> str:
    """From the mask: the oldest of the youngest bits, and the distance to the next one above it."""
    mask = ("any_days_0_63", "any_days_64_127")
    recent = f"(coalesce({mask[0]}, 0L) & {(1 << RETURN_DAYS) - 1}L)"
    oldest = f"cast(length(bin({recent})) - 1 as int)"
    low, high = from_position(mask, f"({oldest} + 1)")

    def lowest_bit(word: str) -> str:
        # By its digits: arithmetic would not fit where the sign's bit is the only one.
        return f"(length(bin({word})) - length(trim(trailing '0' from bin({word}))))"

    return (
        f"case when {recent} = 0 then null "
        f"when {low} <> 0 then cast({lowest_bit(low)} + 1 as bigint) "
        f"when {high} <> 0 then cast({lowest_bit(high)} + {WORD + 1} as bigint) "
        f"when first_date < date_sub(as_of_date, {oldest}) then cast({2 * WORD} - {oldest} as bigint) end"
    )


def _of_app() -> Iterator[RuleColumn]:
    for column in APP:
        if column.type == "bigint":
            yield _count(column.name, _declared(column.name).about)


def _of_device() -> Iterator[RuleColumn]:
    for column in DEVICE:
        if column.type == "bigint" and column.unit:
            yield _count(column.name, _declared(column.name).about)
        elif column.type == "int":
            yield _number(column.name, _of_it(column), column.unit, column.name)
        elif column.type == "string" and column.privacy == "none":
            yield _text(column.name, _of_it(column))


def _of_it(column: Column) -> str:
    return f"Of the device seen last: {column.about[0].lower()}{column.about[1:]}"


def read(columns: Mapping[str, RuleColumn], names: set[str]) -> list[str]:
    """The columns `names` as SQL over a row of the profile, each under its own name; scores are there already."""
    return [f"{columns[name].sql or name} as {name}" for name in sorted(names)]

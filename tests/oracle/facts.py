"""What the app's events and the devices tell of one customer, or of one device without one, as aggregates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from conf import Settings
from schemas.columns import ICONS, SCREEN_GROUPS
from schemas.customer_daily import APP, DEVICE, DEVICE_FACTS
from tests.oracle.expressions import quoted

NIGHT_BEGINS, NIGHT_ENDS = 22, 6
# The group of a screen, and the icon, that nobody planned.
OTHER = "other"

# What is told of the device that was seen last, by the first two, and where core.devices tells it.
NEWEST = {
    "device_updated_at": "updated_at",
    "device_row_hash": "row_hash",
    "device_id": "device_id",
    **{fact.name: fact.name.removeprefix("device_") for fact in DEVICE_FACTS if fact.name != "device_id"},
}
GREATEST = ("app_last_at",)
SUMS = tuple(column.name for column in (*APP, *DEVICE) if column.name not in (*GREATEST, *NEWEST))


def events(settings: Settings, told: str) -> str:
    """The rows of core.app_events with what is asked of them: the group of the screen, the planned icon, the hour.

    Group and icon are their places in SCREEN_GROUPS and ICONS: numbers are compared in half the time.
    """
    return f"""(
        select customer_id, device_id, event_date, occurred_at, action, dwell_ms,
            coalesce(is_foreground, true) as is_in_front,
            {_place("screen", SCREEN_GROUPS, settings.tracking.screens)} as screen_group,
            if(icon is not null, {_place("icon", ICONS, {icon: icon for icon in ICONS})}, null) as icon,
            hour(timezone('{settings.lake.zone}', occurred_at)) as hour
        from {told}
    )"""


def _place(column: str, groups: Sequence[str], group_of: Mapping[str, str]) -> str:
    """The place of a value's group; that of OTHER where nobody planned the value, or it is missing."""
    members: dict[str, list[str]] = {}
    for value, group in group_of.items():
        members.setdefault(group, []).append(quoted(value))
    cases = " ".join(
        f"when {column} in ({', '.join(values)}) then {groups.index(group)}" for group, values in members.items()
    )
    other = groups.index(OTHER)
    return f"(case when {column} is null then {other} {cases} else {other} end)::utinyint"


def app() -> Iterator[str]:
    """The columns of APP, over `events`: those that were not in front tell nothing."""
    yield counted("foreground_event_count", "is_in_front")
    yield counted("session_count", "is_in_front and action = 'session_start'")
    yield counted("night_event_count", f"is_in_front and (hour >= {NIGHT_BEGINS} or hour < {NIGHT_ENDS})")
    for place, group in enumerate(SCREEN_GROUPS):
        yield f"sum(dwell_ms) filter (is_in_front and screen_group = {place}) as dwell_{group}_ms"
    for place, icon in enumerate(ICONS):
        yield counted(f"icon_{icon}_count", f"is_in_front and icon = {place}")
    yield "max(occurred_at) filter (is_in_front) as app_last_at"


def devices() -> Iterator[str]:
    """The columns of DEVICE, over core.devices; those of the device seen last in a struct `newest`."""
    facts = ", ".join(f"{name} := {column}" for name, column in NEWEST.items())
    yield f"max(struct_pack({facts})) as newest"
    for column in DEVICE:
        if column.name not in NEWEST:
            yield f"sum({column.name}) as {column.name}"


def summed() -> Iterator[str]:
    """The columns of APP and DEVICE once more, over rows of core.device_daily."""
    yield f"max(struct_pack({', '.join(NEWEST)})) filter (device_updated_at is not null) as newest"
    yield from (f"sum({name}) as {name}" for name in SUMS)
    yield from (f"max({name}) as {name}" for name in GREATEST)


def together(app: str, seen: str, claimed: str) -> Iterator[str]:
    """The columns of APP and DEVICE of relations over `app`, `devices` and `summed` that are joined."""
    told = {**{column.name: app for column in APP}, **{column.name: seen for column in DEVICE}}
    for name in SUMS:
        mine, other = f"{told[name]}.{name}", f"{claimed}.{name}"
        yield f"coalesce({mine} + {other}, {mine}, {other}) as {name}"
    for name in GREATEST:
        yield f"greatest({told[name]}.{name}, {claimed}.{name}) as {name}"
    yield from (f"greatest({seen}.newest, {claimed}.newest).{name} as {name}" for name in NEWEST)


def counted(name: str, condition: str) -> str:
    """A column of counts: null where there are none."""
    return f"nullif(count(*) filter ({condition}), 0) as {name}"

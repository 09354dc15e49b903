"""What must come out of the usage log: a second computation from the files, line by line in plain Python.

The numbers of events are those of Android's UsageEvents.Event; the logger's own words are read as they stand.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

FOLDER = Path("usage_logger")
PAST, CONTINUOUS = FOLDER / "past_usage.csv.gz", FOLDER / "continuous.csv"
FILES = (PAST, CONTINUOUS)
FIRST, LAST = date(2019, 10, 15), date(2019, 10, 17)

ANDROID_EVENTS = {
    1: "moved_to_foreground",
    2: "moved_to_background",
    5: "configuration_changed",
    7: "user_interacted",
    8: "shortcut_invoked",
    10: "notification_seen",
    11: "standby_bucket_changed",
    12: "notification_interrupted",
    15: "screen_on",
    16: "screen_off",
    17: "keyguard_shown",
    18: "keyguard_hidden",
}
OF_THE_PHONE = {"screen on": "screen_on", "screen off": "screen_off", "user present": "user_present"}


class Event(NamedTuple):
    unix_ms: int
    app: str | None
    action: str

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.unix_ms // 1000, UTC)

    @property
    def is_in_front(self) -> bool:
        return self.action == "moved_to_foreground"

    @property
    def is_at_night(self) -> bool:
        return self.at.hour in (22, 23, 0, 1, 2, 3, 4, 5)


def past_usage(file: Path) -> Iterator[Event]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            unix_ms, app, event, nothing = line.removesuffix("\n").split(",")
            assert not nothing
            yield Event(int(unix_ms), app, ANDROID_EVENTS[int(event)])


def continuous(file: Path) -> Iterator[Event]:
    for line in file.read_text("utf-8").splitlines():
        unix_ms, noticed, nothing = line.split(",")
        assert not nothing
        yield Event(int(unix_ms), *_noticed(noticed))


def _noticed(noticed: str) -> tuple[str | None, str]:
    """Which app, and what became of it."""
    if noticed in OF_THE_PHONE:
        return None, OF_THE_PHONE[noticed]
    match noticed.split(" "):
        case ["App:", *app]:
            return " ".join(app), "moved_to_foreground"
        case ["uninstalled:", *app]:
            return " ".join(app), "app_uninstalled"
        case [*app, "posted", "note"]:
            return " ".join(app), "notification_posted"
        case [*app, "note", "removed"]:
            return " ".join(app), "notification_removed"
        case _:
            raise ValueError(f"not known: {noticed}")


def _by_source(data: Path) -> dict[str, list[Event]]:
    return {"past_usage": list(past_usage(data / PAST)), "continuous": list(continuous(data / CONTINUOUS))}


def computed(data: Path) -> dict[str, int]:
    """The figures of both logs by name: rows and times, by action, by date, and by date, app and action."""
    by_source = _by_source(data)
    figures: dict[str, int] = {}
    for source, events in by_source.items():
        # Without ids identical rows are different facts: none is a duplicate.
        figures |= {f"{source}, delivered": len(events), f"{source}, accepted": len(events)}
        figures |= {f"{source}, {fate}": 0 for fate in ("quarantined", "duplicate", "waiting")}
        figures[f"{source}, identical rows"] = len(events) - len(set(events))
        figures[f"{source}, first at (ms)"] = min(event.unix_ms for event in events)
        figures[f"{source}, last at (ms)"] = max(event.unix_ms for event in events)
        figures[f"{source}, sum of times (ms)"] = sum(event.unix_ms for event in events)
    everything = [event for events in by_source.values() for event in events]
    # The tracking plan beside the sources names every action.
    figures["dates with unknown events"] = 0
    return (
        figures
        | Counter(event.action for event in everything)
        | Counter(f"{event.at.date()}, events" for event in everything)
        | Counter(f"{event.at.date()} {event.app or '(phone)'}: {event.action}" for event in everything)
    )


def of_owner(data: Path) -> dict[str, int]:
    """What the owner did by date; only what had an app in front is anything the owner did."""
    in_front = [event for events in _by_source(data).values() for event in events if event.is_in_front]
    days = sorted({event.at.date() for event in in_front})
    figures = {"active dates": len(days)}
    for day in days:
        of_day = [event for event in in_front if event.at.date() == day]
        figures[f"{day}, in front"] = len(of_day)
        figures[f"{day}, in front at night"] = sum(event.is_at_night for event in of_day)
        figures[f"{day}, last in front at (ms)"] = max(event.unix_ms for event in of_day)
    return figures

"""The audiences of a night: whom ad platforms are to reach, against what they were told before.

Its files name people by hashes that others can match, so nobody but their owner may read them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow.dataset as ds
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import audience
from jobs.delta import keep_to_owner
from jobs.exporting import batches, exports, scratch, stamp, write_sorted
from jobs.list_files import FORMATS, Content, read_manifest
from jobs.list_manifest import ROWS, ListOfNight, State, bring_up_to_date
from jobs.lists import AUDIENCE_CHANNEL
from jobs.night_consents import consented, midnight, newest_customers, within_send_date
from jobs.pipeline import has_table
from jobs.runner import Night
from schemas.acting import CONTACT_HISTORY, SELECTIONS, TRIGGER_STATUS
from schemas.lists import AUDIENCE_ACTIONS, AUDIENCE_SNAPSHOT_V1, AUDIENCE_V1
from schemas.restricted import CONTACT_HASHES

LIST = "audience_v1"
CHANGES, SNAPSHOT = "changes", "snapshot"


@dataclass(frozen=True)
class _Audience:
    """One audience of a night: how its rule stands, and whether it is over, so that everybody leaves it."""

    name: str
    rule_version: str
    standing: Literal["ok", "held", "failed"]
    why: str | None
    is_over: bool = False


def export(night: Night, day: date, now: datetime, *, triggers: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The manifests of the audiences of the night, of all triggers or of some; none where nobody can be matched.

    What was told of a later night stays: an audience is a state, and its newest one counts.
    """
    if not has_table(night.settings, CONTACT_HASHES.name) or not night.ledger.days(CONTACT_HASHES.name):
        return []
    root = exports(night) / LIST
    wanted = [each for each in _audiences(night, day, root, triggers) if not _later(root, each.name, day)]
    if not wanted or _is_too_late(night, day, now):
        return []
    keep_to_owner(str(root))
    before = {each.name: _told(root, each.name, day) for each in wanted}
    members = _members(night, day, now, [each.name for each in wanted if not each.is_over])
    # A rule that could not be answered takes nothing back; one that is over takes back all.
    is_whole = [each.name for each in wanted if each.is_over or each.standing == "ok"]
    earlier = _read(night, [paths for paths, _ in before.values()])
    again = _read(night, [paths for _, paths in before.values()])
    with scratch(root) as written:
        changes = audience.changes(members, earlier, is_whole=is_whole)
        if again is not None:
            changes = changes.unionByName(audience.changes(members, again, is_whole=is_whole))
            changes = changes.groupBy("audience", "customer_ref", "action").agg(F.min("since_date").alias("since_date"))
        write_sorted(changes, written / CHANGES, "audience", "customer_ref")
        state = audience.snapshot(members, earlier, is_whole=is_whole)
        write_sorted(state, written / SNAPSHOT, "audience", "customer_ref")
        return [
            _publish(night, day, now, each, root / each.name, written, is_baseline=not before[each.name][0])
            for each in wanted
        ]


def _publish(
    night: Night, day: date, now: datetime, each: _Audience, folder: Path, written: Path, *, is_baseline: bool
) -> dict[str, Any]:
    of_it = ds.field("audience") == each.name
    counted = ds.dataset(written / CHANGES, format="parquet").to_table(columns=["action"], filter=of_it)
    actions: dict[str, int] = dict.fromkeys(AUDIENCE_ACTIONS, 0)
    for row in counted.group_by("action").aggregate([([], "count_all")]).to_pylist():
        actions[row["action"]] = row["count_all"]
    size = ds.dataset(written / SNAPSHOT, format="parquet").count_rows(filter=of_it)
    contents = {
        ROWS: Content(AUDIENCE_V1, batches(written / CHANGES, AUDIENCE_V1, of_it)),
        SNAPSHOT: Content(AUDIENCE_SNAPSHOT_V1, batches(written / SNAPSHOT, AUDIENCE_SNAPSHOT_V1, of_it)),
    }
    told = ListOfNight(
        LIST,
        {"audience": each.name, "rule_version": each.rule_version},
        day,
        _state(each, size + sum(actions.values())),
        each.why,
        actions,
        AUDIENCE_V1,
        {"baseline": is_baseline, "members": size},
    )
    return bring_up_to_date(folder / f"date={day}", told, contents, list(FORMATS), stamp(night, now))


def _audiences(night: Night, day: date, root: Path, triggers: Collection[str] | None) -> list[_Audience]:
    """Those that have a rule on the night, and those that still have members and have none any more."""
    status = {row["trigger"]: row for row in night.lake.read_day(TRIGGER_STATUS.name, day).collect()}
    rules = {each.name for each in night.book.triggers if AUDIENCE_CHANNEL in each.policy.channels} & status.keys()
    told = {path.name: _newest(path, day) for path in root.glob("*")}
    orphans = {name for name, manifest in told.items() if name not in rules and manifest.get("members")}
    stops = night.ledger.stops()
    found: list[_Audience] = []
    for name in sorted(rules | orphans):
        stopped = stops.get(name, stops.get(""))
        if triggers is not None and name not in triggers:
            continue
        if name in orphans:
            why = "conf has no such audience any more, or it is switched off"
            found.append(_Audience(name, told[name]["rule_version"], "ok", why, is_over=True))
        elif stopped is not None:
            why = f"stopped: {stopped}"
            found.append(_Audience(name, status[name]["rule_version"], "ok", why, is_over=True))
        else:
            row = status[name]
            found.append(_Audience(name, row["rule_version"], row["state"], row["why"]))
    return found


def _state(each: _Audience, rows: int) -> State:
    if each.standing == "ok":
        return "ready" if rows else "empty"
    return each.standing


def _is_too_late(night: Night, day: date, now: datetime) -> bool:
    return now >= midnight(night, day + timedelta(days=2)) and not night.even_expired


def _members(night: Night, day: date, now: datetime, names: Collection[str]) -> DataFrame:
    """Who should be in the audiences: of selections of live nights, and of the night that is delivered."""
    rules = [each for each in night.book.triggers if each.name in names]
    since = day - timedelta(days=max([each.policy.valid_days for each in rules], default=1))
    lake = night.lake
    modes = lake.read(CONTACT_HISTORY.name, known_on=day, since=since).select("as_of_date", "mode").distinct()
    live = modes.where((F.col("mode") == "live") | (F.col("as_of_date") == F.lit(day))).select("as_of_date")
    selections = lake.read(SELECTIONS.name, known_on=day, since=since).where(F.col("channel") == AUDIENCE_CHANNEL)
    selections = selections.join(F.broadcast(live), "as_of_date", "left_semi")
    given = consented(night, selections, within_send_date(night, day, now))
    keys = given.select("customer_id", F.explode("consented").alias("key"))
    hashes = lake.read(CONTACT_HASHES.name, known_on=day)
    return audience.members(selections, newest_customers(night, selections), keys, hashes, rules, day=day)


def _later(root: Path, name: str, day: date) -> bool:
    return any(path.name > f"date={day}" for path in (root / name).glob("date=*"))


def _told(root: Path, name: str, day: date) -> tuple[list[str], list[str]]:
    """The files of the full state as it was told before this night, and by this night so far."""
    before = next((told for path in _earlier(root / name, day) if (told := _snapshot(path))), [])
    return before, _snapshot(root / name / f"date={day}")


def _newest(folder: Path, day: date) -> Mapping[str, Any]:
    """The manifest of the newest night before this one; empty where there is none."""
    return next((told for path in _earlier(folder, day) if (told := read_manifest(path))), {})


def _earlier(folder: Path, day: date) -> list[Path]:
    """The folders of the nights before this one, newest first."""
    return sorted((path for path in folder.glob("date=*") if path.name < f"date={day}"), reverse=True)


def _snapshot(folder: Path) -> list[str]:
    told: Mapping[str, Any] = read_manifest(folder) or {}
    files = told.get(SNAPSHOT, ())
    return [f"file://{folder / file['name']}" for file in files if file["format"] == "parquet"]


def _read(night: Night, found: Collection[list[str]]) -> DataFrame | None:
    paths = [path for paths in found for path in paths]
    if not paths:
        return None
    columns = ", ".join(f"{column.name} {column.type}" for column in AUDIENCE_SNAPSHOT_V1)
    return night.spark.read.schema(columns).parquet(*paths)

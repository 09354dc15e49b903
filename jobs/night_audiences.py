"""The audiences of a night: whom ad platforms are to reach, against what they were told before.

Its files name people by hashes that others can match, so nobody but their owner may read them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

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
SNAPSHOT = "snapshot"


def export(night: Night, day: date, now: datetime, *, triggers: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The manifests of the audiences of the night, of all triggers or of some; none where nobody can be matched.

    What was told of a later night stays: an audience is a state, and its newest one counts.
    """
    rules = [each for each in night.book.triggers if AUDIENCE_CHANNEL in each.policy.channels]
    if not rules or not has_table(night.settings, CONTACT_HASHES.name):
        return []
    root = exports(night) / LIST
    standing = {row["trigger"]: row for row in night.lake.read_day(TRIGGER_STATUS.name, day).collect()}
    names = sorted(each.name for each in rules if each.name in standing and (triggers is None or each.name in triggers))
    names = [name for name in names if not _later(root, name, day)]
    if not names or _is_too_late(night, day, now):
        return []
    keep_to_owner(str(root))
    stops = night.ledger.stops()
    stopped = {name: stops.get(name, stops.get("")) for name in names}
    # A rule that could not be answered takes nothing back; one that is stopped takes back all.
    is_whole = [name for name in names if stopped[name] is not None or standing[name]["state"] == "ok"]
    before = {name: _told(root, name, day) for name in names}
    members = _members(night, day, now, [name for name in names if stopped[name] is None])
    earlier = _read(night, [paths for paths, _ in before.values()])
    again = _read(night, [paths for _, paths in before.values()])
    found: list[dict[str, Any]] = []
    with scratch(root) as written:
        changes = audience.changes(members, earlier, is_whole=is_whole)
        if again is not None:
            changes = changes.unionByName(audience.changes(members, again, is_whole=is_whole))
            changes = changes.groupBy("audience", "customer_ref", "action").agg(F.min("since_date").alias("since_date"))
        write_sorted(changes, written / "changes", "audience", "customer_ref")
        state = audience.snapshot(members, earlier, is_whole=is_whole)
        write_sorted(state, written / SNAPSHOT, "audience", "customer_ref")
        for name in names:
            of_it = ds.field("audience") == name
            counted = ds.dataset(written / "changes", format="parquet").to_table(columns=["action"], filter=of_it)
            actions: dict[str, int] = dict.fromkeys(AUDIENCE_ACTIONS, 0)
            for row in counted.group_by("action").aggregate([([], "count_all")]).to_pylist():
                actions[row["action"]] = row["count_all"]
            size = ds.dataset(written / SNAPSHOT, format="parquet").count_rows(filter=of_it)
            why = (stopped[name] and f"stopped: {stopped[name]}") or standing[name]["why"]
            contents = {
                ROWS: Content(AUDIENCE_V1, batches(written / "changes", AUDIENCE_V1, of_it)),
                SNAPSHOT: Content(AUDIENCE_SNAPSHOT_V1, batches(written / SNAPSHOT, AUDIENCE_SNAPSHOT_V1, of_it)),
            }
            told = ListOfNight(
                LIST,
                {"audience": name, "rule_version": standing[name]["rule_version"]},
                day,
                _state(standing[name]["state"], name in is_whole, size + sum(actions.values())),
                why,
                actions,
                AUDIENCE_V1,
                {"baseline": not before[name][0], "members": size},
            )
            at = stamp(night, now)
            found.append(bring_up_to_date(root / name / f"date={day}", told, contents, list(FORMATS), at))
    return found


def _state(standing: State, is_whole: bool, rows: int) -> State:
    return standing if not is_whole else "ready" if rows else "empty"


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
    earlier = sorted(path for path in (root / name).glob("date=*") if path.name < f"date={day}")
    before = next((told for path in reversed(earlier) if (told := _snapshot(path))), [])
    return before, _snapshot(root / name / f"date={day}")


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

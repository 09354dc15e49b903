"""The audiences of a night: whom ad platforms are to reach, against what they were told before.

Its files name people by hashes that others can match, so nobody but their owner may read them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow.dataset as ds
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs import audience
from jobs.errors import Failed
from jobs.exporting import StoppedMeanwhile, batches, exports, refuse_stopped, scratch, stamp, write_sorted
from jobs.list_files import FORMATS, MANIFEST, Content, dated, intact, read_manifest
from jobs.list_manifest import ROWS, ListOfNight, State, bring_up_to_date
from jobs.lists import AUDIENCE_CHANNEL
from jobs.night_consents import consented, customers_with, midnight, newest_customers
from jobs.pipeline import has_table
from jobs.places import keep_to_owner
from jobs.rules.triggers import TriggerRule
from jobs.runner import Night
from schemas.acting import CONTACT_HISTORY, SELECTIONS, TRIGGER_STATUS
from schemas.lists import AUDIENCE_ACTIONS, AUDIENCE_SNAPSHOT_V1, AUDIENCE_V1
from schemas.restricted import CONTACT_HASHES

LIST = "audience_v1"
CHANGES, SNAPSHOT = "changes", "snapshot"
# Why a list of a night has nobody new.
ONLY_LESS = "made between two nights, or after its send date: nobody is added"


@dataclass(frozen=True)
class _Audience:
    """One audience of a night: how its rule stands, and what was told of it.

    `earlier`: the files of its full state as it was told before this night; `again`: as this night has told it so far.
    `takes`: whom it holds now: those selected; of those it held before, so that it can only lose some; or nobody.
    """

    name: str
    rule_version: str
    standing: Literal["ok", "held", "failed"]
    why: str | None
    earlier: Sequence[str]
    again: Sequence[str]
    takes: Literal["selected", "held", "nobody"]

    @property
    def held(self) -> Sequence[str]:
        """The files of its full state as it was told last."""
        return self.again or self.earlier


def export(
    night: Night,
    day: date,
    now: datetime,
    *,
    triggers: Collection[str] | None = None,
    only_remove: bool = False,
    damaged: list[str],
) -> list[dict[str, Any]]:
    """The manifests of the audiences of the night, of all triggers or of some; none where nobody can be matched.

    `only_remove`, and of a night that is past: nobody is added any more, but who should not be in them is taken out.
    What was told of a later night stays: an audience is a state, and its newest one counts. What is wrong with those
    that cannot be read is added to `damaged`, and they stay as they are.
    """
    if not has_table(night.settings, CONTACT_HASHES.name) or not night.ledger.days(CONTACT_HASHES.name):
        return []
    root = exports(night) / LIST
    only_remove = only_remove or _is_past(night, day, now)
    found = _audiences(night, day, root, triggers, damaged, only_remove=only_remove)
    wanted = [each for each in found if not _later(root, each.name, day) and (each.held or not only_remove)]
    if not wanted:
        return []
    keep_to_owner(str(root))
    members = _members(night, day, now, wanted)
    earlier = _read(night, [path for each in wanted for path in each.earlier])
    again = _read(night, [path for each in wanted for path in each.again])
    with scratch(root) as written:
        changes = audience.changes(members, earlier)
        if again is not None:
            changes = changes.unionByName(audience.changes(members, again))
            changes = changes.groupBy("audience", "customer_ref", "action").agg(F.min("since_date").alias("since_date"))
        write_sorted(changes, written / CHANGES, "audience", "customer_ref")
        write_sorted(audience.snapshot(members, earlier), written / SNAPSHOT, "audience", "customer_ref")
        told = [_publish(night, day, now, each, root / each.name, written) for each in wanted]
        return [manifest for manifest in told if manifest is not None]


def _publish(
    night: Night, day: date, now: datetime, each: _Audience, folder: Path, written: Path
) -> dict[str, Any] | None:
    """The audience's manifest as it is afterwards; None where somebody stopped it in the meantime."""
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
        {"baseline": not each.earlier, "members": size},
    )
    check = partial(refuse_stopped, night, each.name) if each.takes == "selected" else lambda: None
    try:
        return bring_up_to_date(folder / f"date={day}", told, contents, list(FORMATS), stamp(night, now), check=check)
    except StoppedMeanwhile:
        night.progress.note(f"{each.name} was stopped while it was being delivered: its audience stays as it was")
        return None


def _audiences(
    night: Night, day: date, root: Path, triggers: Collection[str] | None, damaged: list[str], *, only_remove: bool
) -> list[_Audience]:
    """Those that have a rule on the night, and those that still have members and have none any more."""
    status = {row["trigger"]: row for row in night.lake.read_day(TRIGGER_STATUS.name, day).collect()}
    rules = {each.name for each in night.book.triggers if AUDIENCE_CHANNEL in each.policy.channels} & status.keys()
    known = rules | {path.name for path in root.glob("*") if path.is_dir() and not path.name.startswith(".")}
    found: list[_Audience] = []
    for name in sorted(known if triggers is None else known & set(triggers)):
        try:
            each = _audience_of(night, day, root / name, status[name] if name in rules else None, only_remove)
        except Failed as error:
            damaged.append(str(error))
            continue
        if each is not None:
            found.append(each)
    return found


def _audience_of(night: Night, day: date, folder: Path, rule: Row | None, only_remove: bool) -> _Audience | None:
    """The audience as the night has it; `rule`: how its rule stands, None where it has none and is to be left."""
    name, stops, newest = folder.name, night.ledger.stops(), _newest(folder, day)
    earlier, again = _told(folder, day)
    stopped = stops.get(name, stops.get(""))
    if rule is None:
        if not newest.get("members"):
            return None
        why = "conf has no such audience any more, or it is switched off"
        return _Audience(name, newest["rule_version"], "ok", why, earlier, again, "nobody")
    if stopped is not None:
        return _Audience(name, rule["rule_version"], "ok", f"stopped: {stopped}", earlier, again, "nobody")
    # A rule that could not be answered takes nobody in, and takes nothing back.
    takes: Literal["held", "selected"] = "held" if only_remove or rule["state"] != "ok" else "selected"
    so_far = read_manifest(folder / f"date={day}") or {"reason": ONLY_LESS}
    why = rule["why"] or (so_far["reason"] if only_remove else None)
    return _Audience(name, rule["rule_version"], rule["state"], why, earlier, again, takes)


def _state(each: _Audience, rows: int) -> State:
    if each.standing == "ok":
        return "ready" if rows else "empty"
    return each.standing


def _is_past(night: Night, day: date, now: datetime) -> bool:
    return now >= midnight(night, day + timedelta(days=2)) and not night.even_expired


def _members(night: Night, day: date, now: datetime, wanted: Collection[_Audience]) -> DataFrame:
    """Who should be in the audiences, by what is known now."""
    held = _read(night, [path for each in wanted if each.takes == "held" for path in each.held])
    holding = _selected(night, day, _rules(night, wanted, "selected"))
    hashes = night.lake.read(CONTACT_HASHES.name, known_on=day)
    members = audience.members(holding, newest_customers(night, holding), _keys(night, holding, day, now), hashes)
    if held is None:
        return members
    tokens = hashes.join(held, hashes["sha256"] == held["customer_ref"], "left_semi")
    owners = newest_customers(night, customers_with(night, tokens))
    behind = audience.behind(held, owners, hashes, _rules(night, wanted, "held"))
    return members.unionByName(audience.staying(behind, owners, _keys(night, behind, day, now)))


def _keys(night: Night, asked: DataFrame, day: date, now: datetime) -> DataFrame:
    return consented(night, asked, day, now).select("customer_id", F.explode("consented").alias("key"))


def _rules(night: Night, wanted: Collection[_Audience], takes: str) -> list[TriggerRule]:
    names = {each.name for each in wanted if each.takes == takes}
    return [rule for rule in night.book.triggers if rule.name in names]


def _selected(night: Night, day: date, rules: Sequence[TriggerRule]) -> DataFrame:
    """Whom the audiences hold by selections of live nights, and of the night that is delivered."""
    since = day - timedelta(days=max([each.policy.valid_days for each in rules], default=1))
    modes = night.lake.read(CONTACT_HISTORY.name, known_on=day, since=since).select("as_of_date", "mode").distinct()
    live = modes.where((F.col("mode") == "live") | (F.col("as_of_date") == F.lit(day))).select("as_of_date")
    selections = night.lake.read(SELECTIONS.name, known_on=day, since=since)
    return audience.holding(selections.join(F.broadcast(live), "as_of_date", "left_semi"), rules, day=day)


def _later(root: Path, name: str, day: date) -> bool:
    return any(later > day and (path / MANIFEST).exists() for later, path in dated(root / name))


def _told(folder: Path, day: date) -> tuple[list[str], list[str]]:
    """The files of the full state as it was told before this night, and by this night so far."""
    before = next((told for path in _earlier(folder, day) if (told := _snapshot(path))), [])
    return before, _snapshot(folder / f"date={day}")


def _newest(folder: Path, day: date) -> Mapping[str, Any]:
    """The manifest of this night, else of the newest before it; empty where there is none."""
    folders = [folder / f"date={day}", *_earlier(folder, day)]
    return next((told for path in folders if (told := read_manifest(path))), {})


def _earlier(folder: Path, day: date) -> list[Path]:
    """The folders of the nights before this one, newest first."""
    return [path for earlier, path in reversed(dated(folder)) if earlier < day]


def _snapshot(folder: Path) -> list[str]:
    return [f"file://{path}" for path in intact(folder, read_manifest(folder) or {}, "parquet", SNAPSHOT)]


def _read(night: Night, paths: Sequence[str]) -> DataFrame | None:
    if not paths:
        return None
    columns = ", ".join(f"{column.name} {column.type}" for column in AUDIENCE_SNAPSHOT_V1)
    return night.spark.read.schema(columns).parquet(*paths)

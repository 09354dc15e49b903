"""The list trigger_list_v1 of a night: messages as files behind a manifest, and receipts of what was told.

The replacing of a manifest is the moment of delivery. Receipts follow from the lists as they lie there, so that a run
killed between the two is made good by the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf.triggers import LONGEST
from jobs import delivery, lists
from jobs.delivery import LIST, NAMES, ROW
from jobs.errors import Usage
from jobs.exporting import batches, exports, scratch, stamp, write_sorted
from jobs.frames import local_frame
from jobs.list_files import FORMATS, Content, read_manifest
from jobs.list_manifest import ROWS, ListOfNight, State, bring_up_to_date
from jobs.night_consents import consented, midnight, newest_customers, within_send_date
from jobs.runner import Night
from schemas.acting import SELECTED, SELECTIONS, STEPS, TRIGGER_STATUS
from schemas.lists import TRIGGER_LIST_V1
from schemas.ops import EXPORTS

DECIDED = f"{ROW}, reason string, is_change boolean"


@dataclass(frozen=True)
class Delivered:
    """What one delivery made of one trigger's list of one night: its manifest, and how many messages it changed."""

    manifest: Mapping[str, Any]
    changes: int


@dataclass(frozen=True)
class _List:
    """One trigger's list before it is delivered: where it lies, what it says now, and what may become of it.

    `blocked`: the reason why nothing of it goes out, as receipts have it. `is_frozen`: it stays as it is.
    """

    trigger: str
    folder: Path
    before: Mapping[str, Any] | None
    rule_version: str
    state: State | None
    why: str | None
    steps: Mapping[str, int]
    blocked: str | None = None
    is_frozen: bool = False

    @property
    def has_files(self) -> bool:
        return bool(self.before and self.before["files"])


def deliver(night: Night, day: date, *, triggers: Collection[str] | None = None, now: datetime) -> list[Delivered]:
    """Bring the lists of a night up to date, of all triggers or of some; what is told already is not told again.

    Current consents are read once more and can only remove. Raises Usage for a trigger that
    the night does not know, and Failed where files cannot be written; the lists before that stay as they were.
    """
    root = exports(night) / LIST
    wanted = _lists(night, day, root, now, triggers)
    with scratch(root) as written:
        with night.progress.step(f"look at consents once more for the lists of {day}"):
            _decide(night, day, wanted, now, written)
        counts = _counts(written)
        with night.progress.step(f"write the lists of {day}"):
            told = [_publish(night, day, each, counts.get(each.trigger, {}), written, now) for each in wanted]
        delivered = [each for each in told if each is not None]
        _receive(night, day, delivered, written)
    return delivered


def unexpired(night: Night, now: datetime, triggers: Collection[str] | None = None) -> dict[date, list[str]]:
    """Night → triggers of which messages are out that have not expired yet, of all triggers or of some.

    By the lists as they lie there: a run that was killed may have left them without receipts.
    """
    valid_days = _valid_days(night)
    found: dict[date, list[str]] = {}
    for path in sorted((exports(night) / LIST).glob("*/date=*")):
        name, day = path.parent.name, date.fromisoformat(path.name.removeprefix("date="))
        is_asked = triggers is None or name in triggers
        if is_asked and now < _expired_at(night, day, valid_days.get(name)):
            told = read_manifest(path)
            if told and told["actions"]["send"]:
                found.setdefault(day, []).append(name)
    return found


def deliver_again(night: Night, now: datetime, triggers: Collection[str] | None = None) -> list[Delivered]:
    """Bring up to date what is out and has not expired, of all triggers or of some."""
    out = unexpired(night, now, triggers)
    return [each for day, names in sorted(out.items()) for each in deliver(night, day, triggers=names, now=now)]


def _valid_days(night: Night) -> dict[str, int]:
    return {trigger.name: trigger.policy.valid_days for trigger in night.book.triggers}


def _expired_at(night: Night, day: date, valid_days: int | None) -> datetime:
    """When the messages of the night have expired; those of a trigger that is gone at the latest that any may."""
    return midnight(night, day + timedelta(days=1 + (valid_days or LONGEST)))


# ---- what there is to deliver


def _lists(night: Night, day: date, root: Path, now: datetime, triggers: Collection[str] | None) -> list[_List]:
    rows = night.lake.read_day(TRIGGER_STATUS.name, day).collect()
    status = {row["trigger"]: row for row in rows}
    known = {*status, *(path.parent.name for path in root.glob(f"*/date={day}"))}
    if unknown := sorted(set(triggers or ()) - known):
        raise Usage(f"There is no trigger {unknown[0]!r} on {day}; it has {', '.join(sorted(known)) or 'none'}.")
    steps: dict[str, dict[str, int]] = {name: {} for name in known}
    for row in night.lake.read_day(SELECTIONS.name, day).groupBy("trigger", "step").count().collect():
        steps.setdefault(row["trigger"], {})[row["step"]] = row["count"]
    valid_days = _valid_days(night)
    stops = night.ledger.stops()
    found: list[_List] = []
    for name in sorted(known if triggers is None else triggers):
        folder = root / name / f"date={day}"
        before, told = read_manifest(folder), status.get(name)
        each = _List(name, folder, before, before["rule_version"] if before else "", None, None, steps[name])
        if told is not None:
            # A rule that could not be answered takes nothing back.
            is_ok = told["state"] == "ok"
            state = None if is_ok else told["state"]
            each = replace(each, rule_version=told["rule_version"], state=state, why=told["why"], is_frozen=not is_ok)
        if (stopped := stops.get(name, stops.get(""))) is not None:
            each = replace(each, state="held", why=f"stopped: {stopped}", blocked="stopped", is_frozen=False)
        elif name not in valid_days or told is None:
            why = "conf has no such trigger any more, or it is switched off"
            each = replace(each, state="held", why=why, blocked="not_configured", is_frozen=False)
        expired_at = _expired_at(night, day, valid_days.get(name))
        if now >= expired_at and not night.even_expired and (each.has_files or each.steps.get(SELECTED)):
            why = f"its messages expired at {expired_at:%Y-%m-%dT%H:%M}"
            each = replace(each, state="expired", why=why, blocked="expired", is_frozen=each.has_files)
        found.append(each)
    return found


def _decide(night: Night, day: date, wanted: Sequence[_List], now: datetime, written: Path) -> None:
    """Write down what the lists tell of each message, sorted by trigger and trigger_id."""
    moving = [each.trigger for each in wanted if not each.is_frozen]
    blocked = {each.trigger: each.blocked for each in wanted if each.blocked and each.trigger in moving}
    selections = night.lake.read_day(SELECTIONS.name, day)
    customers = newest_customers(night, selections.where(F.col("step") == SELECTED))
    messages = lists.transform(selections, customers, night.book.triggers, zone=night.settings.lake.zone)
    messages = messages.where(F.col("trigger").isin(moving))
    gone = customers.where("is_deleted").select("customer_id")
    allowed = delivery.allowed(messages, consented(night, messages, within_send_date(night, day, now)), gone, blocked)
    before = _told_before(night, wanted)
    decided = delivery.decided(allowed, before.where(F.col("trigger").isin(moving)), blocked)
    as_they_are = before.where(~F.col("trigger").isin(moving))
    kept = as_they_are.selectExpr(*NAMES, "cast(null as string) as reason", "false as is_change")
    write_sorted(decided.unionByName(kept), written, "trigger", "trigger_id")


def _told_before(night: Night, wanted: Sequence[_List]) -> DataFrame:
    """The rows of the lists as they lie there."""
    paths = [
        f"file://{each.folder / file['name']}"
        for each in wanted
        for file in (each.before["files"] if each.before else ())
        if file["format"] == "parquet"
    ]
    if not paths:
        return local_frame(night.spark, [], ROW)
    return night.spark.read.schema(ROW).parquet(*paths)


def _counts(written: Path) -> dict[str, dict[str, int]]:
    """Trigger → how many messages by action, by reason, and how many changes."""
    table = ds.dataset(written, format="parquet").to_table(columns=["trigger", "action", "reason", "is_change"])
    counts: dict[str, dict[str, int]] = {}
    for row in table.group_by(["trigger", "action", "reason", "is_change"]).aggregate([([], "count_all")]).to_pylist():
        of_trigger = counts.setdefault(row["trigger"], {})
        for what in (row["action"], row["reason"], "change" if row["is_change"] else None):
            if what is not None:
                of_trigger[what] = of_trigger.get(what, 0) + row["count_all"]
    return counts


# ---- files


def _publish(
    night: Night, day: date, each: _List, counts: Mapping[str, int], written: Path, now: datetime
) -> Delivered | None:
    """The list's manifest as it is afterwards; None where somebody stopped it in the meantime."""
    if each.is_frozen and each.before is not None and each.has_files:
        return Delivered(each.before, 0)
    if each.blocked is None and {each.trigger, ""} & night.ledger.stops().keys():
        night.progress.note(f"{each.trigger} was stopped while it was being delivered: nothing of it was told")
        return None
    actions = {action: counts.get(action, 0) for action in ("send", "cancel")}
    removed = {reason: counts[reason] for reason in ("no_consent", "suppressed") if reason in counts}
    told = ListOfNight(
        LIST,
        {"trigger": each.trigger, "rule_version": each.rule_version},
        day,
        "ready" if any(actions.values()) else each.state or "empty",
        each.why,
        actions,
        TRIGGER_LIST_V1,
        {"funnel": _funnel(each.steps, removed)},
    )
    is_told = (ds.field("trigger") == each.trigger) & (ds.field("action") != "withheld")
    rows = Content(TRIGGER_LIST_V1, batches(written, TRIGGER_LIST_V1, is_told))
    contents = {ROWS: rows} if any(actions.values()) else {}
    made = bring_up_to_date(each.folder, told, contents, list(FORMATS), stamp(night, now))
    return Delivered(made, counts.get("change", 0))


def _funnel(steps: Mapping[str, int], removed: Mapping[str, int]) -> dict[str, int]:
    """The funnel of a night's selections; `removed` by the last look, step → how many, ended there after all."""
    ended = {step: steps.get(step, 0) + removed.get(step, 0) for step in STEPS}
    selected = ended.pop(SELECTED) - sum(removed.values())
    return {"eligible": sum(steps.values()), SELECTED: selected, **ended}


# ---- receipts


def _receive(night: Night, day: date, delivered: Sequence[Delivered], written: Path) -> None:
    """Note what the lists tell now, where that is not noted yet."""
    published = night.ledger.published(EXPORTS.name, day, day).get(day)
    known = night.lake.read_day(EXPORTS.name, day) if published else local_frame(night.spark, [], EXPORTS.ddl())
    generations = local_frame(
        night.spark,
        [(each.manifest["trigger"], each.manifest["generation"]) for each in delivered],
        "trigger string, generation bigint",
    )
    told = night.spark.read.schema(DECIDED).parquet(f"file://{written}")
    staged = night.audited(EXPORTS.name, delivery.receipts(told, generations, known), [day])
    if staged.figures[day]["rows"] != (published.rows if published else 0):
        night.publish(staged, {}, announced_empty=[day])

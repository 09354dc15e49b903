"""The list trigger_list_v1 of a night: messages as files behind a manifest, and receipts of what was told.

The replacing of a manifest is the moment of delivery. Receipts follow from the lists as they lie there, so that a run
killed between the two is made good by the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow.dataset as ds
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from conf.triggers import LONGEST
from jobs import delivery, lists
from jobs.delivery import LIST, NAMES, ROW
from jobs.errors import Failed, Usage
from jobs.exporting import StoppedMeanwhile, batches, exports, refuse_stopped, scratch, stamp, write_sorted
from jobs.frames import local_frame
from jobs.list_files import FORMATS, Content, dated, intact, read_manifest
from jobs.list_manifest import ROWS, TIME, ListOfNight, Stamp, State, bring_up_to_date
from jobs.night_consents import consented, midnight, moment, newest_customers
from jobs.runner import Night
from schemas.acting import SELECTED, SELECTIONS, STEPS, TRIGGER_STATUS
from schemas.lists import TRIGGER_LIST_V1
from schemas.ops import EXPORTS

DECIDED = f"{ROW}, reason string, is_change boolean"
# The steps of the funnel at which the last look at consents may still end a message.
LAST_LOOK = ("no_consent", "suppressed", "capped")
# How the reason of a list begins that a person has stopped.
STOPPED = "stopped: "
# How many messages, by action, reason and whether that is a change.
Counts = Counter[tuple[str, str | None, bool]]
# Night and trigger → the newest generation that has receipts.
Generations = Mapping[tuple[date, str], int]


@dataclass(frozen=True)
class Delivered:
    """What one delivery made of one trigger's list of one night: its manifest, and how many messages it changed."""

    manifest: Mapping[str, Any]
    changes: int


@dataclass(frozen=True)
class _List:
    """One trigger's list before it is delivered: where it lies, what it says now, and what may become of it.

    `names`: whom it may tell to be sent to: those selected; only of those it has told before, so that it can but
    cancel; or just whom it names, as it names them. `blocked`: why nothing of it goes out, as receipts have it.
    `funnel`: what it says of the night, before consents are looked at once more.
    """

    trigger: str
    folder: Path
    before: Mapping[str, Any] | None
    rule_version: str
    state: State | None
    why: str | None
    funnel: Mapping[str, int]
    names: Literal["selected", "told", "as it is"]
    blocked: str | None = None


def deliver(
    night: Night, day: date, *, triggers: Collection[str] | None = None, now: datetime, damaged: list[str]
) -> list[Delivered]:
    """Bring the lists of a night up to date, of all triggers or of some; what is told already is not told again.

    Current consents are read once more and can only remove. What is wrong with lists that cannot be read is added to
    `damaged`, and they stay as they are. Raises Usage for a trigger that the night does not know, and Failed where
    files cannot be written; the lists before that stay as they were.
    """
    return _bring_up_to_date(night, day, _lists(night, day, now, triggers, damaged), now)


def take_back(
    night: Night, now: datetime, triggers: Collection[str] | None = None, *, damaged: list[str]
) -> list[Delivered]:
    """Cancel what is out, has not expired and should not be sent any more, of all triggers or of some.

    That is what was stopped, and who has withdrawn or was deleted. Nobody is told of who was not before. `damaged` as
    in `deliver`.
    """
    taken: list[Delivered] = []
    for day, folders in sorted(unexpired(night, now, triggers, damaged=damaged).items()):
        lists_out = [(folder, told) for folder in folders if (told := read_manifest(folder))]
        wanted = [
            _as_it_is(folder, told)
            if (until := _told_until(folder)) and until <= now
            else _only_less(folder, told, _stopped(night, folder.parent.name))
            for folder, told in lists_out
        ]
        taken += _bring_up_to_date(night, day, wanted, now)
    return taken


def unexpired(
    night: Night, now: datetime, triggers: Collection[str] | None = None, *, damaged: list[str]
) -> dict[date, list[Path]]:
    """Night → folders of lists that tell of messages that have not expired; `damaged` as in `deliver`.

    By the lists as they lie there, of all triggers or of some: what was valid for so many days when it was told stays
    so, and a run that was killed may have left them without receipts. One that is not noted yet is among them,
    whatever it tells.
    """
    found: dict[date, list[Path]] = {}
    oldest = (now - timedelta(days=LONGEST + 2)).date()
    noted = _generations_noted(night, oldest, now.date() + timedelta(days=1))
    for day, path in dated(exports(night) / LIST):
        trigger = path.parent.name
        if day < oldest or (triggers is not None and trigger not in triggers):
            continue
        try:
            told, until = read_manifest(path), _told_until(path)
        except Failed as error:
            damaged.append(str(error))
            continue
        is_noted = not told or not told["files"] or noted.get((day, trigger), 0) >= told["generation"]
        if (until and now < until) or not is_noted:
            found.setdefault(day, []).append(path)
    return found


def _bring_up_to_date(night: Night, day: date, wanted: Sequence[_List], now: datetime) -> list[Delivered]:
    known = _receipts(night, day)
    noted = _generations_noted(night, day, day)
    begun = stamp(night, now)
    with scratch(exports(night) / LIST) as written:
        with night.progress.step(f"look at consents once more for the lists of {day}"):
            _decide(night, day, wanted, known, now, written)
        counts = _counts(written)
        with night.progress.step(f"write the lists of {day}"):
            told = [
                _publish(night, day, each, counts.get(each.trigger, Counter()), written, begun, noted)
                for each in wanted
            ]
        delivered = [each for each in told if each is not None]
        _receive(night, day, wanted, delivered, known, written)
    return delivered


def _expired_at(night: Night, day: date, valid_days: int) -> datetime:
    return midnight(night, day + timedelta(days=1 + valid_days))


def _told_until(folder: Path) -> datetime | None:
    """When the last of what the list tells to send expires; None where it tells nobody."""
    told = read_manifest(folder)
    if not told or not told["actions"]["send"]:
        return None
    rows = ds.dataset([str(path) for path in intact(folder, told, "parquet")], format="parquet")
    sent = rows.to_table(["expires_at"], filter=ds.field("action") == "send")
    return sent.group_by([]).aggregate([("expires_at", "max")])["expires_at_max"][0].as_py()


# ---- what there is to deliver


def _lists(night: Night, day: date, now: datetime, triggers: Collection[str] | None, damaged: list[str]) -> list[_List]:
    root = exports(night) / LIST
    status = {row["trigger"]: row for row in night.lake.read_day(TRIGGER_STATUS.name, day).collect()}
    known = {*status, *(path.parent.name for path in root.glob(f"*/date={day}"))}
    if unknown := sorted(set(triggers or ()) - known):
        raise Usage(f"There is no trigger {unknown[0]!r} on {day}; it has {', '.join(sorted(known)) or 'none'}.")
    steps: dict[str, Counter[str]] = {name: Counter() for name in known}
    for row in night.lake.read_day(SELECTIONS.name, day).groupBy("trigger", "step").count().collect():
        steps.setdefault(row["trigger"], Counter())[row["step"]] = row["count"]
    found: list[_List] = []
    for name in sorted(known if triggers is None else triggers):
        try:
            found.append(_list_of(night, root / name / f"date={day}", status.get(name), steps[name], day, now))
        except Failed as error:
            damaged.append(str(error))
    return found


def _list_of(night: Night, folder: Path, told: Row | None, steps: Counter[str], day: date, now: datetime) -> _List:
    """The list of one trigger as the night has it; `told`: how its rule stands that night, None where there is none."""
    name, before = folder.parent.name, read_manifest(folder)
    valid_days = {trigger.name: trigger.policy.valid_days for trigger in night.book.triggers}.get(name)
    stopped = _stopped(night, name)
    failed = told if told is not None and told["state"] != "ok" else None
    until = _told_until(folder)
    expired_at = until or _expired_at(night, day, valid_days or LONGEST)
    has_files = bool(before and before["files"])
    if before and has_files and now >= expired_at and not night.even_expired:
        return _as_it_is(folder, before)
    # A rule that could not be answered takes nothing back, and tells nobody new.
    if before and has_files and failed is not None and valid_days is not None:
        return _only_less(folder, before, stopped, failed["why"])
    version = told["rule_version"] if told is not None else before["rule_version"] if before else ""
    state: State | None = None
    why = blocked = None
    if stopped is not None:
        state, why, blocked = "held", stopped, "stopped"
    elif told is None or valid_days is None:
        state, blocked = "held", "not_configured"
        why = "conf has no such trigger any more, or it is switched off"
    elif failed is not None:
        state, why = failed["state"], failed["why"]
    if now >= expired_at and not night.even_expired and steps[SELECTED]:
        state, why, blocked = "expired", f"its messages expired at {expired_at:%Y-%m-%dT%H:%M}", "expired"
    funnel = {"eligible": steps.total(), **{step: steps[step] for step in (SELECTED, *STEPS)}}
    names: Literal["selected", "told"] = "selected" if failed is None else "told"
    return _List(name, folder, before, version, state, why, funnel, names, blocked)


def _only_less(folder: Path, before: Mapping[str, Any], stopped: str | None, why: str | None = None) -> _List:
    """The list as it was told, of which nothing can become but less; `why` its rule was not answered."""
    name, version, funnel, said = folder.parent.name, before["rule_version"], before["funnel"], before["reason"]
    still = None if said and said.startswith(STOPPED) else said
    blocked = "stopped" if stopped else None
    return _List(name, folder, before, version, None, stopped or why or still, funnel, "told", blocked)


def _as_it_is(folder: Path, before: Mapping[str, Any]) -> _List:
    return _List(folder.parent.name, folder, before, before["rule_version"], None, None, {}, "as it is")


def _stopped(night: Night, trigger: str) -> str | None:
    stops = night.ledger.stops()
    reason = stops.get(trigger, stops.get(""))
    return None if reason is None else f"{STOPPED}{reason}"


def _decide(night: Night, day: date, wanted: Sequence[_List], known: DataFrame, now: datetime, written: Path) -> None:
    """Write down what the lists tell of each message, sorted by trigger and trigger_id."""
    selecting = [each.trigger for each in wanted if each.names == "selected"]
    as_they_are = [each.trigger for each in wanted if each.names == "as it is"]
    blocked = {each.trigger: each.blocked for each in wanted if each.blocked}
    before = _told_before(night, wanted)
    told = before.where((F.col("action") == "send") & ~F.col("trigger").isin(*selecting, *as_they_are))
    selections = night.lake.read_day(SELECTIONS.name, day).where(F.col("trigger").isin(selecting))
    asked = selections.where(F.col("step") == SELECTED).select("customer_id").union(told.select("customer_id"))
    customers = newest_customers(night, asked)
    messages = lists.transform(selections, customers, night.book.triggers, zone=night.settings.lake.zone)
    before = before.unionByName(_lost(night, wanted, messages, known))
    messages = delivery.standing(messages, before).unionByName(told.select(*NAMES))
    gone = customers.where("is_deleted").select("customer_id")
    at = moment(now)
    allowed = delivery.allowed(
        messages,
        consented(night, messages, day, now),
        gone,
        blocked,
        _reached(night, day, wanted, known, at),
        at=None if night.even_expired else at,
    )
    decided = delivery.decided(allowed, before.where(~F.col("trigger").isin(as_they_are)), blocked)
    kept = before.where(F.col("trigger").isin(as_they_are))
    kept = kept.selectExpr(*NAMES, "cast(null as string) as reason", "false as is_change")
    write_sorted(decided.unionByName(kept), written, "trigger", "trigger_id")


def _reached(night: Night, day: date, wanted: Sequence[_List], known: DataFrame, at: str) -> DataFrame:
    """Who may have a message of the night that it does not select any more; of all its lists that can be read."""
    if all(each.names != "selected" for each in wanted):
        return local_frame(night.spark, [], "customer_id string")
    selected = night.lake.read_day(SELECTIONS.name, day).where(F.col("step") == SELECTED).select("trigger_id")
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for folder in sorted((exports(night) / LIST).glob(f"*/date={day}")):
        # One that is damaged is named by whoever delivers it.
        with suppress(Failed):
            if (manifest := read_manifest(folder)) and intact(folder, manifest, "parquet"):
                found.append((folder, manifest))
    return delivery.reached(_rows(night, found), selected, known, at=at)


def _lost(night: Night, wanted: Sequence[_List], messages: DataFrame, known: DataFrame) -> DataFrame:
    """Rows of lists that are not there any more, though receipts say that they were told."""
    lost = [each.trigger for each in wanted if each.before is None]
    told = known.groupBy("trigger", "trigger_id").agg(F.expr("max_by(action, generation) as action"))
    sent = told.where((F.col("action") == "send") & F.col("trigger").isin(lost)).select("trigger_id")
    # Whoever is not selected any more cannot be made a row of, and is left to the reader who knows them.
    return messages.join(sent, "trigger_id", "left_semi").withColumn("generation", F.lit(0).cast("bigint"))


def _told_before(night: Night, wanted: Sequence[_List]) -> DataFrame:
    """The rows of the lists as they were before this delivery, each with its generation."""
    return _rows(night, [(each.folder, each.before) for each in wanted if each.before])


def _rows(night: Night, found: Sequence[tuple[Path, Mapping[str, Any]]]) -> DataFrame:
    """The rows of lists, each with its generation; raises Failed where one is damaged."""
    paths = [f"file://{path}" for folder, told in found for path in intact(folder, told, "parquet")]
    if not paths:
        return local_frame(night.spark, [], f"{ROW}, generation bigint")
    of_triggers = [(told["trigger"], told["generation"]) for _, told in found]
    generations = local_frame(night.spark, of_triggers, "trigger string, generation bigint")
    return night.spark.read.schema(ROW).parquet(*paths).join(F.broadcast(generations), "trigger")


def _counts(written: Path) -> dict[str, Counts]:
    """Trigger → its messages, counted."""
    told = ["trigger", "action", "reason", "is_change"]
    table = ds.dataset(written, format="parquet").to_table(columns=told)
    counts: dict[str, Counts] = {}
    for row in table.group_by(told).aggregate([([], "count_all")]).to_pylist():
        of_trigger = counts.setdefault(row["trigger"], Counter())
        of_trigger[row["action"], row["reason"], row["is_change"]] = row["count_all"]
    return counts


# ---- files


def _publish(
    night: Night, day: date, each: _List, counts: Counts, written: Path, begun: Stamp, noted: Generations
) -> Delivered | None:
    """The list's manifest as it is afterwards; None where somebody stopped it in the meantime."""
    if each.before and each.names == "as it is":
        return Delivered(each.before, 0)
    actions = {action: sum(n for (a, _, _), n in counts.items() if a == action) for action in ("send", "cancel")}
    told = ListOfNight(
        LIST,
        {"trigger": each.trigger, "rule_version": each.rule_version},
        day,
        "ready" if any(actions.values()) else each.state or "empty",
        each.why,
        actions,
        TRIGGER_LIST_V1,
        {"funnel": _funnel(each, counts)},
    )
    is_told = (ds.field("trigger") == each.trigger) & (ds.field("action") != "withheld")
    rows = Content(TRIGGER_LIST_V1, batches(written, TRIGGER_LIST_V1, is_told))
    contents = {ROWS: rows} if any(actions.values()) else {}
    # What can only cancel is told, stopped or not.
    may_send = each.names == "selected" and each.blocked is None
    check = partial(refuse_stopped, night, each.trigger) if may_send else lambda: None
    try:
        after = noted.get((day, each.trigger), 0)
        made = bring_up_to_date(each.folder, told, contents, list(FORMATS), begun, after=after, check=check)
    except StoppedMeanwhile:
        night.progress.note(f"{each.trigger} was stopped while it was being delivered: nothing of it was told")
        return None
    return Delivered(made, sum(n for (_, _, is_change), n in counts.items() if is_change))


def _funnel(each: _List, counts: Counts) -> dict[str, int]:
    """The list's funnel after the last look: whom that has ended, of a list that can only lose who was not yet."""
    ended = {
        step: sum(
            n
            for (_, reason, is_change), n in counts.items()
            if reason == step and (is_change or each.names == "selected")
        )
        for step in LAST_LOOK
    }
    selected = each.funnel[SELECTED] - sum(ended.values())
    return {**each.funnel, SELECTED: selected, **{step: each.funnel[step] + n for step, n in ended.items()}}


# ---- receipts


def _receipts(night: Night, day: date) -> DataFrame:
    if night.ledger.published(EXPORTS.name, day, day):
        return night.lake.read_day(EXPORTS.name, day)
    return local_frame(night.spark, [], EXPORTS.ddl())


def _generations_noted(night: Night, first: date, last: date) -> Generations:
    if not night.ledger.published(EXPORTS.name, first, last):
        return {}
    receipts = night.lake.read(EXPORTS.name, known_on=last, since=first)
    newest = receipts.groupBy("as_of_date", "trigger").agg(F.max("generation").alias("newest")).collect()
    return {(row["as_of_date"], row["trigger"]): row["newest"] for row in newest}


def _receive(
    night: Night,
    day: date,
    wanted: Sequence[_List],
    delivered: Sequence[Delivered],
    known: DataFrame,
    written: Path,
) -> None:
    """Note what the lists tell now, and told before, where that is not noted yet."""
    published = night.ledger.published(EXPORTS.name, day, day).get(day)
    told_now = [
        (each["trigger"], each["generation"], datetime.strptime(each["created_at"], TIME).replace(tzinfo=UTC))
        for each in (each.manifest for each in delivered)
    ]
    generations = local_frame(night.spark, told_now, "trigger string, generation bigint, told_at timestamp")
    told = night.spark.read.schema(DECIDED).parquet(f"file://{written}")
    receipts = delivery.receipts(told, generations, known, _told_before(night, wanted))
    staged = night.audited(EXPORTS.name, receipts, [day])
    if staged.figures[day]["rows"] != (published.rows if published else 0):
        night.publish(staged, {}, announced_empty=[day])

"""What became of the lake's own lists: feedback of those who were written to, and what they did afterwards.

Lists are read in the format of trigger_list_v1: `<trigger>/date=<D>/manifest.json` and the files it names. Who was
told to be sent to is sent to; a share of them does what the trigger asks for, over and above what they would have done
anyway: that is the uplift, and it is known here because it is made here.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataRefused, Usage
from jobs.simulate import campaigns
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.deliver import as_delivered, write_days, write_further
from jobs.simulate.feeds import FEEDS
from jobs.simulate.plan import Format, Mess, Simulation, packaged_source

FORMAT = "clm-list-1"
LIST = "trigger_list_v1"
# Uplift of a trigger that is not named here; of those sent to, the share that pays once more within GOAL_DAYS.
UPLIFT = 0.05
UPLIFTS = {
    "recharge_expiring": 0.10,
    "bill_due": 0.08,
    "first_transfer": 0.04,
    "win_back": 0.03,
    "lapsed_premium_sender": 0.03,
}
GOAL_DAYS = 7
# What is paid because of it: product, category, mean rupees. Triggers of another name lead to a recharge.
LEADS_TO = {
    "first_transfer": ("p2p_transfer", None, 600),
    "lapsed_premium_sender": ("p2p_transfer", None, 3000),
    "bill_due": ("bill_payment", "electricity", 700),
    "merchant_cross_sell": ("p2m_payment", "grocery", 350),
}
OTHERWISE = ("recharge", "mobile", 249)

COLUMNS = "trigger_id string, action string, trigger string, customer_id string, send_date date"


@dataclass(frozen=True)
class Told:
    """What `--feedback-for` wrote: rows by source, sent triggers, and those who did it because of the trigger."""

    lists: int
    sent: int
    persuaded: int
    deliveries: int


def lists(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The manifests of the lists below a folder, oldest first; each file's sha256 is checked."""
    found = sorted(folder.rglob("date=*/manifest.json"), key=lambda path: (path.parent.name, str(path)))
    if not found:
        raise Usage(f"{folder} holds no list: no <trigger>/date=<D>/manifest.json lies below it.")
    for path in found:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest.get("format") != FORMAT:
            raise DataRefused(f"{path}: its format is {manifest.get('format')!r}; {FORMAT} is what is read here.")
        if manifest["list"] == LIST:
            for file in manifest["files"]:
                _check(path.parent / file["name"], file["sha256"])
            yield path, manifest


def _check(file: Path, sha256: str) -> None:
    if not file.is_file():
        raise DataRefused(f"{file}: the manifest names it and it is not there.")
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != sha256:
            raise DataRefused(f"{file}: its sha256 is not the manifest's.")


def sent_triggers(spark: SparkSession, folder: Path) -> tuple[DataFrame, int]:
    """One row per trigger that is sent and not cancelled, and how many lists there were."""
    frames: dict[str, list[str]] = {"parquet": [], "jsonl": [], "csv": []}
    count = 0
    for path, manifest in lists(folder):
        count += 1
        by_format = {_format_of(file["name"]): file["name"] for file in manifest["files"]}
        # The formats of a list hold the same rows: one is enough.
        chosen = next((name for name in frames if name in by_format), None)
        if chosen is not None:
            names = [file["name"] for file in manifest["files"] if _format_of(file["name"]) == chosen]
            frames[chosen] += [str(path.parent / name) for name in names]
    rows = spark.createDataFrame([], COLUMNS)
    for file_format, files in frames.items():
        if files:
            rows = rows.unionByName(_read(spark, file_format, files))
    # The lists of several generations may name a trigger again; a cancelled one is not sent.
    return rows.groupBy("trigger_id").agg(
        F.max("trigger").alias("trigger"),
        F.max("customer_id").alias("customer_id"),
        F.min("send_date").alias("send_date"),
        F.bool_or(F.col("action") == "cancel").alias("is_cancelled"),
    ).filter("not is_cancelled"), count


def _format_of(name: str) -> str:
    return name.removesuffix(".gz").rsplit(".", 1)[-1]


def _read(spark: SparkSession, file_format: str, files: Sequence[str]) -> DataFrame:
    paths = [f"file://{Path(file).absolute()}" for file in files]
    if file_format == "parquet":
        rows = spark.read.parquet(*paths)
    elif file_format == "jsonl":
        rows = spark.read.schema(COLUMNS).json(paths)
    else:
        rows = spark.read.options(header="true", escape='"', enforceSchema="false").csv(paths)
    wanted = [part.split(" ") for part in COLUMNS.split(", ")]
    return rows.select(*(F.col(name).cast(type_).alias(name) for name, type_ in wanted))


def tell(
    spark: SparkSession, folder: Path, out: Path, *, seed: int, last: date | None = None, uplift: float | None = None
) -> Told:
    """Write feedback and further payments as further deliveries of their dates into `out`.

    `uplift` None is each trigger's own; 0 is none, so that those written to do only what they would have done.
    Nothing after `last` is told. The same lists, seed and folder give the same deliveries.
    """
    triggers, count = sent_triggers(spark, folder)
    bounds = triggers.agg(F.min("send_date"), F.max("send_date"), F.count("*")).first()
    if bounds is None or bounds[0] is None:
        return Told(count, 0, 0, 0)
    first, newest, sent = bounds
    end = min(last, newest + timedelta(days=GOAL_DAYS)) if last is not None else newest + timedelta(days=GOAL_DAYS)
    simulation = Simulation(1, first=first, last=max(first, end), seed=seed, out=out, mess=Mess.none())
    persuaded = _persuaded(triggers, simulation, uplift).persist()
    try:
        written = _write_feedback(persuaded, simulation) + _write_payments(persuaded, simulation)
        moved = persuaded.filter("is_persuaded").count()
    finally:
        persuaded.unpersist()
    return Told(count, sent, moved, written)


def _persuaded(triggers: DataFrame, simulation: Simulation, uplift: float | None) -> DataFrame:
    """Adds when each was sent, whether it moved the customer, and to what, `persuaded_at`."""
    draw = Chance(simulation.seed, ("trigger_id",))
    own = " ".join(f"when '{name}' then {share}D" for name, share in UPLIFTS.items())
    share = f"{float(uplift)}D" if uplift is not None else f"(case trigger {own} else {UPLIFT}D end)"
    return triggers.selectExpr(
        "trigger_id",
        "trigger",
        "customer_id",
        f"cast(unix_date(send_date) as bigint) * {DAY} + {draw.number('sent at', 36000, 72000)} as sent_at",
        f"{draw.draw('persuaded')} < {share} as is_persuaded",
    ).selectExpr("*", f"sent_at + {draw.number('acts after', 600, (GOAL_DAYS - 1) * DAY)} as persuaded_at")


def _write_feedback(persuaded: DataFrame, simulation: Simulation) -> int:
    """Of the messages themselves; those who act because of one have opened it."""
    source = packaged_source("campaign_feedback")
    told = campaigns.outcomes(persuaded, simulation.seed, "if(is_persuaded, 1D, 0D)").selectExpr(
        "trigger_id", "outcome", "if(outcome = 'converted' and is_persuaded, persuaded_at, at) as at"
    )
    rows = campaigns.delivered_outcomes(told, simulation, source).drop("delivery_nth")
    return _further(rows, "campaign_feedback", source.format, simulation)


def _write_payments(persuaded: DataFrame, simulation: Simulation) -> int:
    """One successful payment more of each customer who was moved to it."""
    draw = Chance(simulation.seed, ("trigger_id",))
    source = packaged_source("transactions")

    def of_trigger(position: int) -> str:
        cases = " ".join(f"when '{name}' then {_literal(parts[position])}" for name, parts in LEADS_TO.items())
        return f"case trigger {cases} else {_literal(OTHERWISE[position])} end"

    is_plan = f"({of_trigger(0)}) = 'recharge'"
    rows = persuaded.filter("is_persuaded").selectExpr(
        # Payments that come of a trigger are named after it.
        "concat('PX', upper(left(trigger_id, 16))) as payment_id",
        "customer_id as user_id",
        "persuaded_at as created",
        "persuaded_at + 20 as changed",
        f"{of_trigger(0)} as product",
        f"{of_trigger(1)} as category",
        "'upi' as method",
        "'debit' as flow",
        "'OK' as state",
        f"cast(cast(({of_trigger(2)}) * (0.5D + {draw.draw('amount')}) as decimal(12,0)) as decimal(14,2)) as rupees",
        f"if(({of_trigger(0)}) = 'p2m_payment', 'M00001', null) as merchant",
        f"if({is_plan}, 'operator_1', if(({of_trigger(0)}) = 'bill_payment', 'electricity_1', null)) as biller",
        "cast(null as string) as device",
        f"if({is_plan}, 28, null) as plan_days",
        "cast(null as string) as refund_of",
        "cast(null as string) as payee",
        f"date_from_unix_date(cast(floor(persuaded_at / {DAY}) as int)) as delivery_date",
        "'clean' as kind",
    )
    within = rows.filter(F.col("delivery_date").between(F.lit(simulation.first), F.lit(simulation.last)))
    return _further(within, "transactions", source.format, simulation)


def _literal(value: str | int | None) -> str:
    return "null" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def _further(rows: DataFrame, name: str, file_format: Format, simulation: Simulation) -> int:
    feed, source = FEEDS[name], packaged_source(name)
    columns = as_delivered(rows, source, file_format, feed.sent_as, feed.also)
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=simulation.out) as work:
        files = write_days(rows, columns, feed.order, simulation.dates, file_format, Path(work) / "files")
        return write_further(files, source.name, file_format, simulation.out)

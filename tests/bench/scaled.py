"""A lake of any size: yesterday's tables of the base lake, and its delivery of tonight, of many copies of everyone.

Copy n of a customer has her number plus n times as many as there are in the base lake. All that bears the number
(devices, payments, visits) follows, and tokens are hashed anew: relations hold, mess included.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import duckdb
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import ColumnType, Settings, Source
from jobs import pipeline
from jobs.progress import Progress
from jobs.runner import Night, opened
from jobs.session import open_session
from schemas.table import Table
from tests.bench.base import CUSTOMERS, TONIGHT, YESTERDAY, settings_of

# Where the customer's number of nine digits begins in an id, by column.
NUMBER_AT = {
    **dict.fromkeys(("customer_id", "contact_customer_id", "user_id"), 2),
    **dict.fromkeys(("device_id", "device"), 2),
    **dict.fromkeys(("transaction_id", "original_transaction_id", "payment_id", "refund_of", "due_id", "subject"), 7),
    **dict.fromkeys(("event_id", "session_id"), 7),
}
HASHED = ("phone", "email", "counterparty_token", "trigger_id")
# Of these nothing of yesterday is looked at tonight, or it would point to deliveries that are not there.
EMPTY = ("raw.", "ops.", "restricted.", "core.quarantine")
ROWS_PER_FILE = 500_000


@dataclass(frozen=True)
class Size:
    """So many customers, and rows of tonight."""

    name: str
    customers: int
    payments: int
    events: int
    devices: int
    has_consents: bool = True
    event_nights: int = 3  # of app events before tonight

    @property
    def copies(self) -> int:
        return self.customers // CUSTOMERS


SIZES = {
    size.name: size
    for size in (
        Size("S", 100_000, 110_000, 1_000_000, 60_000),
        Size("M", 2_000_000, 1_100_000, 10_000_000, 1_200_000),
        Size("L", 20_000_000, 11_000_000, 30_000_000, 2_000_000, has_consents=False, event_nights=1),
    )
}


def moved(column: str, copy: str, start: int) -> str:
    """The id of the same thing in another copy, as SQL of Spark and of DuckDB."""
    number = f"cast(cast(substr({column}, {start}, 9) as bigint) + {copy} * {CUSTOMERS} as varchar(12))"
    return f"concat(substr({column}, 1, {start - 1}), lpad({number}, 9, '0'), substr({column}, {start + 9}))"


# ---- yesterday


def make_yesterday(folder: Path, base: Path, size: Size, overlay: Path | None, progress: Progress) -> None:
    """A lake of `size.customers` customers of a long past: yesterday's snapshots, and postings that may come again.

    Tables that are there already stay, so that what was killed is taken up again.
    """
    keys = folder / "token_keys.toml"
    keys.touch(mode=0o600)
    keys.write_text((base / keys.name).read_text())
    settings = settings_of(folder, folder / "landing", overlay)
    first = YESTERDAY - timedelta(days=max(source.late_days for source in settings.sources) - 1)
    open_session(settings)  # The ledger knows of no rows yet; these are many.
    with opened(settings, "run", first, YESTERDAY, None, progress) as night:
        for table in pipeline.tables(settings):
            days = _nights_of(settings, table, size)
            if night.ledger.published(table.name, days[0], days[-1]):
                continue
            staged = night.stage(table.name, _copied(night, base / "lake", table, size, days), days)
            night.publish(staged, {}, announced_empty=days)
        for source in settings.sources:
            night.ledger.fix(source.name, night.days)


def _nights_of(settings: Settings, table: Table, size: Size) -> list[date]:
    """The nights that tonight looks into: of postings as many as may come again, of all else yesterday."""
    nights = [s.late_days for s in settings.sources if f"core.{s.feed}" == table.name and s.feed_spec.kind == "events"]
    looked_into = size.event_nights if table.name == "core.app_events" else max([*nights, 1])
    return [YESTERDAY - timedelta(days=n) for n in reversed(range(looked_into))]


def _copied(night: Night, base: Path, table: Table, size: Size, days: Sequence[date]) -> DataFrame:
    folder = base / table.layer / table.short_name
    nights = [folder / f"as_of_date={day}" for day in days]
    is_empty = table.name.startswith(EMPTY) or (not size.has_consents and "consents" in table.name)
    if table.name in ("mart.engine_models", "mart.rule_versions"):
        nights = list(folder.glob("as_of_date=*"))
    found = [] if is_empty else [str(path) for path in nights if list(path.glob("*.parquet"))]
    if not found:
        return night.spark.createDataFrame([], table.ddl(nullable=True))
    rows = night.spark.read.schema(table.ddl(nullable=True)).option("basePath", str(folder)).parquet(*found)
    if len(days) == 1:
        rows = rows.withColumn("as_of_date", F.lit(days[0]))
    names = set(table.column_names)
    if not names & {*NUMBER_AT, *HASHED}:
        return rows.select(*table.column_names)
    files = max(2, size.copies * CUSTOMERS // 2_000_000)
    copies = night.spark.range(0, size.copies, 1, files).withColumnRenamed("id", "copy")
    return copies.crossJoin(F.broadcast(rows)).selectExpr(*(_moved_column(name, names) for name in table.column_names))


def _moved_column(name: str, names: set[str]) -> str:
    if name in NUMBER_AT:
        start = NUMBER_AT[name]
        return f"if(length({name}) >= {start + 8}, {moved(name, 'copy', start)}, {name}) as {name}"
    if name in HASHED or name == "contact_token":
        return f"if({name} is null or copy = 0, {name}, concat('k1_', sha2(concat({name}, copy), 256))) as {name}"
    if name == "id_token":
        device = moved("id_token", "copy", 2)
        return f"if(id_type = 'device', {device}, concat('k1_', sha2(concat(id_token, copy), 256))) as id_token"
    return name


# ---- tonight

FORMS = ("gzip", "parquet")
FLAT = {
    "payments": {"payment_id": 7, "refund_of": 7, "user_id": 2, "device": 2},
    "customers": {"user_id": 2},
    "consents": {"user_id": 2},
    "devices": {"device": 2, "user_id": 2},
}
PHONES = {"payments": "payee", "customers": "mobile"}
MACROS = f"""
    create macro moved(id, copy, start) as case when length(id) < start + 8 then id else
        id[:start - 1] || lpad((id[start:start + 8]::bigint + copy * {CUSTOMERS})::varchar, 9, '0') || id[start + 9:]
        end;
    create macro another_phone(phone, copy) as
        case when copy = 0 or phone is null then phone else (6000000000 + hash(phone, copy) % 3999999999)::varchar end;
"""


def make_tonight(folder: Path, base: Path, size: Size, form: str) -> dict[str, tuple[int, int]]:
    """Tonight's deliveries, packed by gzip as the base lake's are, or as Parquet; source → rows and bytes."""
    database = duckdb.connect()
    database.execute(MACROS)
    told: dict[str, tuple[int, int]] = {}
    wanted = {"payments": size.payments, "app_events": size.events, "devices": size.devices}
    settings = settings_of(base)
    for name in ("payments", "app_events", "devices", "customers", *(["consents"] if size.has_consents else [])):
        source = settings.source(name)
        files = base / "landing" / name / f"{TONIGHT}*" / f"*.{_suffix(source)}"
        rows = _told(database, source, str(files), is_typed=form == "parquet")
        count = database.execute(f"select count(*) from base_{name}").fetchone()[0]
        times = round(wanted[name] / count) if name in wanted else size.copies
        target = folder / "landing" / name / f"{TONIGHT}"
        target.mkdir(parents=True)
        suffix = "parquet" if form == "parquet" else _suffix(source)
        entries = []
        step = max(1, ROWS_PER_FILE // count)
        for nth, start in enumerate(range(0, times, step), 1):
            part = target / f"part-{nth:04d}.{suffix}"
            copies = f"range({start}, {min(start + step, times)}) as c(nth)"
            query = f"select {rows} from base_{name}, (select nth, nth % {size.copies} as copy from {copies})"
            written = database.execute(f"copy ({query}) to '{part}' ({_options(suffix)})").fetchone()[0]
            with part.open("rb") as stored:
                sha256 = hashlib.file_digest(stored, "sha256").hexdigest()
            entries.append({"name": part.name, "bytes": part.stat().st_size, "sha256": sha256, "rows": written})
        told[name] = (sum(each["rows"] for each in entries), sum(each["bytes"] for each in entries))
        manifest = {
            "format": "clm-delivery-1",
            "source": name,
            "date": f"{TONIGHT}",
            "delivery_id": f"{name}-{TONIGHT}-1",
            "replaces": None,
            "files": entries,
        }
        (target / "manifest.json").write_text(json.dumps(manifest))
    return told


def _suffix(source: Source) -> str:
    return {"csv": "csv.gz", "jsonl": "jsonl.gz", "parquet": "parquet"}[source.files.format]


def _options(suffix: str) -> str:
    return {
        "csv.gz": "format csv, header, compression gzip",
        "jsonl.gz": "format json, compression gzip",
        "parquet": "format parquet, compression zstd",
    }[suffix]


def _told(database: duckdb.DuckDBPyConnection, source: Source, files: str, *, is_typed: bool) -> str:
    """Makes the table base_<source>; returns the columns of a copy of its rows, as SQL.

    `nth` tells the times apart that a row is told, `copy` whose it is: the same customer's again where rows are many.
    """
    name = source.name
    if name == "app_events":
        return _told_events(database, source, files, is_typed=is_typed)
    read = {"csv": "read_csv('{}', all_varchar = true)", "jsonl": "read_json('{}')", "parquet": "'{}'"}
    rows = read[source.files.format].format(files)
    columns = ", ".join(
        f"try_cast({column} as {_type(type_)}) as {column}" if is_typed else column
        for column, type_ in source.columns.items()
    )
    # In two steps: DuckDB would have its reader do the casts, and that one does not try them.
    database.execute(f"create table delivered_{name} as from {rows}")
    database.execute(f"create table base_{name} as select {columns} from delivered_{name}")
    told = {
        column: f"moved({column}, {'nth' if start == 7 else 'copy'}, {start})" for column, start in FLAT[name].items()
    }
    if name in PHONES:
        told[PHONES[name]] = f"another_phone({PHONES[name]}, copy)"
    if name == "customers":
        told["email"] = "case when copy = 0 then email else copy || '.' || email end"
    return f"* exclude (nth, copy) replace ({', '.join(f'{told[column]} as {column}' for column in told)})"


def _told_events(database: duckdb.DuckDBPyConnection, source: Source, files: str, *, is_typed: bool) -> str:
    declared = {column: _type(type_) for column, type_ in source.columns.items()}
    if is_typed:
        paths = {column: source.path(column) for column in declared}
        columns = ", ".join(
            f"try_cast(line ->> '$.{'.'.join(paths[column])}' as {type_}) as {column}"
            for column, type_ in declared.items()
        )
        lines = f"(select json as line from read_json('{files}', records = false, columns = {{json: 'json'}}))"
        database.execute(f"create table base_app_events as select {columns} from {lines}")
        told = {
            "message_id": "moved(message_id, nth, 7)",
            "session_id": "moved(session_id, nth, 7)",
            **{column: f"moved({column}, copy, 2)" for column in ("user_id", "anonymous_id", "device_id")},
            "phone": "another_phone(phone, copy)",
        }
        return f"* exclude (nth, copy) replace ({', '.join(f'{sql} as {column}' for column, sql in told.items())})"
    database.execute(f"create table base_app_events as select * from read_json('{files}')")
    return """
        type, event, name, moved(messageId, nth, 7) as "messageId", moved(userId, copy, 2) as "userId",
        moved(anonymousId, copy, 2) as "anonymousId", originalTimestamp as "originalTimestamp", sentAt as "sentAt",
        receivedAt as "receivedAt", timestamp,
        {active: context.active, device: {id: moved(context.device.id, copy, 2)},
            "sessionId": moved(context.sessionId, nth, 7), app: context.app} as context,
        properties, {phone: another_phone(traits.phone, copy), email: traits.email} as traits
    """


def _type(type_: ColumnType) -> str:
    return {"string": "varchar", "timestamp": "timestamptz", "int": "integer"}.get(type_.spark_type, type_.spark_type)


def overlay(folder: Path, form: str) -> Path | None:
    """A configuration of the same sources that says Parquet where the deliveries are; None for those as packaged."""
    if form == "gzip":
        return None
    packaged = resources.files("conf") / "sources"
    target = folder / "conf" / "sources"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("payments", "app_events", "customers", "consents"):
        text = (packaged / f"{name}.toml").read_text(encoding="utf-8")
        text = re.sub(r"(?ms)^\[paths\].*?(?=^\[)", "", text)
        text = re.sub(r"\*\.(csv|jsonl)\.gz", "*.parquet", text)
        text = re.sub(r'(?m)^(format\s*=\s*)"\w+"', r'\1"parquet"', text)
        (target / f"{name}.toml").write_text(text)
    return folder / "conf"

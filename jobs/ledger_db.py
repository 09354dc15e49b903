"""Where the ledger is kept: its tables, its database, and bringing an older database up to date."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event, exc

from jobs.errors import Failed, Usage

# The newest file in jobs/migrations/versions, said here too so that an up-to-date ledger opens without Alembic.
REVISION = "0003"

# How long a transaction waits for another process's before it gives up; each takes milliseconds.
WAIT_SECONDS = 60

ADVICE = "see that this user may write there and that the disk has room, or name another file in CLM_LEDGER_URL"


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time, stored without its zone."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


TABLES = sa.MetaData()

# Facts about the lake that may not change, and its first night.
META = sa.Table(
    "meta",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# One row for ever. `turn` counts the holders; free while run_id is null; is_idle between two stages of one night.
LEASE = sa.Table(
    "lease",
    TABLES,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="lease_is_one_row"), primary_key=True),
    sa.Column("turn", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("command", sa.Text),
    sa.Column("first_day", sa.Date),
    sa.Column("last_day", sa.Date),
    sa.Column("host", sa.Text),
    sa.Column("pid", sa.BigInteger),
    sa.Column("pid_space", sa.Text),
    sa.Column("pid_start", sa.Text),
    sa.Column("since", UtcDateTime),
    sa.Column("beat_at", UtcDateTime),
    sa.Column("is_idle", sa.Boolean, nullable=False),
)

RUNS = sa.Table(
    "runs",
    TABLES,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("stage", sa.Text),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("outcome", sa.Text),
    sa.Column("why", sa.Text),
)

GENERATIONS = sa.Table(
    "generations",
    TABLES,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("drawn_at", UtcDateTime, nullable=False),
)

PUBLICATIONS = sa.Table(
    "publications",
    TABLES,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("conf_digest", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False),
    sa.Column("figures", sa.JSON, nullable=False),
    sa.Column("commit_sha256", sa.Text, nullable=False),
    # False once the snapshot is no longer in the lake; what was made from it still is.
    sa.Column("is_kept", sa.Boolean, nullable=False),
)

LINEAGE = sa.Table(
    "lineage",
    TABLES,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True),
    sa.Column("upstream_table", sa.Text, primary_key=True),
    sa.Column("upstream_day", sa.Date, primary_key=True),
    sa.Column("upstream_digest", sa.Text, nullable=False),
)

# One row is one delivery, of a dump its part of one night; `date` is null for a dump.
DELIVERIES = sa.Table(
    "deliveries",
    TABLES,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("delivery_id", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, primary_key=True),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("date", sa.Date),
    sa.Column("is_fixed", sa.Boolean, nullable=False),
    sa.Column("replaces", sa.Text),
    # Another of its night stands in for it.
    sa.Column("is_replaced", sa.Boolean, nullable=False),
    sa.Column("manifest", sa.JSON, nullable=False),
    sa.Column("landed_at", UtcDateTime, nullable=False),
)


# Nights that take what waits, as Sundays do, because a person asked for it.
REPAIRS = sa.Table("repairs", TABLES, sa.Column("night", sa.Date, primary_key=True))

# Triggers of which nothing is delivered because a person said so; the empty name stands for all of them.
STOPS = sa.Table(
    "stops",
    TABLES,
    sa.Column("trigger_name", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
)


def connect(url: str) -> sa.Engine:
    """The ledger's database, made if it is not there and brought to REVISION.

    Raises Usage for a URL that cannot hold a ledger, and Failed, now or at any later statement, naming the
    file when it cannot be read or written.
    """
    path = _sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"the ledger's folder {path.parent} cannot be made ({error.strerror}); {ADVICE}") from error
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        # One connection per transaction: nothing is held between two, nor shared by threads.
        poolclass=sa.NullPool,
        # isolation_level None: Python's driver leaves BEGIN to _begin.
        connect_args={"timeout": WAIT_SECONDS, "isolation_level": None},
        json_serializer=lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False),
    )
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", lambda context: _explain(path, context))
    if _revision(engine) != REVISION:
        _upgrade(engine, path)
    return engine


def reading(engine: sa.Engine) -> sa.Engine:
    """The same database for transactions that only read, which wait for nobody's intention to write."""
    return engine.execution_options(sqlite_begin="BEGIN")


def _sqlite_path(url: str) -> Path:
    instead = "leave CLM_LEDGER_URL unset or give sqlite:///…"
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise Usage(f"CLM_LEDGER_URL is not a database URL; {instead}") from error
    if parsed.get_backend_name() != "sqlite":
        raise Usage(f"a ledger on {parsed.get_backend_name()} is not supported yet; {instead}")
    if not parsed.database or parsed.database == ":memory:":
        raise Usage(f"CLM_LEDGER_URL names no file, and a ledger in memory would be forgotten; {instead}")
    return Path(parsed.database)


def _begin(connection: sa.Connection) -> None:
    # A writer says so at once and waits its turn: one that has read first would fail with "database is locked".
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))


def _explain(path: Path, context: sa.engine.ExceptionContext) -> None:
    error = context.original_exception
    is_ours = isinstance(context.sqlalchemy_exception, exc.IntegrityError | exc.ProgrammingError)
    if isinstance(context.sqlalchemy_exception, exc.DatabaseError) and not is_ours:
        raise Failed(f"the ledger {path} cannot be used ({error}); {ADVICE}") from error


def _revision(engine: sa.Engine) -> str | None:
    with reading(engine).connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


def _upgrade(engine: sa.Engine, path: Path) -> None:
    # Only here: importing Alembic takes longer than everything else a command asks of its ledger.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "jobs:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            # Of two processes the second waits for the first and then finds nothing to do.
            command.upgrade(config, "head")
        except CommandError as error:
            raise Failed(
                f"the ledger {path} was written by another version of clm-lake ({error}); "
                "install the version that last ran on this lake, or a newer one"
            ) from error

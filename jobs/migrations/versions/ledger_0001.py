"""The ledger as it first was: meta, lease, runs, generations, publications, lineage, deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    lease = op.create_table(
        "lease",
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
        sa.Column("since", sa.DateTime),
        sa.Column("beat_at", sa.DateTime),
        sa.Column("is_idle", sa.Boolean, nullable=False),
    )
    # The row is there from the start, so that every change of holder is one UPDATE.
    op.bulk_insert(lease, [{"id": 1, "turn": 0, "is_idle": False}])
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("first_day", sa.Date, nullable=False),
        sa.Column("last_day", sa.Date, nullable=False),
        sa.Column("stage", sa.Text),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("outcome", sa.Text),
        sa.Column("why", sa.Text),
    )
    op.create_table(
        "generations",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("generation", sa.BigInteger, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("drawn_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "publications",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("generation", sa.BigInteger, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("conf_digest", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("commit_sha256", sa.Text, nullable=False),
    )
    op.create_table(
        "lineage",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("generation", sa.BigInteger, primary_key=True),
        sa.Column("upstream_table", sa.Text, primary_key=True),
        sa.Column("upstream_day", sa.Date, primary_key=True),
        sa.Column("upstream_digest", sa.Text, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("night", sa.Date, primary_key=True),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("date", sa.Date),
        sa.Column("is_fixed", sa.Boolean, nullable=False),
        sa.Column("replaces", sa.Text),
        sa.Column("manifest", sa.JSON, nullable=False),
        sa.Column("landed_at", sa.DateTime, nullable=False),
    )

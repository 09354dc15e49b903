"""Snapshots that are no longer kept, deliveries that are replaced, nights that repair."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("publications", sa.Column("is_kept", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("deliveries", sa.Column("is_replaced", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table("repairs", sa.Column("night", sa.Date, primary_key=True))

"""Runs the revisions on the connection, and inside the transaction, that jobs.ledger_db hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()

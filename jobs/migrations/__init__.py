"""The ledger's schema, one revision a file in versions/; the newest is named in jobs.ledger_db.REVISION."""

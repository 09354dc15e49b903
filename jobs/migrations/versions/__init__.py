"""The ledger's schema, revision by revision; a revision that has been released is never edited."""

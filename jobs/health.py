"""Whether the lake can be written, and holds what the ledger knows of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

from jobs.errors import Failed, is_sparks
from jobs.lake import Lake
from jobs.places import local_path


def ensure_writable(root: str) -> None:
    """Raises Failed with the path where nothing can be written, before anything runs."""
    folder = local_path(root)
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Failed(
            f"The lake {folder} cannot be written ({error.strerror}). Set CLM_LAKE to a folder you may write."
        ) from None


def refuse_unhealthy(lake: Lake, tables: Iterable[str]) -> None:
    """Raises Failed where a table lost what the ledger knows; enters what landed unnoted."""
    if faults := check_health(lake, tables):
        raise Failed("\n".join(faults))


def check_health(lake: Lake, tables: Iterable[str]) -> list[str]:
    """One sentence for each table that is not as the ledger knows it."""
    faults: list[str] = []
    for table in tables:
        try:
            if not lake.exists(table):
                raise Failed(f"{table} is published and not there: {lake.path(table)}.")
            lake.recover(table)
        except Failed as error:
            faults.append(str(error))
        except Exception as error:
            if not is_sparks(error):
                raise
            # Delta reads the log before it can be compared with what the ledger knows.
            faults.append(
                f"{table}: its log cannot be read. Restore {lake.path(table)}/_delta_log from a backup; "
                "nothing was changed."
            )
    return faults

"""What a commit says of itself, in its commit info: enough to enter its publications into the ledger again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from jobs.delta import Commit
from jobs.ledger_records import Publication, Upstream

if TYPE_CHECKING:
    from jobs.lake import Staged


def told(
    staged: Staged,
    run_id: str,
    conf_digest: str,
    upstreams: Mapping[date, Sequence[Upstream]],
    dropped: Sequence[date],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """JSON values: run, configuration, and for each staged day its generation, figures and lineage."""
    days = {
        day.isoformat(): {
            "generation": generation,
            "rows": int(staged.figures[day]["rows"]),
            "digest": staged.digest(day),
            "upstreams": [[up.table, up.day.isoformat(), up.digest] for up in upstreams.get(day, ())],
            "figures": {name: _plain(value) for name, value in staged.figures[day].items()},
        }
        for day, generation in staged.generations.items()
    }
    return {
        "table": staged.table.name,
        "run_id": run_id,
        "conf_digest": conf_digest,
        "days": days,
        "dropped": [day.isoformat() for day in dropped],
        **more,
    }


def let_go(table: str, run_id: str, conf_digest: str, days: Sequence[date]) -> dict[str, Any]:
    """JSON values of a commit that only takes days out of a table."""
    gone = [day.isoformat() for day in days]
    return {"table": table, "run_id": run_id, "conf_digest": conf_digest, "days": {}, "dropped": gone}


def _plain(value: Any) -> Any:
    """Whole numbers as they are, anything else as text."""
    return value if value is None or isinstance(value, int) else str(value)


def dropped(commit: Commit) -> list[date]:
    """The days that left the table with the commit."""
    return [date.fromisoformat(day) for day in commit.metadata.get("dropped", ())]


def publications(table: str, commit: Commit) -> list[Publication]:
    """The ledger's rows of the commit, one for each day."""
    said = commit.metadata
    return [
        Publication(
            table=table,
            day=date.fromisoformat(day),
            generation=each["generation"],
            version=commit.version,
            rows=each["rows"],
            digest=each["digest"],
            conf_digest=said["conf_digest"],
            run_id=said["run_id"],
            figures=each["figures"],
            upstreams=tuple(
                Upstream(table=name, day=date.fromisoformat(upstream), digest=digest)
                for name, upstream, digest in each["upstreams"]
            ),
            commit_sha256=commit.sha256,
        )
        for day, each in said["days"].items()
    ]

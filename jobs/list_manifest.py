"""A list and its manifest (clm-list-1, spec §4): brought up to date where it says something else than before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from jobs.list_files import (
    Content,
    described,
    drop_generation,
    publish,
    read_manifest,
    write_generation,
)
from schemas.table import Column

FORMAT = "clm-list-1"
TIME = "%Y-%m-%dT%H:%M:%SZ"
# The content that a manifest lists as "files"; others stand beside it by their own names.
ROWS = "part"
# ready: files are there; empty: it was looked and nobody is told anything; of the others there are no files, and
# `reason` says why.
State = Literal["ready", "empty", "held", "failed", "expired"]
# Said anew by every run, whatever else the manifest says.
STAMPS = ("consent_checked_at", "created_at", "run_id", "conf_digest")


@dataclass(frozen=True)
class ListOfNight:
    """What a manifest says of one list of one night but for its files.

    `named` is what the list is of (a trigger and its version, say), `more` what else is counted. `actions` count its
    rows.
    """

    name: str
    named: Mapping[str, str]
    day: date
    state: State
    reason: str | None
    actions: Mapping[str, int]
    columns: Sequence[Column]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stamp:
    """By which run and by which configuration a list is made, when consents were looked at, and when that began."""

    now: datetime
    run_id: str
    conf_digest: str
    began: float = field(default_factory=time.monotonic)

    @property
    def at_present(self) -> datetime:
        """What `now` has become since."""
        return self.now + timedelta(seconds=time.monotonic() - self.began)


def bring_up_to_date(
    folder: Path,
    told: ListOfNight,
    contents: Mapping[str, Content],
    formats: Sequence[str],
    stamp: Stamp,
    *,
    after: int = 0,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The list's manifest afterwards: the one that was there, where it says all of it already.

    `contents` are the rows (ROWS) and what lies beside them; none where the list has no files. Rows as they were make
    no new generation. `after` is the newest generation that anybody knows of, also where the list is lost. `check` is
    called when all is written and nothing is told yet; what it raises leaves the list as it was.
    """
    before = read_manifest(folder)
    former = max(before["generation"] if before else 0, after)
    files = write_generation(folder, former + 1, contents, formats) if contents else {}
    told_files = {_key(name): described(of_name) for name, of_name in files.items()} or {"files": []}
    if before and before["generation"] == former and _hashes(told_files) == _hashes(before):
        drop_generation(folder, former + 1)
        told_files, generation = {key: before[key] for key in told_files}, before["generation"]
        replaces = before["replaces"]
    else:
        generation, replaces = former + 1, former or None
    made = {
        "format": FORMAT,
        "list": told.name,
        **told.named,
        "as_of_date": told.day.isoformat(),
        "send_date": (told.day + timedelta(days=1)).isoformat(),
        "generation": generation,
        "replaces": replaces,
        "state": told.state,
        "reason": told.reason,
        "rows": sum(told.actions.values()),
        "actions": dict(told.actions),
        **told.more,
        **told_files,
        "columns": [{"name": column.name, "type": column.type} for column in told.columns],
        "consent_checked_at": stamp.now.astimezone(UTC).strftime(TIME),
        "created_at": stamp.at_present.astimezone(UTC).strftime(TIME),
        "run_id": stamp.run_id,
        "conf_digest": stamp.conf_digest,
    }
    if before and _but_stamps(made) == _but_stamps(before):
        return before
    try:
        check()
    except BaseException:
        drop_generation(folder, former + 1)
        raise
    publish(folder, made)
    return made


def _key(content: str) -> str:
    return "files" if content == ROWS else content


def _hashes(told: Mapping[str, Any]) -> dict[str, list[str]]:
    """The bytes of a list's files, whatever generation they are of; a key without files is as good as none."""
    named = {key: value for key, value in told.items() if isinstance(value, list) and key != "columns"}
    return {key: [each["sha256"] for each in value] for key, value in named.items() if value}


def _but_stamps(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in STAMPS}

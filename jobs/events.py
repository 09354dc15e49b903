"""What is told of a night to whoever is paged: one JSON object, in a file of the lake and at a URL."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from conf import Settings
from jobs.csv_text import plain
from jobs.errors import Failed
from jobs.ledger import Ledger, utc_now
from jobs.places import local_path

FILE = "events.jsonl"
# Where an event is sent as well, by HTTP POST; nowhere where it is not set.
URL = "CLM_EVENT_URL"
PATIENCE_SECONDS = 10
OF_RUN = ("run_id", "command", "stage", "started_at", "ended_at", "outcome", "why")


def of_night(settings: Settings, event: str, day: date, **where: str) -> dict[str, Any]:
    """The event (failed, late) of the night `day`, with its newest run as the ledger knows it; null for none.

    `outcome` is done, failed, refused or busy, and null of a run that is at work or was killed.
    """
    runs = Ledger.open(settings.ledger_url).runs(day)
    newest = {name: plain(getattr(runs[0], name)) if runs else None for name in OF_RUN}
    return {"event": event, "night": day.isoformat(), "at": plain(utc_now()), **where, **newest}


def tell(settings: Settings, event: dict[str, Any]) -> None:
    """Append the event to the lake's file, then send it. Raises Failed where nobody takes it: it is in the file."""
    text = json.dumps(event, ensure_ascii=False)
    root: Path | None = local_path(settings.lake.root)
    if root is not None:
        root.mkdir(parents=True, exist_ok=True)
        with (root / FILE).open("a", encoding="utf-8") as opened:
            opened.write(text + "\n")
    if url := os.environ.get(URL):
        try:
            request = Request(url, text.encode(), {"Content-Type": "application/json"}, method="POST")  # noqa: S310
            with urlopen(request, timeout=PATIENCE_SECONDS):  # noqa: S310
                pass
        except (OSError, ValueError) as error:
            raise Failed(f"{URL} does not take the event ({error}): {text}") from None

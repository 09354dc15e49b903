"""What is told of a night that failed or is late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from conf import Settings
from jobs import events
from jobs.errors import Failed
from jobs.ledger import Ledger
from tests.conftest import Place

NIGHT = date(2026, 2, 5)


@pytest.fixture
def settings(place: Place) -> Settings:
    return place.configure()


def in_file(settings: Settings) -> list[dict[str, Any]]:
    text = (place_of(settings) / events.FILE).read_text()
    return [json.loads(line) for line in text.splitlines()]


def place_of(settings: Settings) -> Path:
    return Path(settings.lake.root)


def test_it_is_the_newest_run_of_the_night(settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    for stage, outcome, why in (("land", "done", None), ("conform", "refused", "payments lies about itself")):
        run = ledger.start_run("run", NIGHT, NIGHT, stage)
        ledger.end_run(run.run_id, outcome, why)
    told = events.of_night(settings, "failed", NIGHT, dag="clm_nightly")
    assert {key: told[key] for key in ("event", "night", "dag", "stage", "outcome", "why")} == {
        "event": "failed",
        "night": "2026-02-05",
        "dag": "clm_nightly",
        "stage": "conform",
        "outcome": "refused",
        "why": "payments lies about itself",
    }
    json.dumps(told)


def test_a_night_that_nobody_began_is_told_as_well(settings: Settings) -> None:
    told = events.of_night(settings, "late", NIGHT)
    assert (told["event"], told["run_id"], told["outcome"]) == ("late", None, None)


def test_each_is_a_line_of_the_file(settings: Settings) -> None:
    events.tell(settings, {"event": "late"})
    events.tell(settings, {"event": "failed", "why": "zu spät\nund falsch"})
    assert in_file(settings) == [{"event": "late"}, {"event": "failed", "why": "zu spät\nund falsch"}]


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A URL, and what was sent there."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if b"refuse" in sent[-1] else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/events", sent
    server.shutdown()
    server.server_close()


def test_it_is_sent_where_a_url_is_named(
    settings: Settings, listener: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, sent = listener
    monkeypatch.setenv(events.URL, url)
    events.tell(settings, {"event": "late"})
    assert [json.loads(each) for each in sent] == [{"event": "late"}] == in_file(settings)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/", "not a url"])
def test_where_nobody_takes_it_it_is_in_the_file_all_the_same(
    settings: Settings, listener: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(events.URL, url or listener[0])
    with pytest.raises(Failed, match=r"CLM_EVENT_URL does not take the event .*: \{\"event\": \"refuse\"\}"):
        events.tell(settings, {"event": "refuse"})
    assert in_file(settings) == [{"event": "refuse"}]

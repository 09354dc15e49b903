"""The stage export over a small lake: what a campaign system finds, after one run, two, a correction and a kill."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from conf import Settings
from jobs import list_manifest, night_messages
from jobs.__main__ import main
from jobs.between_nights import land
from jobs.delivering import export_revocations, resume, stop
from jobs.errors import Busy, Failed, Usage
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.list_files import read_manifest, write_generation
from jobs.night_export import deliver
from jobs.night_messages import Delivered, unexpired
from jobs.progress import Progress
from jobs.runner import Night, backfill, opened, run_night, stages
from jobs.status import lists
from tests.conftest import Place
from tests.e2e.acting_lake import FIRST, LAST, ONE_DAY, lake_of
from tests.jobs.rows import cells

NIGHT = LAST - ONE_DAY
# In time for the messages of that night, which go out on the tenth and expire as the twelfth begins.
IN_TIME = datetime(2026, 1, 10, 2, tzinfo=UTC)
TOO_LATE = datetime(2026, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def selected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one real night, which has selected and not been delivered."""
    root = tmp_path_factory.mktemp("export") / "selected"
    settings = lake_of(root)
    backfill(settings, FIRST, NIGHT - ONE_DAY, reason="first load", step_from=FIRST, progress=Progress())
    with opened(settings, "run", NIGHT, NIGHT, None, Progress()) as night:
        for stage, carry_out in stages().items():
            if stage != "export":
                carry_out(night)
    return root


@pytest.fixture
def settings(selected: Path, tmp_path: Path) -> Settings:
    shutil.copytree(selected, tmp_path / "copy")
    return Place(tmp_path / "copy").settings()


def delivered(settings: Settings, now: datetime = IN_TIME, *, even_expired: bool = False) -> dict[str, Delivered]:
    with opened(settings, "run", NIGHT, NIGHT, "export", Progress()) as night:
        night.even_expired = even_expired
        return {each.manifest["trigger"]: each for each in deliver(night, NIGHT, now=now)}


def out(night: Night, now: datetime) -> dict[date, list[str]]:
    """Night → triggers of which messages are out."""
    damaged: list[str] = []
    found = unexpired(night, now, damaged=damaged)
    assert not damaged
    return {day: [folder.parent.name for folder in folders] for day, folders in found.items()}


def folder(settings: Settings, trigger: str = "offer") -> Path:
    return Path(settings.lake.root) / "exports" / "trigger_list_v1" / trigger / f"date={NIGHT}"


def rows(settings: Settings, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Customer → action, as the Parquet of the list has it."""
    [file] = [each for each in manifest["files"] if each["format"] == "parquet"]
    told = pq.read_table(folder(settings, manifest["trigger"]) / file["name"]).to_pylist()
    return {row["customer_id"]: row["action"] for row in told}


def receipts(spark: SparkSession, settings: Settings) -> list[tuple[str | None, ...]]:
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    return sorted(cells(lake.read_day("ops.exports", NIGHT), "trigger", "generation", "action", "reason"))


def test_a_night_is_delivered_once(spark: SparkSession, settings: Settings) -> None:
    told = delivered(settings)
    offer, expiring = told["offer"].manifest, told["expiring"].manifest
    assert offer == read_manifest(folder(settings))
    assert (offer["state"], offer["generation"], offer["replaces"], offer["actions"]) == (
        "ready",
        1,
        None,
        {"send": 2, "cancel": 0},
    )
    assert {step: n for step, n in offer["funnel"].items() if n} == {
        "eligible": 4,
        "selected": 2,
        "no_consent": 1,
        "over_budget": 1,
    }
    assert list(rows(settings, offer).values()) == ["send", "send"]
    # Held back by the size guard, which says why; not an empty list, and not a failed one.
    assert (expiring["state"], expiring["files"], expiring["funnel"]["size_guard"]) == ("held", [], 2)
    assert expiring["reason"] == "2 are eligible, and at most 1 are expected"
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2
    files = {path: path.read_bytes() for path in folder(settings).rglob("*") if path.is_file()}
    assert [each.changes for each in delivered(settings).values()] == [0, 0]
    assert {path: path.read_bytes() for path in folder(settings).rglob("*") if path.is_file()} == files
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2


def test_a_consent_that_is_taken_back_in_time_is_heeded(spark: SparkSession, settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    gone = min(sent)
    withdraw(settings, gone)
    again = delivered(settings)["offer"]
    assert (again.changes, again.manifest["generation"], again.manifest["replaces"]) == (1, 2, 1)
    assert again.manifest["actions"] == {"send": 1, "cancel": 1}
    assert (again.manifest["funnel"]["selected"], again.manifest["funnel"]["no_consent"]) == (1, 2)
    assert rows(settings, again.manifest) == {**sent, gone: "cancel"}
    assert receipts(spark, settings) == [
        ("offer", "1", "send", None),
        ("offer", "1", "send", None),
        ("offer", "2", "cancel", "no_consent"),
    ]


AFTER = "2026-01-10T05:00:00+05:30"


def withdraw(settings: Settings, customer: str, at: str = AFTER) -> None:
    """The customer withdraws after the night, and it is landed before the next one."""
    consent(settings, {"customer": customer, "until": at, "changed": at})


def consent(settings: Settings, row: Mapping[str, Any]) -> None:
    """A version of a consent to offers over push, landed for the day after the night."""
    told = {"purpose": "promotional", "channel": "push", "since": f"{FIRST}T09:00:00+05:30", "until": None, **row}
    place = Place(Path(settings.landing).parent)
    number = len(list((place.root / "landing" / "consents").glob(f"{LAST}*"))) + 1
    place.deliver("consents", LAST, [json.dumps(told)], suffix=f"-{number}", name="part-0001.jsonl.gz")
    land(settings, "consents", LAST, progress=Progress())


def test_what_is_too_late_is_computed_and_not_delivered(spark: SparkSession, settings: Settings) -> None:
    told = delivered(settings, TOO_LATE)["offer"].manifest
    assert (told["state"], told["files"], told["reason"]) == (
        "expired",
        [],
        "its messages expired at 2026-01-12T00:00",
    )
    assert receipts(spark, settings) == [("offer", "1", "withheld", "expired")] * 2
    asked = delivered(settings, TOO_LATE, even_expired=True)["offer"].manifest
    assert (asked["state"], asked["generation"], asked["actions"]["send"]) == ("ready", 2, 2)
    # What is out already stays as it is.
    assert delivered(settings, TOO_LATE)["offer"].manifest == asked


def test_what_is_stopped_is_cancelled_until_it_is_resumed(spark: SparkSession, settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    sent = rows(settings, delivered(settings)["offer"].manifest)
    ledger.stop("offer", "wrong cashback")
    with opened(settings, "stop", NIGHT, NIGHT, None, Progress()) as night:
        assert out(night, IN_TIME) == {NIGHT: ["offer"]}
        assert out(night, TOO_LATE) == {}
    stopped = delivered(settings)["offer"].manifest
    assert (stopped["state"], stopped["reason"]) == ("ready", "stopped: wrong cashback")
    assert rows(settings, stopped) == dict.fromkeys(sent, "cancel")
    ledger.resume(None)
    assert rows(settings, delivered(settings)["offer"].manifest) == sent
    assert [row[2:] for row in receipts(spark, settings)] == [
        ("send", None),
        ("send", None),
        ("cancel", "stopped"),
        ("cancel", "stopped"),
        ("send", None),
        ("send", None),
    ]


def test_who_withdraws_between_two_nights_is_listed_and_cancelled(settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    gone = max(sent)
    withdraw(settings, gone)
    told, cancelled = export_revocations(settings, now=IN_TIME, progress=Progress())
    assert told is not None
    assert (told["as_of_date"], told["state"], told["actions"]) == (str(LAST), "ready", {"revoke": 1})
    [csv] = (Path(settings.lake.root) / "exports" / "revocations_v1" / f"date={LAST}").rglob("*.csv.gz")
    header, row = gzip.decompress(csv.read_bytes()).decode().splitlines()
    assert header == "customer_id,purpose,channel,withdrawn_at"
    assert row == f"{gone},promotional,push,2026-01-09T23:30:00Z"
    assert [(each.manifest["trigger"], each.changes) for each in cancelled] == [("offer", 1)]
    assert rows(settings, cancelled[0].manifest) == {**sent, gone: "cancel"}
    # Once more is the same list, and nothing is cancelled twice.
    again, cancelled = export_revocations(settings, now=IN_TIME, progress=Progress())
    assert (again, [each.changes for each in cancelled]) == (told, [0])


def test_who_withdraws_after_the_send_date_is_cancelled_while_the_message_holds(settings: Settings) -> None:
    """It may still be sent on the eleventh, so a withdrawal of that morning counts."""
    sent = rows(settings, delivered(settings)["offer"].manifest)
    gone = max(sent)
    withdraw(settings, gone, at="2026-01-11T05:00:00+05:30")
    _, [cancelled] = export_revocations(settings, now=datetime(2026, 1, 11, 2, tzinfo=UTC), progress=Progress())
    assert rows(settings, cancelled.manifest) == {**sent, gone: "cancel"}
    funnel = cancelled.manifest["funnel"]
    assert (funnel["selected"], funnel["no_consent"], funnel["eligible"]) == (1, 2, 4)


def test_between_two_nights_nobody_is_told_of_who_was_not(spark: SparkSession, settings: Settings) -> None:
    """Neither who consents again, nor whom a correction selects that nobody has delivered yet."""
    withdraw(settings, "anna")
    withdraw(settings, "ben")
    sent = rows(settings, delivered(settings)["offer"].manifest)
    assert "dora" not in sent or len(sent) == 1
    consent(settings, {"customer": "anna", "changed": "2026-01-10T06:00:00+05:30"})
    consent(settings, {"customer": "ben", "changed": "2026-01-10T06:00:00+05:30"})
    told, cancelled = export_revocations(settings, now=IN_TIME, progress=Progress())
    assert told is not None
    assert [each.changes for each in cancelled] == [0] * len(cancelled)
    assert rows(settings, delivered(settings)["offer"].manifest).keys() > sent.keys()


def test_who_is_deleted_between_two_nights_is_cancelled(spark: SparkSession, settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    gone = max(sent)
    place = Place(Path(settings.landing).parent)
    row = {"customer": gone, "registered": f"{FIRST}T09:00:00+05:30", "language": None}
    told = {**row, "changed": AFTER, "gone": True}
    place.deliver("customers", LAST, [json.dumps(told)], suffix="-2", name="part-0001.jsonl.gz")
    land(settings, "customers", LAST, progress=Progress())
    again = delivered(settings)["offer"].manifest
    assert rows(settings, again) == {**sent, gone: "cancel"}
    assert again["funnel"]["suppressed"] == 1
    assert ("offer", "2", "cancel", "suppressed") in receipts(spark, settings)


def test_a_message_is_out_for_as_long_as_it_was_told_to_be(settings: Settings) -> None:
    """Its days may be other ones by now: two when it was told, then one, then nine."""
    sent = rows(settings, delivered(settings)["offer"].manifest)
    triggers = Path(settings.landing).parent / "conf" / "triggers" / "mine.toml"
    told = triggers.read_text()
    triggers.write_text(told.replace("valid_days = 2", "valid_days = 9"))
    longer = Place(Path(settings.landing).parent).settings()
    assert stop(longer, "offer", "wrong cashback", now=TOO_LATE, progress=Progress()) == []
    triggers.write_text(told.replace("valid_days = 2", "valid_days = 1"))
    shorter = Place(Path(settings.landing).parent).settings()
    late = datetime(2026, 1, 11, 2, tzinfo=UTC)
    [cancelled] = stop(shorter, "offer", "wrong cashback", now=late, progress=Progress())
    assert rows(shorter, cancelled.manifest) == dict.fromkeys(sent, "cancel")


def test_a_damaged_list_is_named_and_the_others_are_taken_back(settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    damaged = folder(settings, "broken")
    shutil.copytree(folder(settings), damaged)
    [parquet] = damaged.rglob("*.parquet")
    parquet.write_bytes(parquet.read_bytes()[:100])
    with pytest.raises(Failed, match=r"broken/.*parquet is not the file that its manifest names") as refused:
        stop(settings, None, "wrong cashback", now=IN_TIME, progress=Progress())
    assert "All other lists were seen to" in str(refused.value)
    assert rows(settings, read_manifest(folder(settings)) or {}) == dict.fromkeys(sent, "cancel")
    # What is only moved aside there is no list.
    damaged.rename(damaged.with_name(f"{damaged.name}.damaged"))
    assert stop(settings, None, "wrong cashback", now=IN_TIME, progress=Progress()) == []
    resume(settings, None)
    shutil.copytree(damaged.with_name(f"{damaged.name}.damaged"), damaged)
    (damaged / "manifest.json").write_text("{")
    with pytest.raises(Failed, match=r"manifest\.json is no manifest.*\nAll other lists were seen to"):
        delivered(settings)
    assert rows(settings, read_manifest(folder(settings)) or {}) == sent
    with pytest.raises(Failed, match=r"manifest\.json is no manifest"):
        export_revocations(settings, now=IN_TIME, progress=Progress())


def test_a_stop_that_was_killed_is_made_good_when_it_is_said_again(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(settings)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(night_messages, "_receive", interrupted)
        stop(settings, "offer", "wrong cashback", now=IN_TIME, progress=Progress())
    after = datetime(2026, 1, 10, 9, tzinfo=UTC)
    [cancelled] = stop(settings, "offer", "wrong cashback", now=after, progress=Progress())
    assert cancelled.changes == 0
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    # By when the list was told, not by when that was noted.
    noted = cells(lake.read_day("ops.exports", NIGHT), "generation", "action", "reason", "in_time")
    assert sorted(noted) == [("1", "send", None, None)] * 2 + [("2", "cancel", "stopped", "true")] * 2


def test_a_stop_while_the_list_is_written_is_heeded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*given: Any) -> Any:
        Ledger.open(settings.ledger_url).stop("offer", "wrong cashback")
        return write_generation(*given)

    monkeypatch.setattr(list_manifest, "write_generation", stopped)
    assert delivered(settings).keys() == {"expiring"}
    assert not list(folder(settings).glob("*"))


def test_a_lost_list_cancels_who_withdrew(settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    shutil.rmtree(Path(settings.lake.root) / "exports")
    gone = max(sent)
    withdraw(settings, gone)
    again = delivered(settings)["offer"].manifest
    assert (again["generation"], rows(settings, again)) == (2, {**sent, gone: "cancel"})


def test_a_lost_list_goes_on_from_the_generation_that_was_told(spark: SparkSession, settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    sent = rows(settings, delivered(settings)["offer"].manifest)
    ledger.stop("offer", "wrong cashback")
    delivered(settings)
    shutil.rmtree(Path(settings.lake.root) / "exports")
    ledger.resume(None)
    again = delivered(settings)["offer"].manifest
    assert (again["generation"], again["replaces"], rows(settings, again)) == (3, 2, sent)
    assert [row[1:3] for row in receipts(spark, settings)] == [
        ("1", "send"),
        ("1", "send"),
        ("2", "cancel"),
        ("2", "cancel"),
        ("3", "send"),
        ("3", "send"),
    ]


def test_a_stop_cancels_what_is_out_while_it_may_still_be_sent(settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    assert stop(settings, "offer", "wrong cashback", now=TOO_LATE, progress=Progress()) == []
    [cancelled] = stop(settings, None, "wrong cashback", now=IN_TIME, progress=Progress())
    assert (rows(settings, cancelled.manifest), cancelled.changes) == (dict.fromkeys(sent, "cancel"), 2)
    assert resume(settings, None) == ["", "offer"]
    with (
        pytest.raises(Busy, match="Stopped: nothing more goes out"),
        opened(settings, "run", LAST, LAST, None, Progress()),
    ):
        stop(settings, "offer", "while a night is at work", now=IN_TIME, progress=Progress())
    assert resume(settings, "offer") == ["offer"]


def test_what_is_stopped_before_it_was_told_is_held(spark: SparkSession, settings: Settings) -> None:
    Ledger.open(settings.ledger_url).stop("", "a fire drill")
    assert {each.manifest["state"] for each in delivered(settings).values()} == {"held"}
    assert receipts(spark, settings) == [("offer", "1", "withheld", "stopped")] * 2


@pytest.mark.parametrize(
    ("owner", "step", "calls"),
    [
        # Before the first file, before the first manifest, between two lists, before the receipts.
        (list_manifest, "write_generation", 1),
        (list_manifest, "publish", 1),
        (list_manifest, "publish", 2),
        (night_messages, "_receive", 1),
    ],
)
def test_killed_anywhere_and_repeated_nothing_is_lost_and_nothing_doubled(
    spark: SparkSession,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    owner: ModuleType,
    step: str,
    calls: int,
) -> None:
    real, left = getattr(owner, step), [calls]

    def perhaps(*given: object, **named: object) -> object:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return real(*given, **named)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(owner, step, perhaps)
        delivered(settings)
    assert not Ledger.open(settings.ledger_url).days("ops.exports")
    with opened(settings, "run", NIGHT, NIGHT, "export", Progress()) as night:
        # What a stop would have to cancel, receipts or none: offer is the last of the lists.
        assert out(night, IN_TIME) == ({NIGHT: ["offer"]} if step == "_receive" else {})
    told = delivered(settings)
    assert {name: each.manifest["generation"] for name, each in told.items()} == {"expiring": 1, "offer": 1}
    assert list(rows(settings, told["offer"].manifest).values()) == ["send", "send"]
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2
    assert not list(folder(settings).parent.parent.rglob(".*"))


def test_killed_before_its_receipts_and_changed_since_has_the_receipts_of_both(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(night_messages, "_receive", interrupted)
        delivered(settings)
    sent = rows(settings, read_manifest(folder(settings)) or {})
    withdraw(settings, max(sent))
    delivered(settings)
    assert receipts(spark, settings) == [
        ("offer", "1", "send", None),
        ("offer", "1", "send", None),
        ("offer", "2", "cancel", "no_consent"),
    ]


def interrupted(*_given: object) -> None:
    raise KeyboardInterrupt


def test_a_trigger_that_is_not_there_is_named(settings: Settings) -> None:
    with (
        opened(settings, "run", NIGHT, NIGHT, "export", Progress()) as night,
        pytest.raises(Usage, match="There is no trigger 'ofer' on 2026-01-09; it has expiring, offer"),
    ):
        deliver(night, NIGHT, triggers=["ofer"], now=IN_TIME)


def test_a_corrected_night_tells_only_the_difference(settings: Settings) -> None:
    """Of three who can be sent to the budget leaves one out; then dora's payment was never made."""
    sent = rows(settings, delivered(settings)["offer"].manifest)
    place = Place(Path(settings.landing).parent)
    place.deliver("payments", NIGHT, [], suffix="-2", changes={"replaces": f"payments-{NIGHT}-1"})
    backfill(settings, NIGHT, NIGHT, reason="payments delivered again", progress=Progress())
    corrected = delivered(settings)["offer"]
    gone = {"dora": "cancel"} if "dora" in sent else {}
    assert rows(settings, corrected.manifest) == {"anna": "send", "ben": "send", **gone}
    assert corrected.changes == 2 * len(gone)


def test_by_command(settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands, their exit codes, and what a program reads: of a replay, of a night too late, of a stop."""
    root = Path(settings.landing).parent
    places = {"CLM_LAKE": settings.lake.root, "CLM_LANDING": settings.landing, "CLM_CONF": root / "conf"}
    for name, value in places.items():
        monkeypatch.setenv(name, str(value))
    run_night(settings, NIGHT, stage="export", progress=Progress())
    first = NIGHT - ONE_DAY
    assert main(["deliver", "--date", str(first)]) == 2
    assert "was made by a backfill, and its lists are not delivered" in capsys.readouterr().err
    assert main(["deliver", "--date", str(first), "--even-expired", "--trigger", "offer", "--json", "--quiet"]) == 0
    [told] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told == {
        "trigger": "offer",
        "date": str(first),
        "state": "ready",
        "generation": 1,
        "send": 2,
        "cancel": 0,
        "changed": 2,
        "reason": None,
    }
    assert main(["deliver", "--date", "2026-02-01"]) == 4
    assert "mart.selections 2026-02-01 is not published" in capsys.readouterr().err
    assert main(["stop", "ofer", "--reason", "a slip of the pen"]) == 2
    assert "There is no trigger 'ofer'; did you mean offer?" in capsys.readouterr().err
    # Everything has long expired, so nothing is cancelled.
    assert main(["stop", "offer", "--reason", "wrong cashback", "--json", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["deliver", "--date", str(NIGHT), "--even-expired", "--json", "--quiet"]) == 0
    states = {each["trigger"]: each["state"] for each in map(json.loads, capsys.readouterr().out.splitlines())}
    assert states == {"offer": "held", "expiring": "held"}
    told = {each.table: (each.state, each.why) for each in lists(settings, Ledger.open(settings.ledger_url), NIGHT)}
    assert told == {
        "exports/trigger_list_v1/expiring": ("held", "2 are eligible, and at most 1 are expected"),
        "exports/trigger_list_v1/offer": ("held", "stopped: wrong cashback"),
    }
    assert main(["resume", "--quiet"]) == 0
    assert main(["resume", "offer"]) == 2
    assert main(["export", "revocations"]) == 0
    assert "No consents were landed since the last night" in capsys.readouterr().err


def test_a_rule_that_could_not_be_answered_says_so_and_takes_nothing_back(settings: Settings) -> None:
    sent = delivered(settings)["offer"].manifest
    why = "it reads what risk says, and risk said nothing that night"
    with opened(settings, "run", NIGHT, NIGHT, "export", Progress()) as night:
        told = night.lake.read_day("mart.trigger_status", NIGHT).replace("ok", "failed", subset=["state"])
        told = told.withColumn("why", F.coalesce("why", F.lit(why)))
        night.publish(night.audited("mart.trigger_status", told, [NIGHT]), {})
    kept = delivered(settings)["offer"].manifest
    assert (kept["reason"], kept["files"], kept["actions"]) == (why, sent["files"], sent["actions"])
    # But who has withdrawn is not sent to, whatever the rule says.
    gone = max(rows(settings, sent))
    withdraw(settings, gone)
    assert rows(settings, delivered(settings)["offer"].manifest) == {**rows(settings, sent), gone: "cancel"}
    shutil.rmtree(folder(settings))
    failed = delivered(settings)["offer"].manifest
    assert (failed["state"], failed["reason"], failed["files"]) == ("failed", why, [])


def test_a_folder_that_cannot_be_written_is_named_and_the_rest_is_made_good(
    spark: SparkSession, settings: Settings
) -> None:
    in_the_way = folder(settings).parent
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("not a folder")
    with pytest.raises(Failed, match=r"offer/date=2026-01-09 cannot be written \(Not a directory\)"):
        delivered(settings)
    in_the_way.unlink()
    assert delivered(settings)["offer"].manifest["actions"]["send"] == 2
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2

"""A delivery is what its manifest says or is not touched, and it belongs to one night for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest

from conf import Settings, Source
from jobs import deliveries
from jobs.deliveries import Part
from jobs.errors import DataRefused, Usage
from jobs.ledger import Ledger
from tests.conftest import Place
from tests.jobs.sources import HEADER, payments

SAT, SUN, MON, TUE = date(2026, 1, 24), date(2026, 1, 25), date(2026, 1, 26), date(2026, 1, 27)
ROW = "p1,c1,2026-01-26 10:00:00,10.00"
COMPUTED = 'format = "csv"\nmanifest = "computed"\n'


class Landing:
    """One source, its landing folder and its ledger."""

    def __init__(self, place: Place, settings: Settings) -> None:
        self.place = place
        self.source: Source = settings.sources[0]
        self.ledger = Ledger.open(settings.ledger_url)

    def deliver(self, day: date, suffix: str = "", **changes: object) -> Path:
        return self.place.deliver("payments", day, [HEADER, ROW], suffix=suffix, changes=changes)

    def take(self, *nights: date) -> list[Part]:
        return deliveries.take(self.source, self.place.landing, self.ledger, nights)

    def ids(self, *nights: date) -> list[tuple[str, date]]:
        return [(part.delivery.delivery_id.removeprefix("payments-"), part.night) for part in self.take(*nights)]


@pytest.fixture
def landing(place: Place) -> Landing:
    """A source that the night can do without; its manifests are given."""
    return Landing(place, place.configure(payments(top="required = false")))


@pytest.fixture
def computed(place: Place) -> Landing:
    return Landing(place, place.configure(payments(top="required = false", files=COMPUTED)))


def rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest["files"][0])
    (folder / "manifest.json").write_text(json.dumps(manifest))


# ---- what a delivery is


def test_a_right_delivery_is_taken_as_its_manifest_says(landing: Landing) -> None:
    landing.deliver(MON)
    (part,) = landing.take(MON)
    assert (part.night, part.folder, part.manifest.date) == (MON, landing.place.landing / "payments/2026-01-26", MON)
    assert [(file.name, file.rows) for file in part.manifest.files] == [("part-0001.csv.gz", 1)]


def test_an_empty_manifest_is_a_delivery(place: Place) -> None:
    required = Landing(place, place.configure(payments()))
    place.deliver("payments", MON, [])
    (part,) = required.take(MON)
    assert part.manifest.files == ()


def test_a_computed_manifest_names_the_files_by_their_content(computed: Landing) -> None:
    folder = computed.deliver(MON)
    (part,) = computed.take(MON)
    assert [(file.name, file.bytes, file.rows) for file in part.manifest.files] == [
        ("part-0001.csv.gz", (folder / "part-0001.csv.gz").stat().st_size, None)
    ]
    assert part.delivery.delivery_id.startswith("payments-2026-01-26-")
    (folder / "part-0002.csv.gz").write_bytes(b"more")
    (again,) = computed.take(MON)
    assert again.delivery.delivery_id != part.delivery.delivery_id


@pytest.mark.parametrize("files", ['format = "csv"\nmanifest = "given"\n', COMPUTED], ids=["given", "computed"])
def test_a_required_source_without_a_delivery_stops_the_night(place: Place, files: str) -> None:
    required = Landing(place, place.configure(payments(files=files)))
    (place.landing / "payments" / "2026-01-26").mkdir(parents=True)  # A folder with nothing in it is still missing.
    with pytest.raises(DataRefused, match="source payments has no delivery for 2026-01-26 and 1 later") as refused:
        required.take(MON, TUE)
    for part in ("payments-team", "required = false", "payments.toml"):
        assert part in str(refused.value)


def test_a_folder_without_its_manifest_is_still_being_written(landing: Landing) -> None:
    (landing.deliver(MON) / "manifest.json").unlink()
    assert landing.take(MON) == []


def wrong_bytes(folder: Path) -> None:
    rewrite(folder, lambda file: file.update(bytes=1))


def wrong_sha256(folder: Path) -> None:
    rewrite(folder, lambda file: file.update(sha256="0" * 64))


def changed_after(folder: Path) -> None:
    content = bytearray((folder / "part-0001.csv.gz").read_bytes())
    content[-1] ^= 1
    (folder / "part-0001.csv.gz").write_bytes(content)


def not_named(folder: Path) -> None:
    (folder / "part-0002.csv.gz").write_bytes(b"")


def not_there(folder: Path) -> None:
    (folder / "part-0001.csv.gz").unlink()


def a_folder_instead(folder: Path) -> None:
    not_there(folder)
    (folder / "part-0001.csv.gz").mkdir()


def link_out(folder: Path) -> None:
    outside = folder.parents[2] / "outside.csv.gz"
    (folder / "part-0001.csv.gz").rename(outside)
    (folder / "part-0001.csv.gz").symlink_to(outside)


def linked_folder(folder: Path) -> None:
    outside = folder.parents[2] / "outside"
    outside.mkdir()
    (folder / "part-0001.csv.gz").rename(outside / "part-0001.csv.gz")
    (folder / "inner").symlink_to(outside)
    rewrite(folder, lambda file: file.update(name="inner/part-0001.csv.gz"))


def all_of_it_linked(folder: Path) -> None:
    outside = folder.parents[2] / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)


def named_twice(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": manifest["files"] * 2}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wrong_bytes, r"part-0001\.csv\.gz: \d+ bytes, the manifest says 1\."),
        (wrong_sha256, r"part-0001\.csv\.gz: its sha256 is not the manifest's\."),
        (changed_after, r"part-0001\.csv\.gz: its sha256 is not the manifest's\."),
        (not_named, r"part-0002\.csv\.gz: not in the manifest\."),
        (not_there, r"part-0001\.csv\.gz: the manifest names it and it is not there\."),
        (a_folder_instead, r"part-0001\.csv\.gz: the manifest names it and it is not there\."),
        (link_out, r"part-0001\.csv\.gz: a link out of the delivery is not followed\."),
        (all_of_it_linked, r"2026-01-26: a link is not followed; a delivery is a folder\."),
        (linked_folder, r"inner/part-0001\.csv\.gz: a link out of the delivery is not followed\."),
        (named_twice, r"manifest\.json: it names a file twice\."),
    ],
)
def test_what_is_not_as_the_manifest_says_is_refused(
    landing: Landing, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(landing.deliver(MON))
    with pytest.raises(DataRefused, match=said) as refused:
        landing.take(MON)
    assert "Ask payments-team to deliver it again." in str(refused.value)
    assert landing.ledger.taken("payments") == {}


@pytest.mark.parametrize(
    "name",
    [
        "a[1].csv.gz",
        "_hidden.csv.gz",
        ".hidden.csv.gz",
        "../other.csv.gz",
        "/etc/passwd",
        "a b.csv.gz",
        "ü.csv.gz",
        "a.csv.gz\n",
    ],
)
def test_names_that_spark_would_read_otherwise_are_refused(landing: Landing, name: str) -> None:
    folder = landing.deliver(MON)
    rewrite(folder, lambda file: file.update(name=name))
    with pytest.raises(DataRefused, match="has characters that are not taken"):
        landing.take(MON)


def test_a_computed_manifest_refuses_such_names_too(computed: Landing) -> None:
    (computed.deliver(MON) / "a[1].csv.gz").write_bytes(b"")
    with pytest.raises(DataRefused, match=r"'a\[1\]\.csv\.gz' has characters"):
        computed.take(MON)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "other"}, "it says source 'other' and lies where 'payments' delivers"),
        ({"date": "2026-01-25"}, "it says date 2026-01-25 and lies in the folder of 2026-01-26"),
        ({"format": "clm-delivery-2"}, "manifest.json: format: "),
        ({"delivery_id": "../x"}, "manifest.json: delivery_id: "),
        ({"extra": 1}, "manifest.json: extra: "),
        (
            {"files": [{"name": "a.csv.gz", "bytes": -1, "sha256": "0" * 64, "rows": 0}]},
            "manifest.json: files.0.bytes: ",
        ),
        ({"replaces": "payments-2026-01-26-1"}, "replacing a delivery is not supported yet"),
    ],
)
def test_a_manifest_that_is_wrong_in_itself_is_refused_by_its_key(
    landing: Landing, changes: dict[str, object], said: str
) -> None:
    landing.place.deliver("payments", MON, [HEADER, ROW], changes=changes)
    with pytest.raises(DataRefused) as refused:
        landing.take(MON)
    assert said in str(refused.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_a_manifest_that_is_no_json_is_refused(landing: Landing, content: bytes) -> None:
    (landing.deliver(MON) / "manifest.json").write_bytes(content)
    with pytest.raises(DataRefused, match=r"manifest\.json: not JSON"):
        landing.take(MON)


def test_a_folder_of_no_date_is_refused(landing: Landing) -> None:
    (landing.place.landing / "payments" / "2026-02-30").mkdir(parents=True)
    with pytest.raises(DataRefused, match="2026-02-30 is not a date"):
        landing.take(MON)


def test_a_path_whose_date_is_no_folder_is_an_error_of_the_source(place: Place) -> None:
    landing = Landing(place, place.configure(payments(path="payments/{date}.csv.gz")))
    with pytest.raises(Usage, match="must name a folder"):
        landing.take(MON)


def test_a_computed_manifest_takes_no_file_of_zero_bytes_for_an_empty_day(computed: Landing) -> None:
    (computed.deliver(MON) / "part-0001.csv.gz").write_bytes(b"")
    with pytest.raises(DataRefused, match=r"part-0001\.csv\.gz: 0 bytes, so its upload failed\. Ask payments-team"):
        computed.take(MON)


# ---- which night it belongs to


def test_a_second_delivery_of_a_date_adds_to_it(landing: Landing) -> None:
    landing.deliver(MON)
    landing.deliver(MON, "-2")
    assert landing.ids(MON) == [("2026-01-26-1", MON), ("2026-01-26-2", MON)]


def test_the_same_delivery_id_twice_is_refused(landing: Landing) -> None:
    landing.deliver(MON)
    landing.deliver(MON, "-2", delivery_id="payments-2026-01-26-1")
    with pytest.raises(
        DataRefused, match=r"2026-01-26-2/manifest\.json: the delivery_id payments-2026-01-26-1 is taken"
    ):
        landing.take(MON)


def test_the_delivery_id_of_another_source_is_refused(place: Place) -> None:
    settings = place.configure(
        payments(top="required = false"), payments(name="others", path="others/{date}/*.csv.gz", top="required = false")
    )
    ledger = Ledger.open(settings.ledger_url)
    for source in settings.sources:
        place.deliver(source.name, MON, [HEADER, ROW], changes={"delivery_id": "batch-1"})
    others, own = settings.sources
    deliveries.take(others, place.landing, ledger, [MON])
    with pytest.raises(DataRefused, match=r"payments/2026-01-26/manifest\.json: .* batch-1 is taken by others/2026-01"):
        deliveries.take(own, place.landing, ledger, [MON])


def test_a_file_that_does_not_unpack_is_named(landing: Landing) -> None:
    folder = landing.deliver(MON)
    [part] = landing.take(MON)
    deliveries.refuse_broken_gzip(landing.source, [part])
    whole = (folder / "part-0001.csv.gz").read_bytes()
    for broken in (whole[:-9], whole[:12] + b"\xff" + whole[13:], b"no gzip"):
        (folder / "part-0001.csv.gz").write_bytes(broken)
        with pytest.raises(DataRefused, match=r"2026-01-26/part-0001\.csv\.gz: it does not unpack to its end"):
            deliveries.refuse_broken_gzip(landing.source, [part])


def test_the_delivery_id_of_an_earlier_night_is_refused(landing: Landing) -> None:
    landing.deliver(MON)
    landing.take(MON)
    landing.ledger.fix("payments", [MON])
    landing.deliver(TUE, delivery_id="payments-2026-01-26-1")
    with pytest.raises(DataRefused, match="is taken"):
        landing.take(TUE)


def test_a_night_takes_what_is_dated_up_to_it_and_never_what_lies_ahead(landing: Landing) -> None:
    for day in (SUN, MON, TUE):
        landing.deliver(day)
    assert landing.ids(MON) == [("2026-01-25-1", MON), ("2026-01-26-1", MON)]


def test_the_nights_of_a_range_take_each_their_own_and_the_first_what_came_before(landing: Landing) -> None:
    for day in (SAT, SUN, TUE):
        landing.deliver(day)
    assert landing.ids(SUN, MON, TUE) == [("2026-01-24-1", SUN), ("2026-01-25-1", SUN), ("2026-01-27-1", TUE)]


def test_a_night_that_is_not_fixed_also_takes_what_has_come_since(landing: Landing) -> None:
    landing.deliver(MON)
    assert landing.ids(MON) == [("2026-01-26-1", MON)]
    landing.deliver(SUN)
    assert landing.ids(MON) == [("2026-01-25-1", MON), ("2026-01-26-1", MON)]


def test_a_night_that_is_fixed_takes_exactly_its_own_and_what_comes_late_goes_to_the_next(landing: Landing) -> None:
    landing.deliver(SUN)
    assert landing.ids(SUN) == [("2026-01-25-1", SUN)]
    landing.ledger.fix("payments", [SUN])
    landing.deliver(SUN, "-late")
    landing.deliver(MON)
    assert landing.ids(SUN) == [("2026-01-25-1", SUN)]
    assert landing.ids(MON) == [("2026-01-25-late", MON), ("2026-01-26-1", MON)]
    landing.ledger.fix("payments", [MON])
    assert landing.ids(SUN, MON) == [("2026-01-25-1", SUN), ("2026-01-25-late", MON), ("2026-01-26-1", MON)]


def test_a_refused_delivery_leaves_the_night_as_it_was_taken_before(landing: Landing) -> None:
    landing.deliver(SUN)
    landing.take(SUN)
    landing.ledger.fix("payments", [SUN])
    wrong_bytes(landing.deliver(MON))
    with pytest.raises(DataRefused):
        landing.take(MON)
    assert sorted(landing.ledger.taken("payments")) == ["payments-2026-01-25-1"]
    assert landing.ids(SUN) == [("2026-01-25-1", SUN)]


@pytest.mark.parametrize("which", ["landing", "computed"])
def test_a_delivery_that_changed_after_its_night_is_refused_when_the_night_is_repeated(
    which: str, request: pytest.FixtureRequest
) -> None:
    landing: Landing = request.getfixturevalue(which)
    folder = landing.deliver(MON)
    landing.take(MON)
    landing.ledger.fix("payments", [MON])
    changed_after(folder)
    with pytest.raises(DataRefused, match="its sha256 is not the manifest's"):
        landing.take(MON)


# ---- dumps


def dump_of(place: Place, top: str = "") -> Landing:
    return Landing(place, place.configure(payments(path="old/*.csv", top=top, files=COMPUTED)))


def write_dump(place: Place, *rows: str) -> None:
    (place.landing / "old").mkdir(parents=True, exist_ok=True)
    (place.landing / "old" / "all.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def nights_of(parts: Sequence[Part]) -> list[date]:
    return [part.night for part in parts]


def test_a_dump_is_one_delivery_with_a_part_for_every_night(place: Place) -> None:
    dump = dump_of(place)
    write_dump(place, ROW)
    first = dump.take(SAT, SUN)
    assert nights_of(first) == [SAT, SUN]
    later = dump.take(MON)
    assert nights_of(later) == [MON]
    assert {part.delivery.delivery_id for part in (*first, *later)} == set(dump.ledger.taken("payments"))


def test_another_dump_after_the_first_is_refused(place: Place) -> None:
    dump = dump_of(place)
    write_dump(place, ROW)
    dump.take(SAT)
    write_dump(place, ROW, ROW)
    with pytest.raises(DataRefused, match="is not the one of earlier nights"):
        dump.take(SUN)


@pytest.mark.parametrize(("top", "is_refused"), [("", True), ("required = false", False)])
def test_a_dump_that_is_not_there(place: Place, top: str, is_refused: bool) -> None:
    dump = dump_of(place, top)
    if not is_refused:
        assert dump.take(SAT) == []
        return
    with pytest.raises(DataRefused, match="The source payments has no file at"):
        dump.take(SAT)

"""A delivery is what its manifest says or is not touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from jobs.deliveries import refuse_broken_archives
from jobs.errors import DataRefused, Usage
from tests.conftest import Place, packed
from tests.jobs.landing import COMPUTED, MON, ROW, TUE, Landing, changed_after, rewrite, wrong_bytes
from tests.jobs.sources import HEADER, payments


@pytest.fixture
def landing(place: Place) -> Landing:
    """A source that the night can do without; its manifests are given."""
    return Landing(place, place.configure(payments(top="required = false")))


@pytest.fixture
def computed(place: Place) -> Landing:
    return Landing(place, place.configure(payments(top="required = false", files=COMPUTED)))


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


def wrong_sha256(folder: Path) -> None:
    rewrite(folder, lambda file: file.update(sha256="0" * 64))


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


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_does_not_unpack_is_named(place: Place, suffix: Literal[".gz", ".zst"]) -> None:
    landing = Landing(place, place.configure(payments(path=f"payments/{{date}}/*.csv{suffix}", files=COMPUTED)))
    file = place.landing / "payments" / "2026-01-26" / f"part-0001.csv{suffix}"
    file.parent.mkdir(parents=True)
    once = packed(file.name, f"{HEADER}\n{ROW}\n".encode())
    whole = once + once
    file.write_bytes(whole)
    parts = landing.take(MON)
    refuse_broken_archives(landing.source, parts, suffix)
    for broken in (whole[:-9], whole[:2] + b"\xff" + whole[3:], b"no archive", once + once[:5]):
        file.write_bytes(broken)
        refuse_broken_archives(landing.source, parts, ".gz" if suffix == ".zst" else ".zst")
        with pytest.raises(DataRefused, match=rf"2026-01-26/part-0001\.csv\{suffix}: it does not unpack to its end"):
            refuse_broken_archives(landing.source, parts, suffix)

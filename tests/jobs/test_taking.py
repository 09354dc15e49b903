"""A delivery belongs to one night for ever, and one that replaces another to that one's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from jobs import taking
from jobs.deliveries import Part
from jobs.errors import DataRefused
from jobs.ledger import Ledger
from tests.conftest import Place
from tests.jobs.history import publish
from tests.jobs.landing import COMPUTED, MON, ROW, SAT, SUN, TUE, Landing, changed_after, wrong_bytes
from tests.jobs.sources import HEADER, payments


@pytest.fixture
def landing(place: Place) -> Landing:
    """A source that the night can do without; its manifests are given."""
    return Landing(place, place.configure(payments(top="required = false")))


@pytest.fixture
def computed(place: Place) -> Landing:
    return Landing(place, place.configure(payments(top="required = false", files=COMPUTED)))


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
    taking.take(others, place.landing, ledger, [MON])
    with pytest.raises(DataRefused, match=r"payments/2026-01-26/manifest\.json: .* batch-1 is taken by others/2026-01"):
        taking.take(own, place.landing, ledger, [MON])


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


def test_a_night_that_had_nothing_is_over_once_its_accounts_are_published(landing: Landing) -> None:
    publish(landing.ledger, "ops.deliveries", SUN)
    landing.deliver(SUN)
    assert landing.ids(SUN) == []
    assert landing.ids(MON) == [("2026-01-25-1", MON)]


def test_the_same_files_in_another_folder_are_named(computed: Landing) -> None:
    computed.deliver(MON)
    computed.deliver(MON, "-2")
    with pytest.raises(DataRefused, match="2026-01-26-2: it holds the very files of payments/2026-01-26"):
        computed.take(MON)


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


# ---- one that replaces another


@pytest.fixture
def published(landing: Landing) -> Landing:
    """Sunday's and Monday's deliveries, whose nights are published."""
    for day in (SUN, MON):
        landing.deliver(day)
    landing.take(SUN, MON)
    landing.ledger.fix("payments", [SUN, MON])
    return landing


def test_one_that_replaces_is_noted_and_stands_in_once_the_night_is_backfilled(published: Landing) -> None:
    published.deliver(SUN, "-again", replaces="payments-2026-01-25-1")
    published.deliver(TUE)
    assert published.ids(TUE) == [("2026-01-27-1", TUE)], "it adds to no night"
    [due] = published.ledger.replacements_due()
    assert (due.delivery_id, due.night) == ("payments-2026-01-25-again", SUN)
    assert published.ids(SUN) == [("2026-01-25-1", SUN)], "the same night twice is the same night"
    assert published.ids(SUN, replaces=True) == [("2026-01-25-again", SUN)]


def test_a_backfill_finds_one_that_replaces_by_itself(published: Landing) -> None:
    published.deliver(SUN, "-again", replaces="payments-2026-01-25-1")
    assert published.ids(SUN, MON, replaces=True) == [("2026-01-25-again", SUN), ("2026-01-26-1", MON)]


def test_once_landed_it_is_the_night_s_own(published: Landing) -> None:
    published.deliver(SUN, "-again", replaces="payments-2026-01-25-1")
    published.take(SUN, replaces=True)
    published.ledger.note_replaced("payments", ["payments-2026-01-25-1"])
    assert published.ledger.replacements_due() == []
    assert published.ids(SUN) == [("2026-01-25-again", SUN)]
    in_force = taking.in_force(published.ledger.deliveries_of("payments", SUN, MON))
    assert [each.delivery_id for each in in_force] == ["payments-2026-01-25-again", "payments-2026-01-26-1"]


def test_one_that_replaces_may_be_replaced_as_well(published: Landing) -> None:
    published.deliver(SUN, "-a", replaces="payments-2026-01-25-b")
    published.deliver(SUN, "-b", replaces="payments-2026-01-25-1")
    assert published.ids(SUN, replaces=True) == [("2026-01-25-a", SUN)]


def test_a_night_that_is_not_published_yet_has_the_one_that_replaces_at_once(landing: Landing) -> None:
    landing.deliver(SUN)
    landing.deliver(SUN, "-again", replaces="payments-2026-01-25-1")
    assert landing.ids(SUN) == [("2026-01-25-again", SUN)]


def test_what_is_replaced_is_the_date_s_delivery_all_the_same(place: Place) -> None:
    required = Landing(place, place.configure(payments()))
    required.deliver(SUN)
    required.deliver(SUN, "-again", replaces="payments-2026-01-25-1")
    assert required.ids(SUN) == [("2026-01-25-again", SUN)]


@pytest.mark.parametrize(
    ("day", "changes", "said"),
    [
        (SUN, {"replaces": "payments-2025-12-31-1"}, "replaces payments-2025-12-31-1, which is not known"),
        (TUE, {"replaces": "payments-2026-01-26-1"}, "replaces payments-2026-01-26-1 of 2026-01-26 and says date"),
        (SUN, {"replaces": "payments-2026-01-25-x"}, "replaces payments-2026-01-25-x, which is not known"),
    ],
    ids=["unknown", "another date", "itself"],
)
def test_one_that_replaces_nothing_of_its_date_is_refused(
    published: Landing, day: date, changes: dict[str, object], said: str
) -> None:
    published.deliver(day, "-x", **changes)
    with pytest.raises(DataRefused, match=said):
        published.take(TUE)


def test_a_chain_that_came_before_its_night_is_landed_by_its_last(landing: Landing) -> None:
    landing.deliver(SUN)
    landing.deliver(SUN, "-a", replaces="payments-2026-01-25-1")
    landing.deliver(SUN, "-b", replaces="payments-2026-01-25-a")
    assert landing.ids(SUN) == [("2026-01-25-b", SUN)]


def test_one_that_replaces_what_came_too_late_for_its_night_waits_with_it(published: Landing) -> None:
    published.deliver(SUN, "-late")
    published.deliver(SUN, "-right", replaces="payments-2026-01-25-late")
    assert published.ids(SUN, MON, replaces=True) == [("2026-01-25-1", SUN), ("2026-01-26-1", MON)]
    published.deliver(TUE)
    assert sorted(published.ids(TUE)) == [("2026-01-25-right", TUE), ("2026-01-27-1", TUE)]


def test_a_correction_of_one_that_was_refused_is_due_as_well(published: Landing) -> None:
    published.deliver(SUN, "-a", replaces="payments-2026-01-25-1")
    published.take(SUN, replaces=True)
    published.ledger.note_replaced("payments", ["payments-2026-01-25-1"])  # landed, and then refused by conform
    published.deliver(SUN, "-b", replaces="payments-2026-01-25-a")
    published.take(TUE)
    assert [each.delivery_id for each in published.ledger.replacements_due()] == ["payments-2026-01-25-b"]
    assert published.ids(SUN, replaces=True) == [("2026-01-25-b", SUN)]


def test_two_that_replace_the_same_are_refused(published: Landing) -> None:
    published.deliver(SUN, "-a", replaces="payments-2026-01-25-1")
    published.deliver(SUN, "-b", replaces="payments-2026-01-25-1")
    with pytest.raises(DataRefused, match="-a does already: let it replace payments-2026-01-25-a"):
        published.take(TUE)


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
    dump.ledger.fix("payments", [SAT])
    write_dump(place, ROW, ROW)
    with pytest.raises(DataRefused, match="is not the one of earlier nights"):
        dump.take(SUN)


def test_a_dump_that_was_refused_can_be_corrected(place: Place) -> None:
    dump = dump_of(place)
    write_dump(place, ROW)
    [first] = dump.take(SAT)
    write_dump(place, ROW, ROW)
    [again] = dump.take(SAT)
    assert set(dump.ledger.taken("payments")) == {again.delivery.delivery_id} != {first.delivery.delivery_id}


@pytest.mark.parametrize(("top", "is_refused"), [("", True), ("required = false", False)])
def test_a_dump_that_is_not_there(place: Place, top: str, is_refused: bool) -> None:
    dump = dump_of(place, top)
    if not is_refused:
        assert dump.take(SAT) == []
        return
    with pytest.raises(DataRefused, match="The source payments has no file at"):
        dump.take(SAT)

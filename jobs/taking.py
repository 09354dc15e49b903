"""Which night takes which delivery: a delivery belongs for ever to the night that first landed it.

One that replaces another belongs to that one's night, and stands in for it once the night is backfilled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from conf import Source
from jobs.deliveries import MANIFEST, Manifest, Part, find, read_manifest, verify
from jobs.errors import DataRefused
from jobs.ledger import Ledger
from jobs.ledger_records import Delivery
from schemas.ops import DELIVERIES as ACCOUNTS


@dataclass(frozen=True)
class Found:
    """A delivery in the landing folder that no night has taken; `name` is its folder below that."""

    folder: Path
    name: str
    manifest: Manifest


def take(
    source: Source, landing: Path, ledger: Ledger, nights: Sequence[date], *, replaces: bool = False
) -> list[Part]:
    """The deliveries that belong to `nights`, verified and entered in the ledger.

    A night whose conform is published has exactly its own; any other takes what is dated up to it and no
    night has taken. `replaces`: a published night has those that replace its own in their stead, as a backfill
    does; otherwise they are only noted. Raises DataRefused where a required source has nothing for a night.
    """
    if source.is_dump:
        return _take_dump(source, landing, ledger, nights)
    own = {night: ledger.deliveries_of(source.name, night) for night in nights}
    is_fixed = {night for night in nights if any(delivery.is_fixed for delivery in own[night])}
    # A night on which nothing came of the source is over as well.
    is_fixed |= ledger.published(ACCOUNTS.name, nights[0], nights[-1]).keys() & set(nights)
    open_nights = [night for night in nights if night not in is_fixed]
    ledger.release(source.name, open_nights)
    # A published night that is only repeated has what it had, whatever has come since.
    found = _found(source, landing, ledger, nights[-1]) if open_nights or replaces else []
    new = _placed(source, ledger, found, open_nights)
    parts: list[Part] = []
    for night in nights:
        noted = own[night] if night in is_fixed else []
        whole = [*noted, *(delivery for delivery in new if delivery.night == night)]
        chosen = _without_replaced(whole) if replaces or night not in is_fixed else in_force(whole)
        parts += [_verified(source, landing, delivery, is_new=delivery not in noted) for delivery in chosen]
    _refuse_missing(source, landing, open_nights, parts)
    ledger.take(new)
    return parts


def in_force(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Those that their night has: neither replaced, nor still to stand in for another."""
    known = list(deliveries)
    replaced = {delivery.delivery_id for delivery in known if delivery.is_replaced}
    return [each for each in known if not each.is_replaced and (each.replaces is None or each.replaces in replaced)]


def _without_replaced(deliveries: Sequence[Delivery]) -> list[Delivery]:
    replaced = {delivery.replaces for delivery in deliveries}
    return [delivery for delivery in deliveries if delivery.delivery_id not in replaced]


def _found(source: Source, landing: Path, ledger: Ledger, last: date) -> list[Found]:
    taken, owners = ledger.folders_taken(source.name), ledger.owners()
    found: list[Found] = []
    for folder, day in find(source, landing):
        name = str(folder.relative_to(landing))
        if name in taken or day is None or day > last:
            continue
        manifest = read_manifest(source, folder, day)
        if manifest is None:
            continue
        owner = owners.setdefault(manifest.delivery_id, name)
        if owner != name and source.files.manifest == "computed":
            raise DataRefused(f"{folder}: it holds the very files of {owner}. Move one of the two away.")
        if owner != name:
            raise DataRefused(
                f"{folder / MANIFEST}: the delivery_id {manifest.delivery_id} is taken by {owner}; give it one of "
                "its own."
            )
        found.append(Found(folder, name, manifest))
    return found


def _placed(source: Source, ledger: Ledger, found: Sequence[Found], open_nights: Sequence[date]) -> list[Delivery]:
    """What was found, each with its night; what is dated before the open nights has none yet, but if it replaces."""
    placed: list[Delivery] = []
    for each in found:
        night = next((night for night in open_nights if night >= (each.manifest.date or night)), None)
        if night and each.manifest.replaces is None:
            placed.append(_delivery(source, each.manifest, each.name, night))
    replacing = [each for each in found if each.manifest.replaces is not None]
    if not replacing:
        return placed
    known = {each.delivery_id: each for parts in ledger.taken(source.name).values() for each in parts}
    known |= {each.delivery_id: each for each in placed}
    # What replaces one that has to wait for a later night waits with it.
    later = {each.manifest.delivery_id for each in found if each.manifest.replaces is None} - known.keys()
    while waits := [each for each in replacing if each.manifest.replaces in later]:
        later |= {each.manifest.delivery_id for each in waits}
        replacing = [each for each in replacing if each not in waits]
    while replacing:
        # One may replace another that was found beside it.
        each = next((each for each in replacing if each.manifest.replaces in known), replacing[0])
        replacing.remove(each)
        delivery = _delivery(source, each.manifest, each.name, _replaced(each, known).night)
        placed.append(delivery)
        known[delivery.delivery_id] = delivery
    return placed


def _replaced(each: Found, known: dict[str, Delivery]) -> Delivery:
    """The delivery that `each` replaces; DataRefused where there is none, of that date and not replaced already."""
    file, replaces = each.folder / MANIFEST, str(each.manifest.replaces)
    replaced = known.get(replaces)
    if replaced is None:
        raise DataRefused(f"{file}: it replaces {replaces}, which is not known. Name the delivery_id of one that is.")
    if replaced.date != each.manifest.date:
        raise DataRefused(f"{file}: it replaces {replaces} of {replaced.date} and says date {each.manifest.date}.")
    other = next((delivery.delivery_id for delivery in known.values() if delivery.replaces == replaces), None)
    if other:
        raise DataRefused(f"{file}: it replaces {replaces}, as {other} does already: let it replace {other}.")
    return replaced


def _delivery(source: Source, manifest: Manifest, folder: str, night: date) -> Delivery:
    return Delivery(
        source=source.name,
        delivery_id=manifest.delivery_id,
        folder=folder,
        date=manifest.date,
        night=night,
        is_fixed=False,
        replaces=manifest.replaces,
        manifest=manifest.model_dump(mode="json"),
    )


def _verified(source: Source, landing: Path, delivery: Delivery, *, is_new: bool) -> Part:
    folder, manifest = landing / delivery.folder, Manifest.model_validate(delivery.manifest)
    verify(source, folder, manifest, is_fresh=is_new and source.files.manifest == "computed")
    return Part(delivery, manifest, folder)


def _refuse_missing(source: Source, landing: Path, nights: Sequence[date], parts: Sequence[Part]) -> None:
    if not source.required or source.cadence == "continuous":
        return
    dated = {part.delivery.date for part in parts}
    missing = [night for night in nights if night not in dated]
    if missing:
        where = landing / source.files.path.replace("{date}", missing[0].isoformat())
        others = f" and {len(missing) - 1} later" if len(missing) > 1 else ""
        waits = " (a folder without manifest.json is still being written)" if source.files.manifest == "given" else ""
        raise DataRefused(
            f"The source {source.name} has no delivery for {missing[0]}{others}: nothing at {where}{waits}. "
            f"Ask {source.owner} for it, or set required = false in {source.location}."
        )


def _take_dump(source: Source, landing: Path, ledger: Ledger, nights: Sequence[date]) -> list[Part]:
    found = find(source, landing)
    manifest = read_manifest(source, found[0][0], None) if found else None
    if manifest is None:
        if source.required:
            raise DataRefused(f"The source {source.name} has no file at {landing / source.files.path}.")
        return []
    folder = found[0][0]
    verify(source, folder, manifest, is_fresh=source.files.manifest == "computed")
    ledger.release(source.name, nights)
    fixed = {key for key, parts in ledger.taken(source.name).items() if any(part.is_fixed for part in parts)}
    others = fixed - {manifest.delivery_id}
    if others:
        raise DataRefused(
            f"{folder}: the dump of {source.name} is not the one of earlier nights ({sorted(others)[0]}). "
            "Put that one back, or load the new one into an empty lake."
        )
    name = str(folder.relative_to(landing))
    parts = [Part(_delivery(source, manifest, name, night), manifest, folder) for night in nights]
    ledger.take([part.delivery for part in parts])
    return parts

"""The stage land: every source's deliveries of the nights become raw.<source>."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial, reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Source
from jobs import audit, contact_hashes, dump, land
from jobs.deliveries import Part, refuse_broken_archives
from jobs.errors import DataRefused, is_sparks
from jobs.lake import Staged
from jobs.pipeline import has_table
from jobs.runner import Night
from jobs.taking import take
from schemas.restricted import CONTACT_HASHES

RowsOfFile = dict[tuple[date, str, str], int]


def run(night: Night) -> None:
    """Land each source; raises DataRefused where a delivery is not what it says it is."""
    sources = night.settings.sources
    # One after another, for a delivery_id belongs to one of them.
    taken = [deliveries_of(night, source) for source in sources]
    landed = night.side_by_side(
        partial(land_source, night, source, parts) for source, parts in zip(sources, taken, strict=True)
    )
    parts = {source.name: counted for source, counted in zip(sources, landed, strict=True)}
    if has_table(night.settings, CONTACT_HASHES.name):
        _hash_contacts(night, parts)


def deliveries_of(night: Night, source: Source) -> list[Part]:
    """The deliveries of one source that belong to the nights, verified."""
    with night.progress.step(f"check deliveries of {source.name}"):
        parts = take(source, night.landing, night.ledger, night.days, replaces=night.run.command == "backfill")
        refuse_broken_archives(source, parts, ".zst")
    if not source.is_dump:
        night.progress.note(f"{source.name}: {len(parts)} deliveries")
    return parts


def land_source(night: Night, source: Source, parts: list[Part]) -> list[Part]:
    """Land the deliveries of one source; returns them with the rows of every file."""
    try:
        staged = night.stage(f"raw.{source.name}", _frame(night, source, parts))
    except Exception as error:
        if is_sparks(error):
            refuse_broken_archives(source, parts, ".gz")
        raise
    rows = _rows_by_file(staged)
    if not source.is_dump:
        _refuse_other_rows(source, parts, rows)
    audit.refuse_failures(night.judge(staged))
    counted = _counted(source, parts, rows)
    told = {"deliveries": [{"id": part.delivery.delivery_id, "night": part.night.isoformat()} for part in counted]}
    # Before: accounts need these counts. After: until raw is published nothing has been replaced.
    night.ledger.take([part.delivery for part in counted])
    night.publish(staged, {}, announced_empty=_announced_empty(night, counted), told=told)
    if not source.is_dump:
        night.ledger.note_replaced(source.name, _not_taken(night, source, counted))
    return counted


def _hash_contacts(night: Night, parts: Mapping[str, Sequence[Part]]) -> None:
    """What ad platforms match on, of the customers who were delivered tonight."""
    assert night.token_maker is not None
    # The rows of a dump have no night yet: theirs is the first.
    whose = F.coalesce("night", F.lit(night.first))
    delivered = {source.name: land.delivered(night.spark, source, parts[source.name]) for source in _named(night)}
    frames = [
        contact_hashes.transform(delivered[source.name].withColumn("night", whose), source, night.token_maker)
        for source in _named(night)
    ]
    # Two sources may name the same number.
    hashes = reduce(DataFrame.unionByName, frames).dropDuplicates(["as_of_date", "token"])
    staged = night.audited(CONTACT_HASHES.name, hashes)
    night.publish(staged, {}, announced_empty=night.days)


def _named(night: Night) -> list[Source]:
    return [source for source in night.settings.sources if source.own_contacts]


def _frame(night: Night, source: Source, parts: Sequence[Part]) -> DataFrame:
    rows = land.read(night.spark, source, parts, night.token_maker)
    if not source.is_dump:
        return land.transform(rows, source)
    settings = night.settings.lake
    first_night = night.first_night
    dated = dump.dated(
        rows,
        source,
        night.mappings[source.name],
        zone=settings.zone,
        currency=settings.currency,
        first_night=first_night,
    )
    with night.progress.step(f"judge {source.name} as a whole"):
        judgement = dump.judge(dated, source, first_night)
    dump.refuse_above_limit(source, judgement)
    if judgement.rows_before:
        night.progress.note(
            f"{source.name}: {judgement.rows_before} rows are dated before the lake's first night {first_night} "
            "and stay out"
        )
    return dump.transform(dated, source, first=night.first, last=night.last)


def _not_taken(night: Night, source: Source, parts: Sequence[Part]) -> set[str]:
    """Deliveries of these nights that others of them stand in for, at first or second hand."""
    taken = {part.delivery.delivery_id for part in parts}
    known = {each.delivery_id: each for each in night.ledger.deliveries_of(source.name, night.first, night.last)}
    replaced: set[str] = set()
    for part in parts:
        replaces = part.delivery.replaces
        while replaces in known:
            replaced.add(replaces)
            replaces = known[replaces].replaces
    return replaced - taken


def _rows_by_file(staged: Staged) -> RowsOfFile:
    counted = staged.frame.groupBy("as_of_date", "delivery_id", "file").count().collect()
    return {(row["as_of_date"], row["delivery_id"], row["file"]): row["count"] for row in counted}


def _refuse_other_rows(source: Source, parts: Sequence[Part], rows: RowsOfFile) -> None:
    for part in parts:
        for file in part.manifest.files:
            found = rows.get((part.night, part.delivery.delivery_id, f"{part.delivery.folder}/{file.name}"), 0)
            if file.rows is not None and found != file.rows:
                raise DataRefused(
                    f"{part.folder / file.name}: {found} rows, the manifest says {file.rows}. "
                    "Nothing of it was published. "
                    f"Ask {source.owner} to deliver it again."
                )


def _counted(source: Source, parts: Sequence[Part], rows: RowsOfFile) -> list[Part]:
    """The parts with the rows of every file filled in; of a dump, the rows that belong to the part's night."""
    counted: list[Part] = []
    for part in parts:
        files = tuple(
            file.model_copy(
                update={
                    "rows": rows.get((part.night, part.delivery.delivery_id, f"{part.delivery.folder}/{file.name}"), 0)
                }
            )
            for file in part.manifest.files
        )
        manifest = part.manifest.model_copy(update={"files": files})
        delivery = replace(part.delivery, manifest=manifest.model_dump(mode="json"))
        counted.append(Part(delivery, manifest, part.folder))
    return counted


def _announced_empty(night: Night, parts: Sequence[Part]) -> set[date]:
    """Nights whose manifests say that there is nothing."""
    rows: dict[date, int] = defaultdict(int)
    for part in parts:
        rows[part.night] += sum(file.rows or 0 for file in part.manifest.files)
    return {day for day in night.days if rows[day] == 0 and any(part.night == day for part in parts)}

"""states: core.<feed>_state, the newest version of each thing, folded from the night before."""

from __future__ import annotations

from conf import Settings
from schemas.core import FOLDED
from schemas.feeds import FEEDS
from tests.oracle.night import Night


def writes(settings: Settings) -> list[str]:
    delivered = {source.feed for source in settings.sources}
    return [f"core.{feed}_state" for feed in FOLDED if feed in delivered]


def run(night: Night) -> None:
    """One row of core.<feed>_state is one thing in its newest version: by `updated_at`, then by row hash."""
    for name in writes(night.settings):
        feed = name.removeprefix("core.").removesuffix("_state")
        columns = ", ".join(f'"{column}"' for column in (*FEEDS[feed].column_names, "row_hash"))
        key = ", ".join(FOLDED[feed])
        night.tables.write(
            name,
            night.day,
            f"""
            with before as (select {columns} from {night.tables.on(name, night.before)}),
            tonight as (select {columns} from {night.tables.on(f"core.{feed}", night.day)})
            (
                select distinct on ({key}) *
                from (from tonight union all from before semi join tonight using ({key}))
                order by updated_at desc nulls last, row_hash desc
            )
            union all from before anti join tonight using ({key})
            """,
        )

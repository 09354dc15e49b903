"""What a feed is: the shape that several sources may deliver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.table import Column


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One shape that several sources may deliver.

    *Events* are facts, posted once under their `key` and never changed. *States* are versions of a thing;
    the newest by (`updated_at`, row hash) counts. `dated_by` is the time whose date is the event date.
    `identifier` is the key column made by the lake where a source has none of its own. A posting of a known key
    must agree with it in `fixed`. `either`: of these columns at least one must be there. `updated_from` names the
    columns that stand in for an `updated_at` that is not mapped, in order; after them comes the delivery's date.
    """

    name: str
    kind: Literal["events", "states"]
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    dated_by: str = "updated_at"
    identifier: str = ""
    fixed: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    updated_from: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that must be there: a row without one of them is quarantined `<column>_missing`."""
        return tuple(column.name for column in self.columns if not column.nullable and column.name != self.identifier)

    @property
    def missing_either(self) -> str:
        """The reason of a row that has none of `either`."""
        return f"{'_or_'.join(self.either)}_missing"

    @property
    def takes_states(self) -> bool:
        """Each state that a thing takes is a posting of its own, as with payments."""
        return "status" in self.key

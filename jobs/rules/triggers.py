"""Triggers that were checked: whom they pick, in which order, and what goes out with each of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from conf import Settings, Trigger
from conf.errors import hint
from jobs.rules.columns import SEGMENTS, dues
from jobs.rules.faults import checked, in_examples, named_twice, without_examples
from jobs.rules.language import Amount, Layer, Predicate, RuleColumn, version_of
from jobs.rules.predicates import amount, check
from schemas import CATALOGUE


@dataclass(frozen=True)
class TriggerRule:
    """A trigger as it is written (`policy`), and its condition and order as they were understood."""

    policy: Trigger
    predicate: Predicate
    rank: Amount

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def text(self) -> str:
        """All that decides who is written to, and how; not who owns it or what is said about it."""
        told = self.policy.model_dump(mode="json", exclude={"owner", "about", "matches", "excludes", "enabled"})
        return json.dumps({**told, "when": self.predicate.text, "rank_by": self.rank.text}, sort_keys=True)

    @property
    def version(self) -> str:
        return version_of(self.text)

    @property
    def columns(self) -> set[str]:
        """All that it reads, its evidence among it."""
        return {*self.predicate.columns, *self.rank.columns, *self.policy.evidence}


def compile_triggers(
    settings: Settings, columns: Mapping[str, RuleColumn], segments: Collection[str], faults: list[str]
) -> tuple[TriggerRule, ...]:
    """The enabled triggers by name; what is wrong is added to `faults`.

    They read `columns`, ask in_segment('…') of `segments`, and where they are over dues the due's own columns.
    """
    layer = Layer(columns=columns, currency=settings.lake.currency, segments=segments)
    layers = {
        "profiles": layer,
        "dues": Layer(columns={**columns, **dues()}, currency=settings.lake.currency, segments=segments),
    }
    faults += named_twice("trigger", settings.triggers) + without_examples(settings.triggers)
    found: list[TriggerRule] = []
    for trigger in settings.triggers:
        own = layers[trigger.over]
        with_segments = replace(own, columns={**own.columns, SEGMENTS.name: SEGMENTS})
        faults += in_examples([trigger], with_segments)
        faults += [f"{trigger.location}: {trigger.name}: {fault}." for fault in _faults(trigger, own)]
        predicate = checked(check, trigger, "when", trigger.when, own, faults)
        rank = checked(amount, trigger, "rank_by", trigger.rank_by, own, faults)
        if predicate and rank and trigger.enabled:
            found.append(TriggerRule(trigger, predicate, rank))
    return tuple(found)


def _faults(trigger: Trigger, layer: Layer) -> Iterator[str]:
    for name in trigger.evidence:
        if name in layer.columns:
            continue
        if tables := _personal(name):
            yield f"evidence {name} is personal (in {tables}) and never leaves the lake with a list"
        else:
            yield f"evidence: there is no column {name}{hint(name, layer.columns)}"


def _personal(name: str) -> str:
    """A table that has the column and says that it is about a person; empty where none does."""
    tables = (
        table.name
        for table in CATALOGUE.values()
        for column in table.columns
        if column.name == name and column.privacy != "none"
    )
    return next(tables, "")

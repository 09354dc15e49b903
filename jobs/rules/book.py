"""All rules of a lake, checked together before anything runs: every faulty one is named, not only the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from conf import RiskSettings, Rung, Segment, Settings, Stage
from jobs.errors import DataRefused
from jobs.rules.columns import dues, facts, judged, moved
from jobs.rules.faults import checked, in_examples, named_twice, without_examples
from jobs.rules.language import Layer, Predicate, RuleColumn, version_of
from jobs.rules.predicates import check, never_falls
from jobs.rules.triggers import TriggerRule, compile_triggers

# What a rule decides and its name; stages and levels are decided together, so have the name of their kind.
Key = tuple[str, str]
EVERYONE = "true"
DECIDED = ("lifecycle", "level", "segments")


@dataclass(frozen=True)
class Rule:
    """A named condition; `location` is where it is written. `effective_from`: the first night that it counts."""

    name: str
    about: str
    location: str
    predicate: Predicate
    owner: str = ""
    effective_from: date | None = None

    @property
    def version(self) -> str:
        since = (str(self.effective_from),) if self.effective_from else ()
        return version_of(self.predicate.text, *since)


@dataclass(frozen=True)
class Level:
    """A rung of the ladder: how it is earned, and how long it is held."""

    name: str
    about: str
    location: str
    enter: Predicate
    stay: Predicate


@dataclass(frozen=True)
class RuleBook:
    """The checked rules of a lake: stages and levels in their order, segments and triggers by name.

    `columns`: all that segments may read; triggers over dues read the due's columns as well.
    """

    columns: Mapping[str, RuleColumn]
    lifecycle: tuple[Rule, ...]
    levels: tuple[Level, ...]
    segments: tuple[Rule, ...]
    triggers: tuple[TriggerRule, ...]

    @property
    def columns_of_triggers(self) -> Mapping[str, RuleColumn]:
        """All that any trigger may read."""
        return {**self.columns, **moved(tuple(rung.name for rung in self.levels)), **dues()}

    @property
    def lifecycle_text(self) -> str:
        return "\n".join(f"{stage.name}: {stage.predicate.text}" for stage in self.lifecycle)

    @property
    def level_text(self) -> str:
        return "\n".join(f"{rung.name}: enter {rung.enter.text}; stay {rung.stay.text}" for rung in self.levels)

    @property
    def texts(self) -> dict[Key, str]:
        """(kind, name) → the rule as it was understood. Stages and levels are decided together, so are one text."""
        own = {("segment", rule.name): rule.predicate.text for rule in self.segments}
        return {("lifecycle", "lifecycle"): self.lifecycle_text, ("level", "level"): self.level_text, **own}

    @property
    def versions(self) -> dict[Key, str]:
        """(kind, name) → version; every stage and every level has that of all of them."""
        own = {("segment", rule.name): rule.version for rule in self.segments}
        lifecycle, level = version_of(self.lifecycle_text), version_of(self.level_text)
        return {("lifecycle", "lifecycle"): lifecycle, ("level", "level"): level, **own}

    @property
    def evidence(self) -> dict[Key, tuple[str, ...]]:
        """(kind, name) → the facts that decide it, by name."""
        lifecycle = _read(stage.predicate for stage in self.lifecycle)
        level = _read(predicate for rung in self.levels for predicate in (rung.enter, rung.stay))
        own = {("segment", rule.name): rule.predicate.columns for rule in self.segments}
        return {("lifecycle", "lifecycle"): lifecycle, ("level", "level"): level, **own}

    @property
    def facts_read(self) -> set[str]:
        """The facts and scores that any rule reads."""
        return {name for names in self.evidence.values() for name in names} - set(DECIDED)


def compile_book(settings: Settings, scores: Mapping[str, RuleColumn]) -> RuleBook:
    """The rules of the lake; `scores` are the columns of its engines. Raises DataRefused naming every faulty rule."""
    faults: list[str] = []
    known = {**facts(zone=settings.lake.zone), **scores}
    currency = settings.lake.currency
    first = Layer(columns=known, currency=currency, decided=DECIDED)
    stages = settings.levels.lifecycle
    rungs = settings.levels.level
    faults += named_twice("stage", stages) + named_twice("level", rungs) + named_twice("segment", settings.segments)
    lifecycle = tuple(_stages(stages, first, faults))
    levels = tuple(_rungs(rungs, first, faults))
    names = judged(tuple(stage.name for stage in stages), tuple(rung.name for rung in rungs))
    second = Layer(columns={**known, **names}, currency=currency, decided=("segments",))
    faults += without_examples(settings.segments)
    segments = tuple(sorted(_segments(settings.segments, second, faults), key=lambda rule: rule.name))
    compile_risks(settings, faults)
    for rules, layer in ((stages, first), (rungs, first), (settings.segments, second)):
        faults += in_examples(rules, layer)
    acting = {**second.columns, **moved(tuple(rung.name for rung in rungs))}
    triggers = compile_triggers(settings, acting, _enabled(settings), faults)
    if faults:
        raise DataRefused("\n".join(faults))
    return RuleBook(second.columns, lifecycle, levels, segments, triggers)


def compile_risks(settings: Settings, faults: list[str]) -> list[Rule]:
    """The rules of the risk engine, which read facts alone; what is wrong is added to `faults`."""
    risks: RiskSettings = settings.risk
    layer = Layer(columns=facts(zone=settings.lake.zone), currency=settings.lake.currency, decided=DECIDED)
    faults += named_twice("risk", risks.risk) + in_examples(risks.risk, layer)
    found = ((risk, checked(check, risk, "when", risk.when, layer, faults)) for risk in risks.risk)
    return [Rule(risk.name, risk.about, risk.location, predicate) for risk, predicate in found if predicate]


def _read(predicates: Iterable[Predicate]) -> tuple[str, ...]:
    return tuple(sorted({name for predicate in predicates for name in predicate.columns}))


def _enabled(settings: Settings) -> set[str]:
    return {segment.name for segment in settings.segments if segment.enabled}


def _stages(stages: Sequence[Stage], layer: Layer, faults: list[str]) -> Iterator[Rule]:
    for stage in stages:
        if predicate := checked(check, stage, "when", stage.when, layer, faults):
            yield Rule(stage.name, stage.about, stage.location, predicate)
    if stages[-1].when != EVERYONE:
        faults.append(f'{stages[-1].location}: {stages[-1].name}: the last stage takes whoever is left: when = "true".')


def _rungs(rungs: Sequence[Rung], layer: Layer, faults: list[str]) -> Iterator[Level]:
    for rung in rungs:
        enter = checked(check, rung, "enter", rung.enter, layer, faults)
        stay = checked(check, rung, "stay", rung.stay, layer, faults)
        if enter and not never_falls(rung.enter, layer):
            falling = [name for name in enter.columns if not layer.columns[name].is_lifetime]
            what = f"reads {falling[0]}, which may fall again" if falling else "may be left again"
            faults.append(
                f"{rung.location}: {rung.name}: enter {what}; a level is earned when something that never falls "
                "reaches a number, as in recharge_count >= 3. How long ago something was belongs into stay."
            )
        if enter and stay:
            yield Level(rung.name, rung.about, rung.location, enter, stay)
    if (rungs[0].enter, rungs[0].stay) != (EVERYONE, EVERYONE):
        lowest = f"{rungs[0].location}: {rungs[0].name}"
        faults.append(f'{lowest}: the lowest level holds whoever is left: enter = "true", stay = "true".')


def _segments(segments: Sequence[Segment], layer: Layer, faults: list[str]) -> Iterator[Rule]:
    for segment in segments:
        predicate = checked(check, segment, "when", segment.when, layer, faults)
        if predicate and segment.enabled:
            yield Rule(segment.name, segment.about, segment.location, predicate, segment.owner, segment.effective_from)

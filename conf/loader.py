"""From files and environment to `Settings`; every fault of every file is found before one is raised."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from conf.checks import source_faults
from conf.errors import ConfError, Fault, hint
from conf.folder import FILES, TABLES, Folder, overlay, packaged
from conf.model import Model, parse
from conf.rules import EngineSettings, LevelSettings, Owned, RiskSettings, Segment, Written
from conf.settings import (
    MASK_DAYS,
    Backfill,
    CohortSettings,
    ConfSettings,
    LakeSettings,
    QualitySettings,
    Settings,
    SparkSettings,
    TrackingPlan,
)
from conf.source import Source
from conf.toml import Document, KeyPath, Layers
from conf.triggers import CapSettings, Trigger

Own = TypeVar("Own", bound=Owned)


def load(env: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the lake that `environ` names; `env` wins over its `CLM_ENV`.

    Reads CLM_LAKE, CLM_LANDING, CLM_CONF, CLM_ENV, CLM_LEDGER_URL and CLM_TOKEN_KEYS; an empty one counts as
    unset. Raises ConfError with every fault of every file.
    """
    faults: list[Fault] = []
    env = env or environ.get("CLM_ENV") or "local"
    folders = [packaged()]
    if path := environ.get("CLM_CONF"):
        folders.append(overlay(path))
        faults.extend(folders[-1].unknown_names(env))
    _refuse_unknown_env(env, folders)

    base = _layers(folders, ("base.toml", f"{env}.toml"), faults)
    faults.extend(_unknown_keys(base, TABLES))

    def table(model: type[Model], name: str) -> Model | None:
        return parse(model, base.data.get(name, {}), base, faults, (name,))

    lake = table(LakeSettings, "lake")
    spark = table(SparkSettings, "spark")
    quality = table(QualitySettings, "quality")
    conf = table(ConfSettings, "conf")
    cohort_layers = _layers(folders, ("cohorts.toml",), faults)
    cohorts = parse(CohortSettings, cohort_layers.data, cohort_layers, faults)
    event_layers = _layers(folders, ("events.toml",), faults)
    tracking = parse(TrackingPlan, event_layers.data, event_layers, faults)
    engines = table(EngineSettings, "engines")
    levels = _rules(LevelSettings, "levels.toml", ("lifecycle", "level"), folders, faults)
    risk = _rules(RiskSettings, "risk.toml", ("risk",), folders, faults)
    cap_layers = _layers(folders, ("caps.toml",), faults)
    caps = parse(CapSettings, cap_layers.data, cap_layers, faults)
    backfills = _backfills(folders, faults)
    segments = _owned(Segment, "segment", folders if conf is None or conf.packaged.segments else folders[1:], faults)
    triggers = _owned(Trigger, "trigger", folders if conf is None or conf.packaged.triggers else folders[1:], faults)
    sources = _sources(folders if conf is None or conf.packaged.sources else folders[1:], lake, faults)

    if lake and cohorts:
        for key, window in cohorts.too_wide(lake.close_after):
            message = f"{window} is too wide: close_after ({lake.close_after}) + last - first + 31 may be 128 at most"
            faults.append(cohort_layers.fault((key,), message))
    if lake and (late := [source for source in sources if source.late_days > lake.close_after]):
        named = ", ".join(f"{source.name} ({source.late_days})" for source in late)
        message = f"{lake.close_after} is less than late_days of {named}; a window may not close before its rows are in"
        faults.append(base.fault(("lake", "close_after"), message))

    if lake and (wide := [each for each in triggers if each.goal_days + lake.close_after > MASK_DAYS]):
        message = (
            f"{lake.close_after} and goal_days of {wide[0].name} ({wide[0].goal_days}) may be 128 together at most"
        )
        faults.append(base.fault(("lake", "close_after"), message))

    root = _absolute(environ.get("CLM_LAKE") or (lake.root if lake else ""))
    ledger_url = environ.get("CLM_LEDGER_URL") or f"sqlite:///{root}/ledger.db"
    if "://" in root and not environ.get("CLM_LEDGER_URL"):
        message = f"is needed, because a ledger cannot lie on {root}; give the URL of a PostgreSQL database"
        faults.append(Fault(key="CLM_LEDGER_URL", message=message))
    token_keys = environ.get("CLM_TOKEN_KEYS")
    if faults or not (lake and spark and quality and cohorts and tracking and engines and levels and risk and caps):
        raise ConfError(faults)
    return Settings(
        env=env,
        lake=lake.model_copy(update={"root": root, "restricted": _absolute(lake.restricted or f"{root}/restricted")}),
        landing=_absolute(environ.get("CLM_LANDING") or "landing"),
        ledger_url=ledger_url,
        token_keys=_absolute(token_keys) if token_keys else None,
        spark=spark,
        quality=quality,
        cohorts=cohorts,
        tracking=tracking,
        engines=engines,
        levels=levels,
        risk=risk,
        caps=caps,
        backfills=backfills,
        segments=segments,
        triggers=triggers,
        sources=sources,
    )


def _refuse_unknown_env(env: str, folders: Sequence[Folder]) -> None:
    file = f"{env}.toml"
    if "/" in env or file in FILES or not any(folder.root.joinpath(file).is_file() for folder in folders):
        where = " or ".join(folder.name for folder in folders)
        known = {name for folder in folders for name in folder.environments()}
        message = f"there is no environment {env!r} in {where}{hint(env, known)}"
        raise ConfError([Fault(key="CLM_ENV", message=message)])


def _layers(folders: Sequence[Folder], files: Sequence[str], faults: list[Fault]) -> Layers:
    """All that is there of `files`: those of a later folder over all those of an earlier one."""
    documents = [folder.read(file, faults) for folder in folders for file in files]
    return Layers([document for document in documents if document])


def _unknown_keys(layers: Layers, valid: Sequence[str]) -> list[Fault]:
    return [layers.fault((key,), "unknown key" + hint(key, valid)) for key in layers.data if key not in valid]


def _backfills(folders: Sequence[Folder], faults: list[Fault]) -> tuple[Backfill, ...]:
    layers = _layers(folders, ("backfills.toml",), faults)
    faults.extend(_unknown_keys(layers, ("backfill",)))
    entries = layers.data.get("backfill", ())
    if not isinstance(entries, tuple):
        faults.append(layers.fault(("backfill",), "should be [[backfill]], one for each entry"))
        return ()
    parsed = [parse(Backfill, entry, layers, faults, ("backfill", index)) for index, entry in enumerate(entries)]
    return tuple(backfill for backfill in parsed if backfill)


def _rules(
    model: type[Model], file: str, keys: Sequence[str], folders: Sequence[Folder], faults: list[Fault]
) -> Model | None:
    """The rules of one file, each with its place; a file of a later folder gives all of a kind anew."""
    layers = _layers(folders, (file,), faults)
    settings = parse(model, layers.data, layers, faults)
    for key in keys if settings else ():
        for index, rule in enumerate(getattr(settings, key)):
            _place(rule, layers, (key, index))
    return settings


def _owned(model: type[Own], key: str, folders: Sequence[Folder], faults: list[Fault]) -> tuple[Own, ...]:
    """The segments, or triggers, in name order; one of a later folder replaces those of the same name.

    A name that stands twice in one folder is left to the check of the rules, which names every faulty one.
    """
    rules: dict[str, list[Own]] = {}
    for folder in folders:
        own: dict[str, list[Own]] = {}
        for document in folder.read_all(f"{key}s", faults):
            layers = Layers([document])
            faults.extend(_unknown_keys(layers, (key,)))
            entries = layers.data.get(key, ())
            if not isinstance(entries, tuple):
                faults.append(layers.fault((key,), f"should be [[{key}]], one for each entry"))
                continue
            for index, entry in enumerate(entries):
                if rule := parse(model, entry, layers, faults, (key, index)):
                    _place(rule, layers, (key, index))
                    own.setdefault(rule.name, []).append(rule)
        for name in own.keys() & rules.keys():
            own[name][0].replace_earlier()
        rules |= own
    return tuple(rule for _, named in sorted(rules.items()) for rule in named)


def _place(rule: Written, layers: Layers, path: KeyPath) -> None:
    begins = layers.fault(path, "")
    rule.at(f"{begins.file}:{begins.line}")


def _sources(folders: Sequence[Folder], lake: LakeSettings | None, faults: list[Fault]) -> tuple[Source, ...]:
    """The sources in name order; one of a later folder replaces one of the same name whole."""
    documents: dict[str, Document] = {}
    for folder in folders:
        own: dict[str, Document] = {}
        for document in folder.read_all("sources", faults):
            name = str(document.data.get("name", document.file))
            if name in own:
                message = f"{name!r} is also the name in {own[name].file}; names are unique"
                faults.append(Layers([document]).fault(("name",), message))
            own.setdefault(name, document)
        documents |= own
    sources = [_source(document, lake, faults) for _, document in sorted(documents.items())]
    return tuple(source for source in sources if source)


def _source(document: Document, lake: LakeSettings | None, faults: list[Fault]) -> Source | None:
    layers = Layers([document])
    broken = [layers.fault(path, message) for path, message in source_faults(document.data)]
    faults.extend(broken)
    data = {**document.data, "location": document.file}
    if isinstance(files := data.get("files"), dict):
        data["files"] = {"zone": lake.zone if lake else "UTC", **files}
    source = parse(Source, data, layers, faults)
    return None if broken else source


def _absolute(place: str) -> str:
    """A local path made absolute; the URL of an object store as it is."""
    place = place.removeprefix("file://")
    return place if "://" in place else str(Path(place).expanduser().resolve())

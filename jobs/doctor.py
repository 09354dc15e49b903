"""Whether this machine, this configuration and this lake are well: one check, one sentence."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from pyspark.sql import functions as F

from conf import Settings
from jobs.errors import ClmError, Failed
from jobs.health import check_health
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.places import local_path
from jobs.progress import Progress
from jobs.session import MINIMUM_JAVA, jar_folder, java_version, open_session
from jobs.tokens import token_maker
from jobs.workload import has_few_rows
from schemas.core import POSTED

# Not in the wheel: where the project itself is checked out, the jars are compared with it byte for byte.
JAR_LIST = Path(__file__).parents[1] / "requirements" / "jars.txt"
JAR = re.compile(r"[\w.-]+:(?P<name>[\w.-]+):(?P<version>[\w.-]+)\s+sha256:(?P<sha256>[0-9a-f]{64})")
DAYS_WITHOUT_DOUBLES = 45


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is well, and a sentence; where it is not, with what to do."""

    name: str
    is_well: bool
    sentence: str


def examine(settings: Settings, ledger: Ledger | None, progress: Progress) -> Iterator[Check]:
    """Every check, one after the other; those that need Spark where it can start. `ledger` None: no lake yet."""
    machine = [_checked("java", java), _checked("jars", jars)]
    yield from machine
    yield _checked("lake", lambda: lake_is_writable(settings))
    if settings.personal_sources:
        yield _checked("token keys", lambda: token_keys(settings))
    if ledger is None:
        yield Check("ledger", True, "There is none yet; the first run makes it.")
        return
    tables = ledger.published_tables()
    yield Check("ledger", True, f"It can be read; {len(tables)} tables are published.")
    if not tables:
        return
    yield _checked("zone and currency", lambda: pinned(settings, ledger))
    if not all(check.is_well for check in machine):
        return
    with progress.step("start Spark"):
        lake = Lake(open_session(settings, few_rows=has_few_rows(settings, ledger)), settings, ledger)
    with progress.step("compare tables with the ledger"):
        yield _checked("tables", lambda: health(lake, tables))
    with progress.step("look for keys posted twice"):
        yield _checked("postings", lambda: posted_once(lake))


def _checked(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except ClmError as error:
        return Check(name, False, str(error))


def java() -> str:
    return f"Java {java_version()}; {MINIMUM_JAVA} or newer is needed."


def jars(folder: Path | None = None, listed: Path = JAR_LIST) -> str:
    """The folder holds exactly the jars of the list; without the list, Delta of the installed version."""
    folder = folder or jar_folder()
    found = {jar.name: jar for jar in folder.glob("*.jar")}
    again = "Run `make setup`."
    if not listed.exists():
        delta = version("delta-spark")
        if not any(name.startswith("delta-spark_") and name.endswith(f"-{delta}.jar") for name in found):
            raise Failed(f"Delta {delta} is not in {folder}. {again}")
        return f"{len(found)} jars, Delta {delta}; their sha256 is checked at set-up."
    wanted = {f"{jar['name']}-{jar['version']}.jar": jar["sha256"] for jar in JAR.finditer(listed.read_text("utf-8"))}
    if missing := sorted(wanted.keys() - found.keys()):
        raise Failed(f"{missing[0]} is not in {folder}. {again}")
    if strange := sorted(found.keys() - wanted.keys()):
        raise Failed(f"{strange[0]} in {folder} is not in {listed.name}, and Spark would load it. {again}")
    for name, sha256 in wanted.items():
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != sha256:
            raise Failed(f"{name} in {folder} is not the file that {listed.name} names. {again}")
    return f"{len(wanted)} jars, each with the sha256 of {listed.name}."


def lake_is_writable(settings: Settings) -> str:
    root = local_path(settings.lake.root)
    if root is None:
        return f"{settings.lake.root}; not looked into."
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Failed(f"{there} cannot be written. Let CLM_LAKE name a folder you may write, or change its rights.")
    return f"{root} can be written." if there == root else f"{root} is not there yet and can be made."


def token_keys(settings: Settings) -> str:
    """The key file can be read, by its owner alone, and holds keys."""
    maker = token_maker(settings)
    assert maker is not None  # or a source without personal columns was asked about
    return f"{settings.token_keys} can be read by its owner only; key {maker.key_id} makes tokens."


def pinned(settings: Settings, ledger: Ledger) -> str:
    """The lake was begun with what may not change since."""
    ledger.pin_lake(settings)
    return f"{settings.lake.zone} and {settings.lake.currency}, as the lake was begun."


def health(lake: Lake, tables: list[str]) -> str:
    """Every published table is in the lake as the ledger knows it."""
    if faults := check_health(lake, tables):
        raise Failed("\n".join(faults))
    return f"{len(tables)} tables are as the ledger knows them."


def posted_once(lake: Lake) -> str:
    """No key of core.transactions is posted twice in the newest nights."""
    posted = POSTED["transactions"]
    days = lake.ledger.days(posted.name)
    if days is None:
        return f"{posted.name} is not published."
    since = days[1] - timedelta(days=DAYS_WITHOUT_DOUBLES - 1)
    keys = lake.read(posted.name, known_on=days[1], since=since).groupBy(*posted.key)
    twice = keys.agg(F.count(F.lit(1)).alias("rows")).where("rows > 1").count()
    if twice:
        raise Failed(
            f"{twice} keys of {posted.name} are posted twice from {since} to {days[1]}: sums count them twice. "
            f"Find their nights with `clm table {posted.name}`, run these again with `clm backfill`, and report it."
        )
    return f"No key of {posted.name} is posted twice from {since} to {days[1]}."

"""What all tests share: one Spark session, and lakes and deliveries small enough to read."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import conf
from conf import Settings

# What runs tests side by side has no file, so that PySpark takes it for its own doctests, and exits.
sys.modules["__main__"].__dict__.setdefault("__file__", __file__)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of the test run, for few rows: what has many says so (`compiled`)."""
    from jobs.session import FEW_ROWS, open_session

    lake = tmp_path_factory.mktemp("lake")
    settings = conf.load(environ={"CLM_LAKE": str(lake)})
    small = {**FEW_ROWS, "spark.sql.shuffle.partitions": "2", "spark.sql.warehouse.dir": str(lake / "warehouse")}
    own = settings.spark.model_copy(
        update={"master": "local[2]", "driver_memory": "2g", "conf": {**settings.spark.conf, **small}}
    )
    session = open_session(settings.model_copy(update={"spark": own}))
    yield session
    session.stop()


@pytest.fixture(scope="module")
def compiled(spark: SparkSession) -> Iterator[SparkSession]:
    """The session as a night of many rows has it: with compiled queries."""
    from jobs.session import INTERPRETED

    for key in INTERPRETED:
        spark.conf.unset(key)
    yield spark
    for key, value in INTERPRETED.items():
        spark.conf.set(key, value)


def packed(name: str, content: bytes) -> bytes:
    """As a file of that name holds it."""
    if name.endswith(".zst"):
        return pa.compress(content, codec="zstd", asbytes=True)
    return gzip.compress(content, mtime=0) if name.endswith(".gz") else content


@dataclass(frozen=True)
class Place:
    """A landing folder, a conf folder and a lake of one test."""

    root: Path

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "CLM_LAKE": str(self.root / "lake"),
            "CLM_LANDING": str(self.landing),
            "CLM_CONF": str(self.root / "conf"),
        }

    def settings(self) -> Settings:
        return conf.load(environ=self.environ)

    def configure(self, *sources: str, base: str = "", **files: str) -> Settings:
        """Write source files (TOML texts) and base.toml, without what is packaged; returns the settings.

        No engine runs where `base` names none: most tests are not about scores, which cost each night seconds.
        """
        folder = self.root / "conf" / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        packaged = "[conf]\npackaged = { sources = false, segments = false, triggers = false }\n"
        engines = "" if "[engines]" in base else "[engines]\nrun = []\n"
        (self.root / "conf" / "base.toml").write_text(f"{base}\n{packaged}{engines}")
        for text in sources:
            name = next(line.split('"')[1] for line in text.splitlines() if line.startswith("name"))
            (folder / f"{name}.toml").write_text(text)
        for name, text in files.items():
            (self.root / "conf" / f"{name}.toml").write_text(text)
        return self.settings()

    def deliver(
        self,
        source: str,
        day: date,
        lines: Sequence[str],
        *,
        suffix: str = "",
        name: str = "part-0001.csv.gz",
        changes: Mapping[str, object] | None = None,
    ) -> Path:
        """One delivery with a manifest that is right, but for `changes`; `lines` begin with the header in CSV."""
        folder = self.landing / source / f"{day}{suffix}"
        folder.mkdir(parents=True)
        files: list[dict[str, object]] = []
        if lines:
            text = ("\n".join(lines) + "\n").encode()
            content = packed(name, text)
            (folder / name).write_bytes(content)
            rows = len(lines) - (1 if ".csv" in name else 0)
            files = [{"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "rows": rows}]
        manifest = {
            "format": "clm-delivery-1",
            "source": source,
            "date": day.isoformat(),
            "delivery_id": f"{source}-{day}{suffix or '-1'}",
            "replaces": None,
            "files": files,
            **(changes or {}),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty landing folder, conf folder and lake."""
    return Place(tmp_path)

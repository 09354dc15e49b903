"""The one SparkSession of a process, made from Settings."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from threading import Lock

from pyspark.sql import SparkSession

from conf import Settings
from jobs.errors import Failed
from jobs.frames import java_class

MINIMUM_JAVA = 17
# For a few thousand rows: compiling a query takes longer than interpreting it. For more it is many times slower.
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Left unsaid, Spark looks into the environment for it with each value of an aggregate.
    "spark.sql.types.framework.enabled": "false",
}
TASKS = "spark.sql.shuffle.partitions"
# And then a second task costs more than it spares, and a plan that is made anew after every shuffle too.
FEW_ROWS = {
    **INTERPRETED,
    "spark.sql.adaptive.enabled": "false",
    TASKS: "1",
    "spark.sql.leafNodeDefaultParallelism": "1",
    "spark.sql.files.minPartitionNum": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Each file of a day is opened with room for so many rows in each of its columns.
    "spark.sql.parquet.columnarReaderBatchSize": "256",
}
# From so many rows on, compiling a query and its second task are worth their time.
MANY_ROWS = 20_000
# And the process is soon over: Java's second compiler would take a third of its time. Left alone, the first would get
# a cache too small for Spark, and a heap that grows by a full collection each time.
SOON_OVER = (
    "-XX:+UseParallelGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m "
    "-XX:InitialRAMPercentage=50 -XX:NewRatio=1 -XX:MetaspaceSize=256m"
)
# PySpark asks for these with almost every column, some by a short name for which Java looks through all its jars.
ASKED_OFTEN = {
    "functions": "org.apache.spark.sql.functions",
    "org.apache.spark.sql.functions": "org.apache.spark.sql.functions",
    "PythonUtils": "org.apache.spark.api.python.PythonUtils",
    "PythonSQLUtils": "org.apache.spark.sql.api.python.PythonSQLUtils",
}


def jar_folder() -> Path:
    """Where set-up put the Delta jars, checked by sha256: inside the environment, never fetched at run time."""
    return Path(sys.prefix) / "jars"


def java_version() -> int:
    """The major version of the Java that Spark would start; raises Failed with what to do."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        raise Failed(f"No Java found. Install Java {MINIMUM_JAVA} or newer, or let JAVA_HOME point to it.")
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', printed)
    if found is None:
        raise Failed(f"{java} does not tell its version. Install Java {MINIMUM_JAVA} or newer.")
    version = int(found.group(1))
    if version < MINIMUM_JAVA:
        raise Failed(
            f"{java} is Java {version}; Spark 4.2 needs {MINIMUM_JAVA} or newer. Set JAVA_HOME to a newer one."
        )
    return version


def spark_options(settings: Settings, *, few_rows: bool = False) -> dict[str, str]:
    """All that Spark is told when it starts; raises Failed where the Delta jars are missing.

    All of the JVM, Spark and the shown times are UTC; zones are explicit in the code. What `[spark.conf]` says wins.
    """
    jars = sorted(str(jar) for jar in jar_folder().glob("*.jar"))
    if not jars:
        raise Failed(f"The Delta jars are missing from {jar_folder()}. Run `make setup`.")
    # Wide projections exceed the 8,000 bytecodes above which HotSpot leaves a method interpreted (design §13).
    java_options = (
        "-XX:-DontCompileHugeMethods -Duser.timezone=UTC "
        f"-Dlog4j2.configurationFile={files('jobs').joinpath('log4j2.properties')}"
        f"{f' {SOON_OVER}' if few_rows else ''}"
    )
    return {
        "spark.app.name": "clm-lake",
        "spark.master": settings.spark.master,
        "spark.jars": ",".join(jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.defaultJavaOptions": java_options,
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        TASKS: str(settings.spark.shuffle_partitions),
        # The fold joins some 145 columns; beyond the default of 100 a join is not compiled.
        "spark.sql.codegen.maxFields": "250",
        # One method for a whole stage is soon so long that Java compiles it badly: the figures of a profile took 30 s
        # in it and take 7 s by the many short ones that Spark makes instead (docs/adr/0019).
        "spark.sql.codegen.hugeMethodLimit": "8000",
        # Spares the sort before a partitioned write.
        "spark.sql.maxConcurrentOutputFileWriters": "64",
        # Those of tables that are made side by side take turns (`jobs.side_by_side`).
        "spark.scheduler.mode": "FAIR",
        # Every action would describe its plan for a web page that is not there.
        "spark.sql.ui.explainMode": "simple",
        # Names of letters in all languages take ICU seconds to load; Java knows the same ones.
        "spark.sql.icu.caseMappings.enabled": "false",
        # A path in a rule or a mapping must never become a table.
        "spark.sql.runSQLOnFiles": "false",
        # Nor may a text in one become what the environment holds: Spark would put it in place of ${env:…}.
        "spark.sql.variable.substitute": "false",
        # Else every Column remembers the line of Python that made it, which costs seconds a night.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.sql.dataFrameQueryContext.enabled": "false",
        # A commit tells its checksum from that of the one before; the table's files and generations are not in it.
        "spark.databricks.delta.allFilesInCrc.enabled": "false",
        "spark.databricks.delta.setTransactionsInCrc.writeOnCommit": "false",
        "spark.databricks.delta.snapshotPartitions": "2",
        # A vacuum would note itself as two versions of the table.
        "spark.databricks.delta.vacuum.logging.enabled": "false",
        # And it would list a table's folders in 10,000 tasks.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
        **(FEW_ROWS if few_rows else {}),
        **settings.spark.conf,
    }


def open_session(settings: Settings, *, few_rows: bool = False) -> SparkSession:
    """Start Spark with Delta, or take up the Java that `spark-submit` has started for this process.

    `few_rows` is what `jobs.workload` says of a lake and its nights. A session that is open already stays as it is.
    """
    if (opened := SparkSession.getActiveSession()) is not None:
        return opened
    java_version()
    # PySpark would log whole plans and, of cast errors, values; what went wrong is said by the command itself.
    logging.getLogger("DataFrameQueryContextLogger").setLevel(logging.CRITICAL)
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder
    for key, value in spark_options(settings, few_rows=few_rows).items():
        builder = builder.config(key, value)  # pyright: ignore[reportAttributeAccessIssue]
    spark = builder.getOrCreate()  # pyright: ignore[reportAttributeAccessIssue]
    for name, whole_name in ASKED_OFTEN.items():
        setattr(spark._jvm, name, java_class(spark, whole_name))
    return spark


class ManyRows:
    """Lets a session for few rows compile its queries, and shuffle for all cores, while one over many is under way."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._lock = Lock()
        self._under_way = 0
        self._cores = str(spark.sparkContext.defaultParallelism)
        few = {key: value for key in (*INTERPRETED, TASKS) if (value := spark.conf.get(key, None)) is not None}
        self._few = few if few.items() >= INTERPRETED.items() else {}

    @contextmanager
    def compiled(self, rows: int) -> Generator[None, None, None]:
        """Around planning and running queries over so many rows; nothing changes for fewer than `MANY_ROWS`.

        Those of other threads are compiled meanwhile as well.
        """
        if not self._few or rows < MANY_ROWS:
            yield
            return
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._under_way += change
            if self._under_way:
                for key in INTERPRETED:
                    self._spark.conf.unset(key)
                self._spark.conf.set(TASKS, self._cores)
            else:
                for key, value in self._few.items():
                    self._spark.conf.set(key, value)

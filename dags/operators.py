"""`clm` as a task: a Spark application of its own, whose exit code says what Airflow does next."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

REFUSED, BUSY = 3, 4
# For a run that is told to end: to note its end and free the lake. Airflow itself kills what has not ended by then.
PATIENCE_SECONDS = 5


class ClmOperator(SparkSubmitOperator):
    """Data that is refused fails at once, a busy lake is tried again, all else as Airflow has it.

    `command`: the arguments of `clm`, which may be templates. Spark is told what CLM_SPARK_PROPERTIES names.
    """

    def __init__(self, *, command: list[str], **kwargs: Any) -> None:
        kwargs.setdefault("name", f"clm-{kwargs['task_id']}")
        kwargs.setdefault("properties_file", os.environ.get("CLM_SPARK_PROPERTIES"))
        application = str(Path(__file__).with_name("submitted.py"))
        super().__init__(application=application, application_args=[*command, "--quiet"], **kwargs)

    def execute(self, context: Any) -> None:
        try:
            super().execute(context)
        except AirflowException as error:
            code = self._process.returncode if self._process else None
            if code == REFUSED:
                raise AirflowFailException(
                    "Data was refused (exit 3), as said above: the same would be again."
                ) from error
            if code == BUSY:
                raise AirflowException("The lake is busy, or a night is missing (exit 4), as said above.") from error
            raise

    def on_kill(self) -> None:
        """Let clm end by itself, which frees the lake; the provider would kill its Java and leave Python behind."""
        if self._process and self._process.poll() is None:
            for thread in Path(f"/proc/{self._process.pid}/task").glob("*/children"):
                with suppress(OSError):
                    for child in thread.read_text().split():
                        os.kill(int(child), signal.SIGTERM)
            until = time.monotonic() + PATIENCE_SECONDS
            while self._process.poll() is None and time.monotonic() < until:
                time.sleep(0.5)
        super().on_kill()

    @property
    def _process(self) -> Any:
        return self._hook._submit_sp if self._hook else None

"""What can end a command early, each with the exit code that Airflow and shells act on."""

from __future__ import annotations


class ClmError(Exception):
    """A sentence for the person who reads it: what is wrong, where, and what to do next."""

    exit_code = 1


class Failed(ClmError):
    """Something broke; running again may help."""

    exit_code = 1


class Usage(ClmError):
    """The command or the configuration does not make sense."""

    exit_code = 2


class DataRefused(ClmError):
    """What was delivered, or what was made of it, may not be published; running again does not help."""

    exit_code = 3


class Busy(ClmError):
    """Another run holds the lake, or an earlier night is missing; try again later or run that first."""

    exit_code = 4


def is_sparks(error: BaseException) -> bool:
    """Whether Spark, or the bridge to its Java, raised it; the two have no class in common."""
    return type(error).__module__.partition(".")[0] in ("pyspark", "py4j")

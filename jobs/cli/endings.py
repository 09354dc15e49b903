"""How a command ends when it does not end well: an exit code and one sentence, never a value of a row."""

from __future__ import annotations

import re

import typer

from conf import ConfError
from jobs.errors import ClmError, Failed, Usage, is_sparks

# Spark's error classes, as they stand before its messages: "[CAST_INVALID_INPUT]", "[TABLE_OR_VIEW_NOT_FOUND]".
ERROR_CLASS = re.compile(r"\[[A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*\]")


def ending(error: BaseException) -> tuple[int, str]:
    """The exit code for `error`, and the sentence that says what happened and what to do; empty if that is said."""
    match error:
        case ClmError():
            return error.exit_code, str(error)
        case ConfError():
            return Usage.exit_code, str(error).replace("\n", "\nclm: ")
        case typer.TyperException():
            said = error.format_message().rstrip(".")
            # Nothing is said where the help has been printed instead.
            return Usage.exit_code, f"{said}. Say --help after the command for what it takes." if said else ""
        case KeyboardInterrupt():
            return Failed.exit_code, (
                f"stopped{_step(error)}. Nothing is half-written: what was published stays, the rest was never seen. "
                "Say the same command again to go on."
            )
        case _ if is_sparks(error):
            return Failed.exit_code, _spark_sentence(error)
        case _:
            return Failed.exit_code, (
                f"{type(error).__name__}{_step(error)}; this should not happen. "
                "Say the same command with --debug to see where, and report it."
            )


def _step(error: BaseException) -> str:
    """Where a run was: `jobs.progress` notes the innermost step."""
    notes: list[str] = getattr(error, "__notes__", [])
    return f" in the step “{notes[0]}”" if notes else ""


def _spark_sentence(error: BaseException) -> str:
    if type(error).__name__ == "Py4JNetworkError":
        return (
            f"Spark's Java process is gone{_step(error)}, most often for want of memory. "
            "Give it more (spark.driver_memory in your conf), then say the same command again."
        )
    return (
        f"Spark stopped{_step(error)} with {_error_class(error)}. Its own message may hold values of "
        "rows, so it is not shown; --debug shows it."
    )


def _error_class(error: BaseException) -> str:
    """The most particular error class that Spark names: a failed task says only that it failed, its cause says why."""
    condition = getattr(error, "getCondition", lambda: None)()
    named = {f"[{condition}]"} if condition else set()
    java = getattr(error, "_origin", None) or getattr(error, "java_exception", None)
    while java is not None:
        # Only the beginning of a message: further in may stand a value that looks like a class.
        message = java.getMessage() or ""
        found = ERROR_CLASS.match(message)
        if found:
            return found.group()
        java = java.getCause()
    return next(iter(named), f"[{type(error).__name__}]")

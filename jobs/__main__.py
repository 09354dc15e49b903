"""The command `clm`: runs one command and turns however it ends into a sentence and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from jobs.cli import app
from jobs.cli.endings import ending

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run `clm` with these arguments; returns 0 done, 1 failed, 2 usage, 3 data refused, 4 busy."""
    argv = sys.argv[1:] if argv is None else list(argv)
    # Airflow ends a task so; like Ctrl-C it lets the run note its end and free the lake.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(argv, prog_name="clm", standalone_mode=False) or 0
        sys.stdout.flush()
        if code == INTERRUPTED:  # Typer's own answer to Ctrl-C.
            raise KeyboardInterrupt
    except BrokenPipeError:
        # The reader has seen enough (`clm table … | head`); nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if "--debug" in argv:
            traceback.print_exc()
        code, sentence = ending(error)
        if sentence:
            print(f"clm: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`clm doctor` and `clm maintain`: is everything well, and what keeps it so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import conf
from jobs.cli.options import Debug, Env, Json, Quiet, console, find_ledger, ledger_of, print_json, print_table
from jobs.errors import Failed
from jobs.progress import progress_for

if TYPE_CHECKING:
    from jobs.maintenance import Outlook

Out = Annotated[Path, typer.Option("--out", help="The file; one that is there is replaced.", show_default=False)]


def doctor(as_json: Json = False, env: Env = None, quiet: Quiet = False, debug: Debug = False) -> None:
    """Look at Java, the jars, the ledger and the lake. Exits 1 when anything is wrong."""
    settings = conf.load(env)
    ledger = find_ledger(settings)

    from jobs.doctor import examine

    wrong = 0
    for check in examine(settings, ledger, progress_for(quiet=quiet)):
        wrong += not check.is_well
        if as_json:
            print_json([{"check": check.name, "ok": check.is_well, "why": check.sentence}])
        else:
            console().print(f"{'ok   ' if check.is_well else 'WRONG'}  {check.name}: {check.sentence}", markup=False)
    if wrong:
        raise Failed(f"{wrong} of the checks found something wrong; each says what to do.")


def spark_properties(out: Out, env: Env = None, debug: Debug = False) -> None:
    """Write what Spark is told when it starts, for `spark-submit --properties-file`: it starts Java before clm does."""
    settings = conf.load(env)

    from jobs.session import spark_options

    # As Java reads them: a backslash begins an escape.
    lines = [f"{key} {value}\n".replace("\\", "\\\\") for key, value in spark_options(settings).items()]
    try:
        out.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise Failed(f"{out} cannot be written ({error.strerror}). Name another file.") from None


def maintain(as_json: Json = False, env: Env = None, quiet: Quiet = False, debug: Debug = False) -> None:
    """Let go of what is kept no longer, clear up after killed runs. Exits 1 when the disk is full within a month."""
    settings = conf.load(env)
    ledger_of(settings)
    progress = progress_for(quiet=quiet)

    from jobs.maintenance import maintain as carry_out

    def tell(outlook: Outlook) -> None:
        rows = [
            {
                "table": each.name,
                "let_go": len(each.expired),
                "freed": each.freed,
                "bytes": each.bytes,
                "nightly": each.nightly,
            }
            for each in outlook.done
        ]
        if as_json:
            print_json(rows)
        else:
            print_table(rows, tuple(rows[0]))
        progress.note(f"{outlook}.")

    carry_out(settings, progress=progress, tell=tell)

"""`clm doctor`: is everything well, and if not, what to do."""

from __future__ import annotations

import conf
from jobs.cli.options import Debug, Env, Json, Quiet, console, find_ledger, print_json
from jobs.errors import Failed
from jobs.progress import progress_for


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

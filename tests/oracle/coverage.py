"""Which tables of the lake the oracle tells: `python -m tests.oracle.coverage` fails where one is told by nobody."""

from __future__ import annotations

import sys

import conf
from conf import Settings
from schemas import CATALOGUE
from tests.oracle import parts

# Tables without an oracle, with the reason.
UNTOLD = {
    "ops.quality": "says how the lake's own audit went; the oracle has checks of its own",
    "ops.exports": "receipts of deliveries, which happen once and are no function of the lake; the oracle reads them",
    "mart.engine_models": "what an engine learnt is given: the oracle scores with it",
    "mart.rule_versions": "names and texts of rules are given, and no figures",
    "restricted.contact_hashes": "hashes of plain numbers and addresses, which the oracle should not hold as well",
}


def faults(settings: Settings) -> list[str]:
    """One sentence for each table that neither has an oracle nor a reason, and for each reason that is not needed."""
    told = {table for module in parts.modules() for table in module.writes(settings)}
    tables = {*CATALOGUE, *(f"raw.{source.name}" for source in settings.sources)}
    return [
        *(
            f"{table} has no oracle: write it in tests/oracle/, or name the reason in {__name__}.UNTOLD"
            for table in sorted(tables - told - UNTOLD.keys())
        ),
        *(f"{table} has an oracle: take it out of UNTOLD" for table in sorted(UNTOLD.keys() & told)),
        *(f"{table} is no table: take it out of UNTOLD" for table in sorted(UNTOLD.keys() - tables)),
    ]


def main() -> int:
    found = faults(conf.load())
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

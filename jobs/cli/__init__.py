"""The command line: one module per group of commands; what they say and how they end is the same for all.

Spark and Great Expectations are imported by the commands that need them, when they run.
"""

from __future__ import annotations

import typer

from jobs.cli import delivery, health, nights, overview, people, rules, synthetic, tables
from jobs.cli.group import Commands

app = typer.Typer(
    name="clm",
    cls=Commands,
    help="The customer lifecycle lake: runs its nights, and says what it holds.",
    epilog="CLM_LAKE, CLM_LANDING and CLM_CONF say where the lake, the deliveries and your configuration are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(nights.run)
app.command("plan")(overview.plan)
app.command("backfill")(nights.backfill)
app.command("fit")(nights.fit)
app.command("repair")(nights.repair)
app.command("land")(nights.land)
app.command("status")(overview.status)
app.command("digest")(overview.digest)
app.command("table")(tables.table)
app.add_typer(rules.app, name="rules")
app.add_typer(people.preview_app, name="preview")
app.command("explain")(people.explain)
app.command("deliver")(delivery.deliver)
app.add_typer(delivery.export_app, name="export")
app.command("stop")(delivery.stop)
app.command("resume")(delivery.resume)
app.command("doctor")(health.doctor)
app.command("maintain")(health.maintain)
app.command("spark-properties")(health.spark_properties)
app.command("simulate")(synthetic.simulate)
app.command("demo")(synthetic.demo)

__all__ = ["app"]

"""What nobody sees in the field: of each customer, both lives, with and without having sent money by the landmark."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.simulate.deliver import join
from jobs.simulate.life import is_active, is_there
from jobs.simulate.plan import Simulation
from jobs.simulate.worlds import LANDMARK, WINDOW


def outcomes(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per customer whose first payment lies in the story.

    `retained_if_upgraded` and `retained_if_not`: active on at least one of days 90 to 119 after `first_date`, in the
    life in which money is sent by day 30, and in the one in which it is not. The same chance rules both.
    """
    first, last = (f"date_from_unix_date({day})" for day in (simulation.first_day, simulation.last_day))

    def retained(x: int) -> str:
        lived = is_there("age", f"leaving_age_{x}", f"back_age_{x}", f"leaving_again_age_{x}")
        active = f"(age = back_age_{x} or {is_active(simulation.seed, '(begin_day + age)', 'age')})"
        return f"exists(sequence({WINDOW[0]}, {WINDOW[1]}), age -> {lived} and coalesce({active}, false))"

    return (
        people.filter("not is_dormant")
        .selectExpr(
            "user_id",
            "date_from_unix_date(begin_day) as first_date",
            f"coalesce(send_age <= {LANDMARK}, false) as is_upgraded",
            f"{retained(1)} as retained_if_upgraded",
            f"{retained(0)} as retained_if_not",
        )
        .filter(f"first_date between {first} and {last}")
    )


def write_outcomes(people: DataFrame, simulation: Simulation, truth: Path) -> None:
    """`truth/outcomes.parquet`, and `truth/outcomes.json`: the true effect among the upgraded."""
    file = truth / "outcomes.parquet"
    with tempfile.TemporaryDirectory(prefix=".simulate-", dir=truth) as work:
        folder = Path(work).absolute() / "outcomes"
        outcomes(people, simulation).coalesce(1).sortWithinPartitions("user_id").write.parquet(f"file://{folder}")
        join(list(folder.glob("part-*")), file)
    told = people.sparkSession.read.parquet(f"file://{file.absolute()}")
    row = (
        told.filter("is_upgraded")
        .agg(
            F.count("*").alias("upgraded"),
            F.avg(F.col("retained_if_upgraded").cast("double")).alias("retained_if_upgraded"),
            F.avg(F.col("retained_if_not").cast("double")).alias("retained_if_not"),
        )
        .first()
    )
    assert row is not None
    with_it, without = row["retained_if_upgraded"], row["retained_if_not"]
    summary = {
        "world": simulation.world,
        "upgraded": row["upgraded"],
        "retained_if_upgraded": with_it,
        "retained_if_not": without,
        "effect_among_upgraded": None if with_it is None else with_it - without,
    }
    (truth / "outcomes.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
